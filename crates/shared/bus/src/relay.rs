//! Tells what an event table holds: the only publisher of its entity, in the order of the ledger.
//!
//! The relay keeps no state of its own. Where it stands is what the last message of the stream says, and every publication insists on
//! the sequence before it. So a stream that was wiped, restored or written by another replica refuses the next publication, and the relay
//! looks again and goes on from there.

use std::{sync::Arc, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        context::PublishErrorKind,
        message::PublishMessage,
        stream::{Config as StreamConfig, RawMessageErrorKind, StorageType},
    },
};
use barid_proto::events::v1::{Event, Position};
use chrono::{DateTime, Utc};
use prost::Message;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{BoxError, Bus, lag::Lag, subject};

/// Header with the ledger position: generation, transaction and sequence, separated by dots.
pub const POSITION_HEADER: &str = "Barid-Position";

/// An event table.
pub trait Outbox: Send + Sync + 'static {
    /// The entity its events are about; of several in one ledger, the one that names its stream.
    fn entity(&self) -> &'static str;
    /// The next events after a position, in the order of the ledger, none of which an open transaction could still precede.
    fn read(&self, after: Position, limit: u32) -> impl Future<Output = Result<Vec<Event>, BoxError>> + Send;
    /// The position just before the first event at or after a time.
    fn before(&self, since: DateTime<Utc>) -> impl Future<Output = Result<Position, BoxError>> + Send;
    /// When the first event after a position was written, also one that an open transaction holds back.
    fn oldest(&self, after: Position) -> impl Future<Output = Result<Option<DateTime<Utc>>, BoxError>> + Send;
}

/// How a relay works.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Events in one go, all in flight at once.
    pub batch: u32,
    /// How often an idle relay looks by itself.
    pub idle: Duration,
    /// How long the stream keeps events. What is older is not told again.
    pub retention: Duration,
    /// How long an event may wait to be told before the log warns of it.
    pub alarm: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self { batch: 500, idle: Duration::from_millis(250), retention: Duration::from_secs(7 * 24 * 3600), alarm: Duration::from_secs(10) }
    }
}

/// Publishes the events of one table.
pub struct Relay<O> {
    bus: Bus,
    outbox: O,
    wake: Arc<Notify>,
    clock: Arc<dyn barid_domain::Clock>,
    config: RelayConfig,
    lag: Lag,
}

/// Where the stream stands.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    position: Position,
    sequence: u64,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    /// Another replica publishes, or the stream is not the one we knew.
    #[error("the stream has moved on without us")]
    Overtaken,
    #[error(transparent)]
    Other(#[from] BoxError),
}

impl<O: Outbox> Relay<O> {
    /// How long a replica that was overtaken leaves the work to the other.
    const STAND_BACK: Duration = Duration::from_secs(1);
    /// Looks into the ledger are transactions, and at least so far apart while batches are not full.
    const GATHER: Duration = Duration::from_millis(20);
    /// How often an idle relay compares the stream with what it knows.
    const VERIFY: Duration = Duration::from_secs(2);

    /// `wake` is notified after commits, so that events are told at once.
    pub fn new(bus: Bus, outbox: O, wake: Arc<Notify>, clock: Arc<dyn barid_domain::Clock>, config: RelayConfig) -> Self {
        let lag = Lag::new(outbox.entity(), clock.clone());
        Self { bus, outbox, wake, clock, config, lag }
    }

    /// How far it is behind, for `/metrics`.
    pub fn lag(&self) -> Lag {
        self.lag.clone()
    }

