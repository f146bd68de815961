//! The stream of events: live, resumable, over gRPC and as server-sent events.

use std::time::Duration;

use anyhow::{Context, Result};
use barid_proto::queue::v1::{SubscribeEventsRequest, event_service_client::EventServiceClient};
use e2e::{Business, Stack};
use futures::StreamExt;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

async fn send(laundry: &Business, text: &str) -> Result<String> {
    let sent = laundry.api.post("/v1/messages:send", &json!({"recipient": "201234567890", "text": text})).await?;
    Ok(sent["id"].as_str().context("an id")?.to_owned())
}

/// That a customer wrote is told, too; here it is only how their window is opened.
const WROTE: &str = "received";

/// (id, kind) of the next events of a gRPC subscription, up to a READ.
async fn until_read(
    stack: &Stack,
    laundry: &Business,
    after: &str,
    begin: impl AsyncFnOnce() -> Result<()>,
) -> Result<Vec<(String, String)>> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", stack.gateway))?.connect().await?;
    let mut request = tonic::Request::new(SubscribeEventsRequest { after: after.to_owned(), ..SubscribeEventsRequest::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {}", laundry.api.key).parse()?);
    let mut events = EventServiceClient::new(channel).subscribe_events(request).await?.into_inner();
    begin().await?;
    let mut seen = Vec::new();
    while let Some(event) = tokio::time::timeout(PATIENCE, events.next()).await? {
        let event = event?;
        if event.kind != WROTE {
            seen.push((event.id, event.kind.clone()));
        }
        if event.kind == "read" {
            break;
        }
    }
    Ok(seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_every_step_and_resumes_where_it_left() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let other = stack.business("Other").await?;
    laundry.knows_ahmed().await?;
    other.hears_from("201234567890").await?;
    let live = until_read(&stack, &laundry, "", async || {
        send(&other, "not ours").await?;
        send(&laundry, "first").await.map(drop)
    })
    .await?;
    let kinds: Vec<&str> = live.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["queued", "sending", "sent", "delivered", "read"], "of this tenant, in order, each once");

    // From the middle: what came since, then live, nothing twice.
    let resumed = until_read(&stack, &laundry, &live[1].0, async || Ok(())).await?;
    assert_eq!(resumed, live[2..]);
    let last = &live[4].0;
    let next = until_read(&stack, &laundry, last, async || send(&laundry, "second").await.map(drop)).await?;
    assert_eq!(next.len(), 5);
    assert!(next.iter().all(|event| !live.contains(event)));
    let listed = laundry.api.get("/v1/events?pageSize=1000").await?;
    let steps = listed["events"].as_array().context("events")?.iter().filter(|event| event["kind"] != WROTE);
    let ids: Vec<&str> = steps.filter_map(|event| event["id"].as_str()).collect();
    assert_eq!(ids, live.iter().chain(&next).map(|(id, _)| id.as_str()).collect::<Vec<_>>());
    assert!(!listed.to_string().contains("1234567890"), "events carry no numbers");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_resume_by_last_event_id() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    laundry.knows_ahmed().await?;
    let id = send(&laundry, "first").await?;
    let read = laundry.reaches(&id, "READ").await?;
    let first_event = read["history"][0]["eventId"].as_str().context("an event")?;
    let response = reqwest::Client::new()
        .get(format!("{}/v1/events:subscribe", laundry.api.url))
        .bearer_auth(&laundry.api.key)
        .header("Last-Event-ID", first_event)
        .send()
        .await?;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.bytes_stream();
    let mut text = String::new();
    while text.matches("\n\n").count() < 4 {
        let part = tokio::time::timeout(PATIENCE, body.next()).await?.context("the stream goes on")??;
        text.push_str(&String::from_utf8_lossy(&part));
    }
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event:")).map(str::trim).collect();
    assert_eq!(kinds, ["message.sending", "message.sent", "message.delivered", "message.read"]);
    let data = text.lines().find_map(|line| line.strip_prefix("data:")).context("data")?;
    let event: Value = serde_json::from_str(data.trim())?;
    assert_eq!((event["entityId"].as_str(), event["kind"].as_str()), (Some(id.as_str()), Some("sending")));
    Ok(())
}
