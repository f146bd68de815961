//! One connection per service process.

use std::{fmt, sync::Arc, time::Duration};

use async_nats::{ConnectOptions, connection::State};
use barid_domain::Secret;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};

use crate::{inbox::Inboxes, subject};

/// The services that speak on the bus. The name is a subject token, a NATS user, and the service part of the proto package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Gateway,
    Tenant,
    Template,
    Queue,
    SessionPool,
    Analytics,
    Webhook,
    Operator,
}

impl Service {
    pub const ALL: [Self; 8] =
        [Self::Gateway, Self::Tenant, Self::Template, Self::Queue, Self::SessionPool, Self::Analytics, Self::Webhook, Self::Operator];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Tenant => "tenant",
            Self::Template => "template",
            Self::Queue => "queue",
            Self::SessionPool => "session_pool",
            Self::Analytics => "analytics",
            Self::Webhook => "webhook",
            Self::Operator => "operator",
        }
    }
}

/// How to reach NATS.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `nats://host:port`, or several separated by commas.
    pub url: String,
    /// The service's user; the service's name when empty.
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub password: Secret,
    /// Replicas of the event streams: 1 on one server, 3 in production.
    #[serde(default = "one")]
    pub replicas: usize,
}

fn one() -> usize {
    1
}

/// NATS cannot be reached or refuses the user.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to NATS at {url}: {source}")]
pub struct ConnectError {
    url: String,
    source: async_nats::ConnectError,
}

/// The connection of one service.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) service: Service,
    pub(crate) replicas: usize,
    pub(crate) inboxes: Arc<Inboxes>,
}

impl Bus {
    /// Connects, and from then on reconnects for ever.
    pub async fn connect(config: &Config, service: Service) -> Result<Self, ConnectError> {
        let user = if config.user.is_empty() { service.name() } else { &config.user };
        let servers: Vec<String> = config.url.split(',').map(|url| url.trim().to_owned()).collect();
        let client = ConnectOptions::with_user_and_password(user.to_owned(), config.password.expose().to_owned())
            .name(format!("barid-{}", service.name()))
            .custom_inbox_prefix(format!("_INBOX_{}", service.name()))
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| Duration::from_millis(100 * (attempt as u64).min(20)))
            .event_callback(move |event| async move { tracing::info!(service = service.name(), %event, "nats") })
            .connect(servers)
            .await
            .map_err(|source| ConnectError { url: config.url.clone(), source })?;
        Ok(Self { client, service, replicas: config.replicas, inboxes: Arc::new(Inboxes::new(service)) })
    }

    pub fn service(&self) -> Service {
        self.service
    }

    /// Whether the connection stands.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Tells whoever listens. May be lost.
    pub async fn notify(&self, topic: &str, payload: Bytes) {
        let subject = subject::notice(self.service, topic);
        if let Err(error) = self.client.publish(subject, payload).await {
            tracing::debug!(topic, %error, "a notice was not sent");
        }
    }

    /// Listens to a topic of another service.
    pub async fn notices(&self, from: Service, topic: &str) -> Result<Notices, async_nats::SubscribeError> {
        let subscriber = self.client.subscribe(subject::notice(from, topic)).await?;
        Ok(Box::pin(subscriber.map(|message| message.payload)))
    }

    /// Sends what is buffered, then closes.
    pub async fn close(&self) {
        if let Err(error) = self.client.drain().await {
            tracing::debug!(%error, "nats was already closed");
        }
    }
}

/// Payloads of a topic.
pub type Notices = std::pin::Pin<Box<dyn Stream<Item = Bytes> + Send>>;

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("service", &self.service).finish_non_exhaustive()
    }
}
