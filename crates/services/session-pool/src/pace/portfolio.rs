//! How many customers the numbers of a Meta portfolio write to within a day.

use std::{collections::HashMap, time::Duration};

use super::{Answer, Limit};

/// Into so many parts a day is cut.
const PARTS: u64 = 48;
const PART: Duration = Duration::from_secs(24 * 3600 / PARTS);
/// Most customers it knows when there is no limit to enforce, or a higher one: Meta's highest limit is 100,000.
const MOST: usize = 100_000;

/// The unique users of a moving 24 hours.
///
/// Approximations, all to the careful side but the last: a user counts until the end of the half hour in which the 24 hours since the last
/// message to them end (up to 24.5 h); users are told apart by a 64-bit hash of the caller's (two of 100,000 are the same with a chance of
/// 3 in 10^10); and each replica counts only what its own numbers send, so the caller gives it a share of the limit: the whole when it owns
/// all numbers of the portfolio, else in proportion. A restart begins with nothing: give what the ledger knows with `sent`. It holds at
/// most the limit, 16 bytes each.
#[derive(Clone, Debug)]
pub struct Portfolio {
    limit: Option<u32>,
    /// The part of time in which each was last written to.
    users: HashMap<u64, u64>,
    /// The first part of which users may be left.
    swept: u64,
}

impl Portfolio {
    /// Without a limit it counts nothing.
    pub fn new(limit: Option<u32>) -> Self {
        Self { limit, users: HashMap::new(), swept: 0 }
    }

    pub fn set_limit(&mut self, limit: Option<u32>) {
        self.limit = limit;
        if limit.is_none() {
            self.users = HashMap::new();
        }
    }

    pub fn ask(&mut self, user: u64, now: Duration) -> Answer {
        self.forget(now);
        let Some(limit) = self.limit else { return Answer::Now };
        let limit = (limit as usize).min(MOST);
        if self.users.contains_key(&user) || self.users.len() < limit {
            return Answer::Now;
        }
        // So many must go until there is room, the oldest first; with a limit of nobody, ask again tomorrow.
        let mut parts: Vec<u64> = self.users.values().copied().collect();
        let surplus = self.users.len() - limit;
        let part = if surplus < parts.len() { *parts.select_nth_unstable(surplus).1 } else { part(now) };
        Answer::NotBefore { at: end(part), because: Limit::Portfolio }
    }

    /// A user was written to.
    pub fn sent(&mut self, user: u64, now: Duration) {
        self.forget(now);
        let known = self.users.contains_key(&user);
        if self.limit.is_some() && (known || self.users.len() < MOST) {
            self.users.insert(user, part(now));
        }
    }

    /// Users of the last 24 hours.
    pub fn users(&mut self, now: Duration) -> usize {
        self.forget(now);
        self.users.len()
    }

    fn forget(&mut self, now: Duration) {
        let first = part(now).saturating_sub(PARTS);
        if first > self.swept {
            self.swept = first;
            self.users.retain(|_, part| *part >= first);
        }
    }
}

fn part(at: Duration) -> u64 {
    at.as_secs() / PART.as_secs()
}

/// When the users of a part are forgotten.
fn end(part: u64) -> Duration {
    PART * u32::try_from(part + PARTS + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn the_user_too_many_waits_until_one_is_forgotten_and_the_known_do_not() {
        let mut portfolio = Portfolio::new(Some(2));
        let now = Duration::from_secs(10_000);
        portfolio.sent(1, now);
        portfolio.sent(2, now + PART);
        let Answer::NotBefore { at, because: Limit::Portfolio } = portfolio.ask(3, now + PART * 2) else { panic!("it may not go") };
        assert!(at >= now + DAY && at <= now + DAY + PART, "{at:?}");
        assert_eq!(portfolio.ask(1, now + PART * 2), Answer::Now);
        assert!(portfolio.ask(3, at - Duration::from_secs(1)) != Answer::Now);
        assert_eq!((portfolio.ask(3, at), portfolio.users(at)), (Answer::Now, 1));
    }

    #[test]
    fn a_lower_limit_waits_for_as_many_as_are_too_many() {
        let mut portfolio = Portfolio::new(Some(4));
        for user in 0..4 {
            portfolio.sent(user, PART * u32::try_from(user).expect("small"));
        }
        portfolio.set_limit(Some(2));
        assert_eq!(portfolio.ask(9, PART * 4), Answer::NotBefore { at: end(2), because: Limit::Portfolio });
        portfolio.set_limit(Some(0));
        assert_eq!(portfolio.ask(9, PART * 4), Answer::NotBefore { at: end(4), because: Limit::Portfolio });
        portfolio.set_limit(None);
        assert_eq!((portfolio.ask(9, PART * 4), portfolio.users(PART * 4)), (Answer::Now, 0));
    }

    proptest! {
        #[test]
        fn no_day_has_more_users_than_it_may(limit in 1u32..6, tries in proptest::collection::vec((0u64..12, 0u64..20_000), 1..150)) {
            let mut portfolio = Portfolio::new(Some(limit));
            let mut now = Duration::ZERO;
            let mut sent: Vec<(Duration, u64)> = Vec::new();
            for (user, pause) in tries {
                now += Duration::from_secs(pause);
                match portfolio.ask(user, now) {
                    Answer::Now => {
                        portfolio.sent(user, now);
                        sent.push((now, user));
                    }
                    Answer::NotBefore { at, .. } => {
                        prop_assert!(at > now && at <= now + DAY + PART);
                        let mut later = portfolio.clone();
                        prop_assert_eq!(later.ask(user, at), Answer::Now);
                    }
                }
                let mut users: Vec<u64> = sent.iter().filter(|(at, _)| now - *at < DAY).map(|(_, user)| *user).collect();
                users.sort_unstable();
                users.dedup();
                prop_assert!(users.len() <= limit as usize);
                prop_assert!(portfolio.users.len() <= limit as usize);
            }
        }
    }
}
