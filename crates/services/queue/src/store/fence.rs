//! Who may speak for a session: the owner with the epoch that stands here.

use std::collections::{BTreeMap, HashMap, HashSet};

use barid_db::Tx;
use barid_domain::{MessageId, SessionId};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{Change, SessionClaim, Store, apply};
use crate::{Error, state::Fact};

impl Store {
    /// Raises the epochs of sessions; gives back those that stand. What earlier owners took and told nothing of becomes uncertain at once where
    /// it can be sent again under the same id, so that the new owner need not wait for it.
    pub(crate) async fn fence(&self, sessions: Vec<(SessionId, u64)>) -> Result<Vec<(SessionId, u64)>, Error> {
        let store = self.clone();
        let fence = move |tx: Tx| async move {
            let standing = raise(&tx, sessions).await?;
            let lost = lost(&store, &tx, &standing).await?;
            let any = !lost.is_empty();
            apply::apply(&store, &tx, lost).await?;
            Ok::<_, Error>((standing, any))
        };
        let (standing, any) = self.db.engine.transaction("fence", fence).await?;
        if any {
            self.committed(true).await;
        }
        Ok(standing)
    }
}

async fn raise(tx: &Tx, sessions: Vec<(SessionId, u64)>) -> Result<Vec<(SessionId, u64)>, DbErr> {
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
    rows.iter().map(|row| Ok((SessionId::from_uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i64>(1)?.cast_unsigned()))).collect()
}

/// What owners of lower epochs hold that can be sent again.
async fn lost(store: &Store, tx: &Tx, standing: &[(SessionId, u64)]) -> Result<Vec<Change>, DbErr> {
    let rows = tx
        .rows(
            "SELECT f.message_id, s.attempt FROM UNNEST($1::uuid[], $2::bigint[]) AS n(session_id, epoch)
             JOIN queue.in_flight f ON f.session_id = n.session_id AND f.epoch < n.epoch
             CROSS JOIN LATERAL (SELECT s.attempt FROM queue.message_state s WHERE s.message_id = f.message_id AND s.state = 3 OFFSET 0) s
             WHERE f.repeatable",
            [
                standing.iter().map(|(session, _)| session.uuid()).collect::<Vec<_>>().into(),
                standing.iter().map(|(_, epoch)| epoch.cast_signed()).collect::<Vec<_>>().into(),
            ],
        )
        .await?;
    let now = store.now();
    rows.iter()
        .map(|row| {
            let (message, attempt) = (MessageId::from_uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i32>(1)?.cast_unsigned());
            Ok(Change { reason: "owner_lost".to_owned(), ..Change::new(message, Fact::Uncertain { attempt }, now) })
        })
        .collect()
}

/// Which of the sessions that are claimed for have another epoch by now. Their epochs stay until the transaction ends.
pub(super) async fn stale(tx: &Tx, wanted: &[SessionClaim]) -> Result<HashSet<SessionId>, DbErr> {
    let ids: Vec<Uuid> = wanted.iter().map(|wish| wish.session.uuid()).collect();
    let rows = tx.rows("SELECT session_id, epoch FROM queue.fences WHERE session_id = ANY($1) ORDER BY 1 FOR SHARE", [ids.into()]).await?;
    let mut fences = HashMap::new();
    for row in rows {
        fences.insert(SessionId::from_uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i64>(1)?.cast_unsigned());
    }
    // A session that was never fenced has no owner yet who could speak for it.
    Ok(wanted.iter().filter(|wish| fences.get(&wish.session) != Some(&wish.epoch)).map(|wish| wish.session).collect())
}
