//! `TenantService`.

use barid_bus::{principal, tenant};
use barid_domain::{OrganisationId, TenantId};
use barid_proto::{
    Violations,
    access::Scope,
    fault, ids,
    tenant::v1::{
        CreateTenantRequest, GetTenantRequest, ListTenantsRequest, ListTenantsResponse, ResumeTenantRequest, SuspendTenantRequest, Tenant,
        TenantState, UpdateTenantRequest, tenant_service_server::TenantService,
    },
};
use tonic::{Code, Request, Response, Status};

use super::{State, bound, organisation, page};
use crate::{Error, settings};

#[tonic::async_trait]
impl TenantService for State {
    async fn create_tenant(&self, request: Request<CreateTenantRequest>) -> Result<Response<Tenant>, Status> {
        let organisation = organisation(&request)?;
        let Some(mut tenant) = request.into_inner().tenant else { return Err(missing()) };
        settings::check(&tenant)?;
        if tenant.daily_quota == 0 {
            tenant.daily_quota = settings::DEFAULT_QUOTA;
        }
        tenant.message_ttl.get_or_insert(settings::DEFAULT_TTL);
        Ok(Response::new(self.store.create_tenant(organisation, tenant).await?))
    }

    async fn get_tenant(&self, request: Request<GetTenantRequest>) -> Result<Response<Tenant>, Status> {
        Ok(Response::new(self.store.tenant(tenant(&request)?).await?))
    }

    async fn list_tenants(&self, request: Request<ListTenantsRequest>) -> Result<Response<ListTenantsResponse>, Status> {
        let organisation = organisation(&request)?;
        let request = request.into_inner();
        let (after, size) = page(request.page_size, &request.page_token)?;
        let (tenants, next_page_token) = self.store.tenants(organisation, after, size).await?;
        Ok(Response::new(ListTenantsResponse { tenants, next_page_token }))
    }

    async fn update_tenant(&self, request: Request<UpdateTenantRequest>) -> Result<Response<Tenant>, Status> {
        let id = tenant(&request)?;
        let own_key = principal(&request)?.scope() == Scope::Tenant;
        let request = request.into_inner();
        let Some(changes) = request.tenant else { return Err(missing()) };
        let mask = request.update_mask.unwrap_or_default().paths;
        let raises = if mask.is_empty() { changes.daily_quota != 0 } else { mask.iter().any(|path| path == "daily_quota") };
        if own_key && raises {
            let says = "a tenant does not set its own daily quota; use a key of the organisation";
            return Err(fault(Code::PermissionDenied, "SCOPE_TOO_NARROW", says));
        }
        let change = move |tenant: &mut Tenant| {
            settings::merge(tenant, changes, &mask)?;
            Ok(settings::check(tenant)?)
        };
        let updated = self.store.update_tenant(id, "updated", change).await?;
        self.changed(id).await;
        Ok(Response::new(updated))
    }

    async fn suspend_tenant(&self, request: Request<SuspendTenantRequest>) -> Result<Response<Tenant>, Status> {
        let bound = bound(&request)?;
        self.set_state(bound, &request.get_ref().tenant_id, TenantState::Suspended).await
    }

    async fn resume_tenant(&self, request: Request<ResumeTenantRequest>) -> Result<Response<Tenant>, Status> {
        let bound = bound(&request)?;
        self.set_state(bound, &request.get_ref().tenant_id, TenantState::Active).await
    }
}

impl State {
    async fn set_state(&self, bound: Option<OrganisationId>, id: &str, state: TenantState) -> Result<Response<Tenant>, Status> {
        let id: TenantId = ids::resource(id)?;
        let kind = if state == TenantState::Suspended { "suspended" } else { "resumed" };
        let change = move |tenant: &mut Tenant| {
            if bound.is_some_and(|own| own.to_string() != tenant.organisation_id) {
                return Err(Error::not_found("tenant", id));
            }
            tenant.state = state.into();
            Ok(())
        };
        let updated = self.store.update_tenant(id, kind, change).await?;
        self.changed(id).await;
        Ok(Response::new(updated))
    }

    /// Tells those who remember tenants for a while to look again.
    async fn changed(&self, id: TenantId) {
        self.bus.notify("tenant-changed", id.to_string().into_bytes().into()).await;
    }
}

fn missing() -> Status {
    Violations::one("tenant", "required", "is required; describe the tenant")
}
