//! Hands messages to the sessions that send them: fenced by epoch, idempotent by claim, committed before the wire.

use std::collections::{BTreeMap, HashMap, HashSet};

use barid_db::Tx;
use barid_domain::{ContactId, MessageId, SessionId, TenantId};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{
    Change, Closes, Quote, Standings, Store, apply, days, fence,
    form::{self, Form, Sheet},
    waiting,
};
use crate::{
    Error,
    content::Content,
    lanes::{self, Lane},
    state::{Fact, State},
    wire_id,
};

/// What a session asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionClaim {
    pub session: SessionId,
    pub epoch: u64,
    pub max: u32,
    /// Whether free text reaches customers inside the 24-hour window only.
    pub windowed: bool,
    /// Whether it sends under ids of ours.
    pub repeatable: bool,
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub message: MessageId,
    pub tenant: TenantId,
    pub session: SessionId,
    pub epoch: u64,
    pub attempt: u32,
    pub contact: ContactId,
    /// Whether the session exchanged anything with the contact before.
    pub known: bool,
    /// The id to send under, where it is ours to choose.
    pub wire_id: Option<String>,
    pub content: Content,
    /// Whether it goes as Meta's template.
    pub as_template: bool,
    pub quote: Option<Quote>,
}

/// How long a message that waits or is under way holds back later ones to the same contact.
const MAX_BLOCK: TimeDelta = TimeDelta::seconds(30);
/// Most messages in one claim: their contents fit into one answer.
const MOST: u32 = 200;

struct Candidate {
    message: MessageId,
    session: SessionId,
    contact: ContactId,
    lane: Lane,
    /// Whether it went out before, with an unknown outcome.
    repeat: bool,
}

