//! Whether the holder of a key may make a call, and for whom.

use barid_domain::TenantId;
use barid_proto::{
    Violations,
    access::{Method, Principal, Scope},
    fault, ids,
    status::not_found,
    wire,
};
use bytes::Bytes;
use tonic::{Code, Status};

use crate::directory::Directory;

/// The principal that goes along with a call: with the tenant, or the organisation, that it is about.
pub(crate) async fn authorise(directory: &Directory, method: &Method, holder: &Principal, request: &Bytes) -> Result<Principal, Status> {
    match (method.scope, holder.scope()) {
        (Scope::Platform, Scope::Platform) => Ok(holder.clone()),
        (Scope::Organisation, Scope::Platform) => {
            Ok(Principal { organisation_id: named(method.organisation_field, request)?, ..holder.clone() })
        }
        (Scope::Organisation, Scope::Organisation) => {
            let organisation = named(method.organisation_field, request)?;
            if organisation.is_empty() || organisation == holder.organisation_id {
                Ok(holder.clone())
            } else {
                Err(not_found("organisation", &organisation))
            }
        }
        (Scope::Tenant, Scope::Organisation | Scope::Tenant) => for_tenant(directory, method, holder, request).await,
        (Scope::Tenant, _) => Err(fault(
            Code::PermissionDenied,
            "PLATFORM_KEY",
            "a platform key does not act for tenants; use a key of the organisation or of the tenant",
        )),
        _ => Err(fault(Code::PermissionDenied, "SCOPE_TOO_NARROW", "this key does not reach this method; use a key with a wider scope")),
    }
}

async fn for_tenant(directory: &Directory, method: &Method, holder: &Principal, request: &Bytes) -> Result<Principal, Status> {
    let asked = named(method.tenant_field, request)?;
    let id = match (holder.scope(), asked.is_empty()) {
        (Scope::Tenant, true) => &holder.tenant_id,
        (Scope::Tenant, false) if asked == holder.tenant_id => &holder.tenant_id,
        (Scope::Tenant, false) => return Err(not_found("tenant", &asked)),
        (_, false) => &asked,
        (_, true) => {
            let says = "is required with an organisation's key; name the tenant";
            return Err(Violations::one("tenantId", "required", says));
        }
    };
    let tenant_id: TenantId = ids::resource(id)?;
    let tenant = directory.tenant(tenant_id).await?;
    if tenant.organisation.to_string() != holder.organisation_id {
        return Err(not_found("tenant", id));
    }
    if !tenant.active {
        return Err(fault(Code::PermissionDenied, "TENANT_SUSPENDED", "the tenant is suspended; its organisation can resume it"));
    }
    Ok(Principal { tenant_id: tenant_id.to_string(), ..holder.clone() })
}

fn named(field: Option<u32>, request: &Bytes) -> Result<String, Status> {
    let Some(field) = field else { return Ok(String::new()) };
    wire::string(request, field).map_err(|error| fault(Code::InvalidArgument, "INVALID_ARGUMENT", error.to_string()))
}
