//! Restarts of the server as clients see them: all connections are cut, and for a while nobody gets in.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
pub(crate) struct Uptime(Mutex<State>);

#[derive(Default)]
struct State {
    cut: CancellationToken,
    down_until: Option<Instant>,
}

impl Uptime {
    /// Cuts all connections, and refuses new ones for `down`.
    pub(crate) fn restart(&self, down: Duration) {
        let mut state = self.0.lock();
        state.down_until = Some(Instant::now() + down);
        std::mem::take(&mut state.cut).cancel();
    }

    pub(super) fn is_down(&self) -> bool {
        self.0.lock().down_until.is_some_and(|until| Instant::now() < until)
    }

    /// Ends with the next restart.
    pub(super) fn cut(&self) -> CancellationToken {
        self.0.lock().cut.clone()
    }
}
