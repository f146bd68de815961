//! How many sessions a replica looks after, which it takes, and which it hands over. Pure.
//!
//! Every replica decides for itself from the counts that the heartbeats tell. Nobody takes more than the cap, a little over its fair share;
//! who has clearly more gives up sessions that have nothing to do, and others take them. Between the cap and what makes a replica give up
//! lies a margin, and what was given up goes to those with room: so nothing is passed back and forth. Who cannot log sessions in has no
//! room, however few it owns. And a cap is no reason for messages to wait: after a while whoever sees them takes their session.

use std::{cmp::Reverse, time::Duration};

use barid_domain::SessionId;
use uuid::Uuid;

use crate::ownership::is_preferred;

/// How long a session waits for the replica that comes first for it.
const COURTESY: Duration = Duration::from_secs(1);
/// How long it waits for one with room. What a replica knows of the others may be wrong.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sessions that one without room takes at a time, of those that waited so long: others may have room after all.
const MERCY: usize = 2;

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
    /// Whether it can do something for sessions that it gets.
    pub takes: bool,
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

/// Whether a replica may take a session that nobody owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another comes first.
    NotYet,
    /// As long as it has room.
    WithRoom,
    Anyway,
}

/// The sessions of all replicas, as one of them sees it.
#[derive(Clone, Debug)]
pub struct Balance {
    me: Uuid,
    /// Those that can do something for sessions; all when none can.
    replicas: Vec<Replica>,
    cap: usize,
    owned: usize,
    rules: Rules,
    others_take: bool,
}

impl Balance {
    /// By the replicas alive, `me` among them, as they were counted last; by `owned`, what this one owns by now; and by the sessions that
    /// somebody should own and that were nobody's in that count.
    pub fn new(me: Uuid, owned: usize, counted: &[Replica], unowned: usize, rules: Rules) -> Self {
        let current = |replica: &Replica| Replica { owned: if replica.id == me { owned } else { replica.owned }, ..*replica };
        let replicas: Vec<Replica> = counted.iter().map(current).collect();
        // What this one let go since is somebody's to be, and what it took was unowned.
        let total = unowned + replicas.iter().zip(counted).map(|(now, before)| now.owned.max(before.owned)).sum::<usize>();
        let others_take = replicas.iter().any(|replica| replica.id != me && replica.takes);
        let all = !replicas.iter().any(|replica| replica.takes);
        let replicas: Vec<Replica> = replicas.into_iter().filter(|replica| replica.takes || all).collect();
        let share = total as f64 / replicas.len().max(1) as f64 * rules.tolerance;
        // Counts of sessions fit; and 55.000000000000007 is 55.
        let cap = (share - 1e-9).ceil() as usize + rules.slack;
        Self { me, replicas, cap, owned, rules, others_take }
    }

    /// Sessions it may take over before it has its share.
    pub fn may_take(&self) -> usize {
        if self.replicas.iter().any(|replica| replica.id == self.me) { self.cap.saturating_sub(self.owned) } else { 0 }
    }

    /// Whether another replica can do something for sessions.
    pub fn others_take(&self) -> bool {
        self.others_take
    }

    /// Whether it may take a session that waits for so long.
    pub fn turn(&self, session: SessionId, waited: Duration) -> Turn {
        match () {
            () if waited >= PATIENCE => Turn::Anyway,
            () if waited >= COURTESY || self.is_first(session) => Turn::WithRoom,
            () => Turn::NotYet,
        }
    }

    /// Of sessions that nobody owns, the most deserving first, those that it takes now; `of` says which one it is and how long it waits.
    pub fn pick<T>(&self, wanted: impl IntoIterator<Item = T>, of: impl Fn(&T) -> (SessionId, Duration)) -> Vec<T> {
        let (mut room, mut mercy) = (self.may_take(), MERCY);
        let takes = |one: &T| {
            let (session, waited) = of(one);
            let left = match self.turn(session, waited) {
                Turn::NotYet => return false,
                Turn::Anyway if room == 0 => &mut mercy,
                Turn::WithRoom | Turn::Anyway => &mut room,
            };
            let takes = *left > 0;
            *left -= usize::from(takes);
            takes
        };
        wanted.into_iter().filter(takes).collect()
    }

