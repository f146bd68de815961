//! Posts to where an operator or a tenant said.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Client, Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect,
};

use crate::{BuildError, Error, Resolve, Settings, System, client::guarded, guard::Guard};

/// Sends requests that change something elsewhere. Redirects are not followed: they would be sent twice, or changed.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    guard: Arc<Guard>,
    largest: usize,
}

/// A request as it goes out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub method: String,
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What came back, whatever the status.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case and values; of those that come more than once, each.
    pub headers: Vec<(String, String)>,
    /// Up to what the sender keeps of it.
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It cannot be sent as it is.
    #[error("is no request: {0}")]
    Malformed(String),
    /// Nothing was sent.
    #[error("could not be sent: {0}")]
    NotSent(String),
    /// It may have arrived.
    #[error("was sent, and no answer came: {0}")]
    Unknown(String),
}

impl Sender {
    const LARGEST: usize = 64 * 1024;

    /// Keeps up to 64 KiB of an answer.
    pub fn new(settings: &Settings) -> Result<Self, BuildError> {
        Self::with_resolver(settings, System)
    }

    /// With another way to find addresses than the machine's. They are judged all the same.
    pub fn with_resolver(settings: &Settings, resolver: impl Resolve) -> Result<Self, BuildError> {
        let (client, guard) = guarded(settings, resolver)?;
        // A connection that was closed meanwhile would leave it open whether a request arrived.
        let client = client.redirect(redirect::Policy::none()).pool_idle_timeout(Duration::from_secs(5)).build()?;
        Ok(Self { client, guard, largest: Self::LARGEST })
    }

    /// The same, keeping so many bytes of an answer and reading no further.
    pub fn keeping(self, largest: usize) -> Self {
        Self { largest, ..self }
    }

    /// Judges all that a URL shows by itself. Addresses behind a name are judged when something is sent there.
    pub fn judge(&self, url: &str) -> Result<(), Error> {
        self.guard.url(&Url::parse(url).map_err(|error| Error::Malformed(error.to_string()))?)
    }

    /// Sends a request once.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Answer, SendError> {
        let malformed = |error: &dyn std::fmt::Display| SendError::Malformed(error.to_string());
        let url = Url::parse(&outgoing.url).map_err(|error| malformed(&error))?;
        self.guard.url(&url).map_err(|error| malformed(&error))?;
        let method: Method = outgoing.method.parse().map_err(|error| malformed(&error))?;
        let mut headers = HeaderMap::new();
        for (name, value) in outgoing.headers {
            let name: HeaderName = name.parse().map_err(|error| malformed(&error))?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|error| malformed(&error))?);
        }
        let request = self.client.request(method, url).headers(headers).body(outgoing.body);
        let mut response = request.send().await.map_err(|error| {
            let says = innermost(&error);
            if error.is_connect() || error.is_builder() { SendError::NotSent(says) } else { SendError::Unknown(says) }
        })?;
        let status = response.status().as_u16();
        let headers =
            response.headers().iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let headers = headers.collect();
        let mut body = Vec::new();
        // The status says it all: what else comes may break off.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= self.largest {
                body.truncate(self.largest);
                break;
            }
        }
        Ok(Answer { status, headers, body: body.into() })
    }
}

/// Without the URL, which may have a secret in it.
fn innermost(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    if std::ptr::addr_eq(source, error) { "the client failed".to_owned() } else { source.to_string() }
}
