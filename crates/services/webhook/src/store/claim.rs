//! Takes what is due, an endpoint's turn after the other's, so that neither a slow endpoint nor one with much to take delays anybody else.

use std::collections::HashMap;

use barid_db::Tx;
use barid_domain::{DeliveryId, EndpointId, EventId, TenantId};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{Store, secrets::Sealed};
use crate::{Error, carrier::Parcel};

/// How much may be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most deliveries now.
    pub most: usize,
    /// Most of them for endpoints that fail: what hangs must not take all the room there is.
    pub most_failing: usize,
    /// Most of one endpoint under way at once; of one that fails, one.
    pub per_endpoint: u32,
    /// How long what is taken is nobody else's. Longer than an attempt can take.
    pub lease: TimeDelta,
}

/// Which endpoints had the last turns: of those that work, and of those that fail.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turns([Uuid; 2]);

/// A delivery that is this replica's for a while.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub delivery: DeliveryId,
    pub tenant: TenantId,
    pub endpoint: EndpointId,
    pub entity_id: String,
    /// Attempts before this one.
    pub attempts: u32,
    /// Whether its endpoint fails.
    pub failing: bool,
    pub parcel: Parcel,
    pub(super) lease: Uuid,
}

/// A line, by its key.
type Line = (Uuid, String);

impl Store {
    /// Takes what is due, from the endpoints after the last turns on and around; and tells which had the last turns now.
    pub(crate) async fn claim(&self, turns: Turns, limits: Limits) -> Result<(Vec<Taken>, Turns), Error> {
        let (store, now, lease) = (self.clone(), self.now(), Uuid::new_v4());
        let work = move |tx: Tx| async move {
            let (mut lines, mut turns) = (Vec::new(), turns);
            for (turn, failing) in turns.0.iter_mut().zip([false, true]) {
                let mut room = if failing {
                    (limits.most - lines.len()).min(limits.most_failing)
                } else {
                    // A quarter is left to those that fail, however much the others have.
                    limits.most - limits.most_failing.min(limits.most / 4)
                };
                // Around once: what was taken before the turn came to the end is not due any more.
                for from in [*turn, Uuid::nil()] {
                    let found = due(&tx, from, failing, room, limits, now).await?;
                    hold(&tx, &found, lease, now + limits.lease).await?;
                    room -= found.len();
                    *turn = found.last().map_or(*turn, |(endpoint, _)| *endpoint);
                    lines.extend(found);
                    if room == 0 || from == Uuid::nil() {
                        break;
                    }
                }
            }
            let heads = heads(&tx, &lines).await?;
            // What has nothing pending is no line. That of an endpoint deleted meanwhile is left to those who wind it up.
            for (endpoint, entity) in lines.iter().filter(|line| !heads.contains_key(*line)) {
                let sql = "DELETE FROM webhook.lines l WHERE l.endpoint_id = $1 AND l.entity_id = $2 AND NOT EXISTS (
                               SELECT FROM webhook.deliveries d
                               WHERE d.endpoint_id = l.endpoint_id AND d.entity_id = l.entity_id AND d.state = 1)";
                tx.run(sql, [(*endpoint).into(), entity.clone().into()]).await?;
            }
            Ok::<_, Error>((heads.into_values().collect::<Vec<Head>>(), turns))
        };
        let (heads, turns) = self.db.engine.transaction("claim", work).await?;
        let mut taken = Vec::with_capacity(heads.len());
        for head in heads {
            match store.unseal(&head, now, lease).await {
                Ok(head) => taken.push(head),
                // It comes again with its lease, and says so again: nothing is lost, and nobody else waits for it.
                Err(error) => tracing::error!(delivery = %head.delivery, %error, "an endpoint cannot be read; what waits for it stays"),
            }
        }
        Ok((taken, turns))
    }

    async fn unseal(&self, head: &Head, now: DateTime<Utc>, lease: Uuid) -> Result<Taken, Error> {
        let key = self.vault.tenant(head.sealed.tenant.uuid()).await?;
        let (url, secrets) = head.sealed.open(&key, now)?;
        Ok(Taken {
            delivery: head.delivery,
            tenant: head.sealed.tenant,
            endpoint: head.sealed.endpoint,
            entity_id: head.entity_id.clone(),
            attempts: head.attempts,
            failing: head.failing,
            parcel: Parcel { url, secrets, event_id: head.event.to_string(), body: head.body.clone() },
            lease,
        })
    }
}

/// The first pending delivery of a line, and its endpoint.
struct Head {
    delivery: DeliveryId,
    event: EventId,
    entity_id: String,
    attempts: u32,
    failing: bool,
    body: String,
    sealed: Sealed,
}