    /// Whether, of the replicas with room, this one comes first for a session. Somebody has room: the cap is above the average.
    fn is_first(&self, session: SessionId) -> bool {
        let asked: Vec<Uuid> = self.replicas.iter().filter(|replica| replica.owned < self.cap).map(|replica| replica.id).collect();
        asked.contains(&self.me) && is_preferred(session, self.me, &asked)
    }

    /// Which of its sessions it shall let go.
    pub fn release(&self, mine: &[Held]) -> Vec<SessionId> {
        let margin = self.rules.slack.max(self.cap / 20);
        if self.owned <= self.cap + margin {
            return Vec::new();
        }
        // The others have room for it: together they own less than their caps by at least so much.
        let count = (self.owned - self.cap).min(self.rules.most_moves);
        let mut free: Vec<_> = mine.iter().filter_map(|held| Some((ease(held.activity)?, held.session))).collect();
        // First those that another would be asked to take first: they are at home there.
        let replicas: Vec<Uuid> = self.replicas.iter().map(|replica| replica.id).collect();
        free.sort_by_cached_key(|(ease, session)| (is_preferred(*session, self.me, &replicas), *ease, *session));
        free.into_iter().take(count).map(|(_, session)| session).collect()
    }
}

/// How easily a session is let go, the easiest first: cold, then longest idle. `None` when it is not.
fn ease(activity: Activity) -> Option<(bool, Reverse<Duration>)> {
    match activity {
        Activity::Cold => Some((false, Reverse(Duration::ZERO))),
        Activity::Idle { since } => Some((true, Reverse(since))),
        Activity::Busy => None,
    }
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
        (1..).zip(owned).map(|(id, owned)| Replica { id: Uuid::from_u128(id), owned: *owned, takes: true }).collect()
    }

    const ME: Uuid = Uuid::from_u128(1);

    fn balance(owned: &[usize], unowned: usize, rules: Rules) -> Balance {
        Balance::new(ME, owned[0], &replicas(owned), unowned, rules)
    }

    #[test]
    fn the_cap_is_a_little_over_the_fair_share_of_what_is_owned_and_what_waits_for_an_owner() {
        let cap = |owned, unowned| balance(owned, unowned, Rules::default()).cap;
        assert_eq!([cap(&[0], 0), cap(&[100, 0], 0), cap(&[10, 10, 11], 0), cap(&[60, 0], 40)], [4, 59, 16, 59]);
        let (alone, late) = (balance(&[0], 1000, Rules::default()), balance(&[37, 0], 0, Rules::default()));
        assert!(alone.may_take() >= 1000, "nobody else is there to wait for");
        assert_eq!(late.may_take(), 0);
    }

    #[test]
    fn the_easiest_go_and_the_busy_stay() {
        let rules = Rules { slack: 0, most_moves: 3, ..Rules::default() };
        let at_home = |session| is_preferred(session, ME, &[ME, Uuid::from_u128(2)]);
        let mine: Vec<Held> = (0..20).map(|number| held(number, Activity::Cold)).collect();
        assert_eq!(balance(&[20], 0, rules).release(&mine), [], "nobody else is there");

        let two = balance(&[20, 0], 0, rules);
        let released = two.release(&mine);
        assert!(released.len() == 3 && released.iter().all(|session| !at_home(*session)), "at home with the other");
        let away: Vec<usize> = (0..99).filter(|number| !at_home(session(*number))).take(20).collect();
        let mut mine: Vec<Held> = away.iter().map(|number| held(*number, Activity::Busy)).collect();
        assert_eq!(two.release(&mine), [], "all busy");
        (mine[7].activity, mine[8].activity, mine[9].activity, mine[10].activity) = (idle(5), idle(50), Activity::Cold, idle(1));
        assert_eq!(two.release(&mine), [9, 8, 7].map(|index: usize| mine[index].session), "the cold first, then the longest idle");
    }

    #[test]
    fn a_little_too_much_is_kept() {
        let mine: Vec<Held> = (0..64).map(|number| held(number, Activity::Cold)).collect();
        let with = |others, unowned| {
            let balance = balance(&[64, others], unowned, Rules::default());
            (balance.cap, balance.release(&mine).len(), balance.may_take())
        };
        assert_eq!((with(46, 0), with(20, 0)), ((65, 0, 1), (51, 13, 0)));
        assert_eq!(with(40, 0), (62, 0, 0), "two are within the margin");
        assert_eq!(with(20, 26), (65, 0, 1), "what waits for an owner is still to be shared");
    }

    #[test]
    fn those_with_room_are_asked_first_and_after_a_while_anyone() {
        let (second, now) = (Uuid::from_u128(2), Duration::ZERO);
        let first = |owned: &[usize]| {
            let balance = Balance::new(second, owned[1], &replicas(owned), 0, Rules::default());
            (0..300).filter(|number| balance.turn(session(*number), now) == Turn::WithRoom).count()
        };
        assert_eq!(first(&[50, 10, 50]), 300);
        assert!((70..130).contains(&first(&[30, 30, 30])), "{}", first(&[30, 30, 30]));
        let full = balance(&[50, 10, 50], 0, Rules::default());
        let turns = [0, 999, 1000, 4999, 5000].map(|ms| full.turn(session(1), Duration::from_millis(ms)));
        assert_eq!(turns, [Turn::NotYet, Turn::NotYet, Turn::WithRoom, Turn::WithRoom, Turn::Anyway]);
        let picked = |balance: &Balance, seconds| balance.pick(0..100, |number| (session(*number), Duration::from_secs(seconds))).len();
        assert_eq!((picked(&full, 4), picked(&full, 5)), (0, MERCY), "without room it takes few, and late");
        assert_eq!(picked(&balance(&[10, 50], 0, Rules::default()), 0), 27, "all of its share at once, and no more");
    }

    #[test]
    fn nothing_is_handed_to_one_that_can_do_nothing_for_it() {
        let mine: Vec<Held> = (0..64).map(|number| held(number, Activity::Cold)).collect();
        let with = |takes: [bool; 2]| {
            let replicas: Vec<Replica> = replicas(&[64, 0]).into_iter().zip(takes).map(|(one, takes)| Replica { takes, ..one }).collect();
            let (first, second) =
                [0, 1].map(|index| Balance::new(replicas[index].id, replicas[index].owned, &replicas, 0, Rules::default())).into();
            let asked = (0..64).filter(|number| second.turn(session(*number), Duration::ZERO) == Turn::WithRoom).count();
            (first.release(&mine).len(), second.may_take(), asked > 0, first.others_take(), second.others_take())
        };
        assert_eq!(with([true, true]), (24, 40, true, true, true));
        assert_eq!(with([true, false]), (0, 0, false, false, true));
        assert_eq!(with([false, false]), (24, 40, true, false, false), "it is the same everywhere");
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
            let mut unowned = 0;
            let turns = total / most_moves + 20;
            let mut last_move = 0;
            for turn in 0..2 * turns {
                let (alive, free) = (replicas(&told), unowned);
                (told, unowned) = (count(&owner), owner.values().filter(|owner| owner.is_none()).count());
                for (index, id) in ids.iter().enumerate() {
                    let mine: Vec<Held> = owner
                        .iter()
                        .filter(|(_, owner)| **owner == Some(index))
                        .map(|(number, _)| held(*number, if (number + turn) % 4 < busy { Activity::Busy } else { Activity::Cold }))
                        .collect();
                    let balance = Balance::new(*id, mine.len(), &alive, free, rules);
                    let release = balance.release(&mine);
                    prop_assert!(release.len() <= most_moves);
                    prop_assert!(release.is_empty() || balance.may_take() == 0);
                    for released in &release {
                        let number = released.uuid().as_u128() as usize;
                        prop_assert_eq!(owner[&number], Some(index));
                        owner.insert(number, None);
                        *moves.entry(number).or_default() += 1;
                        last_move = turn;
                    }
                    // Demand for half of those that nobody owns.
                    let free: Vec<usize> = owner.iter().filter(|(_, owner)| owner.is_none()).map(|(number, _)| *number).collect();
                    let wanted = free.into_iter().filter(|number| (number + turn) % 2 == 0 && balance.is_first(session(*number)));
                    for number in wanted.take(balance.may_take()) {
                        owner.insert(number, Some(index));
                    }
                }
            }
            let cap = balance(&count(&owner), owner.values().filter(|owner| owner.is_none()).count(), rules).cap;
            let most = cap + rules.slack.max(cap / 20);
            prop_assert!(count(&owner).iter().all(|owned| *owned <= most), "{:?} over {most}", count(&owner));
            prop_assert!(last_move <= turns, "still moving at turn {last_move} of {turns}");
            prop_assert!(moves.values().all(|moves| *moves <= 2), "{:?}", moves.values().max());
        }
    }
}
