//! What goes another way than WhatsApp. A message that takes one is SENDING from the commit that decides it; who sends it holds its row, so that
//! it is sent once, and one whose sender went away is not sent again.

use std::collections::HashSet;

use barid_db::Tx;
use barid_domain::{MessageId, TenantId};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{Change, Store, apply, days, planning};
use crate::{
    Error,
    channel::Channel,
    content::Content,
    fallback,
    state::{Fact, State},
};

/// Messages in one turn.
const TURN: i64 = 100;
/// Messages that a replica sends at the same time.
const AT_ONCE: i64 = 8;
/// How long a sender may take. Longer than all time-outs of an attempt together.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// Times that sending is tried before the way counts as failed, and how long the second one waits; each later one twice as long.
const TRIES: i32 = 5;
const AGAIN: TimeDelta = TimeDelta::seconds(5);

/// A dead letter that may take another way.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub message: MessageId,
    pub tenant: TenantId,
    /// Its attempts so far, and since when it is a dead letter: what is decided counts for these only.
    pub attempt: u32,
    pub at: DateTime<Utc>,
    /// The way that failed, and why.
    pub channel: Channel,
    pub reason: String,
    /// Nothing when it cannot be read.
    pub content: Option<Content>,
}

/// What a replica is to send.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub message: MessageId,
    pub tenant: TenantId,
    pub channel: Channel,
    pub attempt: u32,
    tries: i32,
    pub content: Option<Content>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    Sent { provider_id: Option<String> },
    Later,
    Failed,
    Unknown,
}

impl Store {
    /// Dead letters of which nobody has decided yet, oldest first, without those of some tenants.
    pub(crate) async fn undecided(&self, without: &HashSet<TenantId>) -> Result<Vec<Failed>, Error> {
        let store = self.clone();
        let without: Vec<Uuid> = without.iter().map(|tenant| tenant.uuid()).collect();
        let read = move |tx: Tx| async move {
            let ids = "SELECT message_id FROM queue.dead_letters WHERE NOT considered AND tenant_id <> ALL($2) ORDER BY at LIMIT $1";
            let ids = planning::ids(tx.rows(ids, [TURN.into(), without.into()]).await?)?;
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let sql = "SELECT s.message_id, s.tenant_id, s.channel, s.reason, m.content, s.attempt, d.at FROM queue.message_state s
                       JOIN queue.messages m ON m.id = s.message_id JOIN queue.dead_letters d ON d.message_id = s.message_id
                       WHERE s.message_id = ANY($1) AND m.id = ANY($1) AND d.message_id = ANY($1)
                       AND s.message_id BETWEEN $2 AND $3 AND m.id BETWEEN $2 AND $3";
            let [first, last] = days::bounds(&ids);
            let mut failed = Vec::new();
            for row in tx.rows(sql, [ids.into(), first, last]).await? {
                let (message, tenant) = (MessageId::from_uuid(row.try_get_by_index(0)?), TenantId::from_uuid(row.try_get_by_index(1)?));
                failed.push(Failed {
                    message,
                    tenant,
                    attempt: row.try_get_by_index::<i32>(5)?.cast_unsigned(),
                    at: row.try_get_by_index(6)?,
                    channel: Channel::from_number(row.try_get_by_index(2)?).unwrap_or_default(),
                    reason: row.try_get_by_index(3)?,
                    content: store.content(tenant, message, &row.try_get_by_index::<Vec<u8>>(4)?).await,
                });
            }
            Ok::<_, Error>(failed)
        };
        self.db.engine.transaction("undecided", read).await
    }

