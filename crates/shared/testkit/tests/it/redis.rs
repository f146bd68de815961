use anyhow::Result;
use barid_testkit::{Redis, redis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends inline commands after logging in with the password of the URL, and returns the answers after the login's.
async fn ask(url: &str, port: u16, commands: &str) -> Result<String> {
    let password = url.trim_start_matches("redis://:").split('@').next().unwrap_or_default();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("AUTH {password}\r\n{commands}\r\nQUIT\r\n").as_bytes()).await?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await?;
    Ok(answers)
}

#[tokio::test]
async fn forgets_everything_at_a_restart() -> Result<()> {
    let server = redis().await?;
    assert!(ask(&server.url(), server.port(), "SET key kept\r\nGET key").await?.contains("kept"));
    server.kill().await?;
    server.begin().await?;
    let answers = ask(&server.url(), server.port(), "GET key").await?;
    assert!(answers.contains("$-1"), "{answers}");
    server.restart().await?;
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_told() -> Result<()> {
    let server = redis().await?;
    let failure = Redis::start(None, Some(server.port())).await.unwrap_err();
    assert!(failure.to_string().to_lowercase().contains("address already in use"), "{failure:#}");
    Ok(())
}
