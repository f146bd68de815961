//! What WhatsApp says of messages. Facts: they count whoever tells them, in whatever order.

use std::collections::{BTreeMap, HashMap};

use barid_db::Tx;
use barid_domain::{MessageId, SessionId};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::{Change, Store, apply, days};
use crate::{Error, state::Fact};

/// Parked receipts looked at in one turn.
const TURN: i64 = 500;
/// How long two commits may have been under way without seeing each other. Longer than a transaction may take.
const RACE: TimeDelta = TimeDelta::minutes(2);

/// What a receipt tells. The numbers are those of the API and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiptKind {
    Sent = 1,
    Delivered = 2,
    Read = 3,
    Failed = 4,
    Played = 5,
}

impl ReceiptKind {
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        [Self::Sent, Self::Delivered, Self::Read, Self::Failed, Self::Played].into_iter().find(|kind| *kind as i32 == number)
    }

    fn fact(self, retry: bool) -> Fact {
        match self {
            Self::Sent => Fact::Sent,
            Self::Delivered => Fact::Delivered,
            Self::Read => Fact::Read,
            Self::Failed => Fact::Rejected { retry },
            Self::Played => Fact::Played,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct NewReceipt {
    pub session: SessionId,
    pub provider_id: String,
    /// Our id, when WhatsApp echoed it.
    pub message: Option<MessageId>,
    pub kind: ReceiptKind,
    pub reason: String,
    pub retry: bool,
    pub at: DateTime<Utc>,
}

/// What an owner reports of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct NewOutcome {
    pub change: Change,
    /// WhatsApp's id, when it was acknowledged.
    pub provider_id: Option<String>,
}

impl Store {
    /// Writes what owners report; says how many messages changed.
    pub(crate) async fn report_outcomes(&self, outcomes: Vec<NewOutcome>) -> Result<u32, Error> {
        let store = self.clone();
        let report = move |tx: Tx| async move {
            let mut changes = Vec::with_capacity(outcomes.len());
            let mut acknowledged = Vec::new();
            for outcome in outcomes {
                acknowledged.extend(outcome.provider_id.map(|provider_id| (outcome.change.message, provider_id)));
                changes.push(outcome.change);
            }
            changes.extend(remember_provider_ids(&tx, acknowledged).await?);
            count(apply::apply(&store, &tx, changes).await?)
        };
        let applied = self.db.engine.transaction("outcomes", report).await?;
        self.committed(applied > 0).await;
        Ok(applied)
    }

    /// Applies receipts that were parked while another commit made their message known; says how many messages changed.
    pub(crate) async fn apply_parked(&self) -> Result<u32, Error> {
        let (store, now) = (self.clone(), self.now());
        let work = move |tx: Tx| async move {
            // Those parked longer ago than any commit takes have been seen by it, or their message is not of ours.
            let sql = "WITH known AS (
                           SELECT p.session_id, p.provider_id, i.message_id FROM queue.parked_receipts p
                           CROSS JOIN LATERAL (SELECT i.message_id FROM queue.provider_ids i
                               WHERE i.session_id = p.session_id AND i.provider_id = p.provider_id LIMIT 1) i
                           WHERE p.parked_at > $1 ORDER BY p.parked_at LIMIT $2)
                       DELETE FROM queue.parked_receipts p USING (SELECT DISTINCT * FROM known) k
                       WHERE p.session_id = k.session_id AND p.provider_id = k.provider_id
                       RETURNING k.message_id, p.kind, p.reason, p.retry, p.at";
            let rows = tx.rows(sql, [(now - RACE).into(), TURN.into()]).await?;
            let changes = parked_changes(&rows)?;
            count(apply::apply(&store, &tx, changes).await?)
        };
        let applied = self.db.engine.transaction("parked receipts", work).await?;
        if applied > 0 {
            self.committed(false).await;
        }
        Ok(applied)
    }

    /// Writes receipts; says how many messages changed, and how many receipts wait for their message to be known.
    pub(crate) async fn report_receipts(&self, receipts: Vec<NewReceipt>) -> Result<(u32, u32), Error> {
        let store = self.clone();
        let now = self.now();
        let report = move |tx: Tx| async move {
            let known = known_messages(&tx, &receipts).await?;
            let (mut changes, mut parked) = (Vec::new(), Vec::new());
            for receipt in receipts {
                // What WhatsApp echoed is believed only for a message of the session that it came through.
                match known.get(&(receipt.session.uuid(), receipt.provider_id.clone())) {
                    Some(message) => changes.push(change(MessageId::from_uuid(*message), &receipt)),
                    None => parked.push(receipt),
                }
            }
            park(&tx, &parked, now).await?;
            Ok::<_, Error>((count(apply::apply(&store, &tx, changes).await?)?, u32::try_from(parked.len()).unwrap_or(u32::MAX)))
        };
        let (applied, parked) = self.db.engine.transaction("receipts", report).await?;
        self.committed(false).await;
        Ok((applied, parked))
    }
}