/// Lines that are due, of endpoints after `turn` that fail or do not. It goes from endpoint to endpoint along the index, whatever stands in
/// the lines of each, and no further than it needs to.
async fn due(tx: &Tx, turn: Uuid, failing: bool, most: usize, limits: Limits, now: DateTime<Utc>) -> Result<Vec<Line>, DbErr> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let sql = "
        WITH RECURSIVE waiting AS (
            (SELECT endpoint_id FROM webhook.lines WHERE endpoint_id > $1 ORDER BY endpoint_id LIMIT 1)
            UNION ALL
            SELECT (SELECT l.endpoint_id FROM webhook.lines l WHERE l.endpoint_id > w.endpoint_id ORDER BY l.endpoint_id LIMIT 1)
            FROM waiting w WHERE w.endpoint_id IS NOT NULL
        )
        SELECT l.endpoint_id, l.entity_id
        FROM waiting w
        JOIN webhook.endpoints e ON e.id = w.endpoint_id AND e.state = 1 AND (e.failing_since IS NOT NULL) = $5
        CROSS JOIN LATERAL (
            SELECT l.endpoint_id, l.entity_id FROM webhook.lines l
            WHERE l.endpoint_id = w.endpoint_id AND l.due_at <= $2
            ORDER BY l.due_at
            LIMIT greatest(0, $3
                - (SELECT count(*) FROM webhook.lines h WHERE h.endpoint_id = w.endpoint_id AND h.lease IS NOT NULL AND h.due_at > $2))
            FOR UPDATE SKIP LOCKED
        ) l
        LIMIT $4";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let each = if failing { 1 } else { i64::from(limits.per_endpoint) };
    let rows = tx.rows(sql, [turn.into(), now.into(), each.into(), most.into(), failing.into()]).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

async fn hold(tx: &Tx, lines: &[Line], lease: Uuid, until: DateTime<Utc>) -> Result<(), DbErr> {
    if lines.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE webhook.lines l SET lease = $3, due_at = $4 FROM UNNEST($1::uuid[], $2::text[]) AS n (endpoint_id, entity_id)
               WHERE l.endpoint_id = n.endpoint_id AND l.entity_id = n.entity_id";
    let (endpoints, entities) = keys(lines);
    tx.run(sql, [endpoints.into(), entities.into(), lease.into(), until.into()]).await?;
    Ok(())
}

async fn heads(tx: &Tx, lines: &[Line]) -> Result<HashMap<Line, Head>, DbErr> {
    let sql = "
        SELECT d.id, d.event_id, d.entity_id, d.attempts, d.body,
            e.tenant_id, e.id AS endpoint_id, e.url, e.secret, e.old_secret, e.old_secret_until,
            e.failing_since IS NOT NULL AS failing
        FROM UNNEST($1::uuid[], $2::text[]) AS n (endpoint_id, entity_id)
        JOIN webhook.endpoints e ON e.id = n.endpoint_id
        CROSS JOIN LATERAL (
            SELECT * FROM webhook.deliveries d WHERE d.endpoint_id = n.endpoint_id AND d.entity_id = n.entity_id AND d.state = 1
            ORDER BY d.seq LIMIT 1
        ) d";
    let (endpoints, entities) = keys(lines);
    let mut heads = HashMap::new();
    for row in tx.rows(sql, [endpoints.into(), entities.into()]).await? {
        let sealed = Sealed {
            tenant: TenantId::from_uuid(row.try_get("", "tenant_id")?),
            endpoint: EndpointId::from_uuid(row.try_get("", "endpoint_id")?),
            url: row.try_get("", "url")?,
            secret: row.try_get("", "secret")?,
            old_secret: row.try_get("", "old_secret")?,
            old_secret_until: row.try_get("", "old_secret_until")?,
        };
        let head = Head {
            delivery: DeliveryId::from_uuid(row.try_get("", "id")?),
            event: EventId::from_uuid(row.try_get("", "event_id")?),
            entity_id: row.try_get("", "entity_id")?,
            attempts: row.try_get::<i32>("", "attempts")?.cast_unsigned(),
            failing: row.try_get("", "failing")?,
            body: row.try_get("", "body")?,
            sealed,
        };
        heads.insert((head.sealed.endpoint.uuid(), head.entity_id.clone()), head);
    }
    Ok(heads)
}

fn keys(lines: &[Line]) -> (Vec<Uuid>, Vec<String>) {
    lines.iter().cloned().unzip()
}
