//! Hands messages to the sessions that send them: fenced by epoch, idempotent by claim, committed before the wire.

use std::collections::{BTreeMap, HashMap, HashSet};

use barid_db::Tx;
use barid_domain::{ContactId, MessageId, SessionId, TenantId};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::{Change, Store, apply};
use crate::{
    Error,
    content::Content,
    lanes::{self, Lane},
    state::{Fact, State},
};

/// What a session asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionClaim {
    pub session: SessionId,
    pub epoch: u64,
    pub max: u32,
    /// Whether free text reaches customers inside the 24-hour window only.
    pub windowed: bool,
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub message: MessageId,
    pub tenant: TenantId,
    pub session: SessionId,
    pub epoch: u64,
    pub attempt: u32,
    pub content: Content,
    /// Whether it goes as Meta's template.
    pub as_template: bool,
}

/// How long a message that waits or is under way holds back later ones to the same contact.
const MAX_BLOCK: TimeDelta = TimeDelta::seconds(30);
/// How long after a customer wrote free text reaches them.
const WINDOW: TimeDelta = TimeDelta::hours(24);
/// Most messages in one claim: their contents fit into one answer.
const MOST: u32 = 200;

struct Candidate {
    message: MessageId,
    tenant: TenantId,
    session: SessionId,
    contact: ContactId,
    lane: Lane,
}

impl Store {
    /// Raises the epochs of sessions; gives back those that stand.
    pub(crate) async fn fence(&self, sessions: Vec<(SessionId, u64)>) -> Result<Vec<(SessionId, u64)>, Error> {
        let fence = move |tx: Tx| async move {
            // In the order of the ids, so that two fences cannot wait for each other.
            let sessions: BTreeMap<SessionId, u64> = sessions.into_iter().collect();
            let rows = tx
                .rows(
                    "INSERT INTO queue.fences AS f (session_id, epoch) SELECT * FROM UNNEST($1::uuid[], $2::bigint[])
                     ON CONFLICT (session_id) DO UPDATE SET epoch = greatest(f.epoch, excluded.epoch) RETURNING session_id, epoch",
                    [
                        sessions.keys().map(|id| id.uuid()).collect::<Vec<_>>().into(),
                        sessions.values().map(|epoch| epoch.cast_signed()).collect::<Vec<_>>().into(),
                    ],
                )
                .await?;
            rows.iter()
                .map(|row| Ok((SessionId::from_uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i64>(1)?.cast_unsigned())))
                .collect()
        };
        self.db.engine.transaction("fence", fence).await
    }

    /// Claims messages for sessions; gives them back with the sessions whose epoch was stale.
    pub(crate) async fn claim(&self, claim: Uuid, wanted: Vec<SessionClaim>) -> Result<(Vec<Claimed>, Vec<SessionId>), Error> {
        let store = self.clone();
        let (claimed, stale, ended) = self
            .db
            .engine
            .transaction("claim", move |tx| async move {
                let repeated = claimed_before(&store, &tx, claim, &wanted).await?;
                if !repeated.is_empty() {
                    return Ok::<_, Error>((repeated, Vec::new(), false));
                }
                let stale = stale(&tx, &wanted).await?;
                let wanted: Vec<SessionClaim> = wanted.into_iter().filter(|wish| !stale.contains(&wish.session)).collect();
                let picked = pick(candidates(&tx, &wanted, store.now()).await?, &wanted);
                let (claimed, ended) = take(&store, &tx, claim, picked, &wanted).await?;
                Ok((claimed, stale.into_iter().collect(), ended))
            })
            .await?;
        if ended || !claimed.is_empty() {
            self.committed(false).await;
        }
        Ok((claimed, stale))
    }
}

async fn stale(tx: &Tx, wanted: &[SessionClaim]) -> Result<HashSet<SessionId>, DbErr> {
    let ids: Vec<Uuid> = wanted.iter().map(|wish| wish.session.uuid()).collect();
    let rows = tx.rows("SELECT session_id, epoch FROM queue.fences WHERE session_id = ANY($1) ORDER BY 1 FOR SHARE", [ids.into()]).await?;
    let mut fences = HashMap::new();
    for row in rows {
        fences.insert(SessionId::from_uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i64>(1)?.cast_unsigned());
    }
    // A session that was never fenced has no owner yet who could speak for it.
    Ok(wanted.iter().filter(|wish| fences.get(&wish.session) != Some(&wish.epoch)).map(|wish| wish.session).collect())
}