impl Store {
    /// Claims messages for sessions; gives them back with the sessions whose epoch was stale.
    pub(crate) async fn claim(&self, claim: Uuid, wanted: Vec<SessionClaim>) -> Result<(Vec<Claimed>, Vec<SessionId>), Error> {
        let store = self.clone();
        let (claimed, stale, ended) = self
            .db
            .engine
            .transaction("claim", move |tx| async move {
                // A call that is repeated while it is still carried out waits for what it took the first time.
                tx.run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [claim.to_string().into()]).await?;
                let repeated = claimed_before(&store, &tx, claim, &wanted).await?;
                if !repeated.is_empty() {
                    return Ok::<_, Error>((repeated, Vec::new(), false));
                }
                let stale = fence::stale(&tx, &wanted).await?;
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

async fn candidates(tx: &Tx, wanted: &[SessionClaim], now: DateTime<Utc>) -> Result<Vec<Candidate>, DbErr> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sessions: Vec<Uuid> = wanted.iter().map(|wish| wish.session.uuid()).collect();
    let most: Vec<i32> = wanted.iter().map(|wish| wish.max.min(MOST).cast_signed()).collect();
    let repeatable: Vec<bool> = wanted.iter().map(|wish| wish.repeatable).collect();
    let rows = tx
        .rows(
            // What goes out again was first in its conversation, and everything else of the conversation waits for it. What holds a message
            // back is looked for one conversation at a time: as a join, a plan made for other sizes would read all that a session has waiting.
            "SELECT r.message_id, r.session_id, r.contact_id, r.lane, r.repeat
             FROM UNNEST($1::uuid[], $2::int[], $5::bool[]) AS w(session_id, most, repeatable)
             CROSS JOIN (VALUES (1::smallint), (2::smallint), (3::smallint)) AS l(lane)
             CROSS JOIN LATERAL (
                SELECT r.message_id, r.session_id, r.contact_id, r.lane, r.repeat FROM queue.ready r
                WHERE r.session_id = w.session_id AND r.lane = l.lane AND r.due_at <= $3 AND r.expires_at > $3
                AND (r.closes_at IS NULL OR r.closes_at > $3)
                AND (w.repeatable OR NOT r.repeat)
                AND (SELECT f.message_id FROM queue.in_flight f
                    WHERE f.session_id = r.session_id AND f.contact_id = r.contact_id AND f.claimed_at > $4 LIMIT 1) IS NULL
                AND (r.repeat OR (SELECT e.message_id FROM queue.ready e
                    WHERE e.session_id = r.session_id AND e.contact_id = r.contact_id AND e.message_id < r.message_id
                    AND e.lane IN (r.lane, 3) AND e.due_at > $4 ORDER BY e.session_id, e.contact_id, e.message_id LIMIT 1) IS NULL)
                AND (SELECT e.message_id FROM queue.ready e
                    WHERE e.session_id = r.session_id AND e.contact_id = r.contact_id AND e.repeat
                    AND (e.message_id < r.message_id OR NOT r.repeat) LIMIT 1) IS NULL
                ORDER BY r.due_at, r.message_id LIMIT w.most
             ) r",
            [sessions.into(), most.into(), now.into(), (now - MAX_BLOCK).into(), repeatable.into()],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Candidate {
                message: MessageId::from_uuid(row.try_get_by_index(0)?),
                session: SessionId::from_uuid(row.try_get_by_index(1)?),
                contact: ContactId::from_uuid(row.try_get_by_index(2)?),
                lane: Lane::from_number(row.try_get_by_index(3)?).unwrap_or(Lane::Batch),
                repeat: row.try_get_by_index(4)?,
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
    let wishes: HashMap<SessionId, SessionClaim> = wanted.iter().map(|wish| (wish.session, *wish)).collect();
    let now = store.now();
    let changes = picked.iter().map(|candidate| {
        let fact = if candidate.repeat { Fact::Repeated } else { Fact::Claimed };
        Change::new(candidate.message, fact, now)
    });
    // The states are locked first and the waiting rows go with them, in the order in which everyone else takes them.
    let standings = apply::apply(store, tx, changes.collect()).await?;
    let won = |message: MessageId| standings.get(&message).is_some_and(|standing| standing.before != standing.after);
    let picked: Vec<Candidate> = picked.into_iter().filter(|candidate| won(candidate.message)).collect();
    hold(tx, claim, &picked, &wishes, &standings, now).await?;
    let mut claimed = Vec::with_capacity(picked.len());
    let mut dead = Vec::new();
    let messages = picked.iter().map(|candidate| candidate.message.uuid()).collect();
    for sheet in form::read(store, tx, messages, |session| wishes[&session].windowed).await? {
        let Some(standing) = standings.get(&sheet.message).filter(|standing| standing.after.state == State::Sending) else { continue };
        let (message, attempt, wish) = (sheet.message, standing.after.attempt, &wishes[&sheet.session]);
        match to_claimed(sheet, wish.epoch, attempt, wish.repeatable) {
            Ok(ready) => claimed.push(ready),
            Err(reason) => {
                dead.push(Change { reason: reason.to_owned(), unsent: true, ..Change::new(message, Fact::Dead { attempt }, now) })
            }
        }
    }
    let ended = !dead.is_empty();
    apply::apply(store, tx, dead).await?;
    Ok((claimed, ended))
}

/// Writes who holds messages now, and where ids are ours, under which ones they go out: a receipt may come before the ack, or after an
/// owner that never told of one.
async fn hold(
    tx: &Tx,
    claim: Uuid,
    picked: &[Candidate],
    wishes: &HashMap<SessionId, SessionClaim>,
    standings: &BTreeMap<MessageId, Standings>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let wish = |candidate: &Candidate| wishes[&candidate.session];
    let wire_id = |candidate: &Candidate| if wish(candidate).repeatable { wire_id::of(candidate.message) } else { String::new() };
    // What it brought along from the queue. What is repeated brought nothing: it is never closed, and was written once.
    let ticket = |candidate: &Candidate| standings[&candidate.message].ticket;
    let closes = |candidate: &Candidate| match ticket(candidate).map(|ticket| ticket.closes) {
        Some(Closes::At(time)) => waiting::optional(Some(time)),
        _ => String::new(),
    };
    let charged_on = |candidate: &Candidate| waiting::optional_day(ticket(candidate).and_then(|ticket| ticket.charged_on));
    let ids: Vec<Uuid> = picked.iter().map(|candidate| candidate.message.uuid()).collect();
    let [first, last] = days::bounds(&ids);
    tx.run(
        // The contact is read now that the state is locked: it may have turned out to be another one.
        "WITH held AS (
            INSERT INTO queue.in_flight (message_id, tenant_id, session_id, contact_id, claim_id, epoch, claimed_at, repeatable, closes_at,
                charged_on)
            SELECT m.id, m.tenant_id, m.session_id, m.contact_id, $4, n.epoch, $5, n.wire_id <> '', nullif(n.closes_at, '')::timestamptz,
                   nullif(n.charged_on, '')::date
            FROM queue.messages m CROSS JOIN LATERAL (
                SELECT n.* FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $6::text[], $7::text[]) AS n(id, epoch, wire_id, closes_at, charged_on)
                WHERE n.id = m.id OFFSET 0) n
            WHERE m.id = ANY($1) AND m.id BETWEEN $8 AND $9
            RETURNING message_id, session_id, tenant_id
         )
         INSERT INTO queue.provider_ids (session_id, provider_id, message_id, tenant_id)
         SELECT h.session_id, n.wire_id, h.message_id, h.tenant_id FROM held h
         JOIN UNNEST($1::uuid[], $3::text[]) AS n(id, wire_id) ON n.id = h.message_id WHERE n.wire_id <> ''
         ORDER BY 1, 2 ON CONFLICT DO NOTHING",
        [
            ids.into(),
            picked.iter().map(|candidate| wish(candidate).epoch.cast_signed()).collect::<Vec<_>>().into(),
            picked.iter().map(wire_id).collect::<Vec<_>>().into(),
            claim.into(),
            now.into(),
            picked.iter().map(closes).collect::<Vec<_>>().into(),
            picked.iter().map(charged_on).collect::<Vec<_>>().into(),
            first,
            last,
        ],
    )
    .await?;
    Ok(())
}

fn to_claimed(sheet: Sheet, epoch: u64, attempt: u32, repeatable: bool) -> Result<Claimed, &'static str> {
    let Sheet { message, tenant, session, contact, known, form } = sheet;
    let Form { content, as_template, quote } = form?;
    let wire_id = repeatable.then(|| wire_id::of(message));
    Ok(Claimed { message, tenant, session, epoch, attempt, contact, known, wire_id, content, as_template, quote })
}

/// What an earlier call with this claim took and still holds.
async fn claimed_before(store: &Store, tx: &Tx, claim: Uuid, wanted: &[SessionClaim]) -> Result<Vec<Claimed>, Error> {
    let ids = super::planning::ids(tx.rows("SELECT message_id FROM queue.in_flight WHERE claim_id = $1", [claim.into()]).await?)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let held = "SELECT f.message_id, f.epoch, s.attempt, f.repeatable FROM queue.in_flight f JOIN queue.message_state s USING (message_id)
                WHERE f.claim_id = $1 AND s.state = 3 AND s.message_id = ANY($2) AND s.message_id BETWEEN $3 AND $4";
    let [first, last] = days::bounds(&ids);
    let rows = tx.rows(held, [claim.into(), ids.into(), first, last]).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = HashMap::new();
    for row in rows {
        let (epoch, attempt) = (row.try_get_by_index::<i64>(1)?.cast_unsigned(), row.try_get_by_index::<i32>(2)?.cast_unsigned());
        known.insert(row.try_get_by_index::<Uuid>(0)?, (epoch, attempt, row.try_get_by_index::<bool>(3)?));
    }
    let windowed: HashMap<SessionId, bool> = wanted.iter().map(|wish| (wish.session, wish.windowed)).collect();
    let sheets = form::read(store, tx, known.keys().copied().collect(), |session| windowed.get(&session).copied().unwrap_or(true)).await?;
    let claimed = sheets.into_iter().filter_map(|sheet| {
        let (epoch, attempt, repeatable) = known[&sheet.message.uuid()];
        to_claimed(sheet, epoch, attempt, repeatable).ok()
    });
    Ok(claimed.collect())
}
