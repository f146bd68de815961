//! Wrapped tenant keys, kept in each service's schema: table `tenant_keys`.

use barid_vault::KeyStore;
use futures::{FutureExt, future::BoxFuture};
use sea_orm::DbErr;
use uuid::Uuid;

use crate::Engine;

/// The tenant keys of one service.
#[derive(Clone, Debug)]
pub struct TenantKeys {
    engine: Engine,
    schema: &'static str,
}

impl TenantKeys {
    pub fn new(engine: Engine, schema: &'static str) -> Self {
        Self { engine, schema }
    }
}

impl KeyStore for TenantKeys {
    fn load_or_insert(&self, tenant: Uuid, fresh: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>> {
        let schema = self.schema;
        async move {
            let key = self.engine.transaction("tenant key", move |tx| async move {
                let insert =
                    format!("INSERT INTO {schema}.tenant_keys (tenant_id, wrapped) VALUES ($1, $2) ON CONFLICT (tenant_id) DO NOTHING");
                tx.run(insert, [tenant.into(), fresh.into()]).await?;
                let select = format!("SELECT wrapped FROM {schema}.tenant_keys WHERE tenant_id = $1");
                let row = tx.row(select, [tenant.into()]).await?;
                row.ok_or_else(|| DbErr::RecordNotFound("tenant key".to_owned()))?.try_get_by_index::<Vec<u8>>(0)
            });
            Ok(key.await?)
        }
        .boxed()
    }
}
