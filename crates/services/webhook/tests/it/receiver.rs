//! A tenant's own server: it notes what comes, and answers as it is told.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// How one request is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Answers once there is a permit.
    pub hold: Option<Arc<Semaphore>>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), hold: None }
    }
}

#[derive(Default)]
struct Book {
    received: Vec<Received>,
    /// By path: the next answers, and the one from then on.
    replies: HashMap<String, (VecDeque<Reply>, Reply)>,
}

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Book>>);

pub struct Receiver {
    pub address: SocketAddr,
    notes: Notes,
    task: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Result<Self> {
        Self::on([127, 0, 0, 1], 0).await
    }

    pub async fn on(ip: [u8; 4], port: u16) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((ip, port))).await?;
        let (address, notes) = (listener.local_addr()?, Notes::default());
        let router = Router::new().fallback(answer).with_state(notes.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Ok(Self { address, notes, task })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next answers at a path, and the one from then on.
    pub fn script(&self, path: &str, next: impl IntoIterator<Item = Reply>, then: Reply) {
        self.notes.0.lock().replies.insert(path.to_owned(), (next.into_iter().collect(), then));
    }

    /// What came at a path, in the order of its coming.
    pub fn received(&self, path: &str) -> Vec<Received> {
        self.notes.0.lock().received.iter().filter(|received| received.path == path).cloned().collect()
    }

    /// Waits until so many requests have come at a path, and gives them back; more are an error.
    pub async fn wait(&self, path: &str, count: usize) -> Result<Vec<Received>> {
        barid_testkit::eventually(Duration::from_secs(120), || async {
            let received = self.received(path);
            ensure!(received.len() >= count, "{} of {count} came at {path}", received.len());
            Ok(received)
        })
        .await
        .and_then(|received| if received.len() == count { Ok(received) } else { bail!("{} came instead of {count}", received.len()) })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(notes): State<Notes>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let body: Bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let reply = {
        let mut book = notes.0.lock();
        book.received.push(Received { path: path.clone(), headers, body });
        match book.replies.get_mut(&path) {
            Some((next, then)) => next.pop_front().unwrap_or_else(|| then.clone()),
            None => Reply::status(200),
        }
    };
    if let Some(hold) = &reply.hold {
        hold.acquire().await.expect("never closed").forget();
    }
    let mut response = (StatusCode::from_u16(reply.status).expect("a status"), reply.body).into_response();
    for (name, value) in reply.headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::try_from(value).expect("a value"));
    }
    response
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.body).context("a body of JSON")
    }

    /// The type of the event.
    pub fn event_type(&self) -> Result<String> {
        Ok(self.json()?["type"].as_str().context("a type")?.to_owned())
    }

    /// How many of the signatures are by this secret, as the specification says.
    pub fn signed_by(&self, secret: &str) -> Result<usize> {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").context("a secret")?)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
        mac.update(format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body).as_bytes());
        let expected = mac.finalize().into_bytes();
        let signatures = self.header("webhook-signature").split(' ');
        let given = signatures.filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok());
        Ok(given.filter(|given| given[..] == expected[..]).count())
    }
}
