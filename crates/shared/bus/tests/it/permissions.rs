//! What the users of the services may not do.

use anyhow::{Result, ensure};
use async_nats::jetstream;
use barid_bus::{Bus, Config, Service, subject};
use barid_domain::Secret;
use barid_testkit::eventually;
use futures::{FutureExt, StreamExt};

use crate::house::{Complaints, EMPTY, House, RENDER, SOON};

const ENTITIES: [(&str, Service); 6] = [
    ("message", Service::Queue),
    ("inbound", Service::Queue),
    ("session", Service::SessionPool),
    ("template", Service::Template),
    ("tenant", Service::Tenant),
    ("webhook", Service::Webhook),
];

async fn refused(complaints: &Complaints, subject: &str) -> Result<()> {
    eventually(SOON, || async {
        ensure!(complaints.about(subject), "{subject} was not refused");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_as_another() -> Result<()> {
    let house = House::start().await?;
    let (vandal, _) = house.user("vandal").await?;
    let mut calls = vandal.subscribe("rpc.>").await?;
    vandal.flush().await?;
    for service in Service::ALL {
        let (user, complaints) = house.user(service.name()).await?;
        for other in Service::ALL.into_iter().filter(|other| *other != service) {
            let forged = subject::call(other, RENDER).expect("a method");
            user.publish(forged.clone(), EMPTY.into()).await?;
            refused(&complaints, &forged).await?;
            let notice = subject::notice(other, "tenant-changed");
            user.publish(notice.clone(), Default::default()).await?;
            refused(&complaints, &notice).await?;
            let answer = format!("inbox.gateway.{}.1.1", other.name());
            user.publish(answer.clone(), EMPTY.into()).await?;
            refused(&complaints, &answer).await?;
        }
        let own = subject::call(service, RENDER).expect("a method");
        user.publish(own.clone(), EMPTY.into()).await?;
        user.flush().await?;
        let heard = tokio::time::timeout(SOON, calls.next()).await?.expect("a call");
        assert_eq!(heard.subject.as_str(), own, "only what is its own arrives");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_or_answers_what_is_for_another() -> Result<()> {
    let house = House::start().await?;
    for service in Service::ALL {
        let (user, complaints) = house.user(service.name()).await?;
        for other in Service::ALL.into_iter().filter(|other| *other != service) {
            let name = other.name();
            for subject in
                [format!("_INBOX_{name}.>"), format!("inbox.{name}.>"), format!("rpc.*.{name}.>"), format!("rpc.gateway.{name}.v1.S.M")]
            {
                let _open = user.subscribe(subject.clone()).await?;
                refused(&complaints, &subject).await?;
            }
        }
        for subject in [">", "rpc.>", "_INBOX_*.>"] {
            let _open = user.subscribe(subject).await?;
            refused(&complaints, subject).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_himself_believed_by_asking_to_be_answered() -> Result<()> {
    let house = House::start().await?;
    let (vandal, _) = house.user("vandal").await?;
    let forged = subject::call(Service::Gateway, RENDER).expect("a method");
    let mut calls = vandal.subscribe(forged.clone()).await?;
    vandal.flush().await?;
    // A message to oneself whose answer is due on the subject of another.
    let (user, complaints) = house.user("queue").await?;
    for own in [subject::notice(Service::Queue, "demand"), "rpc.queue.queue.v1.S.M".to_owned()] {
        let mut heard = user.subscribe(own.clone()).await?;
        user.publish_with_reply(own, forged.clone(), EMPTY.into()).await?;
        let _ = tokio::time::timeout(SOON, heard.next()).await?;
        user.publish(forged.clone(), EMPTY.into()).await?;
        user.flush().await?;
        refused(&complaints, &forged).await?;
    }
    vandal.flush().await?;
    assert!(calls.next().now_or_never().is_none(), "a forged call was delivered");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_by_their_owner_and_read_by_those_who_need_them() -> Result<()> {
    let house = House::start().await?;
    for service in Service::ALL {
        let (user, complaints) = house.user(service.name()).await?;
        for (entity, owner) in ENTITIES {
            let stream = subject::stream(entity);
            if service != owner {
                for subject in [subject::event("ten_1", entity, "made"), format!("$JS.API.STREAM.CREATE.{stream}")] {
                    user.publish(subject.clone(), Default::default()).await?;
                    refused(&complaints, &subject).await?;
                }
            }
            for subject in [format!("$JS.API.STREAM.DELETE.{stream}"), format!("$JS.API.STREAM.PURGE.{stream}")] {
                user.publish(subject.clone(), Default::default()).await?;
                refused(&complaints, &subject).await?;
            }
        }
        if service != Service::Operator {
            let _open = user.subscribe("events.>").await?;
            refused(&complaints, "events.>").await?;
        }
    }
    let (template, complaints) = house.user("template").await?;
    let js = jetstream::new(template);
    let _unanswered = tokio::time::timeout(std::time::Duration::from_millis(200), js.get_stream(subject::stream("message"))).await;
    refused(&complaints, "$JS.API.STREAM.INFO.EVENTS-message").await
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_stay_outside() -> Result<()> {
    let house = House::start().await?;
    let connect = async |user: &str, password: &str| {
        let config = Config { url: house.nats.url(), user: user.into(), password: Secret::new(password), replicas: 1 };
        Bus::connect(&config, Service::Queue).await.map(drop)
    };
    assert!(connect("queue", "wrong").await.is_err());
    assert!(connect("stranger", "barid-test").await.is_err());
    connect("queue", "barid-test").await?;
    Ok(())
}
