use anyhow::{Result, ensure};
use barid_testkit::process::{Ending, Process};
use barid_testkit::{eventually, free_port};
use std::path::Path;
use std::time::Duration;

fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("status")).unwrap_or_default();
    status.contains("State:") && !status.contains("State:\tZ")
}

#[tokio::test]
async fn stops_within_its_patience_and_is_killed_after() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let stubborn = Process::new("stubborn", "sh", dir.path().join("log"))
        .arguments(["-c", "trap '' TERM; echo ready; while true; do sleep 0.05; done"]);
    stubborn.start()?;
    assert!(stubborn.start().is_err());
    eventually(Duration::from_secs(5), || async {
        ensure!(stubborn.log_tail(1) == "ready");
        Ok(())
    })
    .await?;
    stubborn.stop(Ending::Terminate, Duration::from_millis(100)).await?;
    assert!(stubborn.id().is_none());
    assert!(stubborn.ended().is_some());
    Ok(())
}

#[tokio::test]
async fn a_killed_parent_takes_its_servers_along() -> Result<()> {
    if std::env::var_os("BARID_TESTKIT_PARENT").is_some() {
        let server = barid_testkit::redis().await?;
        let id = server.process().id().map(|id| id.to_string()).unwrap_or_default();
        std::fs::write(std::env::var("BARID_TESTKIT_PARENT")?, id)?;
        std::future::pending::<()>().await;
    }
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("pid");
    let mut parent = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "processes::a_killed_parent_takes_its_servers_along", "--nocapture"])
        .env("BARID_TESTKIT_PARENT", &file)
        .stdout(std::process::Stdio::null())
        .spawn()?;
    let server = eventually(Duration::from_secs(30), || async {
        let pid = std::fs::read_to_string(&file)?;
        ensure!(!pid.is_empty(), "no server yet");
        Ok(pid)
    })
    .await?;
    assert!(runs(&server));
    parent.kill().await?;
    eventually(Duration::from_secs(5), || async {
        ensure!(!runs(&server), "process {server} outlived its parent");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn waiting_in_vain_tells_why_and_where() {
    let failure =
        eventually(Duration::from_millis(50), || async { anyhow::bail!("the phone shows nothing") as Result<()> }).await.unwrap_err();
    let message = format!("{failure:#}");
    assert!(message.contains("processes.rs") && message.contains("the phone shows nothing"), "{message}");
}

#[test]
fn free_ports_can_be_bound() -> Result<()> {
    let port = free_port()?;
    std::net::TcpListener::bind(("127.0.0.1", port))?;
    Ok(())
}

#[tokio::test]
async fn files_that_may_not_grow_do_not_until_they_may() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("written");
    // Who ignores the signal is told by the write, as servers are.
    let script = "trap '' XFSZ; while sleep 0.02; do echo 1234567 >> written || echo failed; done";
    let process = Process::new("sh", "/bin/sh", dir.path().join("log")).arguments(["-c", script]).directory(dir.path());
    process.start()?;
    let size = || file.metadata().map_or(0, |file| file.len());
    let grows_beyond = async |most: u64| {
        eventually(Duration::from_secs(10), || async {
            ensure!(size() > most, "the file has {} bytes", size());
            Ok(())
        })
        .await
    };
    grows_beyond(0).await?;
    process.limit_files(Some(400))?;
    let told = || process.log_tail(5).contains("failed");
    eventually(Duration::from_secs(10), || async {
        ensure!(told(), "nothing failed");
        Ok(())
    })
    .await?;
    assert!(size() <= 400, "the file has {} bytes", size());
    process.limit_files(None)?;
    grows_beyond(400).await
}
