//! Idempotency keys: what a caller's key stands for.

use std::collections::{BTreeMap, HashMap, HashSet};

use barid_db::Tx;
use barid_domain::{MessageId, TenantId};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{Accepted, NewMessage, Store, accept::Outcome, days};
use crate::{Error, draft::Key, state::State};

/// What a key stood for already.
pub(crate) type Known = Result<Accepted, Error>;

impl Store {
    /// What keys of a tenant stand for already, in order; `None` for those that are new.
    pub(crate) async fn known_keys(&self, tenant: TenantId, keys: Vec<Key>) -> Result<Vec<Option<Known>>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let read = move |tx: Tx| async move { look_up(&tx, &keys.iter().map(|key| (tenant, key)).collect::<Vec<_>>()).await };
        Ok(self.db.tenant.transaction(tenant, read).await?)
    }
}

/// Takes the keys. Where one was taken before, its message is the outcome. Of several messages with one new key the first leads; the others
/// are given back with their leader, whose outcome becomes theirs.
pub(super) async fn settle(tx: &Tx, messages: &[NewMessage], outcomes: &mut [Outcome]) -> Result<Vec<(usize, usize)>, DbErr> {
    // In the order of the key, so that two commits cannot wait for each other.
    let mut groups: BTreeMap<(TenantId, &str), Vec<usize>> = BTreeMap::new();
    for (index, message) in messages.iter().enumerate() {
        if let Some(key) = &message.key {
            groups.entry((message.tenant, &key.key)).or_default().push(index);
        }
    }
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let (mut tenants, mut keys, mut digests, mut ids, mut times) = (vec![], vec![], vec![], vec![], vec![]);
    for ((tenant, key), group) in &groups {
        let leader = &messages[group[0]];
        tenants.push(tenant.uuid());
        keys.push((*key).to_owned());
        digests.push(leader.key.as_ref().map(|key| key.digest.clone()).unwrap_or_default());
        ids.push(leader.id.uuid());
        times.push(leader.created_at);
    }
    let taken = tx
        .rows(
            "INSERT INTO queue.idempotency_keys (tenant_id, key, digest, message_id, created_at)
             SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::timestamptz[])
             ON CONFLICT DO NOTHING RETURNING message_id",
            [tenants.into(), keys.into(), digests.into(), ids.into(), times.into()],
        )
        .await?;
    let taken: HashSet<Uuid> = taken.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    let (mut followers, mut repetitions) = (Vec::new(), Vec::new());
    for (_, group) in groups {
        let leader = group[0];
        if taken.contains(&messages[leader].id.uuid()) {
            for &follower in &group[1..] {
                // Until the leader's outcome is known, nothing is done for it.
                outcomes[follower] = Some(Err(Error::Busy));
                if messages[follower].key == messages[leader].key {
                    followers.push((follower, leader));
                } else {
                    outcomes[follower] = Some(Err(Error::KeyReused));
                }
            }
            continue;
        }
        repetitions.extend(group);
    }
    let keys: Vec<(TenantId, &Key)> =
        repetitions.iter().filter_map(|&index| Some((messages[index].tenant, messages[index].key.as_ref()?))).collect();
    for (index, known) in repetitions.iter().zip(look_up(tx, &keys).await?) {
        outcomes[*index] = Some(known.unwrap_or(Err(Error::Busy)));
    }
    Ok(followers)
}

/// The outcome of a message that repeats another one in the same commit.
pub(super) fn repeated(leader: &Outcome) -> Result<Accepted, Error> {
    match leader {
        Some(Ok(accepted)) => Ok(Accepted { repeated: true, contact: None, ..*accepted }),
        Some(Err(Error::QuotaExceeded { limit })) => Err(Error::QuotaExceeded { limit: *limit }),
        Some(Err(Error::JobFull { limit })) => Err(Error::JobFull { limit: *limit }),
        Some(Err(Error::JobCancelled)) => Err(Error::JobCancelled),
        Some(Err(Error::NotFound { kind, name })) => Err(Error::NotFound { kind, name: name.clone() }),
        _ => Err(Error::Busy),
    }
}

/// What keys stand for, in order.
async fn look_up(tx: &Tx, keys: &[(TenantId, &Key)]) -> Result<Vec<Option<Known>>, DbErr> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let (tenants, names): (Vec<Uuid>, Vec<String>) = keys.iter().map(|(tenant, key)| (tenant.uuid(), key.key.clone())).unzip();
    let taken = "SELECT k.tenant_id, k.key, k.digest, k.message_id
                 FROM (SELECT DISTINCT * FROM UNNEST($1::uuid[], $2::text[]) AS n(tenant_id, key)) n
                 JOIN queue.idempotency_keys k USING (tenant_id, key)";
    let taken = tx.rows(taken, [tenants.into(), names.into()]).await?;
    let messages: Vec<Uuid> = taken.iter().map(|row| row.try_get_by_index(3)).collect::<Result<_, _>>()?;
    let mut states: HashMap<Uuid, State> = HashMap::new();
    if !messages.is_empty() {
        let [first, last] = days::bounds(&messages);
        let state = "SELECT message_id, state FROM queue.message_state WHERE message_id = ANY($1) AND message_id BETWEEN $2 AND $3";
        for row in tx.rows(state, [messages.into(), first, last]).await? {
            states.insert(row.try_get_by_index(0)?, State::from_number(row.try_get_by_index(1)?).unwrap_or(State::Failed));
        }
    }
    let mut known: HashMap<(Uuid, String), (Vec<u8>, Accepted)> = HashMap::new();
    for row in taken {
        let message: Uuid = row.try_get_by_index(3)?;
        let Some(&state) = states.get(&message) else { continue };
        let accepted = Accepted { id: MessageId::from_uuid(message), state, repeated: true, contact: None };
        known.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?), (row.try_get_by_index(2)?, accepted));
    }
    let of = |(tenant, key): &(TenantId, &Key)| {
        let (digest, accepted) = known.get(&(tenant.uuid(), key.key.clone()))?;
        Some(if *digest == key.digest { Ok(*accepted) } else { Err(Error::KeyReused) })
    };
    Ok(keys.iter().map(of).collect())
}

/// Gives back the keys of messages that are refused.
pub(super) async fn free(tx: &Tx, messages: Vec<&NewMessage>) -> Result<(), DbErr> {
    let (mut tenants, mut keys, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for message in messages {
        let Some(key) = &message.key else { continue };
        tenants.push(message.tenant.uuid());
        keys.push(key.key.clone());
        ids.push(message.id.uuid());
    }
    if !keys.is_empty() {
        let sql = "DELETE FROM queue.idempotency_keys k USING UNNEST($1::uuid[], $2::text[], $3::uuid[]) AS n(tenant_id, key, message_id)
                   WHERE k.tenant_id = n.tenant_id AND k.key = n.key AND k.message_id = n.message_id";
        tx.run(sql, [tenants.into(), keys.into(), ids.into()]).await?;
    }
    Ok(())
}
