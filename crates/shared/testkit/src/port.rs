use anyhow::{Context, Result};
use std::net::TcpListener;

/// A TCP port that was free on 127.0.0.1 a moment ago. Another process may take it first, so whoever starts a server on it tries again.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