async fn candidates(tx: &Tx, wanted: &[SessionClaim], now: DateTime<Utc>) -> Result<Vec<Candidate>, DbErr> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sessions: Vec<Uuid> = wanted.iter().map(|wish| wish.session.uuid()).collect();
    let most: Vec<i32> = wanted.iter().map(|wish| wish.max.min(MOST).cast_signed()).collect();
    let rows = tx
        .rows(
            "SELECT r.message_id, r.tenant_id, r.session_id, r.contact_id, r.lane
             FROM UNNEST($1::uuid[], $2::int[]) AS w(session_id, most)
             CROSS JOIN (VALUES (1::smallint), (2::smallint), (3::smallint)) AS l(lane)
             CROSS JOIN LATERAL (
                SELECT r.message_id, r.tenant_id, r.session_id, r.contact_id, r.lane FROM queue.ready r
                WHERE r.session_id = w.session_id AND r.lane = l.lane AND r.due_at <= $3 AND r.expires_at > $3
                AND NOT EXISTS (SELECT FROM queue.in_flight f
                    WHERE f.session_id = r.session_id AND f.contact_id = r.contact_id AND f.claimed_at > $4)
                AND NOT EXISTS (SELECT FROM queue.ready e
                    WHERE e.session_id = r.session_id AND e.contact_id = r.contact_id AND e.message_id < r.message_id
                    AND e.lane IN (r.lane, 3) AND e.due_at > $4)
                ORDER BY r.due_at, r.message_id LIMIT w.most
             ) r",
            [sessions.into(), most.into(), now.into(), (now - MAX_BLOCK).into()],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Candidate {
                message: MessageId::from_uuid(row.try_get_by_index(0)?),
                tenant: TenantId::from_uuid(row.try_get_by_index(1)?),
                session: SessionId::from_uuid(row.try_get_by_index(2)?),
                contact: ContactId::from_uuid(row.try_get_by_index(3)?),
                lane: Lane::from_number(row.try_get_by_index(4)?).unwrap_or(Lane::Batch),
            })
        })
        .collect()
}

/// Shares each session's claim between its lanes. A contact gets one message of a claim: its next one waits for the outcome.
fn pick(candidates: Vec<Candidate>, wanted: &[SessionClaim]) -> Vec<Candidate> {
    let mut sessions: BTreeMap<SessionId, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        sessions.entry(candidate.session).or_default().push(candidate);
    }
    let mut picked = Vec::new();
    for wish in wanted {
        let Some(waiting) = sessions.remove(&wish.session) else { continue };
        let lanes: Vec<Lane> = waiting.iter().map(|candidate| candidate.lane).collect();
        let mut waiting: Vec<Option<Candidate>> = waiting.into_iter().map(Some).collect();
        let mut contacts = HashSet::new();
        for index in lanes::pick(&lanes, wish.max.min(MOST) as usize) {
            if let Some(candidate) = waiting[index].take()
                && contacts.insert(candidate.contact)
            {
                picked.push(candidate);
            }
        }
    }
    picked.truncate(MOST as usize);
    picked
}

/// Marks messages as being sent and reads what to send. What cannot be sent ends here, with its reason.
async fn take(store: &Store, tx: &Tx, claim: Uuid, picked: Vec<Candidate>, wanted: &[SessionClaim]) -> Result<(Vec<Claimed>, bool), Error> {
    if picked.is_empty() {
        return Ok((Vec::new(), false));
    }
    let epochs: HashMap<SessionId, SessionClaim> = wanted.iter().map(|wish| (wish.session, *wish)).collect();
    let now = store.now();
    let changes = picked.iter().map(|candidate| Change::new(candidate.message, Fact::Claimed, now)).collect();
    // The states are locked first and the waiting rows go with them, in the order in which everyone else takes them.
    let standings = apply::apply(store, tx, changes).await?;
    let won = |message: MessageId| standings.get(&message).is_some_and(|standing| standing.before != standing.after);
    let picked: Vec<Candidate> = picked.into_iter().filter(|candidate| won(candidate.message)).collect();
    let column = |read: fn(&Candidate) -> Uuid| picked.iter().map(read).collect::<Vec<Uuid>>();
    let epoch: Vec<i64> = picked.iter().map(|candidate| epochs[&candidate.session].epoch.cast_signed()).collect();
    tx.run(
        "INSERT INTO queue.in_flight (message_id, tenant_id, session_id, contact_id, claim_id, epoch, claimed_at)
         SELECT n.m, n.t, n.s, n.c, $6, n.e, $7 FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[]) AS n(m, t, s, c, e)",
        [
            column(|candidate| candidate.message.uuid()).into(),
            column(|candidate| candidate.tenant.uuid()).into(),
            column(|candidate| candidate.session.uuid()).into(),
            column(|candidate| candidate.contact.uuid()).into(),
            epoch.into(),
            claim.into(),
            now.into(),
        ],
    )
    .await?;
    let mut claimed = Vec::with_capacity(picked.len());
    let mut dead = Vec::new();
    for row in contents(tx, column(|candidate| candidate.message.uuid())).await? {
        let (message, tenant) = (MessageId::from_uuid(row.try_get_by_index(0)?), TenantId::from_uuid(row.try_get_by_index(1)?));
        let session = SessionId::from_uuid(row.try_get_by_index(2)?);
        let Some(standing) = standings.get(&message).filter(|standing| standing.after.state == State::Sending) else { continue };
        let attempt = standing.after.attempt;
        match form(store, &row, tenant, message, epochs[&session].windowed, now).await {
            Ok((content, as_template)) => {
                let epoch = epochs[&session].epoch;
                claimed.push(Claimed { message, tenant, session, epoch, attempt, content, as_template });
            }
            Err(reason) => dead.push(Change { reason: reason.to_owned(), ..Change::new(message, Fact::Dead { attempt }, now) }),
        }
    }
    let ended = !dead.is_empty();
    apply::apply(store, tx, dead).await?;
    Ok((claimed, ended))
}

