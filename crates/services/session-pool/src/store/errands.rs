//! Table `errands`: what the connection of a session is asked to do besides sending. Asked at any replica, done by the session's owner.

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use barid_vault::Place;
use uuid::Uuid;

use super::Store;
use crate::Error;

/// Topic on which an errand is told when it is asked, and when it is done, by the session's id.
pub(crate) const ERRAND: &str = "errand";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrandKind {
    /// Unlink the device.
    Logout = 1,
    /// Ask which numbers are on WhatsApp.
    CheckNumbers = 2,
    /// Bring a file that a customer sent.
    Media = 3,
}

/// Something to do.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub id: Uuid,
    pub tenant: TenantId,
    pub session: SessionId,
    pub kind: ErrandKind,
    pub request: Vec<u8>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Errands {
    Open,
    Done(Vec<u8>),
    /// A code, such as `not_connected`.
    Failed(String),
}

impl Store {
    /// Asks the owner of a session to do something.
    pub(crate) async fn ask(&self, tenant: TenantId, session: SessionId, kind: ErrandKind, request: &[u8]) -> Result<Uuid, Error> {
        let (id, now) = (self.ids.mint::<()>().uuid(), self.clock.now());
        let sealed = self.vault.tenant(tenant.uuid()).await?.seal(place(tenant, id), request);
        let insert = move |tx: Tx| async move {
            tx.run(
                "INSERT INTO session_pool.errands (id, tenant_id, session_id, kind, request, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
                [id.into(), tenant.uuid().into(), session.uuid().into(), (kind as i16).into(), sealed.into(), now.into()],
            )
            .await
        };
        self.db.tenant.transaction(tenant, insert).await?;
        self.bus.notify(ERRAND, session.to_string().into_bytes().into()).await;
        Ok(id)
    }

    /// What became of an errand.
    pub(crate) async fn errand(&self, tenant: TenantId, id: Uuid) -> Result<Errands, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let read = move |tx: Tx| async move {
            let sql = "SELECT answer, failure FROM session_pool.errands WHERE id = $1 AND done_at IS NOT NULL";
            let Some(row) = tx.row(sql, [id.into()]).await? else { return Ok(Errands::Open) };
            let failure: String = row.try_get_by_index(1)?;
            match row.try_get_by_index::<Option<Vec<u8>>>(0)? {
                Some(sealed) => Ok(Errands::Done(key.open(place(tenant, id), &sealed)?)),
                None => Ok::<_, Error>(Errands::Failed(failure)),
            }
        };
        self.db.tenant.transaction(tenant, read).await
    }

    /// Errands that nobody has done, of the last two minutes: whoever asked has given up on older ones.
    pub(crate) async fn open_errands(&self, limit: u32) -> Result<Vec<Errand>, Error> {
        let since = self.clock.now() - chrono::TimeDelta::minutes(2);
        let read = move |tx: Tx| async move {
            tx.rows(
                "SELECT id, tenant_id, session_id, kind, request FROM session_pool.errands
                 WHERE done_at IS NULL AND created_at > $1 ORDER BY id LIMIT $2",
                [since.into(), i64::from(limit).into()],
            )
            .await
        };
        let mut errands = Vec::new();
        for row in self.db.engine.transaction("open errands", read).await? {
            let (id, tenant) = (row.try_get_by_index(0)?, TenantId::from_uuid(row.try_get_by_index(1)?));
            let kind = match row.try_get_by_index::<i16>(3)? {
                1 => ErrandKind::Logout,
                2 => ErrandKind::CheckNumbers,
                _ => ErrandKind::Media,
            };
            let request = self.vault.tenant(tenant.uuid()).await?.open(place(tenant, id), &row.try_get_by_index::<Vec<u8>>(4)?)?;
            errands.push(Errand { id, tenant, session: SessionId::from_uuid(row.try_get_by_index(2)?), kind, request });
        }
        Ok(errands)
    }

    /// An errand is done, or failed with a code.
    pub(crate) async fn done(&self, errand: &Errand, outcome: Result<Vec<u8>, &str>) -> Result<(), Error> {
        let (id, tenant, now) = (errand.id, errand.tenant, self.clock.now());
        let key = self.vault.tenant(tenant.uuid()).await?;
        let (answer, failure) = match outcome {
            Ok(answer) => (Some(key.seal(place(tenant, id), &answer)), String::new()),
            Err(code) => (None, code.to_owned()),
        };
        let update = move |tx: Tx| async move {
            tx.run(
                "UPDATE session_pool.errands SET answer = $2, failure = $3, done_at = $4 WHERE id = $1 AND done_at IS NULL",
                [id.into(), answer.into(), failure.into(), now.into()],
            )
            .await
        };
        self.db.tenant.transaction(tenant, update).await?;
        self.bus.notify(ERRAND, errand.session.to_string().into_bytes().into()).await;
        Ok(())
    }

    /// Forgets errands older than an hour.
    pub(crate) async fn forget_errands(&self) -> Result<u64, Error> {
        let before = self.clock.now() - chrono::TimeDelta::hours(1);
        let forget = move |tx: Tx| async move { tx.run("DELETE FROM session_pool.errands WHERE created_at < $1", [before.into()]).await };
        Ok(self.db.engine.transaction("forget errands", forget).await?)
    }
}

fn place(tenant: TenantId, errand: Uuid) -> Place {
    Place { tenant: tenant.uuid(), column: "session_pool.errands.request", row: errand }
}