fn change(message: MessageId, receipt: &NewReceipt) -> Change {
    Change { reason: receipt.reason.clone(), ..Change::new(message, receipt.kind.fact(receipt.retry), receipt.at) }
}

fn count(standings: std::collections::BTreeMap<MessageId, apply::Standings>) -> Result<u32, Error> {
    let changed = standings.values().filter(|standing| standing.before != standing.after).count();
    Ok(u32::try_from(changed).unwrap_or(u32::MAX))
}

/// Remembers WhatsApp's ids of messages; gives back the changes that receipts parked for them now make.
async fn remember_provider_ids(tx: &Tx, acknowledged: Vec<(MessageId, String)>) -> Result<Vec<Change>, DbErr> {
    if acknowledged.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = acknowledged.iter().map(|(id, _)| id.uuid()).collect();
    let [first, last] = days::bounds(&ids);
    let known = "SELECT id, session_id, tenant_id FROM queue.messages WHERE id = ANY($1) AND id BETWEEN $2 AND $3";
    let known = tx.rows(known, [ids.into(), first, last]).await?;
    let mut owners: HashMap<Uuid, (Uuid, Uuid)> = HashMap::new();
    for row in known {
        owners.insert(row.try_get_by_index(0)?, (row.try_get_by_index(1)?, row.try_get_by_index(2)?));
    }
    // In one order, so that two commits cannot wait for each other.
    let mut places = BTreeMap::new();
    for (message, provider_id) in acknowledged {
        if let Some(&(session, tenant)) = owners.get(&message.uuid()) {
            places.insert((session, provider_id), (message.uuid(), tenant));
        }
    }
    let (sessions, provider_ids): (Vec<Uuid>, Vec<String>) = places.keys().cloned().unzip();
    let (ids, tenants): (Vec<Uuid>, Vec<Uuid>) = places.into_values().unzip();
    tx.run(
        "INSERT INTO queue.provider_ids (session_id, provider_id, message_id, tenant_id)
         SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::uuid[]) ON CONFLICT DO NOTHING",
        [sessions.clone().into(), provider_ids.clone().into(), ids.clone().into(), tenants.into()],
    )
    .await?;
    let rows = tx
        .rows(
            "DELETE FROM queue.parked_receipts p USING UNNEST($1::uuid[], $2::text[], $3::uuid[]) AS n(session_id, provider_id, id)
             WHERE p.session_id = n.session_id AND p.provider_id = n.provider_id
             RETURNING n.id, p.kind, p.reason, p.retry, p.at",
            [sessions.into(), provider_ids.into(), ids.into()],
        )
        .await?;
    parked_changes(&rows)
}

/// The changes that parked receipts make: message, kind, reason, whether to try again, time.
fn parked_changes(rows: &[QueryResult]) -> Result<Vec<Change>, DbErr> {
    let mut changes = Vec::new();
    for row in rows {
        let Some(kind) = ReceiptKind::from_number(row.try_get_by_index::<i16>(1)?.into()) else { continue };
        let fact = kind.fact(row.try_get_by_index(3)?);
        let change = Change::new(MessageId::from_uuid(row.try_get_by_index(0)?), fact, row.try_get_by_index(4)?);
        changes.push(Change { reason: row.try_get_by_index(2)?, ..change });
    }
    Ok(changes)
}

