//! What connections leave in the database: the states of their sessions, and sessions that are given up.

use barid_db::Tx;
use barid_domain::SessionId;
use barid_proto::session_pool::v1::SessionState;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{GivenUp, Limits, Store};
use crate::Error;

impl Store {
    /// Writes the states that connections gave to their sessions and what those used up, and gives up sessions, each unless it got another
    /// owner or epoch in between. With each state comes when the session was visited last, if that is known.
    pub(crate) async fn settle(
        &self,
        replica: Uuid,
        states: Vec<(SessionId, SessionState, Option<DateTime<Utc>>)>,
        limits: Vec<(SessionId, Limits)>,
        given_up: Vec<GivenUp>,
    ) -> Result<(), Error> {
        let settle = move |tx: Tx| async move {
            if !states.is_empty() {
                let ids: Vec<Uuid> = states.iter().map(|(session, ..)| session.uuid()).collect();
                let visits: Vec<DateTime<Utc>> = states.iter().map(|(.., visited)| visited.unwrap_or_default()).collect();
                let states: Vec<i16> = states.iter().map(|(_, state, _)| *state as i16).collect();
                tx.run(
                    "UPDATE session_pool.sessions s SET state = v.state, visited_at = greatest(s.visited_at, nullif(v.visited_at, to_timestamp(0)))
                     FROM UNNEST($1::uuid[], $2::smallint[], $3::timestamptz[]) AS v (id, state, visited_at)
                     WHERE s.id = v.id AND s.state BETWEEN 2 AND 5",
                    [ids.into(), states.into(), visits.into()],
                )
                .await?;
            }
            if !limits.is_empty() {
                let ids: Vec<Uuid> = limits.iter().map(|(session, _)| session.uuid()).collect();
                let first_contacts: Vec<DateTime<Utc>> = limits.iter().map(|(_, limits)| limits.first_contacts).collect();
                let untils: Vec<DateTime<Utc>> = limits.iter().map(|(_, limits)| limits.reach_out.0).collect();
                let locks: Vec<i32> = limits.iter().map(|(_, limits)| limits.reach_out.1.cast_signed()).collect();
                tx.run(
                    "UPDATE session_pool.sessions s
                     SET first_contacts_whole_at = v.first_contacts, reach_out_until = v.until, reach_out_locks = v.locks
                     FROM UNNEST($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::integer[]) AS v (id, first_contacts, until, locks)
                     WHERE s.id = v.id AND EXISTS (SELECT FROM session_pool.owners o WHERE o.session_id = s.id AND o.replica_id = $5)",
                    [ids.into(), first_contacts.into(), untils.into(), locks.into(), replica.into()],
                )
                .await?;
            }
            if !given_up.is_empty() {
                let ids: Vec<Uuid> = given_up.iter().map(|one| one.session.uuid()).collect();
                let epochs: Vec<i64> = given_up.iter().map(|one| one.epoch.cast_signed()).collect();
                let offered: Vec<bool> = given_up.iter().map(|one| one.offered).collect();
                tx.run(
                    "UPDATE session_pool.owners o SET replica_id = $5, offered_at = CASE WHEN v.offered THEN now() END
                     FROM UNNEST($1::uuid[], $2::bigint[], $3::boolean[]) AS v (id, epoch, offered)
                     WHERE o.session_id = v.id AND o.epoch = v.epoch AND o.replica_id = $4",
                    [ids.into(), epochs.into(), offered.into(), replica.into(), Uuid::nil().into()],
                )
                .await?;
            }
            Ok::<_, Error>(())
        };
        self.db.engine.transaction("settle connections", settle).await
    }

    /// Whether a replica still owns a session under this epoch.
    pub(crate) async fn owns(&self, replica: Uuid, session: SessionId, epoch: u64) -> Result<bool, Error> {
        let read = move |tx: Tx| async move {
            let sql = "SELECT 1 FROM session_pool.owners WHERE session_id = $1 AND replica_id = $2 AND epoch = $3";
            tx.row(sql, [session.uuid().into(), replica.into(), epoch.cast_signed().into()]).await
        };
        Ok(self.db.engine.transaction("still owner", read).await?.is_some())
    }
}
