//! The body of a post: items grouped by business account and number, in Meta's shape.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Item, What};
use crate::{faults::Subject, graph, phone::Wire};

/// Builds one post out of a batch. Items of the same number and kind share a change, in their order.
pub(crate) fn build(items: &[Item]) -> Value {
    let mut entries: Vec<(String, Vec<Change>)> = Vec::new();
    for item in items {
        let waba = &item.number.waba_id;
        let index = entries.iter().position(|entry| entry.0 == *waba).unwrap_or_else(|| {
            entries.push((waba.clone(), Vec::new()));
            entries.len() - 1
        });
        add(&mut entries[index].1, item);
    }
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|(id, changes)| json!({"id": id, "changes": changes.into_iter().map(Change::finish).collect::<Vec<_>>()}))
        .collect();
    json!({"object": "whatsapp_business_account", "entry": entries})
}

struct Change {
    field: &'static str,
    /// The number and the list its items go to; none for account events.
    list: Option<(String, &'static str)>,
    contacts: Vec<Value>,
    items: Vec<Value>,
    value: Value,
}

impl Change {
    fn finish(self) -> Value {
        let mut value = self.value;
        if let Some((_, list)) = self.list {
            value[list] = Value::Array(self.items);
            if !self.contacts.is_empty() {
                value["contacts"] = Value::Array(self.contacts);
            }
        }
        json!({"field": self.field, "value": value})
    }
}

fn add(changes: &mut Vec<Change>, item: &Item) {
    let (list, contact, told) = match &item.what {
        What::Account { field, value } => {
            changes.push(Change { field, list: None, contacts: Vec::new(), items: Vec::new(), value: value.clone() });
            return;
        }
        What::Inbound { contact, message, .. } => ("messages", Some(contact), message.clone()),
        What::Status { .. } => ("statuses", None, status(item)),
    };
    let number = &item.number;
    let key = Some((number.phone_number_id.clone(), list));
    let index = changes.iter().position(|change| change.list == key).unwrap_or_else(|| {
        let metadata = json!({
            "display_phone_number": number.display_phone_number.trim_start_matches('+'),
            "phone_number_id": number.phone_number_id,
        });
        let value = json!({"messaging_product": "whatsapp", "metadata": metadata});
        changes.push(Change { field: "messages", list: key, contacts: Vec::new(), items: Vec::new(), value });
        changes.len() - 1
    });
    let change = &mut changes[index];
    if let Some(contact) = contact
        && !change.contacts.contains(contact)
    {
        change.contacts.push(contact.clone());
    }
    change.items.push(told);
}

fn status(item: &Item) -> Value {
    let What::Status { wire, subject, at, error } = &item.what else { return Value::Null };
    let mut status = json!({
        "id": wire.wamid,
        "status": subject,
        "timestamp": at.timestamp().to_string(),
        "recipient_id": wire.wa_id,
    });
    if let Some(opaque) = &wire.opaque {
        status["biz_opaque_callback_data"] = json!(opaque);
    }
    if matches!(subject, Subject::Sent | Subject::Delivered) {
        status["conversation"] = json!({"id": conversation(wire), "origin": {"type": wire.category}});
        let free = wire.category == "service";
        let kind = if free { "free_customer_service" } else { "regular" };
        status["pricing"] = json!({"billable": !free, "pricing_model": "PMP", "category": wire.category, "type": kind});
    }
    if let Some(error) = error {
        let title = graph::title(error.code);
        status["errors"] = json!([{
            "code": error.code,
            "title": title,
            "message": title,
            "error_data": {"details": error.details},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        }]);
    }
    status
}

fn conversation(wire: &Arc<Wire>) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(&Sha256::digest(format!("{}/{}", wire.phone_number_id, wire.wa_id))[..16])
}

#[cfg(test)]
mod tests {
    use barid_domain::Secret;
    use chrono::DateTime;

    use super::*;
    use crate::directory::Number;

    fn item(number: &str, waba: &str, subject: Subject) -> Item {
        let number = Number {
            phone_number_id: number.into(),
            display_phone_number: "+20 2".into(),
            verified_name: "Laundry".into(),
            token: Secret::new("t"),
            app: "app".into(),
            waba_id: waba.into(),
            quality_rating: "GREEN".into(),
        };
        let wire = Wire {
            wamid: "wamid.x".into(),
            phone_number_id: number.phone_number_id.clone(),
            wa_id: "20100".into(),
            sequence: 0,
            opaque: Some("msg_1".into()),
            category: "utility".into(),
            via: crate::phone::Via::Cloud,
        };
        let what = What::Status { wire: Arc::new(wire), subject, at: DateTime::UNIX_EPOCH, error: None };
        Item { number: Arc::new(number), what }
    }

    #[test]
    fn a_batch_is_grouped_by_account_and_number() {
        let post = build(&[item("1", "a", Subject::Sent), item("2", "b", Subject::Sent), item("1", "a", Subject::Delivered)]);
        assert_eq!(post["entry"].as_array().unwrap().len(), 2);
        let statuses = &post["entry"][0]["changes"][0]["value"]["statuses"];
        assert_eq!(statuses[0]["status"], "sent");
        assert_eq!(statuses[1]["status"], "delivered");
        assert_eq!(statuses[1]["biz_opaque_callback_data"], "msg_1");
        assert_eq!(statuses[1]["timestamp"], "0");
    }
}
