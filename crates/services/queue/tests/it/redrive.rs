//! Dead letters that are sent again by a filter.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use barid_domain::{SessionId, TenantId};
use barid_proto::queue::v1::{
    Failure, GetQueueStatusRequest, MessageState, RedriveMessagesRequest, RedriveMessagesResponse, SendMessageRequest, outcome::Outcome,
    queue_service_client::QueueServiceClient,
};
use barid_testkit::eventually;
use tonic::Code;

use crate::house::{House, claim_id};

async fn redrive(house: &House, tenant: TenantId, request: RedriveMessagesRequest) -> Result<RedriveMessagesResponse, tonic::Status> {
    Ok(house.messages().redrive_messages(House::on_behalf_of(tenant, request)).await?.into_inner())
}

fn because(reasons: &[&str]) -> RedriveMessagesRequest {
    RedriveMessagesRequest { reasons: reasons.iter().map(ToString::to_string).collect(), ..RedriveMessagesRequest::default() }
}

/// Dead letters for these reasons, in this order.
async fn dead_letters(house: &House, tenant: TenantId, session: SessionId, reasons: &[&str]) -> Result<Vec<String>> {
    house.fence(session, 1).await?;
    let mut ids = Vec::new();
    for (customer, reason) in reasons.iter().enumerate() {
        let request = SendMessageRequest { recipient: format!("2010000{customer:05}"), text: "hello".into(), ..Default::default() };
        ids.push(house.send_request(tenant, session, request).await?);
        let claimed = house.claim(&claim_id(), &[(session, 1, 1)]).await?.messages.pop().context("nothing to claim")?;
        house.report(&claimed, Outcome::Dead(Failure { reason: (*reason).into(), not_before: None })).await?;
    }
    Ok(ids)
}

async fn waits_again(house: &House, tenant: TenantId, id: &str) -> Result<()> {
    eventually(Duration::from_secs(10), || async {
        let message = house.message(tenant, id).await?;
        ensure!(message.state() == MessageState::Queued && !message.dead_letter, "{message:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_matches_is_counted_and_then_sent_again_under_its_id() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session, other): (TenantId, SessionId, SessionId) = (house.ids.mint(), house.ids.mint(), house.ids.mint());
    let ids = dead_letters(&house, tenant, session, &["rejected", "undeliverable", "rejected", "outcome_unknown"]).await?;
    let elsewhere = dead_letters(&house, tenant, other, &["rejected"]).await?;
    dead_letters(&house, house.ids.mint(), house.ids.mint(), &["rejected"]).await?;

    let all = redrive(&house, tenant, RedriveMessagesRequest { dry_run: true, ..because(&[]) }).await?;
    let by_reason = BTreeMap::from([("rejected".to_owned(), 3), ("undeliverable".to_owned(), 1)]);
    assert_eq!((all.matched, all.redriven, &all.matched_by_reason), (4, 4, &by_reason), "what may have arrived is not meant");
    let unknown = redrive(&house, tenant, RedriveMessagesRequest { dry_run: true, ..because(&["outcome_unknown"]) }).await?;
    assert_eq!((unknown.matched, unknown.redriven), (1, 1), "unless it is named");
    assert_eq!(house.message(tenant, &ids[0]).await?.state(), MessageState::Failed, "and nothing has changed");

    let one =
        redrive(&house, tenant, RedriveMessagesRequest { max_count: 1, session_id: session.to_string(), ..because(&["rejected"]) }).await?;
    assert_eq!((one.matched, one.redriven), (2, 1));
    waits_again(&house, tenant, &ids[0]).await?;
    let claimed = house.claim(&claim_id(), &[(session, 1, 10)]).await?.messages;
    assert_eq!(
        claimed.iter().map(|message| (message.message_id.as_str(), message.attempt)).collect::<Vec<_>>(),
        [(ids[0].as_str(), 2)],
        "oldest first"
    );

    let rest = redrive(&house, tenant, because(&["rejected"])).await?;
    assert_eq!((rest.matched, rest.redriven), (2, 2));
    waits_again(&house, tenant, &ids[2]).await?;
    waits_again(&house, tenant, &elsewhere[0]).await?;
    let mut queue = QueueServiceClient::new(house.bus.channel());
    let status = queue.get_queue_status(House::on_behalf_of(tenant, GetQueueStatusRequest::default())).await?;
    assert_eq!(status.into_inner().dead_letters, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_the_failure_bounds_what_is_meant() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    let ids = dead_letters(&house, tenant, session, &["rejected", "rejected"]).await?;
    let failed = house.message(tenant, &ids[1]).await?.history.last().context("a step")?.time;
    let before = redrive(&house, tenant, RedriveMessagesRequest { failed_before: failed, dry_run: true, ..because(&[]) }).await?;
    let after = redrive(&house, tenant, RedriveMessagesRequest { failed_after: failed, dry_run: true, ..because(&[]) }).await?;
    assert_eq!((before.matched, after.matched), (1, 1));
    let unreadable = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    let refused = redrive(&house, tenant, RedriveMessagesRequest { failed_after: unreadable, ..because(&[]) }).await.expect_err("no time");
    assert!(refused.code() == Code::InvalidArgument && refused.message().starts_with("failedAfter: "), "{refused}");
    let too_many = redrive(&house, tenant, RedriveMessagesRequest { max_count: 10_001, ..because(&[]) }).await.expect_err("too many");
    assert!(too_many.message().starts_with("maxCount: "), "{too_many}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_go_in_several_commits_and_each_once() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    let id = dead_letters(&house, tenant, session, &["rejected"]).await?.remove(0);
    // Copies of one dead letter: enough for three commits.
    let copies = |table: &str, id: &str| {
        format!(
            "INSERT INTO queue.{table} SELECT (jsonb_populate_record(t, jsonb_build_object('{id}', lpad(to_hex(n), 32, '0')::uuid))).*
             FROM queue.{table} t, generate_series(1, 1200) n WHERE t.{id} = (SELECT min(message_id::text)::uuid FROM queue.dead_letters)"
        )
    };
    let statements = [copies("messages", "id"), copies("message_state", "message_id"), copies("dead_letters", "message_id")];
    let [messages, states, dead] = &statements;
    house.database.execute(&[messages, states, dead]).await?;
    let first = redrive(&house, tenant, because(&[])).await?;
    assert_eq!((first.matched, first.redriven), (1201, 1000), "as many as usual");
    let rest = redrive(&house, tenant, RedriveMessagesRequest { max_count: 10_000, ..because(&[]) }).await?;
    assert_eq!((rest.matched, rest.redriven), (201, 201));
    waits_again(&house, tenant, &id).await?;
    eventually(Duration::from_secs(20), || async {
        let waiting = house.database.execute(&["SELECT count(*) FROM queue.ready"]).await?;
        ensure!(waiting == "1201", "{waiting}");
        Ok(())
    })
    .await
}
