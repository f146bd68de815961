use anyhow::{Result, anyhow};
use std::future::Future;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Tries `attempt` until it succeeds, and after `deadline` fails with the last reason it gave.
///
/// Time is the machine's, also under a paused tokio clock: what is waited for happens in other processes.
#[track_caller]
pub fn eventually<T, A, F>(deadline: Duration, mut attempt: A) -> impl Future<Output = Result<T>>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T>>,
{
    let caller = Location::caller();
    async move {
        let start = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let reason = match tokio::time::timeout(deadline.saturating_sub(start.elapsed()), attempt()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(reason)) => reason,
                Err(_) => anyhow!("the attempt did not end"),
            };
            if start.elapsed() >= deadline {
                return Err(reason.context(format!("not true within {deadline:?} at {}:{}", caller.file(), caller.line())));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_millis(200));
        }
    }
}
