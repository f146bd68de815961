//! How a linking ended, told to whoever started it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::pairing::Linked;

pub(crate) type Ended = Result<Linked, String>;
/// Comes when the device was linked, or was not; closed when it hung up.
pub(crate) type Outcome = oneshot::Receiver<Ended>;

/// Tells once, whoever of its holders is first.
#[derive(Clone)]
pub(super) struct Sender(Arc<Mutex<State>>);

struct State {
    told: Option<oneshot::Sender<Ended>>,
    /// The code that a person compares, with a passkey.
    code: Option<String>,
}

pub(super) fn channel() -> (Sender, Outcome) {
    let (told, outcome) = oneshot::channel();
    (Sender(Arc::new(Mutex::new(State { told: Some(told), code: None }))), outcome)
}

impl Sender {
    /// Notes the code that device and phone show.
    pub(super) fn compare(&self, code: Option<String>) {
        self.0.lock().code = code;
    }

    pub(super) fn tell(&self, ended: Ended) {
        let mut state = self.0.lock();
        let code = state.code.clone();
        if let Some(told) = state.told.take() {
            // Nobody may wait any more for the outcome; the device is linked or not all the same.
            let _ = told.send(ended.map(|linked| Linked { verification_code: code, ..linked }));
        }
    }
}
