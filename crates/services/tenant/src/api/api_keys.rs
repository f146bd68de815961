//! `ApiKeyService`.

use barid_domain::{ApiKeyId, TenantId};
use barid_proto::{
    ids,
    status::not_found,
    tenant::v1::{
        ApiKey, CreateApiKeyRequest, ListApiKeysRequest, ListApiKeysResponse, RevokeApiKeyRequest, api_key_service_server::ApiKeyService,
    },
};
use rand::Rng;
use tonic::{Request, Response, Status};

use super::{State, bound, organisation, page};

#[tonic::async_trait]
impl ApiKeyService for State {
    async fn create_api_key(&self, request: Request<CreateApiKeyRequest>) -> Result<Response<ApiKey>, Status> {
        let organisation = organisation(&request)?;
        let request = request.into_inner();
        let tenant: Option<TenantId> =
            if request.tenant_id.is_empty() { None } else { Some(ids::argument("tenantId", &request.tenant_id)?) };
        if let Some(id) = tenant {
            let tenant = self.store.tenant(id).await?;
            if tenant.organisation_id != organisation.to_string() {
                return Err(not_found("tenant", &request.tenant_id));
            }
        }
        let secret = new_secret();
        let key = self.store.create_api_key(organisation, tenant, request.display_name, &secret).await?;
        Ok(Response::new(ApiKey { secret, ..key }))
    }

    async fn list_api_keys(&self, request: Request<ListApiKeysRequest>) -> Result<Response<ListApiKeysResponse>, Status> {
        let organisation = organisation(&request)?;
        let request = request.into_inner();
        let (after, size) = page(request.page_size, &request.page_token)?;
        let (api_keys, next_page_token) = self.store.api_keys(organisation, after, size).await?;
        Ok(Response::new(ListApiKeysResponse { api_keys, next_page_token }))
    }

    async fn revoke_api_key(&self, request: Request<RevokeApiKeyRequest>) -> Result<Response<()>, Status> {
        let bound = bound(&request)?;
        let id: ApiKeyId = ids::resource(&request.get_ref().id)?;
        let digest = self.store.revoke_api_key(bound, id).await?;
        self.bus.notify("key-revoked", digest.into()).await;
        Ok(Response::new(()))
    }
}

/// 256 random bits behind a prefix that secret scanners can look for.
fn new_secret() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().fold(String::from("barid_"), |text, byte| format!("{text}{byte:02x}"))
}
