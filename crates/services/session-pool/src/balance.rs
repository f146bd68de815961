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
    let share = total as f64 / replicas.len().max(1) as f64 * rules.tolerance;
    // Counts of sessions fit; and 55.000000000000007 is 55.
    (share - 1e-9).ceil() as usize + rules.slack
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
    // The others have room for it: together they own less than their caps by at least so much.
    let count = (mine.len() - cap).min(rules.most_moves);
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::*;

    fn session(number: usize) -> SessionId {
        SessionId::from_uuid(Uuid::from_u128(number as u128))
    }

    fn held(number: usize, activity: Activity) -> Held {
        Held { session: session(number), activity }
    }

    fn idle(seconds: u64) -> Activity {
        Activity::Idle { since: Duration::from_secs(seconds) }
    }

    fn replicas(owned: &[usize]) -> Vec<Replica> {
        (1..).zip(owned).map(|(id, owned)| Replica { id: Uuid::from_u128(id), owned: *owned }).collect()
    }

    const ME: Uuid = Uuid::from_u128(1);

    #[test]
    fn the_cap_is_a_little_over_the_fair_share() {
        let rules = Rules::default();
        assert_eq!([cap(&replicas(&[0]), &rules), cap(&replicas(&[100, 0]), &rules), cap(&replicas(&[10, 10, 11]), &rules)], [4, 59, 16]);
    }

    #[test]
    fn the_easiest_go_and_the_busy_stay() {
        let rules = Rules { slack: 0, most_moves: 3, ..Rules::default() };
        let alone = replicas(&[20]);
        let mine: Vec<Held> = (0..20).map(|number| held(number, Activity::Cold)).collect();
        assert_eq!(plan(ME, &mine, &alone, &rules).release, [], "nobody else is there");

        let two = replicas(&[20, 0]);
        let released = plan(ME, &mine, &two, &rules).release;
        assert!(released.len() == 3 && released.iter().all(|session| !is_first(*session, ME, &two, usize::MAX)), "at home with the other");
        let away: Vec<usize> = (0..99).filter(|number| !is_first(session(*number), ME, &two, usize::MAX)).take(20).collect();
        let mut mine: Vec<Held> = away.iter().map(|number| held(*number, Activity::Busy)).collect();
        assert_eq!(plan(ME, &mine, &two, &rules).release, [], "all busy");
        (mine[7].activity, mine[8].activity, mine[9].activity, mine[10].activity) = (idle(5), idle(50), Activity::Cold, idle(1));
        assert_eq!(
            plan(ME, &mine, &two, &rules).release,
            [9, 8, 7].map(|index: usize| mine[index].session),
            "the cold first, then the longest idle"
        );
    }

    #[test]
    fn a_little_too_much_is_kept() {
        let mine: Vec<Held> = (0..64).map(|number| held(number, Activity::Cold)).collect();
        let plan_with = |others| plan(ME, &mine, &replicas(&[64, others]), &Rules::default());
        let (equal, more) = (plan_with(46), plan_with(20));
        assert_eq!((equal.cap, equal.release.len(), equal.may_take), (65, 0, 1));
        assert_eq!((more.cap, more.release.len(), more.may_take), (51, 13, 0));
        assert_eq!(plan_with(40).release, [], "62 is the cap, and two are within the margin");
    }

    #[test]
    fn those_with_room_are_asked_first() {
        let replicas = replicas(&[50, 10, 50]);
        let first = |cap| (0..300).filter(|number| is_first(session(*number), Uuid::from_u128(2), &replicas, cap)).count();
        assert_eq!(first(40), 300);
        assert!((70..130).contains(&first(99)) && (70..130).contains(&first(5)), "{} {}", first(99), first(5));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

        /// Replicas with any number of sessions each, of which some are busy at a time; heartbeats that tell the counts of the turn before;
        /// and demand that comes for sessions nobody owns. It settles, nothing is passed back and forth, and it stays settled.
        #[test]
        fn it_settles_without_going_back_and_forth(
            owned in proptest::collection::vec(0usize..200, 1..6), most_moves in 1usize..60, busy in 0usize..4,
        ) {
            let rules = Rules { most_moves, ..Rules::default() };
            let total: usize = owned.iter().sum();
            let ids: Vec<Uuid> = (1..=owned.len() as u128).map(Uuid::from_u128).collect();
            let owners = owned.iter().enumerate().flat_map(|(index, owned)| std::iter::repeat_n(index, *owned));
            let mut owner: BTreeMap<usize, Option<usize>> = owners.map(Some).enumerate().collect();
            let count = |owner: &BTreeMap<usize, Option<usize>>| -> Vec<usize> {
                (0..ids.len()).map(|index| owner.values().filter(|owner| **owner == Some(index)).count()).collect()
            };
            let mut moves: HashMap<usize, u32> = HashMap::new();
            let mut told = count(&owner);
            let turns = total / most_moves + 20;
            let mut last_move = 0;
            for turn in 0..2 * turns {
                let alive = replicas(&told);
                told = count(&owner);
                for (index, id) in ids.iter().enumerate() {
                    let mine: Vec<Held> = owner
                        .iter()
                        .filter(|(_, owner)| **owner == Some(index))
                        .map(|(number, _)| held(*number, if (number + turn) % 4 < busy { Activity::Busy } else { Activity::Cold }))
                        .collect();
                    let plan = plan(*id, &mine, &alive, &rules);
                    prop_assert!(plan.release.len() <= most_moves);
                    prop_assert!(plan.release.is_empty() || plan.may_take == 0);
                    for released in &plan.release {
                        let number = released.uuid().as_u128() as usize;
                        prop_assert_eq!(owner[&number], Some(index));
                        owner.insert(number, None);
                        *moves.entry(number).or_default() += 1;
                        last_move = turn;
                    }
                    // Demand for half of those that nobody owns.
                    let free: Vec<usize> = owner.iter().filter(|(_, owner)| owner.is_none()).map(|(number, _)| *number).collect();
                    let wanted = free.into_iter().filter(|number| (number + turn) % 2 == 0 && is_first(session(*number), *id, &alive, plan.cap));
                    for number in wanted.take(plan.may_take) {
                        owner.insert(number, Some(index));
                    }
                }
            }
            let cap = cap(&replicas(&count(&owner)), &rules);
            let most = cap + rules.slack.max(cap / 20);
            prop_assert!(count(&owner).iter().all(|owned| *owned <= most), "{:?} over {most}", count(&owner));
            prop_assert!(last_move <= turns, "still moving at turn {last_move} of {turns}");
            prop_assert!(moves.values().all(|moves| *moves <= 2), "{:?}", moves.values().max());
        }
    }
}
