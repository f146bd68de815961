//! Streams made of a unary method that is repeated: each time with the revision that is known, until an answer is the last one.

use std::{net::IpAddr, time::Duration};

use barid_proto::{
    access::{Method, Polled, Principal},
    wire,
};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::HeaderMap;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::{access::authorise, calls::Calls, state::State, tether::Tether, waiting::Place};

/// How long the first answer may keep the caller from hearing that the stream is open. An error until then is that of the whole call.
const PROMPT: Duration = Duration::from_secs(1);
/// How long trouble behind the gateway is borne before the caller hears of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses between attempts that failed: the first one, doubled up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Shortest time between two calls of which the first had nothing new: a method that does not wait must not be asked in a loop.
const FLOOR: Duration = Duration::from_secs(1);

/// One message of a stream.
pub(crate) struct News {
    pub revision: u64,
    /// The answer as it was encoded.
    pub message: Bytes,
}

/// Follows what a polled method tells. Ends after the last answer, or with an error: the method's own, when the right to call it is lost, or
/// when the gateway stops. `None` when there is nothing new and never will be.
pub(crate) async fn follow(
    state: &State,
    method: &Method,
    polled: &Polled,
    headers: HeaderMap,
    from: IpAddr,
    request: Bytes,
) -> Result<Option<BoxStream<'static, Result<News, Status>>>, Status> {
    let calls = &state.calls;
    let tether = Tether::new(state, method, headers.clone(), request.clone());
    let holder = calls.authenticate(&headers, from).await?;
    let principal = authorise(&calls.directory, method, &holder, &request).await?;
    let place = calls.waiting.enter(&holder.key_id)?;
    let poller = Poller::new(calls, polled, headers, principal, request, place)?;
    let mut news = stream::unfold(Some((poller, tether)), |open| async {
        let (mut poller, mut tether) = open?;
        let next = tokio::select! {
            status = tether.broken() => Err(status),
            news = poller.news() => news.transpose()?,
        };
        let open = next.is_ok().then_some((poller, tether));
        Some((next, open))
    })
    .boxed();
    match tokio::time::timeout(PROMPT, news.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Err(status))) => Err(status),
        Ok(Some(first)) => Ok(Some(stream::iter([first]).chain(news).boxed())),
        Err(_) => Ok(Some(news)),
    }
}

struct Poller {
    calls: Calls,
    via: Method,
    polled: Polled,
    headers: HeaderMap,
    principal: Principal,
    request: Bytes,
    /// The revision that the caller knows; nothing at first, unless the request names it.
    known: Option<u64>,
    begun: Instant,
    answered: bool,
    done: bool,
    /// When trouble began that has not ended since.
    trouble: Option<Instant>,
    _place: Place,
}

impl Poller {
    fn new(
        calls: &Calls,
        polled: &Polled,
        mut headers: HeaderMap,
        principal: Principal,
        request: Bytes,
        place: Place,
    ) -> Result<Self, Status> {
        let via = calls.methods.get(&polled.via).ok_or_else(|| Status::internal("the polling names a method that is not there"))?.clone();
        // The caller's deadline is the stream's.
        headers.remove("grpc-timeout");
        let after = wire::varint(&request, polled.after).map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Self {
            calls: calls.clone(),
            via,
            polled: polled.clone(),
            headers,
            principal,
            request,
            known: (after != 0).then_some(after),
            begun: Instant::now(),
            answered: false,
            done: false,
            trouble: None,
            _place: place,
        })
    }

    /// Waits for an answer that the caller does not know; nothing after the last one.
    async fn news(&mut self) -> Result<Option<News>, Status> {
        let mut pause = PAUSES.0;
        while !self.done {
            let asked = Instant::now();
            match self.ask().await {
                Ok(news) => {
                    (self.answered, self.trouble, pause) = (true, None, PAUSES.0);
                    if self.known.replace(news.revision) != Some(news.revision) {
                        return Ok(Some(news));
                    }
                    if !self.done {
                        tokio::time::sleep_until(asked + FLOOR).await;
                    }
                }
                Err(status) if self.bears(&status) => {
                    tracing::debug!(method = self.via.path, %status, "asking again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Err(status) => return Err(status),
            }
        }
        Ok(None)
    }

    async fn ask(&mut self) -> Result<News, Status> {
        let mut request = self.request.to_vec();
        if let Some(known) = self.known {
            wire::put_varint(self.polled.after, known, &mut request);
        }
        let message = self.calls.wait(&self.via, &self.headers, &self.principal, request.into()).await?;
        let number = |field| wire::varint(&message, field).map_err(|error| Status::internal(error.to_string()));
        self.done = number(self.polled.done)? != 0;
        Ok(News { revision: number(self.polled.revision)?, message })
    }

    /// Whether an error is one that passes: the replica that was asked is gone, and another takes over.
    fn bears(&mut self, status: &Status) -> bool {
        let passes = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
        let open = self.answered || self.begun.elapsed() >= PROMPT;
        passes && open && self.trouble.get_or_insert_with(Instant::now).elapsed() < PATIENCE
    }
}
