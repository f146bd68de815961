//! The time of the services: the machine's, and in a build for tests one that can be made to jump.

use std::sync::Arc;

use barid_domain::{Clock, SteadyClock};

#[cfg(not(feature = "trust-simulator"))]
pub(crate) fn clock() -> std::io::Result<Arc<dyn Clock>> {
    use barid_domain::SystemClock;

    Ok(Arc::new(SteadyClock::new(SystemClock)))
}

/// A clock that jumps ahead by an hour at SIGUSR1, and back at SIGUSR2.
#[cfg(feature = "trust-simulator")]
pub(crate) fn clock() -> std::io::Result<Arc<dyn Clock>> {
    use tokio::signal::unix::{SignalKind, signal};

    let jumps = Arc::new(jumping::Hours::default());
    let (mut ahead, mut back) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
    let clock = SteadyClock::new(jumping::JumpingClock(Arc::clone(&jumps)));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = ahead.recv() => jumps.jump(1),
                Some(()) = back.recv() => jumps.jump(-1),
                else => return,
            }
        }
    });
    Ok(Arc::new(clock))
}

#[cfg(feature = "trust-simulator")]
mod jumping {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use barid_domain::{Clock, SystemClock};
    use chrono::{DateTime, TimeDelta, Utc};

    /// How far the clock is ahead.
    #[derive(Default)]
    pub(super) struct Hours(AtomicI64);

    impl Hours {
        pub(super) fn jump(&self, hours: i64) {
            let now = self.0.fetch_add(hours, Ordering::SeqCst) + hours;
            tracing::warn!(hours = now, "the clock jumped");
        }
    }

    pub(super) struct JumpingClock(pub(super) Arc<Hours>);

    impl Clock for JumpingClock {
        fn now(&self) -> DateTime<Utc> {
            SystemClock.now() + TimeDelta::hours(self.0.0.load(Ordering::SeqCst))
        }
    }
}
