//! Servers restarted one by one in the middle of the work: nothing is lost, nothing comes twice.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result, ensure};
use barid_testkit::eventually;
use e2e::Stack;
use serde_json::{Value, json};

const ROUNDS: usize = 4;
const EACH: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn nats_postgres_and_redis_come_back_and_everything_arrives_once() -> Result<()> {
    let mut stack = Stack::start_alone().await?;
    let laundry = stack.business("Blue Nile").await?;
    let mut accepted = HashSet::new();
    for round in 0..ROUNDS {
        let messages: Vec<Value> = (0..EACH)
            .map(|index| {
                let media = "https://storage.example.com/invoices/inv-001.pdf";
                json!({"recipient": format!("2010{round}00{index:05}"), "template": "invoice", "variables": crate::invoice(), "mediaUrl": media})
            })
            .collect();
        // The same key until it is taken: a call may be cut off after its commit.
        let call = json!({"messages": messages, "idempotencyKey": format!("round-{round}")});
        let ids = eventually(Duration::from_secs(60), || async {
            let answer = laundry.api.post("/v1/messages:batchSend", &call).await?;
            let outcomes = answer["outcomes"].as_array().context("outcomes")?.iter();
            outcomes
                .map(|outcome| Ok(outcome["accepted"]["id"].as_str().with_context(|| format!("{outcome}"))?.to_owned()))
                .collect::<Result<Vec<_>>>()
        })
        .await?;
        accepted.extend(ids);
        match round {
            0 => stack.servers.nats.restart().await?,
            1 => stack.servers.postgres.as_mut().context("a PostgreSQL of our own")?.restart().await?,
            2 => stack.servers.redis.restart().await?,
            _ => {}
        }
    }
    assert_eq!(accepted.len(), ROUNDS * EACH);
    eventually(Duration::from_secs(120), || async {
        let waiting = laundry.api.get("/v1/messages?pageSize=1000").await?;
        let states = waiting["messages"].as_array().context("messages")?.iter();
        let unread: Vec<String> =
            states.filter(|message| message["state"] != "MESSAGE_STATE_READ").map(|message| message["state"].to_string()).collect();
        ensure!(unread.is_empty(), "{} are not read: {:?}", unread.len(), unread.first());
        Ok(())
    })
    .await?;
    let stats = laundry.simulator.get("/sim/stats").await?;
    assert_eq!((&stats["distinct"], &stats["duplicates"]), (&json!(ROUNDS * EACH), &json!(0)), "{stats}");
    // The figures come from the event stream, which was cut off and told on.
    eventually(Duration::from_secs(30), || async {
        let figures = laundry.api.get("/v1/analytics/dashboard").await?;
        ensure!(figures["totals"]["read"] == (ROUNDS * EACH).to_string().as_str(), "{}", figures["totals"]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_jetstream_is_told_everything_again_and_counts_stay_exact() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    let send = async |text: &str| -> Result<()> {
        let sent = laundry.api.post("/v1/messages:send", &json!({"recipient": ahmed, "text": text})).await?;
        laundry.reaches(sent["id"].as_str().context("an id")?, "READ").await.map(drop)
    };
    send("before").await?;
    stack.servers.nats.stop().await?;
    stack.servers.nats.wipe_store().await?;
    stack.servers.nats.begin().await?;
    eventually(Duration::from_secs(30), || async { send("after").await }).await?;
    eventually(Duration::from_secs(30), || async {
        let figures = laundry.api.get("/v1/analytics/dashboard").await?;
        let shown = laundry.shown(ahmed).await?.len().to_string();
        ensure!(figures["totals"]["read"] == shown.as_str() && shown != "1", "{} of {shown}", figures["totals"]);
        Ok(())
    })
    .await
}
