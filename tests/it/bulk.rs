//! Thousands in one call, each with its own outcome.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use barid_proto::queue::v1::{SendMessageRequest, batch_outcome::Outcome, message_service_client::MessageServiceClient};
use barid_testkit::eventually;
use e2e::{Business, Stack};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn invoices(count: usize) -> Vec<Value> {
    let variables = crate::invoice();
    let media = "https://storage.example.com/invoices/inv-001.pdf";
    (0..count)
        .map(|index| json!({"recipient": format!("20100{index:07}"), "template": "invoice", "variables": variables, "mediaUrl": media}))
        .collect()
}

async fn all_read(laundry: &Business, count: usize) -> Result<()> {
    eventually(Duration::from_secs(120), || async {
        let figures = laundry.api.get("/v1/analytics/dashboard").await?;
        ensure!(figures["totals"]["read"] == count.to_string().as_str(), "{}", figures["totals"]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_array_of_a_thousand_with_bad_ones_among_them() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let mut messages = invoices(1000);
    messages[3]["recipient"] = json!("12");
    messages[700]["variables"] = json!({});
    messages[999]["template"] = json!("unknown");
    let answer = laundry.api.call(Method::POST, "/api/messages/bulk", Some(&json!(messages))).await?;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    let outcomes = answer.body["outcomes"].as_array().context("outcomes")?;
    assert_eq!(outcomes.len(), 1000);
    let mut ids = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome["index"], index, "in the order of the call");
        if [3, 700, 999].contains(&index) {
            assert_eq!(outcome["error"]["code"], 3, "{outcome}");
        } else {
            ids.push(outcome["accepted"]["id"].as_str().context("an id")?);
        }
    }
    assert_eq!(ids.len(), 997);
    assert!(ids.is_sorted_by(|a, b| a < b), "committed in the order of the call, so that a conversation keeps it");
    all_read(&laundry, 997).await?;
    let stats = laundry.simulator.get("/sim/stats").await?;
    assert_eq!((&stats["distinct"], &stats["duplicates"]), (&json!(997), &json!(0)), "{stats}");
    let status = laundry.api.get("/v1/queue").await?;
    assert_eq!((status["queued"].as_str(), status["sending"].as_str(), status["quotaUsed"].as_u64()), (Some("0"), Some("0"), Some(997)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_stream_and_its_repetition() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    for customer in 0..3 {
        laundry.hears_from(&format!("2010077000{customer:02}")).await?;
    }
    let messages: Vec<SendMessageRequest> = (0..600)
        .map(|index| SendMessageRequest {
            recipient: format!("2010077000{:02}", index % 3),
            text: format!("note {index}"),
            ..SendMessageRequest::default()
        })
        .collect();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", stack.gateway))?.connect().await?;
    let mut client = MessageServiceClient::new(channel);
    let mut first = Vec::new();
    for _ in 0..2 {
        let mut request = tonic::Request::new(futures::stream::iter(messages.clone()));
        request.metadata_mut().insert("authorization", format!("Bearer {}", laundry.api.key).parse()?);
        request.metadata_mut().insert("idempotency-key", "stream-1".parse()?);
        let outcomes = client.stream_messages(request).await?.into_inner().outcomes;
        let ids: Vec<String> = outcomes
            .into_iter()
            .enumerate()
            .map(|(index, outcome)| match outcome.outcome {
                Some(Outcome::Accepted(accepted)) if outcome.index as usize == index => Ok(accepted.id),
                other => anyhow::bail!("{index}: {other:?}"),
            })
            .collect::<Result<_>>()?;
        if first.is_empty() {
            first = ids;
        } else {
            assert_eq!(first, ids, "the same call again is the same messages");
        }
    }
    assert_eq!(first.len(), 600);
    let too_many = json!({"messages": vec![json!({"recipient": "1"}); 10_001]});
    let answer = laundry.api.call(Method::POST, "/v1/messages:batchSend", Some(&too_many)).await?;
    assert_eq!((answer.status, answer.reason()), (StatusCode::BAD_REQUEST, "TOO_MANY_ITEMS"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_refuses_what_goes_beyond_it() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let path = format!("/v1/tenants/{}?updateMask=dailyQuota", laundry.tenant);
    let own = laundry.api.call(Method::PATCH, &path, Some(&json!({"dailyQuota": 1_000_000}))).await?;
    assert_eq!((own.status, own.reason()), (StatusCode::FORBIDDEN, "SCOPE_TOO_NARROW"), "a tenant does not raise its own quota");
    let answer = stack.api.call(Method::PATCH, &path, Some(&json!({"dailyQuota": 10}))).await?;
    ensure!(answer.status.is_success(), "{}", answer.body);
    eventually(Duration::from_secs(5), || async {
        let status = laundry.api.get("/api/queue/status").await?;
        ensure!(status["quota"] == 10, "{status}");
        Ok(())
    })
    .await?;
    let answer = laundry.api.post("/api/messages/bulk", &json!(invoices(15))).await?;
    let outcomes = answer["outcomes"].as_array().context("outcomes")?;
    assert_eq!(outcomes.iter().filter(|outcome| outcome["accepted"].is_object()).count(), 10);
    // Of two with one key in one call, the second is no more there than the first.
    let twice = json!({"messages": [{"recipient": "201000000001", "text": "a", "idempotencyKey": "k"}, {"recipient": "201000000001", "text": "a", "idempotencyKey": "k"}]});
    let answer = laundry.api.post("/v1/messages:batchSend", &twice).await?;
    assert!(answer["outcomes"].as_array().context("outcomes")?.iter().all(|outcome| outcome["error"]["code"] == 8), "{answer}");
    let refused = laundry.api.call(Method::POST, "/v1/messages:send", Some(&invoices(1)[0])).await?;
    assert_eq!((refused.status, refused.reason()), (StatusCode::TOO_MANY_REQUESTS, "QUOTA_EXCEEDED"));
    Ok(())
}
