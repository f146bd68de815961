//! Tells a replica that cannot log sessions in from one that can: the others hand nothing over to it, and get what waits there in vain.

use std::{collections::HashSet, time::Duration};

use barid_domain::SessionId;

/// So many sessions that failed one after the other are no chance, when none is connected.
const STREAK: usize = 3;
/// How long after its last failure a replica takes no sessions. Then it tries with what others hand over.
const REST: Duration = Duration::from_secs(120);
/// How long it keeps the sessions that it cannot connect: an outage of WhatsApp's is shorter on most days, and others see it, too.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a replica's logins say of the replica.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    failed: HashSet<SessionId>,
    /// Since when it cannot log in.
    since: Option<Duration>,
    until: Duration,
}

impl Reach {
    /// A login failed, or a connection was lost, without a reason of the session's own: `everywhere` when it is known to be no session's
    /// trouble, `connected` when other connections stand.
    pub fn failed(&mut self, session: SessionId, everywhere: bool, connected: bool, now: Duration) {
        if connected && !everywhere {
            return self.failed.clear();
        }
        if self.failed.len() < STREAK {
            self.failed.insert(session);
        }
        if everywhere || self.failed.len() >= STREAK {
            self.since.get_or_insert(now);
            self.until = now + REST;
        }
    }

    /// A login succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Whether it is worth while to hand sessions over to this replica.
    pub fn takes(&self, now: Duration) -> bool {
        now >= self.until
    }

    /// Whether others shall have what is not connected here, if they can connect it.
    pub fn gives_up(&self, now: Duration) -> bool {
        !self.takes(now) && self.since.is_some_and(|since| now.saturating_sub(since) >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn session(number: u128) -> SessionId {
        SessionId::from_uuid(Uuid::from_u128(number))
    }

    const NOW: Duration = Duration::from_secs(1000);

    #[test]
    fn several_sessions_in_a_row_say_something_of_the_replica_and_one_that_fails_again_and_again_does_not() {
        let mut reach = Reach::default();
        (0..9).for_each(|_| reach.failed(session(1), false, false, NOW));
        reach.failed(session(2), false, false, NOW);
        assert!(reach.takes(NOW));
        reach.failed(session(3), false, true, NOW);
        reach.failed(session(4), false, false, NOW);
        assert!(reach.takes(NOW), "others are connected");
        (5..7).for_each(|number| reach.failed(session(number), false, false, NOW));
        assert!(!reach.takes(NOW));
        reach.succeeded();
        assert!(reach.takes(NOW));
        reach.failed(session(1), true, true, NOW);
        assert!(!reach.takes(NOW), "an outage is none of the session's");
    }

    #[test]
    fn it_keeps_its_sessions_for_a_while_and_tries_again_later() {
        let mut reach = Reach::default();
        reach.failed(session(1), true, false, NOW);
        let told = [0, 14, 15, 119, 120].map(|after| NOW + Duration::from_secs(after)).map(|at| (reach.takes(at), reach.gives_up(at)));
        assert_eq!(told, [(false, false), (false, false), (false, true), (false, true), (true, false)]);
        let later = NOW + Duration::from_secs(130);
        reach.failed(session(1), true, false, later);
        assert!(reach.gives_up(later), "it has shown that it is not a matter of waiting");
    }
}
