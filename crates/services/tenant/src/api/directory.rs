//! `DirectoryService`.

use barid_domain::TenantId;
use barid_proto::{
    access::{Principal, Scope},
    ids,
    status::not_found,
    tenant::v1::{AuthenticateRequest, AuthenticateResponse, ResolveTenantRequest, Tenant, directory_service_server::DirectoryService},
};
use tonic::{Request, Response, Status};

use super::State;

#[tonic::async_trait]
impl DirectoryService for State {
    async fn authenticate(&self, request: Request<AuthenticateRequest>) -> Result<Response<AuthenticateResponse>, Status> {
        let digest = request.into_inner().secret_sha256;
        // Comparing digests in variable time tells nothing about the secret.
        let principal = if digest == *self.platform_key {
            Principal { scope: Scope::Platform.into(), ..Principal::default() }
        } else {
            let holder = self.store.holder(digest).await?.ok_or_else(|| not_found("API key", ""))?;
            Principal {
                scope: if holder.tenant.is_some() { Scope::Tenant } else { Scope::Organisation }.into(),
                organisation_id: holder.organisation.to_string(),
                tenant_id: holder.tenant.map(|id| id.to_string()).unwrap_or_default(),
                key_id: holder.key.to_string(),
            }
        };
        Ok(Response::new(AuthenticateResponse { principal: Some(principal) }))
    }

    async fn resolve_tenant(&self, request: Request<ResolveTenantRequest>) -> Result<Response<Tenant>, Status> {
        let id: TenantId = ids::resource(&request.get_ref().tenant_id)?;
        Ok(Response::new(self.store.tenant(id).await?))
    }
}
