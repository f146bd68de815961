//! Table `api_keys`.

use barid_domain::{ApiKeyId, OrganisationId, TenantId};
use barid_proto::{tenant::v1::ApiKey, timestamp};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Set};

use super::{Store, digest, entity::api_key, page};
use crate::Error;

/// Who a key belongs to.
pub(crate) struct Holder {
    pub key: ApiKeyId,
    pub organisation: OrganisationId,
    pub tenant: Option<TenantId>,
}

impl Store {
    pub(crate) async fn create_api_key(
        &self,
        organisation: OrganisationId,
        tenant: Option<TenantId>,
        display_name: String,
        secret: &str,
    ) -> Result<ApiKey, Error> {
        self.organisation(organisation).await?;
        let row = api_key::Model {
            id: self.ids.mint::<barid_domain::id::ApiKey>().uuid(),
            organisation_id: organisation.uuid(),
            tenant_id: tenant.map(TenantId::uuid),
            display_name,
            secret_sha256: digest(secret).to_vec(),
            created_at: self.clock.now(),
            revoked_at: None,
        };
        let insert = move |tx: barid_db::Tx| async move { row.into_active_model().insert(&*tx).await };
        Ok(to_proto(self.db.engine.transaction("create API key", insert).await?))
    }

    pub(crate) async fn api_keys(
        &self,
        organisation: OrganisationId,
        after: Option<ApiKeyId>,
        size: u64,
    ) -> Result<(Vec<ApiKey>, String), Error> {
        let find = move |tx: barid_db::Tx| async move {
            let mut query = api_key::Entity::find()
                .filter(api_key::Column::OrganisationId.eq(organisation.uuid()))
                .order_by_asc(api_key::Column::Id)
                .limit(size + 1);
            if let Some(after) = after {
                query = query.filter(api_key::Column::Id.gt(after.uuid()));
            }
            query.all(&*tx).await
        };
        let rows = self.db.engine.transaction("list API keys", find).await?;
        Ok(page(rows.into_iter().map(to_proto).collect(), size, |key: &ApiKey| key.id.clone()))
    }

    /// Revokes a key and gives back the digest of its secret.
    pub(crate) async fn revoke_api_key(&self, organisation: Option<OrganisationId>, id: ApiKeyId) -> Result<Vec<u8>, Error> {
        let now = self.clock.now();
        let revoke = move |tx: barid_db::Tx| async move {
            let found = api_key::Entity::find_by_id(id.uuid()).lock_exclusive().one(&*tx).await?;
            let ours = found.filter(|row| organisation.is_none_or(|organisation| organisation.uuid() == row.organisation_id));
            let row = ours.ok_or_else(|| Error::not_found("API key", id))?;
            let secret = row.secret_sha256.clone();
            if row.revoked_at.is_none() {
                let mut row = row.into_active_model();
                row.revoked_at = Set(Some(now));
                row.update(&*tx).await?;
            }
            Ok::<_, Error>(secret)
        };
        self.db.engine.transaction("revoke API key", revoke).await
    }

    /// The holder of a key that is not revoked.
    pub(crate) async fn holder(&self, secret_sha256: Vec<u8>) -> Result<Option<Holder>, Error> {
        let find = move |tx: barid_db::Tx| async move {
            let known = api_key::Entity::find().filter(api_key::Column::SecretSha256.eq(secret_sha256));
            known.filter(api_key::Column::RevokedAt.is_null()).one(&*tx).await
        };
        let row = self.db.engine.transaction("authenticate", find).await?;
        Ok(row.map(|row| Holder {
            key: ApiKeyId::from_uuid(row.id),
            organisation: OrganisationId::from_uuid(row.organisation_id),
            tenant: row.tenant_id.map(TenantId::from_uuid),
        }))
    }
}

fn to_proto(row: api_key::Model) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_uuid(row.id).to_string(),
        organisation_id: OrganisationId::from_uuid(row.organisation_id).to_string(),
        tenant_id: row.tenant_id.map(|id| TenantId::from_uuid(id).to_string()).unwrap_or_default(),
        display_name: row.display_name,
        secret: String::new(),
        create_time: Some(timestamp(row.created_at)),
        revoke_time: row.revoked_at.map(timestamp),
    }
}
