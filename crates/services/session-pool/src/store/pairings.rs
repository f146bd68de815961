//! Table `pairings`: how the last pairing of each session stands. What is to be scanned or typed is sealed.

use std::time::Duration;

use barid_db::Tx;
use barid_domain::{SessionId, TenantId};
use barid_proto::{
    session_pool::v1::{Pairing, PairingState, SessionState},
    status::fault_after,
    timestamp,
};
use barid_vault::{Place, TenantKey};
use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use sea_orm::QueryResult;
use tonic::Code;
use uuid::Uuid;

use super::{EVENTS, Store};
use crate::Error;

/// Topic on which a change of a pairing is told, by the session's id.
pub(crate) const PAIRING: &str = "pairing-changed";

/// Pairings of a session within an hour.
const MOST: usize = 10;

/// What a pairing is begun with.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub attempt: Uuid,
    pub epoch: u64,
    pub phone: String,
    pub device_name: String,
    pub presence: bool,
    pub history_days: u32,
}

/// What the person at the other end asks of an open pairing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub cancelled: bool,
    pub passkey_answer: Option<String>,
}

impl Store {
    /// Begins a pairing at this replica, unless one is open at a replica that is alive. The session is the replica's from then on.
    pub(crate) async fn open_pairing(
        &self,
        tenant: TenantId,
        session: SessionId,
        replica: Uuid,
        patience: Duration,
        lasts: Duration,
    ) -> Result<Option<Opened>, Error> {
        let (store, key) = (self.clone(), self.vault.tenant(tenant.uuid()).await?);
        let attempt = self.ids.mint::<()>().uuid();
        let open = move |tx: Tx| async move {
            let now = store.clock.now();
            let row = store.web_session(&tx, tenant, session, &key).await?;
            if row.linked {
                return Err(precondition(
                    "ALREADY_LINKED",
                    "the session is linked already; log it out first, with POST /v1/sessions/{id}:logout",
                ));
            }
            if row.state == SessionState::Inactive {
                return Err(precondition(
                    "INACTIVE",
                    "the session is deactivated; activate it first, with POST /v1/sessions/{id}:activate",
                ));
            }
            let open = tx
                .row(
                    "SELECT p.starts, NOT p.done AND p.ends_at > $2 AND EXISTS (SELECT FROM session_pool.replicas r WHERE r.id = p.replica_id
                        AND r.heartbeat_at > now() - $3 * interval '1 second')
                     FROM session_pool.pairings p WHERE p.session_id = $1",
                    [session.uuid().into(), now.into(), patience.as_secs_f64().into()],
                )
                .await?;
            let mut starts: Vec<DateTime<Utc>> = Vec::new();
            if let Some(open) = open {
                if open.try_get_by_index(1)? {
                    return Ok(None);
                }
                starts = open.try_get_by_index(0)?;
            }
            let hour_ago = now - TimeDelta::hours(1);
            starts.retain(|start| *start > hour_ago);
            if let Some(first) = starts.first().filter(|_| starts.len() >= MOST) {
                let wait = (*first + TimeDelta::hours(1) - now).to_std().unwrap_or_default();
                let message =
                    format!("this session was paired {MOST} times within an hour; WhatsApp suspects who links so often, so wait a while");
                return Err(Error::from(fault_after(Code::ResourceExhausted, "TOO_MANY_PAIRINGS", message, wait)));
            }
            starts.push(now);
            let ends = now + TimeDelta::from_std(lasts).unwrap_or_default();
            tx.run(
                "INSERT INTO session_pool.pairings AS p (session_id, tenant_id, replica_id, attempt, state, codes, reason, reason_text, started_at,
                    ends_at, revision, done, cancelled, starts)
                 VALUES ($1, $2, $3, $4, 1, '', '', '', $5, $6, 1, false, false, $7)
                 ON CONFLICT (session_id) DO UPDATE SET replica_id = excluded.replica_id, attempt = excluded.attempt, state = 1, codes = '',
                    reason = '', reason_text = '', code_expires_at = NULL, started_at = excluded.started_at, ends_at = excluded.ends_at,
                    revision = p.revision + 1, done = false, cancelled = false, passkey_answer = NULL, starts = excluded.starts",
                [
                    session.uuid().into(),
                    tenant.uuid().into(),
                    replica.into(),
                    attempt.into(),
                    now.into(),
                    ends.into(),
                    starts.into(),
                ],
            )
            .await?;
            // Nobody sends for a session that is not linked: it may be taken from whoever has it.
            let owner = tx
                .row(
                    "INSERT INTO session_pool.owners AS o (session_id, tenant_id, replica_id, epoch) VALUES ($1, $2, $3, 1)
                     ON CONFLICT (session_id) DO UPDATE SET replica_id = excluded.replica_id, epoch = o.epoch + 1 RETURNING epoch",
                    [session.uuid().into(), tenant.uuid().into(), replica.into()],
                )
                .await?;
            let epoch = owner.map(|row| row.try_get_by_index::<i64>(0)).transpose()?.unwrap_or_default().cast_unsigned();
            tx.run("DELETE FROM session_pool.web_cells WHERE session_id = $1", [session.uuid().into()]).await?;
            Ok(Some(Opened {
                attempt,
                epoch,
                phone: row.phone,
                device_name: row.device_name,
                presence: row.presence,
                history_days: row.history_days,
            }))
        };
        // As the engine, because tenants know nothing of replicas.
        let opened = self.db.engine.transaction("open pairing", open).await?;
        if opened.is_some() {
            self.pairing_changed(session).await;
        }
        Ok(opened)
    }

    /// How the last pairing of a session stands.
    pub(crate) async fn pairing(&self, tenant: TenantId, session: SessionId) -> Result<Pairing, Error> {
        let (store, key) = (self.clone(), self.vault.tenant(tenant.uuid()).await?);
        let read = move |tx: Tx| async move {
            store.web_session(&tx, tenant, session, &key).await?;
            let row = tx
                .row(
                    "SELECT state, codes, reason, code_expires_at, started_at, ends_at, revision, done, attempt, reason_text
                     FROM session_pool.pairings WHERE session_id = $1",
                    [session.uuid().into()],
                )
                .await?
                .ok_or_else(|| precondition("NOT_STARTED", "no pairing was started; start one, with POST /v1/sessions/{id}/pairing"))?;
            to_proto(tenant, session, &row, &key, store.clock.now())
        };
        self.db.tenant.transaction(tenant, read).await
    }

    /// Writes how an open pairing stands now; `false` when it is not open any more.
    pub(crate) async fn set_pairing(&self, tenant: TenantId, session: SessionId, attempt: Uuid, pairing: Pairing) -> Result<bool, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let codes = Pairing { qr: pairing.qr, code: pairing.code, passkey_options: pairing.passkey_options, ..Pairing::default() };
        let sealed = key.seal(codes_place(tenant, attempt), &codes.encode_to_vec());
        let expires = pairing.code_expire_time.as_ref().and_then(barid_proto::time);
        let (state, reason, text, done, now) = (pairing.state, pairing.reason, pairing.reason_text, pairing.done, self.clock.now());
        let set = move |tx: Tx| async move {
            tx.run(
                "UPDATE session_pool.pairings SET state = $3, codes = $4, reason = $5, reason_text = $9, code_expires_at = $6, done = $7,
                    ends_at = CASE WHEN $7 THEN $8 ELSE ends_at END, revision = revision + 1
                 WHERE session_id = $1 AND attempt = $2 AND NOT done",
                [
                    session.uuid().into(),
                    attempt.into(),
                    i16::try_from(state).unwrap_or_default().into(),
                    sealed.into(),
                    reason.into(),
                    expires.into(),
                    done.into(),
                    now.into(),
                    text.into(),
                ],
            )
            .await
        };
        let open = self.db.tenant.transaction(tenant, set).await? > 0;
        self.pairing_changed(session).await;
        Ok(open)
    }

    /// A device was linked: the session is ready, and unowned.
    pub(crate) async fn linked(&self, tenant: TenantId, session: SessionId, attempt: Uuid, replica: Uuid) -> Result<(), Error> {
        let (store, now) = (self.clone(), self.clock.now());
        let link = move |tx: Tx| async move {
            let changed = tx
                .run(
                    "UPDATE session_pool.sessions SET linked_at = $2, visited_at = $2, state = 2, state_reason = '', resume_at = NULL
                     WHERE id = $1 AND deleted_at IS NULL AND state <> 1",
                    [session.uuid().into(), now.into()],
                )
                .await?;
            tx.run(
                "UPDATE session_pool.pairings SET state = $3, codes = '', code_expires_at = NULL, done = true, ends_at = $4,
                    revision = revision + 1 WHERE session_id = $1 AND attempt = $2",
                [session.uuid().into(), attempt.into(), (PairingState::Paired as i16).into(), now.into()],
            )
            .await?;
            disown(&tx, session, replica).await?;
            if changed > 0 {
                barid_db::append(&tx, EVENTS, vec![store.event(tenant, session, "linked", SessionState::Cold, "")]).await?;
            }
            Ok::<_, Error>(())
        };
        self.db.tenant.transaction(tenant, link).await?;
        self.pairing_changed(session).await;
        self.changed(session).await;
        Ok(())
    }

    /// A session has no device any more, for a reason its tenant reads.
    pub(crate) async fn unlinked(&self, tenant: TenantId, session: SessionId, reason: &str) -> Result<(), Error> {
        let (store, reason) = (self.clone(), reason.to_owned());
        let unlink = move |tx: Tx| async move {
            let changed = tx
                .run(
                    "UPDATE session_pool.sessions SET linked_at = NULL, state = CASE WHEN state = 1 THEN state ELSE 8 END, state_reason = $2,
                        resume_at = NULL
                     WHERE id = $1 AND deleted_at IS NULL AND linked_at IS NOT NULL",
                    [session.uuid().into(), reason.clone().into()],
                )
                .await?;
            tx.run("DELETE FROM session_pool.web_cells WHERE session_id = $1", [session.uuid().into()]).await?;
            if changed > 0 {
                barid_db::append(&tx, EVENTS, vec![store.event(tenant, session, "logged_out", SessionState::LoggedOut, &reason)]).await?;
            }
            Ok::<_, Error>(changed > 0)
        };
        if self.db.tenant.transaction(tenant, unlink).await? {
            tracing::warn!(%session, %tenant, "a session has no device any more");
        }
        self.changed(session).await;
        Ok(())
    }

    /// What the person at an open pairing wants.
    pub(crate) async fn pairing_wishes(&self, tenant: TenantId, session: SessionId, attempt: Uuid) -> Result<Wishes, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let read = move |tx: Tx| async move {
            let sql = "SELECT cancelled OR done, passkey_answer FROM session_pool.pairings WHERE session_id = $1 AND attempt = $2";
            let Some(row) = tx.row(sql, [session.uuid().into(), attempt.into()]).await? else {
                return Ok(Wishes { cancelled: true, passkey_answer: None });
            };
            let sealed: Option<Vec<u8>> = row.try_get_by_index(1)?;
            let answer = sealed.map(|sealed| key.open(codes_place(tenant, attempt), &sealed)).transpose()?;
            Ok::<_, Error>(Wishes {
                cancelled: row.try_get_by_index(0)?,
                passkey_answer: answer.map(|answer| String::from_utf8_lossy(&answer).into_owned()),
            })
        };
        self.db.tenant.transaction(tenant, read).await
    }

    /// Asks an open pairing to end.
    pub(crate) async fn cancel_pairing(&self, tenant: TenantId, session: SessionId) -> Result<(), Error> {
        let cancel = move |tx: Tx| async move {
            let sql = "UPDATE session_pool.pairings SET cancelled = true WHERE session_id = $1 AND NOT done";
            tx.run(sql, [session.uuid().into()]).await
        };
        self.db.tenant.transaction(tenant, cancel).await?;
        self.pairing_changed(session).await;
        Ok(())
    }

    /// Hands a passkey's answer to an open pairing that waits for it.
    pub(crate) async fn answer_passkey(&self, tenant: TenantId, session: SessionId, assertion: String) -> Result<(), Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let answer = move |tx: Tx| async move {
            let sql = "SELECT attempt FROM session_pool.pairings WHERE session_id = $1 AND NOT done AND state = $2 FOR UPDATE";
            let Some(row) = tx.row(sql, [session.uuid().into(), (PairingState::Passkey as i16).into()]).await? else {
                return Err(precondition("NO_PASSKEY_ASKED", "no pairing of this session waits for a passkey"));
            };
            let sealed = key.seal(codes_place(tenant, row.try_get_by_index(0)?), assertion.as_bytes());
            let sql = "UPDATE session_pool.pairings SET passkey_answer = $2 WHERE session_id = $1";
            tx.run(sql, [session.uuid().into(), sealed.into()]).await?;
            Ok(())
        };
        self.db.tenant.transaction(tenant, answer).await?;
        self.pairing_changed(session).await;
        Ok(())
    }

    async fn pairing_changed(&self, session: SessionId) {
        self.told.notify_one();
        self.bus.notify(PAIRING, session.to_string().into_bytes().into()).await;
    }

    /// A Web session of a tenant, its row locked.
    async fn web_session(&self, tx: &Tx, tenant: TenantId, session: SessionId, key: &TenantKey) -> Result<WebRow, Error> {
        let row = tx
            .row(
                "SELECT connector, state, linked_at IS NOT NULL, phone, device_name, presence, history_days FROM session_pool.sessions
                 WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL FOR UPDATE",
                [session.uuid().into(), tenant.uuid().into()],
            )
            .await?
            .ok_or_else(|| Error::not_found("session", session))?;
        if row.try_get_by_index::<i16>(0)? != super::WEB {
            return Err(precondition("NOT_A_WEB_SESSION", "the session is on the Cloud API, which needs no pairing"));
        }
        let phone = key.open(super::phone_place(tenant, session), &row.try_get_by_index::<Vec<u8>>(3)?)?;
        Ok(WebRow {
            state: SessionState::try_from(i32::from(row.try_get_by_index::<i16>(1)?)).unwrap_or_default(),
            linked: row.try_get_by_index(2)?,
            phone: String::from_utf8_lossy(&phone).into_owned(),
            device_name: row.try_get_by_index(4)?,
            presence: row.try_get_by_index(5)?,
            history_days: row.try_get_by_index::<i32>(6)?.cast_unsigned(),
        })
    }
}

