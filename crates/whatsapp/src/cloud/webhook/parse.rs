//! Reading a post. What is new in it is passed over; what is broken in it spoils nothing else.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{Change, Inbound, Other, Status, StatusKind, content};
use crate::cloud::errors::{self, MetaError};

/// A post that is not a webhook of the Cloud API.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not a webhook: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a webhook of {0:?}, not of a WhatsApp business account")]
    Object(String),
}

#[derive(Deserialize)]
struct Post {
    object: String,
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    changes: Vec<RawChange>,
}

#[derive(Deserialize)]
struct RawChange {
    field: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct RawStatus {
    id: String,
    status: String,
    timestamp: Timestamp,
    #[serde(default)]
    recipient_id: Option<String>,
    #[serde(default)]
    recipient_user_id: Option<String>,
    #[serde(default)]
    biz_opaque_callback_data: Option<String>,
    #[serde(default)]
    errors: Vec<Value>,
}

#[derive(Deserialize)]
struct RawMessage {
    id: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    from_user_id: Option<String>,
    timestamp: Timestamp,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    context: Option<Value>,
    #[serde(flatten)]
    content: serde_json::Map<String, Value>,
}

/// Seconds since 1970, which Meta writes as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Timestamp {
    Text(String),
    Number(i64),
}

impl Timestamp {
    fn time(&self) -> Option<DateTime<Utc>> {
        let seconds = match self {
            Self::Text(text) => text.parse().ok()?,
            Self::Number(seconds) => *seconds,
        };
        DateTime::from_timestamp(seconds, 0)
    }
}

/// Reads the bytes of a post whose signature was found right.
///
/// Items that cannot be read are logged and left out: refusing the post would make Meta repeat it, with all the good
/// items in it, for days.
///
/// # Errors
/// When the post as a whole is not JSON or not a webhook of a WhatsApp business account.
pub fn parse(bytes: &[u8]) -> Result<Vec<Change>, Error> {
    let post: Post = serde_json::from_slice(bytes)?;
    if post.object != "whatsapp_business_account" {
        return Err(Error::Object(post.object));
    }
    let changes = post.entry.into_iter().flat_map(|entry| {
        let account = entry.id;
        entry.changes.into_iter().map(move |raw| change(&account, raw))
    });
    Ok(changes.collect())
}

fn change(account: &str, raw: RawChange) -> Change {
    let mut change = Change {
        business_account_id: account.to_owned(),
        phone_number_id: raw.value["metadata"]["phone_number_id"].as_str().unwrap_or_default().to_owned(),
        statuses: Vec::new(),
        inbound: Vec::new(),
        other: None,
    };
    if raw.field != "messages" {
        change.other = Some(Other { field: raw.field, value: raw.value });
        return change;
    }
    change.statuses = items(&raw.value["statuses"], account, status);
    let contacts = raw.value["contacts"].as_array().map_or(&[][..], Vec::as_slice);
    change.inbound = items(&raw.value["messages"], account, |message| inbound(message, contacts));
    change
}

fn items<R: for<'de> Deserialize<'de>, T>(list: &Value, account: &str, read: impl Fn(R) -> Option<T>) -> Vec<T> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    let read = |(index, item): (usize, &Value)| {
        let item = R::deserialize(item).ok().and_then(&read);
        if item.is_none() {
            tracing::warn!(account, index, "an item of a webhook cannot be read and is left out");
        }
        item
    };
    items.iter().enumerate().filter_map(read).collect()
}

fn status(raw: RawStatus) -> Option<Status> {
    let kind = match raw.status.as_str() {
        "sent" => StatusKind::Sent,
        "delivered" => StatusKind::Delivered,
        "read" => StatusKind::Read,
        "failed" => {
            let unexplained = || MetaError { code: 131_000, message: Some("no error given".into()), ..MetaError::default() };
            let error = raw.errors.first().and_then(|error| MetaError::deserialize(error).ok()).unwrap_or_else(unexplained);
            StatusKind::Failed(errors::judge(&error, false))
        }
        other => StatusKind::Other(other.to_owned()),
    };
    Some(Status {
        provider_id: raw.id,
        message_id: raw.biz_opaque_callback_data,
        kind,
        recipient: raw.recipient_id.or(raw.recipient_user_id).map(e164).unwrap_or_default(),
        timestamp: raw.timestamp.time()?,
    })
}

fn inbound(raw: RawMessage, contacts: &[Value]) -> Option<Inbound> {
    let content = content::read(&raw.kind, raw.content.get(&raw.kind).unwrap_or(&Value::Null));
    let same = |contact: &&Value| {
        let known = |key: &str, own: &Option<String>| own.as_deref().is_some_and(|own| contact[key] == own);
        known("wa_id", &raw.from) || known("user_id", &raw.from_user_id)
    };
    // A post with one contact may be about a hidden number that neither side of the comparison has.
    let contact = contacts.iter().find(same).or(if contacts.len() == 1 { contacts.first() } else { None });
    let own = |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let context = raw.context.as_ref().map(|context| &context["id"]);
    Some(Inbound {
        id: raw.id,
        profile_name: own(contact.map(|contact| &contact["profile"]["name"])),
        user_id: raw.from_user_id.or_else(|| own(contact.map(|contact| &contact["user_id"]))),
        from: raw.from.map(e164).unwrap_or_default(),
        timestamp: raw.timestamp.time()?,
        content,
        replies_to: own(context),
    })
}

