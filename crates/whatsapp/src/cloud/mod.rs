//! Meta's Cloud API: sending over HTTPS, reading the webhooks that come back, and the files that customers sent.
//!
//! **Only Meta's own words say that nothing was sent.** Meta takes no idempotency key, so a request whose outcome is not known must not be
//! repeated: the customer would get two. What Meta documents as passing (its codes 1, 2, 131000, 131016, 133004 and others, also those that come
//! with 500 or 503) has an error in its body, and is sent again. A 5xx without one, be its body empty or a page of HTML, comes from something
//! between here and there, which may have handed the request on before it gave up; nothing documented says otherwise, also not of a bare 503.
//! So it is [`Action::Uncertain`]: the status webhook that brings our id back tells what happened, and without one the message ends as of
//! unknown outcome, unless its tenant chose to have such messages sent again. A bare 4xx was refused before it was acted on.

mod errors;
mod media;
mod request;
mod response;
pub mod webhook;

use std::{sync::Arc, time::Duration};

use barid_domain::Secret;
use reqwest::{Url, redirect};

pub use media::{Download, MediaError};

use crate::{Action, Connector, Failure, Outgoing, Sent};

/// Idle connections are let go before Meta's side does so while a request is on its way, which would leave it uncertain.
const IDLE: Duration = Duration::from_secs(20);

/// Where the Cloud API is and how long to wait for it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `https://graph.facebook.com`, or the address of a simulator.
    pub base_url: String,
    /// Such as `v23.0`.
    pub version: String,
    pub connect_timeout: Duration,
    /// From the first byte written to the last byte read. What exceeds it is uncertain, so be generous.
    pub request_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://graph.facebook.com".into(),
            version: "v23.0".into(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("base_url must be an http or https address: {0:?}")]
    BaseUrl(String),
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
}

/// A client of the Cloud API, for any number. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    /// Up to and including the version.
    base: Arc<Url>,
    http: reqwest::Client,
    request_timeout: Duration,
}

/// A business number and the token that may send from it.
#[derive(Clone, Debug)]
pub struct Number {
    pub phone_number_id: String,
    pub access_token: Secret,
}

impl Client {
    /// Makes a client with its own pool of connections.
    ///
    /// # Errors
    /// When `base_url` is not an address, or the system's certificates cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let invalid = || Error::BaseUrl(settings.base_url.clone());
        let mut base = Url::parse(&settings.base_url).map_err(|_| invalid())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(invalid());
        }
        base.path_segments_mut().map_err(|()| invalid())?.pop_if_empty().push(&settings.version);
        let http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            // Following one would send the message a second time, to somebody else, with the token.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { base: Arc::new(base), http, request_timeout: settings.request_timeout })
    }

    /// Sends one message.
    ///
    /// # Errors
    /// A [`Failure`] whose action is [`Action::Uncertain`] whenever the request may have been processed.
    pub async fn send(&self, number: &Number, out: &Outgoing) -> Result<Sent, Failure> {
        let mut url = (*self.base).clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(&number.phone_number_id).push("messages");
        }
        let request = self.http.post(url).timeout(self.request_timeout).bearer_auth(number.access_token.expose()).json(&request::body(out));
        match request.send().await {
            Ok(answer) => response::read(answer).await,
            Err(error) => Err(unanswered(&error.without_url())),
        }
    }
}

/// A request without an answer: only one that never had a connection is known not to have been sent.
fn unanswered(error: &reqwest::Error) -> Failure {
    let (action, reason) = if error.is_connect() {
        (Action::ReturnAndBackOff, "meta_unreachable")
    } else if error.is_builder() {
        (Action::StopSession, "credentials_malformed")
    } else if error.is_timeout() {
        (Action::Uncertain, "no_answer")
    } else {
        (Action::Uncertain, "connection_lost")
    };
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    Failure { action, reason, detail: errors::mask(&detail), retry_after: None }
}

/// A session on the Cloud API: a client bound to one number.
#[derive(Clone, Debug)]
pub struct Session {
    pub client: Client,
    pub number: Number,
}

impl Connector for Session {
    async fn send(&self, out: Outgoing) -> Result<Sent, Failure> {
        self.client.send(&self.number, &out).await
    }
}
