//! E-mail over SMTP.

use std::time::Duration;

use barid_domain::Secret;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

use super::{Delivery, Invalid, Parcel};

/// How long the server may take for a step.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(crate) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
}

impl Email {
    pub(super) fn new(url: &Secret, from: &str) -> Result<Option<Self>, Invalid> {
        if url.is_empty() {
            return Ok(None);
        }
        let invalid = |key, problem: &dyn std::fmt::Display| Invalid { key, problem: problem.to_string() };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose()).map_err(|error| invalid("smtp_url", &error))?;
        let from = from.parse().map_err(|error| invalid("email_from", &error))?;
        Ok(Some(Self { transport: transport.timeout(Some(PATIENCE)).build(), from }))
    }

    pub(super) async fn send(&self, parcel: Parcel) -> Delivery {
        let message = match self.compose(parcel) {
            Ok(message) => message,
            Err(problem) => return Delivery::Refused(problem),
        };
        // What fails before anything was written may be tried again.
        match self.transport.test_connection().await {
            Ok(true) => {}
            Ok(false) => return Delivery::Later("the mail server is not ready".to_owned()),
            Err(error) if error.is_permanent() => return Delivery::Refused(error.to_string()),
            Err(error) => return Delivery::Later(error.to_string()),
        }
        match self.transport.send(message).await {
            Ok(_) => Delivery::Sent { provider_id: None },
            Err(error) if error.is_permanent() => Delivery::Refused(error.to_string()),
            Err(error) if error.is_transient() => Delivery::Later(error.to_string()),
            Err(error) => Delivery::Unknown(error.to_string()),
        }
    }

    /// The same message has the same Message-ID, by which servers and readers know it again.
    fn compose(&self, parcel: Parcel) -> Result<Message, String> {
        let to: Address = parcel.to.parse().map_err(|error| format!("the address is wrong: {error}"))?;
        Message::builder()
            .from(Mailbox::new(Some(parcel.from.clone()), self.from.clone()))
            .to(Mailbox::new(None, to))
            .subject(parcel.from)
            .message_id(Some(format!("<{}@{}>", parcel.id, self.from.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(parcel.text)
            .map_err(|error| error.to_string())
    }
}

/// Whether a text is an e-mail address.
pub(crate) fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}
