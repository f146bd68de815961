//! Events are read in the order in which their transactions can be seen.

use anyhow::Result;
use barid_bus::Outbox as _;
use barid_db::{Db, NewEvent, Outbox, OutboxTable, append, first_id};
use barid_domain::{Id, MessageId};
use barid_proto::{
    events::v1::{Event, MessagePayload, Position, event::Payload},
    timestamp,
};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::house::{database, db, tenant};

const EVENTS: OutboxTable =
    OutboxTable { table: "queue.message_events", entity: "message", entity_id: |uuid| MessageId::from_uuid(uuid).to_string() };

fn event(number: u128) -> NewEvent {
    NewEvent {
        id: Id::from_uuid(Uuid::from_u128(number)),
        tenant: tenant(1),
        entity: Uuid::from_u128(7),
        kind: "sent",
        at: noon() + TimeDelta::seconds(number as i64),
        payload: Payload::Message(MessagePayload { template: "invoice".into(), ..MessagePayload::default() }),
    }
}

fn noon() -> DateTime<Utc> {
    "2026-03-10T12:00:00Z".parse().expect("a time")
}

async fn write(db: &Db, numbers: impl IntoIterator<Item = u128>) -> Result<(), DbErr> {
    let events = numbers.into_iter().map(event).collect();
    db.engine.transaction("test", |tx| async move { append(&tx, EVENTS, events).await }).await
}

fn numbers(events: &[Event]) -> Vec<u128> {
    events.iter().map(|event| event.id.parse::<barid_domain::EventId>().expect("an id").uuid().as_u128()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_holds_back_what_comes_after() -> Result<()> {
    let database = database().await?;
    let db = db(&database, "queue", 4).await?;
    let outbox = Outbox::new(db.engine.clone(), EVENTS);
    let (begun, has_begun) = oneshot::channel();
    let (end, may_end) = oneshot::channel::<()>();
    let slow = {
        let db = db.clone();
        tokio::spawn(async move {
            let work = |tx| async move {
                append(&tx, EVENTS, vec![event(1)]).await?;
                begun.send(()).expect("waited for");
                may_end.await.expect("told");
                append(&tx, EVENTS, vec![event(2)]).await
            };
            db.engine.transaction("test", work).await
        })
    };
    has_begun.await?;
    write(&db, [3, 4]).await?;
    let read = async |after, limit| outbox.read(after, limit).await.map_err(anyhow::Error::from_boxed);
    assert_eq!(numbers(&read(Position::default(), 10).await?), [0; 0], "told before what began earlier");
    end.send(()).expect("waited for");
    slow.await??;
    database.settle().await?;
    let all = read(Position::default(), 10).await?;
    assert_eq!(numbers(&all), [1, 2, 3, 4]);
    assert_eq!(numbers(&read(Position::default(), 3).await?), [1, 2, 3]);
    assert_eq!(numbers(&read(all[1].position.expect("a position"), 10).await?), [3, 4], "from the middle of a transaction");

    let first = &all[0];
    assert_eq!(
        (first.entity.as_str(), first.kind.as_str(), first.time),
        ("message", "sent", Some(timestamp(noon() + TimeDelta::seconds(1))))
    );
    assert_eq!((&first.tenant_id, &first.entity_id), (&tenant(1).to_string(), &MessageId::from_uuid(Uuid::from_u128(7)).to_string()));
    assert!(matches!(&first.payload, Some(Payload::Message(message)) if message.template == "invoice"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn telling_again_begins_where_the_time_says() -> Result<()> {
    let database = database().await?;
    let db = db(&database, "queue", 4).await?;
    let outbox = Outbox::new(db.engine.clone(), EVENTS);
    let before = async |since| outbox.before(since).await.map_err(anyhow::Error::from_boxed);
    assert_eq!(before(noon()).await?, Position::default(), "nothing was written");
    write(&db, 1..=5).await?;
    write(&db, 6..=9).await?;
    database.settle().await?;
    for (since, expected) in [(0, 1), (3, 3), (6, 6), (9, 9)] {
        let position = before(noon() + TimeDelta::seconds(since)).await?;
        let next = outbox.read(position, 1).await.map_err(anyhow::Error::from_boxed)?;
        assert_eq!(numbers(&next), [expected], "since second {since}");
    }
    let position = before(noon() + TimeDelta::days(1)).await?;
    let next = outbox.read(position, 1).await.map_err(anyhow::Error::from_boxed)?;
    assert_eq!(numbers(&next), [0; 0], "what is older than everything asked for is not told again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_comes_after_the_one_before_it_whatever_its_transactions() -> Result<()> {
    let database = database().await?;
    let db = db(&database, "queue", 4).await?;
    let outbox = Outbox::new(db.engine.clone(), EVENTS);
    write(&db, [1, 2]).await?;
    // As after a restore: the generation is raised, and transactions begin low again.
    database.execute(&["ALTER TABLE queue.message_events ALTER COLUMN generation SET DEFAULT 2"]).await?;
    write(&db, [3]).await?;
    database.execute(&["UPDATE queue.message_events SET xid = '5'::xid8 WHERE generation = 2"]).await?;
    database.settle().await?;
    let all = outbox.read(Position::default(), 10).await.map_err(anyhow::Error::from_boxed)?;
    assert_eq!(numbers(&all), [1, 2, 3]);
    Ok(())
}

/// An event whose id was minted at a time.
fn minted(at: DateTime<Utc>, number: u128) -> NewEvent {
    let bits = first_id(at).as_u128() | (7 << 76) | (2 << 62) | number;
    NewEvent { id: Id::from_uuid(Uuid::from_u128(bits)), ..event(number) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_or_behind_hides_no_event() -> Result<()> {
    let database = database().await?;
    let db = db(&database, "queue", 4).await?;
    let outbox = Outbox::new(db.engine.clone(), EVENTS);
    let now: DateTime<Utc> = database.execute(&["SELECT to_json(now())#>>'{}'"]).await?.parse()?;
    let mut after = Position::default();
    let times = [now - TimeDelta::days(400), now, now + TimeDelta::days(3650), now - TimeDelta::hours(40), now, now - TimeDelta::hours(40)];
    for (number, at) in times.into_iter().enumerate() {
        let event = minted(at, number as u128);
        let id = event.id.to_string();
        db.engine.transaction("test", |tx| async move { append(&tx, EVENTS, vec![event]).await }).await?;
        database.settle().await?;
        assert_eq!(outbox.oldest(after).await.expect("read").map(|minted| minted.timestamp()), Some(at.timestamp()));
        let read = outbox.read(after, 10).await.expect("read");
        assert_eq!(read.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), [id], "{at}");
        after = read[0].position.unwrap_or_default();
    }
    // Who reads from the beginning again finds all of them.
    assert_eq!(outbox.read(Position::default(), 10).await.expect("read").len(), times.len());
    Ok(())
}
