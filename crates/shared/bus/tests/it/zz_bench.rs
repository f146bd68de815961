use std::time::Instant;
use anyhow::Result;
use barid_proto::template::v1::{RenderMessagesRequest, RenderMessagesResponse};
use futures::StreamExt;
use tonic::Response;
use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn bench() -> Result<()> {
    let mut house = House::start().await?;
    let renderer = house.renderer(|_| async { Ok(Response::new(RenderMessagesResponse::default())) }).await?;
    for round in 0..3 {
        let began = Instant::now();
        let count = 20_000;
        futures::stream::iter(0..count)
            .map(|_| { let mut r = renderer.clone(); async move { r.render_messages(RenderMessagesRequest::default()).await.map(drop) } })
            .buffer_unordered(64)
            .for_each(|answer| async move { answer.expect("answered") })
            .await;
        let parallel = began.elapsed();
        let began = Instant::now();
        let mut r = renderer.clone();
        for _ in 0..2000 { r.render_messages(RenderMessagesRequest::default()).await?; }
        eprintln!("BENCH round {round}: 64 in flight {:?}/call, alone {:?}/call", parallel / count, began.elapsed() / 2000);
    }
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let f: Vec<&str> = stat.split_whitespace().collect();
    let pid = house.nats.process().id().unwrap();
    let nstat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let n: Vec<&str> = nstat.split_whitespace().collect();
    eprintln!("BENCH cpu ticks self {} {} nats {} {}", f[13], f[14], n[13], n[14]);
    house.stop().await;
    Ok(())
}
