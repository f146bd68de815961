//! Servers to fetch from, on loopback addresses of their own.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;
use barid_egress::{Fetcher, Resolve, Settings};
use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The address that tests make an exception for, and one that they do not.
pub const FRIEND: [u8; 4] = [127, 0, 0, 1];
pub const STRANGER: [u8; 4] = [127, 0, 0, 2];

/// A server that counts its connections and ends with its handle.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// One that speaks HTTP.
    pub async fn http(ip: [u8; 4], router: Router) -> Self {
        Self::on(ip, 0, router).await
    }

    pub async fn on(ip: [u8; 4], port: u16, router: Router) -> Self {
        let listener = TcpListener::bind((IpAddr::from(ip), port)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Counted(listener, connections.clone());
        let task = tokio::spawn(async move { axum::serve(counted, router).await.expect("serves") });
        Self { address, connections, task }
    }

    /// One that reads a request, answers `head`, and then closes or keeps silent.
    pub async fn raw(head: &'static str, close: bool) -> Self {
        let listener = TcpListener::bind((IpAddr::from(FRIEND), 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(head.as_bytes()).await;
                if !close {
                    held.push(stream);
                }
            }
        });
        Self { address, connections, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Counted(TcpListener, Arc<AtomicUsize>);

impl axum::serve::Listener for Counted {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let accepted = axum::serve::Listener::accept(&mut self.0).await;
        self.1.fetch_add(1, Ordering::SeqCst);
        accepted
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Settings that let the friend's servers through.
pub fn settings<'a>(servers: impl IntoIterator<Item = &'a Server>) -> Settings {
    Settings {
        allow: vec!["127.0.0.1".to_owned()],
        allow_http: true,
        ports: servers.into_iter().map(|server| server.address.port()).collect(),
        ..Settings::default()
    }
}

pub fn fetcher(server: &Server) -> Fetcher {
    Fetcher::new(&settings([server])).expect("a fetcher")
}

/// Tells for each name what it is told to, a list per question, and the last one from then on.
#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>);

impl Names {
    pub fn with(self, name: &str, answers: &[&[[u8; 4]]]) -> Self {
        let answers = answers.iter().map(|answer| answer.iter().map(|ip| IpAddr::from(*ip)).collect()).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), answers);
        self
    }
}

impl Resolve for Names {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match names.get_mut(host) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
        };
        std::future::ready(answer).boxed()
    }
}