/// Meta writes numbers without their plus; what is not a number stays as it is.
fn e164(id: String) -> String {
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) { format!("+{id}") } else { id }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Action, cloud::webhook::Content};

    fn post(value: Value) -> Vec<u8> {
        let value =
            json!({"object": "whatsapp_business_account", "entry": [{"id": "waba", "changes": [{"field": "messages", "value": value}]}]});
        value.to_string().into_bytes()
    }

    #[test]
    fn statuses_of_every_kind() {
        let status = |kind: &str| json!({"id": "wamid.1", "status": kind, "timestamp": "1700000000", "recipient_id": "201001234567", "biz_opaque_callback_data": "msg_1", "brand_new": {}});
        let mut failed = status("failed");
        failed["errors"] = json!([{"code": 131_026, "title": "Message undeliverable", "error_data": {"details": "to +201001234567"}}]);
        let value = json!({"metadata": {"phone_number_id": "7"}, "statuses": [status("sent"), status("delivered"), status("read"), failed, status("played")]});
        let changes = parse(&post(value)).unwrap();
        assert_eq!((changes[0].business_account_id.as_str(), changes[0].phone_number_id.as_str()), ("waba", "7"));
        let statuses = &changes[0].statuses;
        assert_eq!(statuses[0].message_id.as_deref(), Some("msg_1"));
        assert_eq!(statuses[0].recipient, "+201001234567");
        assert_eq!(statuses[0].timestamp.timestamp(), 1_700_000_000);
        let kinds: Vec<_> = statuses.iter().map(|status| &status.kind).collect();
        assert_eq!(kinds[..3], [&StatusKind::Sent, &StatusKind::Delivered, &StatusKind::Read]);
        let StatusKind::Failed(failure) = kinds[3] else { panic!("{:?}", kinds[3]) };
        assert_eq!((failure.action, failure.reason), (Action::DeadLetter, "undeliverable"));
        assert_eq!(failure.detail, "131026 Message undeliverable: to +***");
        assert_eq!(kinds[4], &StatusKind::Other("played".into()));
    }

    #[test]
    fn messages_with_their_sender() {
        let value = json!({
            "metadata": {"phone_number_id": "7"},
            "contacts": [{"profile": {"name": "سارة"}, "wa_id": "201001234567", "user_id": "EG.1"}],
            "messages": [
                {"from": "201001234567", "id": "a", "timestamp": "1700000000", "type": "text", "text": {"body": "أين طلبي؟"}, "context": {"id": "wamid.1"}},
                {"from": "201001234567", "id": "b", "timestamp": 1_700_000_001, "type": "image", "image": {"id": "m1", "caption": "this"}},
                {"from_user_id": "EG.1", "id": "c", "timestamp": "1700000002", "type": "reaction", "reaction": {"message_id": "wamid.1", "emoji": "👍"}},
                {"from": "201001234567", "id": "d", "timestamp": "1700000003", "type": "order", "order": {}},
            ],
        });
        let inbound = parse(&post(value)).unwrap().remove(0).inbound;
        let first = &inbound[0];
        assert_eq!(
            (first.from.as_str(), first.profile_name.as_deref(), first.user_id.as_deref()),
            ("+201001234567", Some("سارة"), Some("EG.1"))
        );
        assert_eq!(first.content, Content::Text { body: "أين طلبي؟".into() });
        assert_eq!(first.replies_to.as_deref(), Some("wamid.1"));
        let Content::File(file) = &inbound[1].content else { panic!("{:?}", inbound[1]) };
        assert_eq!((file.id.as_str(), file.caption.as_deref()), ("m1", Some("this")));
        assert_eq!((inbound[2].from.as_str(), inbound[2].user_id.as_deref(), &inbound[2].replies_to), ("", Some("EG.1"), &None));
        assert_eq!(inbound[2].content, Content::Reaction { target_id: "wamid.1".into(), emoji: Some("👍".into()) });
        assert_eq!(inbound[3].content, Content::Unsupported { name: "order".into() });
    }

    #[test]
    fn a_broken_item_spoils_no_other() {
        let good = json!({"id": "1", "status": "sent", "timestamp": "1", "recipient_id": "2"});
        let value = json!({"statuses": [{"id": 5}, {"id": "1", "status": "sent", "timestamp": "soon"}, good]});
        assert_eq!(parse(&post(value)).unwrap()[0].statuses.len(), 1);
    }

    #[test]
    fn other_fields_are_kept() {
        let post = json!({"object": "whatsapp_business_account", "entry": [{"id": "waba", "changes": [{"field": "account_update", "value": {"event": "X"}}]}]});
        let changes = parse(post.to_string().as_bytes()).unwrap();
        assert_eq!(changes[0].other, Some(Other { field: "account_update".into(), value: json!({"event": "X"}) }));
    }

    #[test]
    fn what_is_no_webhook_is_refused() {
        assert!(matches!(parse(b"hello"), Err(Error::Json(_))));
        assert!(matches!(parse(br#"{"object":"page","entry":[]}"#), Err(Error::Object(_))));
    }
}
