//! Hands events to those who count them: in order, and each once, because a consumer keeps its place in its own transaction.

use std::{collections::VecDeque, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, pull},
};
use barid_proto::events::v1::{Event, Position};
use futures::StreamExt;
use prost::Message;
use tokio_util::sync::CancellationToken;

use crate::{BoxError, Bus, subject};

/// How far a consumer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last event counted.
    pub position: Position,
    /// When the stream was created, in nanoseconds since 1970: another value is another stream.
    pub stream_created: i64,
    /// Sequence of that event in the stream.
    pub stream_sequence: u64,
}

/// What came of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Committed with the new checkpoint.
    Done,
    /// Another replica has moved the checkpoint; nothing was written.
    Overtaken,
}

/// One who counts events.
pub trait Consumer: Send + Sync + 'static {
    /// The entity whose events it reads.
    fn entity(&self) -> &'static str;
    /// How long the first event of a batch waits for others: each batch is a transaction.
    fn gather(&self) -> Duration {
        Duration::ZERO
    }
    /// Whether it counts an event of its entity's stream. The stream may hold other entities of the same ledger, which are passed over.
    fn wants(&self, event: &Event) -> bool {
        event.entity == self.entity()
    }
    /// Where it stands; `None` to begin with what happens from now on.
    fn checkpoint(&self) -> impl Future<Output = Result<Option<Checkpoint>, BoxError>> + Send;
    /// Writes events and the new checkpoint in one transaction, if the checkpoint still is `from`.
    fn apply(&self, events: Vec<Event>, from: Checkpoint, to: Checkpoint) -> impl Future<Output = Result<Applied, BoxError>> + Send;
}

/// Most events in one batch.
const BATCH: usize = 1000;

/// Feeds a consumer until `shutdown`, through every failure of broker and store.
pub async fn consume<C: Consumer>(bus: Bus, consumer: C, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let pause = match run(&bus, &consumer, &shutdown).await {
            Ok(Ended::Shutdown) => return,
            Ok(Ended::Overtaken) => Duration::from_secs(2),
            Ok(Ended::Again) => Duration::from_millis(50),
            Err(error) => {
                tracing::warn!(entity = consumer.entity(), %error, "events wait to be counted");
                Duration::from_millis(500)
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

enum Ended {
    Shutdown,
    Overtaken,
    Again,
}

async fn run<C: Consumer>(bus: &Bus, consumer: &C, shutdown: &CancellationToken) -> Result<Ended, BoxError> {
    let js = jetstream::new(bus.client.clone());
    let stream = js.get_stream(subject::stream(consumer.entity())).await?;
    let info = stream.cached_info();
    let created = i64::try_from(info.created.unix_timestamp_nanos())?;
    let last = info.state.last_sequence;
    let mut at = match consumer.checkpoint().await? {
        Some(at) => at,
        None => Checkpoint { position: Position::default(), stream_created: created, stream_sequence: last },
    };
    // Another stream, or one that lost its tail: its sequences mean nothing to us, its positions do.
    let start = if at.stream_created == created && at.stream_sequence <= last { at.stream_sequence + 1 } else { 1 };
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: start },
        ack_policy: AckPolicy::None,
        inactive_threshold: Duration::from_secs(30),
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let pulled = stream.create_consumer(config).await?;
    let mut messages =
        pulled.stream().max_messages_per_batch(BATCH).expires(Duration::from_secs(30)).heartbeat(Duration::from_secs(2)).messages().await?;
    let mut next = start;
    loop {
        let first = tokio::select! {
            message = messages.next() => message,
            () = shutdown.cancelled() => return Ok(Ended::Shutdown),
        };
        let mut waiting = VecDeque::from_iter([first]);
        let until = tokio::time::Instant::now() + consumer.gather();
        while waiting.len() < BATCH
            && let Ok(more) = tokio::time::timeout_at(until, messages.next()).await
        {
            let ended = !matches!(more, Some(Ok(_)));
            waiting.push_back(more);
            if ended {
                break;
            }
        }
        let mut events = Vec::with_capacity(waiting.len());
        let mut to = at;
        to.stream_created = created;
        let mut again = false;
        for message in waiting {
            let Some(Ok(message)) = message else {
                again = true;
                break;
            };
            let sequence = message.info().map_err(|error| error.to_string())?.stream_sequence;
            // Expired messages may be missing at the start only; a gap later means that the connection lost some.
            if sequence != next && next != start {
                again = true;
                break;
            }
            next = sequence + 1;
            to.stream_sequence = sequence;
            match Event::decode(message.payload.clone()) {
                Ok(event) if after(event.position.unwrap_or_default(), to.position) => {
                    to.position = event.position.unwrap_or_default();
                    if consumer.wants(&event) {
                        events.push(event);
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::error!(sequence, %error, "an event does not decode; it is passed over"),
            }
        }
        if to != at {
            match consumer.apply(events, at, to).await? {
                Applied::Done => at = to,
                Applied::Overtaken => return Ok(Ended::Overtaken),
            }
        }
        if again {
            return Ok(Ended::Again);
        }
    }
}

/// Whether `a` comes after `b` in the ledger.
pub(crate) fn after(a: Position, b: Position) -> bool {
    (a.generation, a.transaction, a.sequence) > (b.generation, b.transaction, b.sequence)
}
