//! From a ledger through the stream to those who count: in order, by one teller, and each event once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use async_nats::jetstream;
use barid_bus::{Applied, BoxError, Bus, Checkpoint, Consumer, Outbox, POSITION_HEADER, Relay, RelayConfig, Service, consume, subject};
use barid_domain::{Clock, ManualClock, SystemClock};
use barid_proto::{
    events::v1::{Event, Position},
    time, timestamp,
};
use barid_testkit::eventually;
use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::house::House;

/// Enough for a broker to come back, be found again and have everything told.
const PATIENCE: Duration = Duration::from_secs(40);

fn key(position: Position) -> (u32, u64, u64) {
    (position.generation, position.transaction, position.sequence)
}

/// An event table in memory.
#[derive(Clone, Default)]
struct Ledger {
    events: Arc<Mutex<Vec<Event>>>,
    wake: Arc<Notify>,
}

impl Ledger {
    fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits as many events, seven to a transaction.
    fn write(&self, count: usize, at: DateTime<Utc>) {
        let mut events = self.events();
        for number in events.len()..events.len() + count {
            let number = number as u64;
            events.push(Event {
                id: format!("evt_{number}"),
                tenant_id: format!("ten_{}", number % 5),
                entity: "message".into(),
                entity_id: format!("msg_{number}"),
                kind: "sent".into(),
                time: Some(timestamp(at)),
                position: Some(Position { generation: 1, transaction: 10 + number / 7, sequence: number + 1 }),
                payload: None,
            });
        }
        drop(events);
        self.wake.notify_one();
    }

    fn ids(&self) -> Vec<String> {
        self.events().iter().map(|event| event.id.clone()).collect()
    }
}

impl Outbox for Ledger {
    fn entity(&self) -> &'static str {
        "message"
    }

    async fn read(&self, after: Position, limit: u32) -> Result<Vec<Event>, BoxError> {
        let events = self.events();
        let later = events.iter().filter(|event| key(event.position.unwrap_or_default()) > key(after));
        Ok(later.take(limit as usize).cloned().collect())
    }

    async fn oldest(&self, after: Position) -> Result<Option<DateTime<Utc>>, BoxError> {
        let next = self.read(after, 1).await?.pop();
        Ok(next.and_then(|event| time(event.time.as_ref()?)))
    }

    async fn before(&self, since: DateTime<Utc>) -> Result<Position, BoxError> {
        let events = self.events();
        let old = |event: &&Event| event.time.as_ref().and_then(time).is_some_and(|at| at < since);
        Ok(events.iter().take_while(old).last().and_then(|event| event.position).unwrap_or_default())
    }
}

/// A service's database in memory: what was counted, and how far.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    at: Checkpoint,
    times: HashMap<String, u32>,
    order: Vec<String>,
}

impl Counts {
    fn order(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).order.clone()
    }

    fn twice(&self) -> Vec<String> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.times.iter().filter(|(_, times)| **times != 1).map(|(id, _)| id.clone()).collect()
    }
}

impl Consumer for Counts {
    fn entity(&self) -> &'static str {
        "message"
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
        Ok(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).at))
    }

    async fn apply(&self, events: Vec<Event>, from: Checkpoint, to: Checkpoint) -> Result<Applied, BoxError> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.at.position != from.position {
            return Ok(Applied::Overtaken);
        }
        counted.at = to;
        for event in events {
            *counted.times.entry(event.id.clone()).or_default() += 1;
            counted.order.push(event.id);
        }
        Ok(Applied::Done)
    }
}

/// Something that runs until it is stopped.
struct Running(CancellationToken, JoinHandle<()>);

impl Running {
    async fn stop(self) {
        self.0.cancel();
        self.1.await.expect("ends well");
    }
}

fn relay(bus: Bus, ledger: &Ledger) -> Running {
    relay_at(bus, ledger, Arc::new(SystemClock))
}

fn relay_at(bus: Bus, ledger: &Ledger, clock: Arc<dyn Clock>) -> Running {
    let shutdown = CancellationToken::new();
    let relay = Relay::new(bus, ledger.clone(), ledger.wake.clone(), clock, RelayConfig::default());
    Running(shutdown.clone(), tokio::spawn(relay.run(shutdown)))
}

fn consumer(bus: Bus, counts: &Counts) -> Running {
    let shutdown = CancellationToken::new();
    Running(shutdown.clone(), tokio::spawn(consume(bus, counts.clone(), shutdown)))
}

