//! How many sessions a replica looks after, and which it hands over. Pure.
//!
//! Every replica decides for itself from the counts that the heartbeats tell. Nobody takes more than the cap, a little over its fair share;
//! who has clearly more gives up sessions that have nothing to do, and others take them when there is. Between the cap and what makes a
//! replica give up lies a margin, and what was given up goes to those with room: so nothing is passed back and forth.

use std::{cmp::Reverse, time::Duration};

use barid_domain::SessionId;
use uuid::Uuid;

use crate::ownership::is_preferred;

#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// By how much a replica may exceed its fair share.
    pub tolerance: f64,
    /// And by how many sessions beside: with few of them a share means little.
    pub slack: usize,
    /// Most sessions handed over at a time.
    pub most_moves: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self { tolerance: 1.1, slack: 4, most_moves: 50 }
    }
}

/// A replica that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    pub id: Uuid,
    /// Sessions it owns, by its last heartbeat.
    pub owned: usize,
}

/// What a session that is owned does. The first is handed over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Not connected, nothing waits.
    Cold,
    /// Connected, or needing no connection, and without work since so long.
    Idle { since: Duration },
    /// Messages wait or are under way, or it is pinned: it stays.
    Busy,
}

/// A session of this replica.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub session: SessionId,
    pub activity: Activity,
}

/// What a replica does about its share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Sessions it should own at most.
    pub cap: usize,
    /// Sessions to let go.
    pub release: Vec<SessionId>,
    /// Sessions it may take over.
    pub may_take: usize,
}

/// Most sessions a replica should own: a little over its fair share.
pub fn cap(replicas: &[Replica], rules: &Rules) -> usize {
    let total: usize = replicas.iter().map(|replica| replica.owned).sum();
    // Counts of sessions fit.
    (total as f64 / replicas.len().max(1) as f64 * rules.tolerance).ceil() as usize + rules.slack
}

/// What to do, by the replicas alive, `me` among them, and the sessions owned by `me`.
pub fn plan(me: Uuid, mine: &[Held], replicas: &[Replica], rules: &Rules) -> Plan {
    let current = |replica: &Replica| Replica { owned: if replica.id == me { mine.len() } else { replica.owned }, ..*replica };
    let replicas: Vec<Replica> = replicas.iter().map(current).collect();
    let cap = cap(&replicas, rules);
    let margin = rules.slack.max(cap / 20);
    let may_take = cap.saturating_sub(mine.len());
    if mine.len() <= cap + margin {
        return Plan { cap, release: Vec::new(), may_take };
    }
    let room: usize = replicas.iter().filter(|replica| replica.id != me).map(|replica| cap.saturating_sub(replica.owned)).sum();
    let count = (mine.len() - cap).min(room).min(rules.most_moves);
    let mut free: Vec<_> = mine.iter().filter_map(|held| Some((ease(held.activity)?, held.session))).collect();
    // First those that another with room would be asked to take first: they are at home there.
    free.sort_by_cached_key(|(ease, session)| (is_first(*session, me, &replicas, usize::MAX), *ease, *session));
    Plan { cap, release: free.into_iter().take(count).map(|(_, session)| session).collect(), may_take }
}

/// How easily a session is let go, the easiest first: cold, then longest idle. `None` when it is not.
fn ease(activity: Activity) -> Option<(bool, Reverse<Duration>)> {
    match activity {
        Activity::Cold => Some((false, Reverse(Duration::ZERO))),
        Activity::Idle { since } => Some((true, Reverse(since))),
        Activity::Busy => None,
    }
}

/// Whether, of the replicas with room under `cap`, this one comes first for a session; of all, when none has room. Others may take it as
/// well, a moment later.
pub fn is_first(session: SessionId, me: Uuid, replicas: &[Replica], cap: usize) -> bool {
    let has_room = |replica: &Replica| replica.owned < cap;
    let any = replicas.iter().any(has_room);
    let asked: Vec<Uuid> = replicas.iter().filter(|replica| !any || has_room(replica)).map(|replica| replica.id).collect();
    asked.contains(&me) && is_preferred(session, me, &asked)
}
