//! `OrganisationService`.

use barid_domain::OrganisationId;
use barid_proto::{
    Violations, ids,
    status::not_found,
    tenant::v1::{
        CreateOrganisationRequest, GetOrganisationRequest, ListOrganisationsRequest, ListOrganisationsResponse, Organisation,
        organisation_service_server::OrganisationService,
    },
};
use tonic::{Request, Response, Status};

use super::{State, bound, page};

#[tonic::async_trait]
impl OrganisationService for State {
    async fn create_organisation(&self, request: Request<CreateOrganisationRequest>) -> Result<Response<Organisation>, Status> {
        let name = request.into_inner().name.trim().to_owned();
        if name.is_empty() {
            return Err(Violations::one("name", "required", "is empty; give the organisation a name"));
        }
        Ok(Response::new(self.store.create_organisation(name).await?))
    }

    async fn get_organisation(&self, request: Request<GetOrganisationRequest>) -> Result<Response<Organisation>, Status> {
        let bound = bound(&request)?;
        let id: OrganisationId = ids::resource(&request.get_ref().id)?;
        if bound.is_some_and(|own| own != id) {
            return Err(not_found("organisation", &request.get_ref().id));
        }
        Ok(Response::new(self.store.organisation(id).await?))
    }

    async fn list_organisations(&self, request: Request<ListOrganisationsRequest>) -> Result<Response<ListOrganisationsResponse>, Status> {
        let request = request.into_inner();
        let (after, size) = page(request.page_size, &request.page_token)?;
        let (organisations, next_page_token) = self.store.organisations(after, size).await?;
        Ok(Response::new(ListOrganisationsResponse { organisations, next_page_token }))
    }
}
