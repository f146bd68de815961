//! `barid events`.

use std::{
    io::Write,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use barid_bus::{Applied, BoxError, Bus, Checkpoint, Consumer, Service};
use barid_proto::events::v1::Event;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tokio_util::sync::CancellationToken;

use crate::{bus, cli::Events};

pub(crate) async fn run(command: Events, file: Option<&Path>) -> Result<()> {
    let Events::Tail { tenant, entity, from_start, count } = command;
    let bus = Bus::connect(&bus::settings(Service::Operator, file)?, Service::Operator).await?;
    let descriptor = barid_proto::descriptor_pool().get_message_by_name("barid.events.v1.Event");
    let done = CancellationToken::new();
    let tail = Tail {
        entity: entity.name(),
        tenant: tenant.map(|id| id.to_string()),
        descriptor: descriptor.ok_or_else(|| anyhow::anyhow!("the protos have no event"))?,
        at: Mutex::new(from_start.then(Checkpoint::default)),
        left: AtomicUsize::new(count.unwrap_or(usize::MAX)),
        done: done.clone(),
    };
    tokio::select! {
        () = barid_bus::consume(bus, tail, done) => Ok(()),
        signal = barid_runtime::shutdown_signal() => Ok(signal?),
    }
}

/// Prints events; its place is in memory.
struct Tail {
    entity: &'static str,
    tenant: Option<String>,
    descriptor: MessageDescriptor,
    at: Mutex<Option<Checkpoint>>,
    left: AtomicUsize,
    done: CancellationToken,
}

impl Consumer for Tail {
    fn entity(&self) -> &'static str {
        self.entity
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
        Ok(*self.at.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn apply(&self, events: Vec<Event>, _: Checkpoint, to: Checkpoint) -> Result<Applied, BoxError> {
        for event in events.iter().filter(|event| self.tenant.as_ref().is_none_or(|tenant| *tenant == event.tenant_id)) {
            if self.left.load(Ordering::SeqCst) == 0 {
                break;
            }
            let json = DynamicMessage::decode(self.descriptor.clone(), event.encode_to_vec().as_slice())?;
            // A reader that has gone away, such as `head`, ends the command.
            if writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(&json)?).is_err()
                || self.left.fetch_sub(1, Ordering::SeqCst) == 1
            {
                self.done.cancel();
                break;
            }
        }
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(to);
        Ok(Applied::Done)
    }
}
