//! A webhook cut into the parts of its numbers, so that each is kept under the key of the tenant it belongs to. Pure.

use std::collections::BTreeMap;

use barid_whatsapp::cloud::webhook;
use serde_json::{Value, json};

/// The parts of a webhook by Meta's id of their number, each a webhook itself. News of a business account as a whole belong to no number
/// and are left out.
pub(crate) fn cut(body: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, webhook::Error> {
    webhook::parse(body)?;
    let mut post: Value = serde_json::from_slice(body)?;
    let mut parts: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for entry in post["entry"].as_array_mut().map(std::mem::take).unwrap_or_default() {
        for change in entry["changes"].as_array().into_iter().flatten() {
            let number = change["value"]["metadata"]["phone_number_id"].as_str().unwrap_or_default();
            if !number.is_empty() {
                parts.entry(number.to_owned()).or_default().push(json!({"id": entry["id"], "changes": [change]}));
            }
        }
    }
    let whole = |entries: Vec<Value>| json!({"object": post["object"], "entry": entries}).to_string().into_bytes();
    Ok(parts.into_iter().map(|(number, entries)| (number, whole(entries))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: &str, message: &str) -> Value {
        let status = json!({"id": message, "status": "sent", "timestamp": "1700000000", "recipient_id": "201001234567"});
        json!({"field": "messages", "value": {"metadata": {"phone_number_id": number}, "statuses": [status]}})
    }

    #[test]
    fn a_number_gets_its_own_news_and_nobody_elses() {
        let account = json!({"field": "message_template_status_update", "value": {"event": "PAUSED"}});
        let entries = json!([
            {"id": "waba", "changes": [change("1", "a"), change("2", "b"), account]},
            {"id": "other", "changes": [change("1", "c")]},
        ]);
        let body = json!({"object": "whatsapp_business_account", "entry": entries}).to_string();
        let parts = cut(body.as_bytes()).expect("a webhook");
        let ids = |number: &str| {
            let changes = webhook::parse(&parts[number]).expect("a webhook");
            changes.into_iter().flat_map(|change| change.statuses).map(|status| status.provider_id).collect::<Vec<_>>()
        };
        assert_eq!(parts.keys().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((ids("1"), ids("2")), (vec!["a".to_owned(), "c".to_owned()], vec!["b".to_owned()]));
    }

    #[test]
    fn what_is_no_webhook_is_refused() {
        for body in ["", "{", r#"{"object":"page","entry":[]}"#, r#"{"object":"whatsapp_business_account","entry":7}"#] {
            assert!(cut(body.as_bytes()).is_err(), "{body}");
        }
        assert!(cut(br#"{"object":"whatsapp_business_account"}"#).expect("nothing in it").is_empty());
    }
}
