//! Posts what an operator configured to where the operator said.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Client, Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect,
};

use crate::{BuildError, Settings, System, client::guarded, guard::Guard};

/// Sends requests that change something elsewhere. Redirects are not followed: they would be sent twice, or changed.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    guard: Arc<Guard>,
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
    /// Up to 64 KiB of it.
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

    pub fn new(settings: &Settings) -> Result<Self, BuildError> {
        let (client, guard) = guarded(settings, System)?;
        // A connection that was closed meanwhile would leave it open whether a request arrived.
        let client = client.redirect(redirect::Policy::none()).pool_idle_timeout(Duration::from_secs(5)).build()?;
        Ok(Self { client, guard })
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
        let mut body = Vec::new();
        // The status says it all: what else comes may break off.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= Self::LARGEST {
                body.truncate(Self::LARGEST);
                break;
            }
        }
        Ok(Answer { status, body: body.into() })
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
