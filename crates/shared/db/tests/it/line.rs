//! A line to a server that can be cut. What was cut keeps silent for good, as when a machine vanishes; lines made later are whole.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub struct Line {
    pub port: u16,
    /// Raised by every cut; a line carries nothing beyond the cut it was made before.
    cuts: Arc<AtomicU64>,
    _lines: JoinSet<()>,
}

impl Line {
    /// Leads from a free port to this one.
    pub async fn to(port: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (own, cuts, mut lines) = (listener.local_addr()?.port(), Arc::default(), JoinSet::new());
        lines.spawn(accept(listener, port, Arc::clone(&cuts)));
        Ok(Self { port: own, cuts, _lines: lines })
    }

    pub fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, port: u16, cuts: Arc<AtomicU64>) {
    // Dropped with this task, which ends all lines.
    let mut lines = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (made, cuts) = (cuts.load(Ordering::SeqCst), cuts.clone());
        lines.spawn(async move {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            let whole = || cuts.load(Ordering::SeqCst) == made;
            tokio::join!(carry(near_in, far_out, whole), carry(far_in, near_out, whole));
        });
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, whole: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if whole() && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