async fn contents(tx: &Tx, messages: Vec<Uuid>) -> Result<Vec<QueryResult>, DbErr> {
    tx.rows(
        "SELECT m.id, m.tenant_id, m.session_id, m.content,
                (SELECT w.last_inbound_at FROM queue.windows w WHERE w.session_id = m.session_id AND w.contact_id = m.contact_id)
         FROM queue.messages m WHERE m.id = ANY($1) ORDER BY m.id",
        [messages.into()],
    )
    .await
}

/// The content of a message and whether it goes as Meta's template; or why it cannot go.
async fn form(
    store: &Store,
    row: &QueryResult,
    tenant: TenantId,
    message: MessageId,
    windowed: bool,
    now: DateTime<Utc>,
) -> Result<(Content, bool), &'static str> {
    let unreadable = |error: String| {
        tracing::error!(%message, error, "a stored content cannot be read");
        "content_unreadable"
    };
    let sealed: Vec<u8> = row.try_get_by_index(3).map_err(|error| unreadable(error.to_string()))?;
    let key = store.vault.tenant(tenant.uuid()).await.map_err(|error| unreadable(error.to_string()))?;
    let content = Content::open(&key, tenant, message.uuid(), &sealed).map_err(|error| unreadable(error.to_string()))?;
    let last_inbound: Option<DateTime<Utc>> = row.try_get_by_index(4).map_err(|error| unreadable(error.to_string()))?;
    let open = !windowed || last_inbound.is_some_and(|at| at + WINDOW > now);
    match (open, content.meta.is_some()) {
        (true, _) => Ok((content, false)),
        (false, true) => Ok((content, true)),
        (false, false) => Err("window_closed"),
    }
}

/// What an earlier call with this claim took and still holds.
async fn claimed_before(store: &Store, tx: &Tx, claim: Uuid, wanted: &[SessionClaim]) -> Result<Vec<Claimed>, Error> {
    let held = "SELECT f.message_id, f.epoch, s.attempt FROM queue.in_flight f JOIN queue.message_state s USING (message_id)
                WHERE f.claim_id = $1 AND s.state = 3";
    let rows = tx.rows(held, [claim.into()]).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = HashMap::new();
    for row in rows {
        let message: Uuid = row.try_get_by_index(0)?;
        known.insert(message, (row.try_get_by_index::<i64>(1)?.cast_unsigned(), row.try_get_by_index::<i32>(2)?.cast_unsigned()));
    }
    let windowed: HashMap<SessionId, bool> = wanted.iter().map(|wish| (wish.session, wish.windowed)).collect();
    let mut claimed = Vec::new();
    for row in contents(tx, known.keys().copied().collect()).await? {
        let (message, tenant) = (MessageId::from_uuid(row.try_get_by_index(0)?), TenantId::from_uuid(row.try_get_by_index(1)?));
        let session = SessionId::from_uuid(row.try_get_by_index(2)?);
        let (epoch, attempt) = known[&message.uuid()];
        let windowed = windowed.get(&session).copied().unwrap_or(true);
        if let Ok((content, as_template)) = form(store, &row, tenant, message, windowed, store.now()).await {
            claimed.push(Claimed { message, tenant, session, epoch, attempt, content, as_template });
        }
    }
    Ok(claimed)
}
