//! Whether a replica may speak for its sessions, and which sessions it should look after. Pure.
//!
//! A replica that has not reached the database for two thirds of the time to live falls silent by itself; others take its sessions over
//! only after the full time. So there is never a moment at which two send for one session.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use barid_domain::SessionId;
use uuid::Uuid;

/// Time since the machine was started.
pub(crate) trait Uptime: Send + Sync + 'static {
    fn now(&self) -> Duration;
}

/// The machine's uptime with the time it was suspended, which `std::time::Instant` leaves out on Linux: a virtual machine that was
/// frozen for a minute must know that its sessions are another's now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boottime;

impl Uptime for Boottime {
    fn now(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
    }
}

/// The right of a replica to speak for its sessions, renewed by every heartbeat. Clones share it.
#[derive(Clone)]
pub(crate) struct Lease {
    uptime: Arc<dyn Uptime>,
    /// How long it lasts after a heartbeat.
    lasts: Duration,
    /// Uptime of the last heartbeat in nanoseconds; 0 before the first and after the end.
    last: Arc<AtomicU64>,
    /// Counts the times that it was held without a break.
    term: Arc<AtomicU64>,
}

impl Lease {
    /// `ttl` is what takers wait.
    pub(crate) fn new(uptime: Arc<dyn Uptime>, ttl: Duration) -> Self {
        Self { uptime, lasts: ttl * 2 / 3, last: Arc::default(), term: Arc::default() }
    }

    pub(crate) fn now(&self) -> Duration {
        self.uptime.now()
    }

    /// A heartbeat that was begun at `begun` has reached the database: from its beginning on it counts.
    pub(crate) fn renew(&self, begun: Duration) {
        if !self.holds() {
            self.term.fetch_add(1, Ordering::SeqCst);
        }
        self.last.fetch_max(u64::try_from(begun.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// The replica gives up.
    pub(crate) fn end(&self) {
        self.last.store(0, Ordering::SeqCst);
    }

    /// Whether the replica may claim and send.
    pub(crate) fn holds(&self) -> bool {
        match self.last.load(Ordering::SeqCst) {
            0 => false,
            last => self.now().saturating_sub(Duration::from_nanos(last)) < self.lasts,
        }
    }

    /// The number of the time since which it is held without a break; `None` while it is not. What was known to be ours in another term may
    /// have been taken over since.
    pub(crate) fn term(&self) -> Option<u64> {
        let term = self.term.load(Ordering::SeqCst);
        self.holds().then_some(term).filter(|term| *term == self.term.load(Ordering::SeqCst))
    }

    /// Whether what was claimed at `claimed` may still be sent: the lease holds, and held ever since.
    pub(crate) fn covers(&self, claimed: Duration) -> bool {
        self.holds() && self.now().saturating_sub(claimed) < self.lasts
    }
}

/// Whether, of the replicas alive, this one comes first for a session. Every replica answers alike, and when one goes only its
/// sessions move.
pub(crate) fn is_preferred(session: SessionId, replica: Uuid, alive: &[Uuid]) -> bool {
    let weight = |replica: &Uuid| {
        let mut hasher = DefaultHasher::new();
        (session.uuid(), replica).hash(&mut hasher);
        (hasher.finish(), *replica)
    };
    alive.iter().all(|other| weight(other) <= weight(&replica))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Manual(AtomicU64);

    impl Uptime for Manual {
        fn now(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    fn lease() -> (Arc<Manual>, Lease) {
        let uptime = Arc::new(Manual(AtomicU64::new(10_000)));
        (uptime.clone(), Lease::new(uptime, Duration::from_secs(6)))
    }

    #[test]
    fn a_lease_lasts_two_thirds_from_the_beginning_of_the_heartbeat() {
        let (uptime, lease) = lease();
        assert!(!lease.holds(), "before the first heartbeat");
        let begun = lease.now();
        uptime.0.store(12_000, Ordering::SeqCst);
        lease.renew(begun);
        assert!(lease.holds());
        uptime.0.store(13_999, Ordering::SeqCst);
        assert!(lease.holds());
        uptime.0.store(14_000, Ordering::SeqCst);
        assert!(!lease.holds(), "four seconds after the heartbeat was begun");
        assert_eq!(lease.term(), None);
        lease.renew(lease.now());
        assert_eq!(lease.term(), Some(2));
        assert!(lease.holds());
        lease.end();
        assert!(!lease.holds());
    }

    #[test]
    fn an_older_heartbeat_that_answers_late_does_not_set_it_back() {
        let (uptime, lease) = lease();
        lease.renew(Duration::from_secs(10));
        lease.renew(Duration::from_secs(7));
        uptime.0.store(13_900, Ordering::SeqCst);
        assert!(lease.holds());
    }

    #[test]
    fn what_was_claimed_before_a_gap_is_not_sent_after_it() {
        let (uptime, lease) = lease();
        lease.renew(lease.now());
        let claimed = lease.now();
        assert!(lease.covers(claimed));
        uptime.0.store(60_000, Ordering::SeqCst);
        assert!(!lease.covers(claimed), "silent");
        lease.renew(lease.now());
        assert!(lease.holds() && !lease.covers(claimed), "heard of again, but somebody else may have come in between");
    }

    #[test]
    fn replicas_agree_on_who_comes_first_and_only_the_sessions_of_one_that_goes_move() {
        let replicas: Vec<Uuid> = (1..=5).map(Uuid::from_u128).collect();
        let preferred = |session: u128, alive: &[Uuid]| {
            let session = SessionId::from_uuid(Uuid::from_u128(session));
            let first: Vec<Uuid> = alive.iter().copied().filter(|replica| is_preferred(session, *replica, alive)).collect();
            assert_eq!(first.len(), 1);
            first[0]
        };
        let mut counts = [0; 5];
        for session in 0..1000 {
            let owner = preferred(session, &replicas);
            counts[replicas.iter().position(|replica| *replica == owner).expect("one of them")] += 1;
            let left = preferred(session, &replicas[..4]);
            assert!(owner == replicas[4] || owner == left);
        }
        assert!(counts.iter().all(|count| (120..=280).contains(count)), "{counts:?}");
    }
}
