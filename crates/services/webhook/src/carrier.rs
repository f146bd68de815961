//! Carries a body to an endpoint, once.

use std::time::Duration;

use barid_egress::{Outgoing, Sender};
use tokio::time::Instant;

use crate::{
    exchange::{self, Exchange},
    signature::{self, Secret},
};

/// What is carried where.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub url: String,
    /// The newest first.
    pub secrets: Vec<Secret>,
    /// `evt_...`, the `webhook-id`.
    pub event_id: String,
    pub body: String,
}

/// Sends parcels to the public internet only.
#[derive(Clone)]
pub(crate) struct Carrier {
    sender: Sender,
    patience: Duration,
}

impl Carrier {
    /// `patience` bounds an attempt with everything that belongs to it.
    pub(crate) fn new(sender: Sender, patience: Duration) -> Self {
        Self { sender: sender.keeping(exchange::BODY), patience }
    }

    /// The same for those who cannot wait as long.
    pub(crate) fn within(self, patience: Duration) -> Self {
        Self { patience: self.patience.min(patience), ..self }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Why a URL could never be carried to, as a sentence that begins with what it is.
    pub(crate) fn judge(&self, url: &str) -> Result<(), barid_egress::Error> {
        self.sender.judge(url)
    }

    /// `timestamp` is when it is signed, in seconds since 1970.
    pub(crate) async fn carry(&self, parcel: Parcel, timestamp: i64) -> Exchange {
        let headers = signature::headers(&parcel.secrets, &parcel.event_id, timestamp, &parcel.body);
        let mut exchange = Exchange { url: parcel.url.clone(), request_headers: headers.clone(), ..Exchange::default() };
        let outgoing = Outgoing { method: "POST".to_owned(), url: parcel.url, headers, body: parcel.body };
        let began = Instant::now();
        match tokio::time::timeout(self.patience, self.sender.send(outgoing)).await {
            Ok(Ok(answer)) => {
                exchange.status = answer.status;
                exchange.response_headers = exchange::bounded(answer.headers);
                exchange.response_body = String::from_utf8_lossy(&answer.body).into_owned();
            }
            Ok(Err(error)) => exchange.error = error.to_string(),
            Err(_) => exchange.error = format!("was sent, and no answer came: nothing came within {:?}", self.patience),
        }
        exchange.latency = began.elapsed();
        exchange
    }
}