struct WebRow {
    state: SessionState,
    linked: bool,
    phone: String,
    device_name: String,
    presence: bool,
    history_days: u32,
}

/// A replica gives a session up; the next taker goes above its epoch.
async fn disown(tx: &Tx, session: SessionId, replica: Uuid) -> Result<(), Error> {
    let sql = "UPDATE session_pool.owners SET replica_id = $3 WHERE session_id = $1 AND replica_id = $2";
    tx.run(sql, [session.uuid().into(), replica.into(), Uuid::nil().into()]).await?;
    Ok(())
}

fn to_proto(tenant: TenantId, session: SessionId, row: &QueryResult, key: &TenantKey, now: DateTime<Utc>) -> Result<Pairing, Error> {
    let sealed: Vec<u8> = row.try_get_by_index(1)?;
    let attempt = row.try_get_by_index(8)?;
    let codes = if sealed.is_empty() { Vec::new() } else { key.open(codes_place(tenant, attempt), &sealed)? };
    let codes = Pairing::decode(codes.as_slice()).unwrap_or_default();
    let ends: DateTime<Utc> = row.try_get_by_index(5)?;
    let (state, reason, done): (i16, String, bool) = (row.try_get_by_index(0)?, row.try_get_by_index(2)?, row.try_get_by_index(7)?);
    // The replica that paired is gone, or it would have ended it.
    let forgotten = !done && ends < now - TimeDelta::seconds(5);
    let (state, reason, reason_text) = if forgotten {
        (PairingState::Failed as i32, "interrupted".to_owned(), "The pairing was interrupted by a restart; start again.".to_owned())
    } else {
        (i32::from(state), reason, row.try_get_by_index(9)?)
    };
    let done = done || forgotten;
    let codes = if done { Pairing::default() } else { codes };
    Ok(Pairing {
        session_id: session.to_string(),
        state,
        qr: codes.qr,
        code: codes.code,
        code_expire_time: row.try_get_by_index::<Option<DateTime<Utc>>>(3)?.filter(|_| !done).map(timestamp),
        passkey_options: codes.passkey_options,
        reason,
        reason_text,
        start_time: Some(timestamp(row.try_get_by_index(4)?)),
        end_time: Some(timestamp(ends)),
        revision: row.try_get_by_index::<i64>(6)?.cast_unsigned() + u64::from(forgotten),
        done,
    })
}

fn codes_place(tenant: TenantId, attempt: Uuid) -> Place {
    Place { tenant: tenant.uuid(), column: "session_pool.pairings.codes", row: attempt }
}

fn precondition(reason: &'static str, message: &str) -> Error {
    Error::from(barid_proto::fault(Code::FailedPrecondition, reason, message))
}
