//! The services can be seen with NATS's own tools.

use anyhow::{Result, ensure};
use barid_proto::template::v1::{RenderMessagesRequest, RenderMessagesResponse};
use barid_testkit::eventually;
use futures::StreamExt;
use tonic::Response;

use crate::house::{House, SOON};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_answers_ping_info_and_stats() -> Result<()> {
    let mut house = House::start().await?;
    let mut renderer = house.renderer(|_| async { Ok(Response::new(RenderMessagesResponse::default())) }).await?;
    for _ in 0..3 {
        renderer.render_messages(RenderMessagesRequest::default()).await?;
    }
    let (operator, _) = house.user("operator").await?;
    let ask = async |verb: &str| {
        let answer = operator.request(format!("$SRV.{verb}"), Default::default()).await?;
        anyhow::Ok(String::from_utf8(answer.payload.to_vec())?)
    };
    let ping = ask("PING").await?;
    assert!(ping.contains("\"name\":\"barid-template\"") && ping.contains("io.nats.micro.v1.ping_response"), "{ping}");
    let info = ask("INFO.barid-template").await?;
    assert!(
        info.contains("\"subject\":\"rpc.*.template.v1.RendererService.*\"") && info.contains("\"queue_group\":\"template\""),
        "{info}"
    );
    // Counted just after the answer was sent.
    eventually(SOON, || async {
        let stats = ask("STATS.barid-template").await?;
        ensure!(stats.contains("\"num_requests\":3") && stats.contains("\"num_errors\":0"), "{stats}");
        Ok(())
    })
    .await?;
    house.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_calls() -> Result<()> {
    let mut house = House::start().await?;
    let _one = house.renderer(|_| async { Ok(Response::new(RenderMessagesResponse::default())) }).await?;
    let mut renderer = house.renderer(|_| async { Ok(Response::new(RenderMessagesResponse::default())) }).await?;
    for _ in 0..40 {
        renderer.render_messages(RenderMessagesRequest::default()).await?;
    }
    let (operator, _) = house.user("operator").await?;
    eventually(SOON, || async {
        let mut answers = operator.subscribe("_INBOX_operator.stats").await?;
        operator.publish_with_reply("$SRV.STATS.barid-template", "_INBOX_operator.stats", Default::default()).await?;
        let mut shares = Vec::new();
        while shares.len() < 2
            && let Some(answer) = answers.next().await
        {
            let text = String::from_utf8(answer.payload.to_vec())?;
            let share = text.split("\"num_requests\":").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u32>().ok());
            shares.push(share.unwrap_or_default());
        }
        ensure!(shares.iter().sum::<u32>() == 40 && shares.iter().all(|share| *share > 0), "{shares:?}");
        Ok(())
    })
    .await?;
    house.stop().await;
    Ok(())
}
