//! Table `kept_media`: files of customers that are in our own store, by what they were asked for with.

use barid_blob::Digest;
use barid_db::Tx;
use barid_domain::TenantId;

use super::Store;
use crate::Error;

impl Store {
    pub(crate) async fn kept_media(&self, tenant: TenantId, name: &str) -> Result<Option<Digest>, Error> {
        let blinded = self.vault.tenant(tenant.uuid()).await?.blind_index("media pointer", name).to_vec();
        let read = move |tx: Tx| async move {
            tx.row(
                "SELECT digest FROM session_pool.kept_media WHERE tenant_id = $1 AND pointer = $2",
                [tenant.uuid().into(), blinded.into()],
            )
            .await
        };
        let Some(row) = self.db.tenant.transaction(tenant, read).await? else { return Ok(None) };
        let digest: Vec<u8> = row.try_get_by_index(0)?;
        Ok(<[u8; 16]>::try_from(digest.as_slice()).ok().map(Digest::from_bytes))
    }

    pub(crate) async fn keep_media(&self, tenant: TenantId, name: &str, digest: Digest) -> Result<(), Error> {
        let blinded = self.vault.tenant(tenant.uuid()).await?.blind_index("media pointer", name).to_vec();
        let now = self.clock.now();
        let write = move |tx: Tx| async move {
            tx.run(
                "INSERT INTO session_pool.kept_media (tenant_id, pointer, digest, kept_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (tenant_id, pointer) DO UPDATE SET digest = excluded.digest, kept_at = excluded.kept_at",
                [tenant.uuid().into(), blinded.into(), digest.to_bytes().to_vec().into(), now.into()],
            )
            .await
        };
        self.db.tenant.transaction(tenant, write).await?;
        Ok(())
    }
}