/// The messages of receipts, by session and WhatsApp's id. An echoed id that is not known yet is remembered on the way: it proves the message
/// was taken.
async fn known_messages(tx: &Tx, receipts: &[NewReceipt]) -> Result<HashMap<(Uuid, String), Uuid>, DbErr> {
    let mut known = look_up(tx, receipts.iter()).await?;
    let echoed: Vec<&NewReceipt> = receipts
        .iter()
        .filter(|receipt| receipt.message.is_some() && !known.contains_key(&(receipt.session.uuid(), receipt.provider_id.clone())))
        .collect();
    if !echoed.is_empty() {
        let ids: Vec<Uuid> = echoed.iter().filter_map(|receipt| receipt.message.map(MessageId::uuid)).collect();
        let [first, last] = days::bounds(&ids);
        tx.run(
            "INSERT INTO queue.provider_ids (session_id, provider_id, message_id, tenant_id)
             SELECT DISTINCT m.session_id, n.provider_id COLLATE \"C\", m.id, m.tenant_id
             FROM UNNEST($1::uuid[], $2::text[], $3::uuid[]) AS n(session_id, provider_id, id)
             CROSS JOIN LATERAL (SELECT m.id, m.session_id, m.tenant_id FROM queue.messages m
                WHERE m.id = n.id AND m.session_id = n.session_id AND m.id BETWEEN $4 AND $5 OFFSET 0) m
             ORDER BY 1, 2 ON CONFLICT DO NOTHING",
            [
                echoed.iter().map(|receipt| receipt.session.uuid()).collect::<Vec<_>>().into(),
                echoed.iter().map(|receipt| receipt.provider_id.clone()).collect::<Vec<_>>().into(),
                ids.into(),
                first,
                last,
            ],
        )
        .await?;
        known.extend(look_up(tx, echoed.into_iter()).await?);
    }
    Ok(known)
}

async fn look_up(tx: &Tx, receipts: impl Iterator<Item = &NewReceipt>) -> Result<HashMap<(Uuid, String), Uuid>, DbErr> {
    let (sessions, provider_ids): (Vec<Uuid>, Vec<String>) =
        receipts.map(|receipt| (receipt.session.uuid(), receipt.provider_id.clone())).unzip();
    let rows = tx
        .rows(
            "SELECT n.session_id, n.provider_id, p.message_id FROM UNNEST($1::uuid[], $2::text[]) AS n(session_id, provider_id)
             CROSS JOIN LATERAL (SELECT p.message_id FROM queue.provider_ids p
                WHERE p.session_id = n.session_id AND p.provider_id = n.provider_id LIMIT 1) p",
            [sessions.into(), provider_ids.into()],
        )
        .await?;
    rows.iter().map(|row| Ok(((row.try_get_by_index(0)?, row.try_get_by_index(1)?), row.try_get_by_index(2)?))).collect()
}

async fn park(tx: &Tx, receipts: &[NewReceipt], now: DateTime<Utc>) -> Result<(), DbErr> {
    if receipts.is_empty() {
        return Ok(());
    }
    let values = [
        receipts.iter().map(|receipt| receipt.session.uuid()).collect::<Vec<_>>().into(),
        receipts.iter().map(|receipt| receipt.provider_id.clone()).collect::<Vec<_>>().into(),
        receipts.iter().map(|receipt| receipt.kind as i16).collect::<Vec<_>>().into(),
        receipts.iter().map(|receipt| receipt.reason.clone()).collect::<Vec<_>>().into(),
        receipts.iter().map(|receipt| receipt.retry).collect::<Vec<_>>().into(),
        receipts.iter().map(|receipt| receipt.at).collect::<Vec<_>>().into(),
        now.into(),
    ];
    tx.run(
        "INSERT INTO queue.parked_receipts (session_id, provider_id, kind, reason, retry, at, parked_at)
         SELECT n.*, $7 FROM UNNEST($1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::bool[], $6::timestamptz[])
            AS n(session_id, provider_id, kind, reason, retry, at)
         ORDER BY n.session_id, n.provider_id COLLATE \"C\", n.kind ON CONFLICT DO NOTHING",
        values,
    )
    .await?;
    Ok(())
}
