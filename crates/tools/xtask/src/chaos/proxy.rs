//! A line between a process and a server that can be cut. What was cut hangs, as it does when a network is gone, and goes on when it is back.

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub struct Proxy {
    pub port: u16,
    whole: watch::Sender<bool>,
    _lines: JoinSet<()>,
}

impl Proxy {
    /// Leads from a free port to this one.
    pub async fn to(port: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (whole, is_whole) = watch::channel(true);
        let mut lines = JoinSet::new();
        let own = listener.local_addr()?.port();
        lines.spawn(accept(listener, port, is_whole));
        Ok(Self { port: own, whole, _lines: lines })
    }

    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn heal(&self) {
        self.whole.send_replace(true);
    }
}

async fn accept(listener: TcpListener, port: u16, whole: watch::Receiver<bool>) {
    // Dropped with this task, which ends all lines.
    let mut lines = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let whole = whole.clone();
        lines.spawn(async move {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            // When one direction ends, so does the line.
            tokio::select! {
                () = carry(near_in, far_out, whole.clone()) => {}
                () = carry(far_in, near_out, whole) => {}
            }
        });
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut whole: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if whole.wait_for(|whole| *whole).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_cut_hangs_and_goes_on() -> Result<()> {
        let server = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Proxy::to(server.local_addr()?.port()).await?;
        let mut near = TcpStream::connect(("127.0.0.1", proxy.port)).await?;
        let (mut far, _) = server.accept().await?;
        near.write_all(b"a").await?;
        assert_eq!(far.read_u8().await?, b'a');
        proxy.cut();
        near.write_all(b"b").await?;
        assert!(tokio::time::timeout(Duration::from_millis(50), far.read_u8()).await.is_err());
        proxy.heal();
        assert_eq!(far.read_u8().await?, b'b');
        far.write_all(b"c").await?;
        assert_eq!(near.read_u8().await?, b'c');
        Ok(())
    }
}
