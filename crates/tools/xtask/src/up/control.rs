//! The socket through which `cargo xtask restart` reaches the `cargo xtask up` that holds the processes.

use super::layout::Layout;
use super::stack::Stack;
use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Begins to listen. `None` where the path is longer than a socket's may be: then nothing can be restarted from outside.
pub fn listen(layout: &Layout) -> Option<UnixListener> {
    // What a killed predecessor left. We hold the lock, so nobody listens there.
    let _ = std::fs::remove_file(layout.control());
    UnixListener::bind(layout.control()).ok()
}

/// Carries out requests one after another, and returns when a process ends that was not asked to.
pub async fn serve(stack: &Stack, listener: Option<&UnixListener>, http: &reqwest::Client, after_restart: impl Fn()) -> anyhow::Error {
    loop {
        let accepted = async {
            match listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let stream = tokio::select! {
            death = stack.first_death() => return death,
            accepted = accepted => accepted,
        };
        let Ok((stream, _)) = stream else { continue };
        // Whoever asked may be gone before the answer; the request was carried out all the same.
        let _ = answer(stream, stack, http).await;
        after_restart();
    }
}

async fn answer(stream: UnixStream, stack: &Stack, http: &reqwest::Client) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await?;
    let outcome = match request.split_whitespace().collect::<Vec<_>>()[..] {
        ["restart", name] => stack.restart(name, false, http).await,
        ["kill", name] => stack.restart(name, true, http).await,
        _ => bail!("not a request: {request}"),
    };
    let reply = match outcome {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    stream.write_all(reply.as_bytes()).await?;
    Ok(())
}

/// Asks the running `up` to restart something, and waits until that is done.
pub async fn request(layout: &Layout, name: &str, hard: bool) -> Result<()> {
    let mut stream =
        UnixStream::connect(layout.control()).await.context("no Barid runs here that could restart anything: `cargo xtask up`")?;
    stream.write_all(format!("{} {name}\n", if hard { "kill" } else { "restart" }).as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    if reply != "ok" {
        bail!("{reply}");
    }
    Ok(())
}
