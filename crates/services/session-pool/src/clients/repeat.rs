//! One way to call again until an answer comes.

use std::time::Duration;

use tonic::{Code, Status};

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Calls until it succeeds, after longer and longer pauses; an error is one that no repetition would mend. `what` and `count` are what waits
/// to be told.
pub(crate) async fn until_taken<T, F>(what: &'static str, count: usize, mut call: impl FnMut() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut pause = SHORTEST;
    loop {
        match call().await {
            Err(status) if may_pass(&status) => tracing::warn!(waiting = count, %status, "{what} wait to be told"),
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Whether asking again may help.
pub(crate) fn may_pass(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::InvalidArgument | Code::NotFound | Code::PermissionDenied | Code::Unimplemented | Code::ResourceExhausted
    )
}
