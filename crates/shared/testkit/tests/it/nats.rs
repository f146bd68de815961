use anyhow::{Result, ensure};
use barid_testkit::{Nats, eventually, nats};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const CONFIG: &str = r#"authorization { users = [ { user: "queue", password: "right" } ] }"#;

/// Speaks enough of the protocol to learn whether the server takes a login.
async fn login(port: u16, password: &str) -> Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    ensure!(line.contains(r#""jetstream":true"#), "no JetStream: {line}");
    let connect = format!("CONNECT {{\"user\":\"queue\",\"pass\":\"{password}\",\"verbose\":false}}\r\nPING\r\n");
    stream.write_all(connect.as_bytes()).await?;
    line.clear();
    stream.read_line(&mut line).await?;
    Ok(line)
}

#[tokio::test]
async fn users_come_from_the_config_and_survive_restarts() -> Result<()> {
    let server = nats(CONFIG).await?;
    assert!(login(server.port(), "right").await?.starts_with("PONG"));
    assert!(login(server.port(), "wrong").await?.contains("Authorization Violation"));

    server.restart().await?;
    assert!(login(server.port(), "right").await?.starts_with("PONG"));

    server.wipe_store().await?;
    assert!(TcpStream::connect(("127.0.0.1", server.port())).await.is_err());
    server.begin().await?;
    eventually(Duration::from_secs(5), || async {
        ensure!(login(server.port(), "right").await?.starts_with("PONG"));
        Ok(())
    })
    .await?;

    server.reconfigure(&CONFIG.replace("right", "other")).await?;
    assert!(login(server.port(), "other").await?.starts_with("PONG"));
    Ok(())
}

#[tokio::test]
async fn a_wrong_config_is_told_with_the_log() {
    let failure = nats("authorization { users = [").await.unwrap_err();
    assert!(format!("{failure:#}").contains("nats-server ended at once"), "{failure:#}");
}

#[tokio::test]
async fn a_taken_port_is_told() -> Result<()> {
    let server = nats(CONFIG).await?;
    let failure = Nats::start(None, Some(server.port()), CONFIG).await.unwrap_err();
    assert!(failure.to_string().to_lowercase().contains("address already in use"), "{failure:#}");
    Ok(())
}
