//! SMS through a provider's HTTP API, whose request is a template of the operator's.

use std::{collections::BTreeMap, sync::Arc};

use barid_domain::Secret;
use barid_egress::{Outgoing, SendError, Sender};
use minijinja::{Environment, context};
use serde::{Deserialize, Serialize};

use super::{Delivery, Invalid, Parcel};

/// How an SMS is handed over.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SmsConfig {
    /// None when empty.
    pub url: String,
    pub method: String,
    /// Names and values; `Idempotency-Key` is added.
    pub headers: BTreeMap<String, Secret>,
    /// A template in `to`, `text` and `id`.
    pub body: String,
    /// JSON pointer to the provider's id in its answer, such as `/messages/0/id`.
    pub id_pointer: String,
}

#[derive(Clone)]
pub(crate) struct Sms {
    config: Arc<SmsConfig>,
    template: Arc<Environment<'static>>,
    sender: Sender,
}

impl Sms {
    pub(super) fn new(config: &SmsConfig, egress: &barid_egress::Settings) -> Result<Option<Self>, Invalid> {
        if config.url.is_empty() {
            return Ok(None);
        }
        let invalid = |key, problem: &dyn std::fmt::Display| Invalid { key, problem: problem.to_string() };
        let mut template = Environment::new();
        template.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        template.add_template_owned("body", config.body.clone()).map_err(|error| invalid("sms.body", &error))?;
        let sender = Sender::new(egress).map_err(|error| invalid("egress", &error))?;
        let sms = Self { config: Arc::new(config.clone()), template: Arc::new(template), sender };
        // What is undefined shows now.
        sms.body(&Parcel { id: "msg_".into(), to: "+1".into(), from: "Barid".into(), text: "text".into() })
            .map_err(|error| invalid("sms.body", &error))?;
        Ok(Some(sms))
    }

    pub(super) async fn send(&self, parcel: Parcel) -> Delivery {
        let body = match self.body(&parcel) {
            Ok(body) => body,
            Err(error) => return Delivery::Refused(error.to_string()),
        };
        let own = self.config.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let headers = own.chain([("Idempotency-Key".to_owned(), parcel.id)]).collect();
        let outgoing = Outgoing { method: self.config.method.clone(), url: self.config.url.clone(), headers, body };
        match self.sender.send(outgoing).await {
            Ok(answer) => judge(answer.status, provider_id(&answer.body, &self.config.id_pointer)),
            Err(error @ SendError::Malformed(_)) => Delivery::Refused(error.to_string()),
            Err(error @ SendError::NotSent(_)) => Delivery::Later(error.to_string()),
            Err(error @ SendError::Unknown(_)) => Delivery::Unknown(error.to_string()),
        }
    }

    fn body(&self, parcel: &Parcel) -> Result<String, minijinja::Error> {
        let Parcel { id, to, text, .. } = parcel;
        self.template.get_template("body")?.render(context! { id, to, text })
    }
}

/// A server that says that it takes nothing at the moment took nothing. Of another failure of its own it is not known.
fn judge(status: u16, provider_id: Option<String>) -> Delivery {
    let says = format!("the provider answered {status}");
    match status {
        200..=299 => Delivery::Sent { provider_id },
        408 | 425 | 429 | 503 => Delivery::Later(says),
        500.. => Delivery::Unknown(says),
        _ => Delivery::Refused(says),
    }
}

fn provider_id(body: &[u8], pointer: &str) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    match answer.pointer(pointer).filter(|_| !pointer.is_empty())? {
        serde_json::Value::String(id) => Some(id.clone()),
        serde_json::Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_certainly_not_taken_is_tried_again() {
        for (status, again) in
            [(200, false), (202, false), (400, false), (401, false), (429, true), (500, false), (502, false), (503, true)]
        {
            assert_eq!(matches!(judge(status, None), Delivery::Later(_)), again, "{status}");
        }
        assert!(matches!(judge(504, None), Delivery::Unknown(_)));
        assert!(matches!(judge(301, None), Delivery::Refused(_)));
    }

    #[test]
    fn the_providers_id_is_where_the_pointer_says() {
        let answer = br#"{"messages": [{"id": 17, "status": "queued"}]}"#;
        assert_eq!(provider_id(answer, "/messages/0/id").as_deref(), Some("17"));
        assert_eq!(provider_id(answer, "/messages/0/status").as_deref(), Some("queued"));
        assert_eq!((provider_id(answer, ""), provider_id(answer, "/id"), provider_id(b"ok", "/id")), (None, None, None));
    }
}