    /// Has dead letters take another way, each on a channel, or stay what they are.
    pub(crate) async fn decide(&self, decided: Vec<(Failed, Option<Channel>)>) -> Result<(), Error> {
        let (store, now) = (self.clone(), self.now());
        let work = move |tx: Tx| async move {
            let changes = decided.iter().filter_map(|(failed, channel)| {
                let fact = Fact::FellBack { attempt: failed.attempt };
                Some(Change { channel: Some((*channel)?), ..Change::new(failed.message, fact, now) })
            });
            let standings = apply::apply(&store, &tx, changes.collect()).await?;
            for (Failed { message, .. }, channel) in &decided {
                let Some(channel) = channel else { continue };
                // Someone else may have decided it, or sent it again.
                let Some(standing) = standings.get(message).filter(|standing| standing.before != standing.after) else { continue };
                let insert = "INSERT INTO queue.fallbacks (message_id, tenant_id, channel, attempt, due_at)
                              SELECT message_id, tenant_id, $2, $3, $4 FROM queue.message_state WHERE message_id = $1";
                let values = [message.uuid().into(), (*channel as i16).into(), standing.after.attempt.cast_signed().into(), now.into()];
                tx.run(insert, values).await?;
            }
            let (rest, times): (Vec<Uuid>, Vec<DateTime<Utc>>) =
                decided.iter().filter(|(_, channel)| channel.is_none()).map(|(failed, _)| (failed.message.uuid(), failed.at)).unzip();
            tx.run(
                "UPDATE queue.dead_letters SET considered = true WHERE message_id IN (
                    SELECT d.message_id FROM UNNEST($1::uuid[], $2::timestamptz[]) AS n(message_id, at)
                    JOIN queue.dead_letters d USING (message_id, at) ORDER BY d.message_id FOR UPDATE OF d)",
                [rest.into(), times.into()],
            )
            .await?;
            Ok::<_, Error>(())
        };
        self.db.engine.transaction("decide", work).await?;
        self.committed(false).await;
        Ok(())
    }

    /// Takes what is due to be sent, so that nobody else does.
    pub(crate) async fn take_fallbacks(&self) -> Result<Vec<Taken>, Error> {
        let (store, now) = (self.clone(), self.now());
        let take = move |tx: Tx| async move {
            let sql = "UPDATE queue.fallbacks SET taken_at = $1, tries = tries + 1 WHERE message_id IN (
                            SELECT message_id FROM queue.fallbacks WHERE taken_at IS NULL AND due_at <= $1
                            ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
                       RETURNING message_id, tenant_id, channel, attempt, tries";
            let mut taken = Vec::new();
            for row in tx.rows(sql, [now.into(), AT_ONCE.into()]).await? {
                let (message, tenant) = (MessageId::from_uuid(row.try_get_by_index(0)?), TenantId::from_uuid(row.try_get_by_index(1)?));
                let content = "SELECT content FROM queue.messages WHERE id = $1";
                let sealed = tx.row(content, [message.uuid().into()]).await?.map(|row| row.try_get_by_index::<Vec<u8>>(0)).transpose()?;
                taken.push(Taken {
                    message,
                    tenant,
                    channel: Channel::from_number(row.try_get_by_index(2)?).unwrap_or_default(),
                    attempt: row.try_get_by_index::<i32>(3)?.cast_unsigned(),
                    tries: row.try_get_by_index(4)?,
                    content: store.content(tenant, message, &sealed.unwrap_or_default()).await,
                });
            }
            Ok::<_, Error>(taken)
        };
        self.db.engine.transaction("take fallbacks", take).await
    }

    /// Whether a message still waits for this attempt: WhatsApp may have told that it arrived after all.
    pub(crate) async fn still_sending(&self, taken: &Taken) -> Result<bool, Error> {
        let (message, attempt) = (taken.message, taken.attempt);
        let read = move |tx: Tx| async move {
            let sql = "SELECT state, attempt FROM queue.message_state WHERE message_id = $1";
            let row = tx.row(sql, [message.uuid().into()]).await?;
            row.map_or(Ok(false), |row| {
                let (state, current): (i16, i32) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
                Ok::<_, DbErr>(state == State::Sending as i16 && current.cast_unsigned() == attempt)
            })
        };
        Ok(self.db.engine.transaction("still sending", read).await?)
    }

    /// Writes what became of something that was taken. Nothing is written when its lease ran out and somebody has given it up.
    pub(crate) async fn end_fallback(&self, taken: &Taken, ended: Ended) -> Result<(), Error> {
        let (store, now, taken) = (self.clone(), self.now(), taken.clone());
        let work = move |tx: Tx| async move {
            let attempt = taken.attempt;
            let later = matches!(ended, Ended::Later) && taken.tries < TRIES;
            if later {
                let due: DateTime<Utc> = now + AGAIN * (1 << (taken.tries - 1).clamp(0, 10));
                let sql =
                    "UPDATE queue.fallbacks SET taken_at = NULL, due_at = $3 WHERE message_id = $1 AND tries = $2 AND taken_at IS NOT NULL";
                tx.run(sql, [taken.message.uuid().into(), taken.tries.into(), due.into()]).await?;
                return Ok(());
            }
            let (fact, reason) = match &ended {
                Ended::Sent { .. } => (Fact::Sent, ""),
                Ended::Later | Ended::Failed => (Fact::Dead { attempt }, fallback::FAILED),
                Ended::Unknown => (Fact::Dead { attempt }, "outcome_unknown"),
            };
            // Its state first, as everyone does.
            planning::lock(&tx, &[taken.message.uuid()]).await?;
            let held = tx
                .run(
                    "DELETE FROM queue.fallbacks WHERE message_id = $1 AND attempt = $2 AND tries = $3",
                    [taken.message.uuid().into(), attempt.cast_signed().into(), taken.tries.into()],
                )
                .await?;
            if held == 0 && !matches!(ended, Ended::Sent { .. }) {
                return Ok(());
            }
            let change = Change { reason: reason.to_owned(), channel: Some(taken.channel), ..Change::new(taken.message, fact, now) };
            apply::apply(&store, &tx, vec![change]).await?;
            if let Ended::Sent { provider_id: Some(provider_id) } = ended {
                tracing::info!(message = %taken.message, channel = taken.channel.name(), provider_id, "a provider took it");
            }
            Ok::<_, Error>(())
        };
        self.db.engine.transaction("end fallback", work).await?;
        self.committed(false).await;
        Ok(())
    }

    /// What was taken long ago was lost with who took it, and may have arrived: it ends, and is not sent again by itself.
    pub(crate) async fn give_up_fallbacks(&self) -> Result<(), Error> {
        let (store, now) = (self.clone(), self.now());
        let work = move |tx: Tx| async move {
            let sql = "SELECT message_id FROM queue.fallbacks WHERE taken_at <= $1 ORDER BY message_id LIMIT $2";
            let ids = planning::ids(tx.rows(sql, [(now - LEASE).into(), TURN.into()]).await?)?;
            if ids.is_empty() {
                return Ok(());
            }
            planning::lock(&tx, &ids).await?;
            let gone = "DELETE FROM queue.fallbacks WHERE message_id = ANY($1) AND taken_at <= $2 RETURNING message_id, attempt, channel";
            let mut changes = Vec::new();
            for row in tx.rows(gone, [ids.into(), (now - LEASE).into()]).await? {
                let attempt = row.try_get_by_index::<i32>(1)?.cast_unsigned();
                let change = Change::new(MessageId::from_uuid(row.try_get_by_index(0)?), Fact::Dead { attempt }, now);
                let channel = Channel::from_number(row.try_get_by_index(2)?);
                changes.push(Change { reason: "outcome_unknown".to_owned(), channel, ..change });
            }
            apply::apply(&store, &tx, changes).await?;
            Ok::<_, Error>(())
        };
        self.db.engine.transaction("give up fallbacks", work).await
    }

    async fn content(&self, tenant: TenantId, message: MessageId, sealed: &[u8]) -> Option<Content> {
        let opened = match self.vault.tenant(tenant.uuid()).await {
            Ok(key) => Content::open(&key, tenant, message.uuid(), sealed),
            Err(error) => Err(error),
        };
        opened.inspect_err(|error| tracing::error!(%message, %error, "a stored content cannot be read")).ok()
    }
}