/// What the stream holds, in its order.
async fn told(house: &House) -> Result<Vec<Event>> {
    let (vandal, _) = house.user("vandal").await?;
    let stream = jetstream::new(vandal).get_stream(subject::stream("message")).await?;
    let state = &stream.cached_info().state;
    let mut told = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await?;
        let event = Event::decode(message.payload.clone())?;
        let position = event.position.unwrap_or_default();
        let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
        let expected = format!("{}.{}.{}", position.generation, position.transaction, position.sequence);
        ensure!(header(POSITION_HEADER) == Some(expected), "position of {}", event.id);
        ensure!(header("ce-id").as_ref() == Some(&event.id) && header("ce-type").as_deref() == Some("dev.barid.message.sent"));
        ensure!(message.subject.as_str() == format!("events.{}.message.sent", event.tenant_id), "subject {}", message.subject);
        told.push(event);
    }
    Ok(told)
}

async fn all_told(house: &House, expected: Vec<String>) -> Result<()> {
    eventually(PATIENCE, || async {
        let ids: Vec<String> = told(house).await?.into_iter().map(|event| event.id).collect();
        ensure!(ids == expected, "{} told of {}", ids.len(), expected.len());
        Ok(())
    })
    .await
}

async fn all_counted(counts: &Counts, ledger: &Ledger) -> Result<()> {
    eventually(PATIENCE, || async {
        let (counted, written) = (counts.order(), ledger.ids());
        ensure!(counted.len() >= written.len(), "{} counted of {}", counted.len(), written.len());
        Ok(())
    })
    .await?;
    assert_eq!(counts.twice(), Vec::<String>::new(), "counted other than once");
    assert_eq!(counts.order(), ledger.ids(), "counted out of order");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_tell_every_event_once_and_in_order() -> Result<()> {
    let (house, ledger) = (House::start().await?, Ledger::default());
    ledger.write(1_200, SystemClock.now());
    let one = relay(house.bus(Service::Queue).await?, &ledger);
    let other = relay(house.bus(Service::Queue).await?, &ledger);
    for _ in 0..20 {
        ledger.write(30, SystemClock.now());
        tokio::task::yield_now().await;
    }
    all_told(&house, ledger.ids()).await?;
    one.stop().await;
    ledger.write(100, SystemClock.now());
    all_told(&house, ledger.ids()).await?;
    other.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_forgot_is_told_again_and_counted_once() -> Result<()> {
    let (house, ledger, counts) = (House::start().await?, Ledger::default(), Counts::default());
    let relays = [relay(house.bus(Service::Queue).await?, &ledger), relay(house.bus(Service::Queue).await?, &ledger)];
    let mut consumers = vec![consumer(house.bus(Service::Analytics).await?, &counts)];
    consumers.push(consumer(house.bus(Service::Analytics).await?, &counts));
    ledger.write(1_500, SystemClock.now());
    all_counted(&counts, &ledger).await?;

    // The broker dies with everything it knew, and the ledger goes on.
    house.nats.wipe_store().await?;
    ledger.write(300, SystemClock.now());
    house.nats.begin().await?;
    all_counted(&counts, &ledger).await?;
    all_told(&house, ledger.ids()).await?;

    // The stream alone is deleted, and only one consumer is left.
    consumers.pop().expect("two").stop().await;
    let (vandal, _) = house.user("vandal").await?;
    jetstream::new(vandal.clone()).delete_stream(subject::stream("message")).await?;
    ledger.write(300, SystemClock.now());
    all_counted(&counts, &ledger).await?;
    all_told(&house, ledger.ids()).await?;

    // The consumer is away while the stream is deleted and told again, longer than before.
    consumers.pop().expect("one").stop().await;
    jetstream::new(vandal.clone()).delete_stream(subject::stream("message")).await?;
    ledger.write(700, SystemClock.now());
    all_told(&house, ledger.ids()).await?;
    let back = consumer(house.bus(Service::Analytics).await?, &counts);
    all_counted(&counts, &ledger).await?;

    // The stream keeps its sequences and loses its messages.
    jetstream::new(vandal.clone()).get_stream(subject::stream("message")).await?.purge().await?;
    ledger.write(100, SystemClock.now());
    all_counted(&counts, &ledger).await?;

    back.stop().await;
    for relay in relays {
        relay.stop().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_broker_is_carried_on_with() -> Result<()> {
    let (house, ledger, counts) = (House::start().await?, Ledger::default(), Counts::default());
    let teller = relay(house.bus(Service::Queue).await?, &ledger);
    let counter = consumer(house.bus(Service::Analytics).await?, &counts);
    for round in 0..3 {
        ledger.write(400, SystemClock.now());
        if round == 1 {
            house.nats.kill().await?;
            ledger.write(100, SystemClock.now());
            house.nats.begin().await?;
        }
        all_counted(&counts, &ledger).await?;
    }
    teller.stop().await;
    counter.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_stream_keeps_is_not_told_again() -> Result<()> {
    let (house, ledger) = (House::start().await?, Ledger::default());
    let now = SystemClock.now();
    ledger.write(50, now - TimeDelta::days(8));
    ledger.write(50, now - TimeDelta::days(6));
    let teller = relay(house.bus(Service::Queue).await?, &ledger);
    all_told(&house, ledger.ids().split_off(50)).await?;
    teller.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_stream_that_begins_later_nothing_is_missed() -> Result<()> {
    let (house, ledger, counts) = (House::start().await?, Ledger::default(), Counts::default());
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let teller = relay_at(house.bus(Service::Queue).await?, &ledger, clock.clone());
    let counter = consumer(house.bus(Service::Analytics).await?, &counts);
    ledger.write(100, clock.now());
    all_counted(&counts, &ledger).await?;
    // While the consumer is away the stream is lost, and what was counted has become too old to be told again: sequences that were
    // counted now belong to events that were not.
    counter.stop().await;
    teller.stop().await;
    clock.advance(TimeDelta::days(8));
    let (vandal, _) = house.user("vandal").await?;
    jetstream::new(vandal).delete_stream(subject::stream("message")).await?;
    ledger.write(300, clock.now());
    let teller = relay_at(house.bus(Service::Queue).await?, &ledger, clock);
    all_told(&house, ledger.ids().split_off(100)).await?;
    let counter = consumer(house.bus(Service::Analytics).await?, &counts);
    all_counted(&counts, &ledger).await?;
    counter.stop().await;
    teller.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_begins_now_counts_what_comes() -> Result<()> {
    /// Has no checkpoint until its first event.
    #[derive(Clone, Default)]
    struct Newcomer(Counts);

    impl Consumer for Newcomer {
        fn entity(&self) -> &'static str {
            "message"
        }

        async fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
            Ok(self.0.checkpoint().await?.filter(|at| *at != Checkpoint::default()))
        }

        async fn apply(&self, events: Vec<Event>, from: Checkpoint, to: Checkpoint) -> Result<Applied, BoxError> {
            self.0.apply(events, from, to).await
        }
    }

    let (house, ledger, newcomer) = (House::start().await?, Ledger::default(), Newcomer::default());
    let teller = relay(house.bus(Service::Queue).await?, &ledger);
    ledger.write(20, SystemClock.now());
    all_told(&house, ledger.ids()).await?;
    let shutdown = CancellationToken::new();
    let counter = Running(shutdown.clone(), tokio::spawn(consume(house.bus(Service::Analytics).await?, newcomer.clone(), shutdown)));
    eventually(PATIENCE, || async {
        ledger.write(1, SystemClock.now());
        ensure!(!newcomer.0.order().is_empty(), "nothing counted");
        Ok(())
    })
    .await?;
    let counted = newcomer.0.order();
    assert!(!counted.contains(&"evt_19".to_owned()), "what was before does not count");
    assert_eq!(newcomer.0.twice(), Vec::<String>::new());
    counter.stop().await;
    teller.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_from_before_another_entity_came_to_its_ledger_takes_both() -> Result<()> {
    let (house, ledger) = (House::start().await?, Ledger::default());
    let (vandal, _) = house.user("vandal").await?;
    let js = jetstream::new(vandal);
    let subjects = vec![subject::events_of("message")];
    let name = subject::stream("message");
    js.create_stream(jetstream::stream::Config { name: name.clone(), subjects, allow_direct: true, ..Default::default() }).await?;
    ledger.write(3, SystemClock.now());
    "inbound".clone_into(&mut ledger.events()[1].entity);
    let teller = relay(house.bus(Service::Queue).await?, &ledger);
    eventually(PATIENCE, || async {
        let told = js.get_stream(&name).await?.cached_info().state.messages;
        ensure!(told == 3, "{told} told");
        Ok(())
    })
    .await?;
    assert_eq!(subject::stream("inbound"), name, "who follows the other entity finds it there");
    teller.stop().await;
    Ok(())
}