    /// Tells events until `shutdown`, and watches how far it is behind.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::join!(self.tell(&shutdown), self.lag.watch(&self.outbox, self.config.alarm, &shutdown));
    }

    async fn tell(&self, shutdown: &CancellationToken) {
        let mut cursor = None;
        let mut pause = Duration::ZERO;
        let mut verified = tokio::time::Instant::now();
        let mut next = verified;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => {
                    pause = Self::GATHER;
                    tokio::time::sleep_until(next).await;
                }
                () = tokio::time::sleep(pause) => {}
            }
            next = tokio::time::Instant::now() + Self::GATHER;
            if verified.elapsed() > Self::VERIFY {
                verified = tokio::time::Instant::now();
                cursor = self.verify(cursor).await;
            }
            let advanced = self.advance(&mut cursor).await;
            if let Some(at) = cursor {
                self.lag.told(at.position);
            }
            pause = match advanced {
                Ok(told) if told == self.config.batch as usize => Duration::ZERO,
                Ok(told) if told > 0 => Self::GATHER,
                // Just after a commit the horizon may still lie before it: look again soon, then less often.
                Ok(_) => (pause * 2).clamp(Self::GATHER, self.config.idle),
                Err(Error::Overtaken) => {
                    cursor = None;
                    Self::STAND_BACK
                }
                Err(Error::Other(error)) => {
                    tracing::warn!(entity = self.outbox.entity(), %error, "events wait to be told");
                    cursor = None;
                    Duration::from_millis(500)
                }
            };
        }
    }

    /// Tells the next batch; returns how many.
    async fn advance(&self, cursor: &mut Option<Cursor>) -> Result<usize, Error> {
        let at = match *cursor {
            Some(at) => at,
            None => *cursor.insert(self.locate().await?),
        };
        let events = self.outbox.read(at.position, self.config.batch).await?;
        let js = jetstream::new(self.bus.client.clone());
        let mut acks = Vec::with_capacity(events.len());
        for (offset, event) in events.iter().enumerate() {
            let subject = subject::event(&event.tenant_id, &event.entity, &event.kind);
            acks.push(js.send_publish(subject, publication(event, at.sequence + offset as u64)).await.map_err(failed)?);
        }
        for (ack, event) in acks.into_iter().zip(&events) {
            let ack = ack.await.map_err(failed)?;
            *cursor = Some(Cursor { position: event.position.unwrap_or_default(), sequence: ack.sequence });
        }
        Ok(events.len())
    }

    /// Where the stream says that we are; makes the stream when it is missing.
    async fn locate(&self) -> Result<Cursor, Error> {
        let js = jetstream::new(self.bus.client.clone());
        let entity = self.outbox.entity();
        let config = StreamConfig {
            name: subject::stream(entity),
            subjects: subject::subjects_of_stream(entity),
            max_age: self.config.retention,
            storage: StorageType::File,
            num_replicas: self.bus.replicas,
            allow_direct: true,
            ..StreamConfig::default()
        };
        let stream = js.get_or_create_stream(config.clone()).await.map_err(|error| Error::Other(error.into()))?;
        if stream.cached_info().config.subjects != config.subjects {
            // Made before another entity came to this ledger.
            js.update_stream(&config).await.map_err(|error| Error::Other(error.into()))?;
        }
        let sequence = stream.get_info().await.map_err(|error| Error::Other(error.into()))?.state.last_sequence;
        let known = match stream.get_raw_message(sequence).await {
            Ok(message) => message.headers.get(POSITION_HEADER).and_then(|value| parse_position(value.as_str())),
            Err(error) if sequence == 0 || error.kind() == RawMessageErrorKind::NoMessageFound => None,
            Err(error) => return Err(Error::Other(error.into())),
        };
        let position = match known {
            Some(position) => position,
            None => self.outbox.before(self.clock.now() - self.config.retention).await?,
        };
        tracing::info!(entity, sequence, ?position, "relay found its place");
        Ok(Cursor { position, sequence })
    }

    /// Forgets the cursor when the stream is not where we left it.
    async fn verify(&self, cursor: Option<Cursor>) -> Option<Cursor> {
        let at = cursor?;
        let js = jetstream::new(self.bus.client.clone());
        let stream = js.get_stream_no_info(subject::stream(self.outbox.entity())).await.ok()?;
        let state = stream.get_info().await.ok()?.state;
        (state.last_sequence == at.sequence).then_some(at)
    }
}

fn failed(error: async_nats::error::Error<PublishErrorKind>) -> Error {
    // A stream of several replicas refuses in other words than one that stands alone.
    let refused = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<jetstream::Error>())
        .is_some_and(|error| error.error_code() == jetstream::ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT);
    if refused || error.kind() == PublishErrorKind::WrongLastSequence { Error::Overtaken } else { Error::Other(error.into()) }
}

/// The event as a message that insists on the sequence before it.
fn publication(event: &Event, expected: u64) -> PublishMessage {
    let mut headers = HeaderMap::new();
    headers.insert(POSITION_HEADER, position_text(&event.position.unwrap_or_default()));
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", event.id.as_str());
    headers.insert("ce-source", format!("barid/{}", event.entity));
    headers.insert("ce-type", format!("dev.barid.{}.{}", event.entity, event.kind));
    headers.insert("ce-subject", event.entity_id.as_str());
    if let Some(time) = event.time.as_ref().and_then(barid_proto::time) {
        headers.insert("ce-time", time.to_rfc3339());
    }
    headers.insert("content-type", "application/protobuf");
    PublishMessage::build().payload(event.encode_to_vec().into()).headers(headers).expected_last_sequence(expected)
}

pub(crate) fn position_text(position: &Position) -> String {
    format!("{}.{}.{}", position.generation, position.transaction, position.sequence)
}

pub(crate) fn parse_position(text: &str) -> Option<Position> {
    let mut parts = text.split('.');
    let position = Position {
        generation: parts.next()?.parse().ok()?,
        transaction: parts.next()?.parse().ok()?,
        sequence: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(position)
}
