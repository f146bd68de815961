//! Where messages go that do not go over WhatsApp: the operator's mail server, and an SMS provider.

mod email;
mod sms;

use serde::{Deserialize, Serialize};

use barid_domain::Secret;

use crate::channel::Channel;

pub(crate) use email::{Email, is_address};
pub(crate) use sms::Sms;
pub use sms::SmsConfig;

/// The other ways than WhatsApp; one that is not set up is not taken.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `smtp://user:password@host:587?tls=required`, or `smtps://...`; none when empty.
    pub smtp_url: Secret,
    /// The sender's address; the business's name stands beside it.
    pub email_from: String,
    pub sms: SmsConfig,
    /// What requests to the SMS provider may reach.
    pub egress: barid_egress::Settings,
}

/// Why an outlet cannot be set up, with the key at fault.
#[derive(Debug, thiserror::Error)]
#[error("fallback.{key}: {problem}")]
pub struct Invalid {
    pub key: &'static str,
    pub problem: String,
}

/// What goes out.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    /// The message's id, the same whenever it is tried again.
    pub id: String,
    /// An address or a number in E.164.
    pub to: String,
    /// The business's name.
    pub from: String,
    pub text: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It was taken, under an id of the provider's, if it told one.
    Sent { provider_id: Option<String> },
    /// It was not sent, and may be later.
    Later(String),
    /// It was refused for good.
    Refused(String),
    /// It may have arrived, and is not sent again.
    Unknown(String),
}

/// The ways that are set up.
#[derive(Clone)]
pub(crate) struct Outlets {
    email: Option<Email>,
    sms: Option<Sms>,
}

impl Outlets {
    pub(crate) fn new(config: &Config) -> Result<Self, Invalid> {
        Ok(Self { email: Email::new(&config.smtp_url, &config.email_from)?, sms: Sms::new(&config.sms, &config.egress)? })
    }

    pub(crate) fn has(&self, channel: Channel) -> bool {
        match channel {
            Channel::Whatsapp => false,
            Channel::Email => self.email.is_some(),
            Channel::Sms => self.sms.is_some(),
        }
    }

    pub(crate) async fn send(&self, channel: Channel, parcel: Parcel) -> Delivery {
        match (channel, &self.email, &self.sms) {
            (Channel::Email, Some(email), _) => email.send(parcel).await,
            (Channel::Sms, _, Some(sms)) => sms.send(parcel).await,
            _ => Delivery::Refused("it is not set up".to_owned()),
        }
    }
}
