use std::time::Duration;

use super::Breaker;

/// A connection that stood so long is a good one, however it ended.
const STEADY: Duration = Duration::from_secs(60);

/// A session's connections that were lost soon after they were made, again and again: logging in succeeds, and costs more than a request, and
/// is noticed.
#[derive(Clone, Copy, Debug)]
pub struct Losses(Breaker);

impl Default for Losses {
    fn default() -> Self {
        Self(Breaker::new(Duration::from_secs(5), Duration::from_secs(600)))
    }
}

impl Losses {
    /// A connection that stood so long was lost, and nobody wished it.
    pub fn lost(&mut self, stood: Duration, now: Duration) {
        if stood >= STEADY {
            self.0.succeeded();
        }
        self.0.failed(now);
    }

    /// Whatever was lost was not the session's fault.
    pub fn forgive(&mut self) {
        self.0.succeeded();
    }

    /// How long until it may connect again.
    pub fn wait(&self, now: Duration) -> Duration {
        self.0.wait(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_lost_again_and_again_rests_until_one_stood_for_a_while() {
        let seconds = Duration::from_secs;
        let (mut losses, mut now) = (Losses::default(), seconds(50));
        let mut rests = |losses: &mut Losses, stood| {
            losses.lost(seconds(stood), now);
            let rest = losses.wait(now);
            now += rest;
            rest.as_secs()
        };
        assert_eq!([1, 59, 1, 1, 1].map(|stood| rests(&mut losses, stood)), [0, 0, 5, 10, 20]);
        assert_eq!([60, 1, 1].map(|stood| rests(&mut losses, stood)), [0, 0, 5]);
        losses.forgive();
        assert_eq!(rests(&mut losses, 1), 0);
        assert_eq!((0..12).map(|_| rests(&mut losses, 1)).max(), Some(600));
    }
}
