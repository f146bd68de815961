use barid_whatsapp::{
    Action, Sent,
    cloud::webhook::{Content, Status, StatusKind},
};
use serde_json::json;

use crate::support::{NUMBER, PHONE, WABA, WhatsApp, text};

async fn statuses(whatsapp: &mut WhatsApp, count: usize) -> Vec<Status> {
    let mut statuses = Vec::new();
    while statuses.len() < count {
        let change = whatsapp.change().await;
        assert_eq!((change.business_account_id.as_str(), change.phone_number_id.as_str()), (WABA, NUMBER));
        statuses.extend(change.statuses);
    }
    statuses
}

#[tokio::test]
async fn statuses_lead_back_to_the_message() {
    let mut whatsapp = WhatsApp::start().await;
    whatsapp.open_window().await;
    let Sent::Acknowledged { provider_id } = whatsapp.send(&text("msg_1", "hello")).await.unwrap();
    let statuses = statuses(&mut whatsapp, 3).await;
    let kinds: Vec<_> = statuses.iter().map(|status| status.kind.clone()).collect();
    assert_eq!(kinds, [StatusKind::Sent, StatusKind::Delivered, StatusKind::Read]);
    for status in statuses {
        assert_eq!((status.provider_id.as_str(), status.message_id.as_deref()), (provider_id.as_str(), Some("msg_1")));
        assert_eq!(status.recipient, PHONE);
    }
}

#[tokio::test]
async fn an_unanswered_send_is_reconciled_by_its_status() {
    let mut whatsapp = WhatsApp::start().await;
    whatsapp.open_window().await;
    whatsapp.arm(json!({"kind": "timeout_after_accept", "count": 1})).await;
    assert_eq!(whatsapp.send(&text("msg_1", "hello")).await.unwrap_err().action, Action::Uncertain);
    assert_eq!(statuses(&mut whatsapp, 1).await[0].message_id.as_deref(), Some("msg_1"));
}

#[tokio::test]
async fn a_late_failure_has_the_meaning_of_its_code() {
    let mut whatsapp = WhatsApp::start().await;
    whatsapp.open_window().await;
    whatsapp.arm(json!({"kind": "error_code", "code": 131_026, "status": "failed", "count": 1})).await;
    whatsapp.send(&text("msg_1", "hello")).await.unwrap();
    let status = statuses(&mut whatsapp, 1).await.remove(0);
    let StatusKind::Failed(failure) = status.kind else { panic!("{:?}", status.kind) };
    assert_eq!((failure.action, failure.reason), (Action::DeadLetter, "undeliverable"));
}

#[tokio::test]
async fn what_customers_write_arrives_whole() {
    let mut whatsapp = WhatsApp::start().await;
    whatsapp.control("PUT", &format!("/sim/phones/{PHONE}"), json!({"name": "سارة"})).await;
    let inbound = whatsapp.open_window().await.inbound.remove(0);
    assert_eq!((inbound.from.as_str(), inbound.profile_name.as_deref()), (PHONE, Some("سارة")));
    assert_eq!(inbound.content, Content::Text { body: "هل طلبي جاهز؟".into() });
    assert!(inbound.user_id.is_some());
    let message = json!({"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"id": "yes", "title": "نعم"}}});
    let body = json!({"to": NUMBER, "message": message, "reply_to": inbound.id});
    whatsapp.control("POST", &format!("/sim/phones/{PHONE}/messages"), body).await;
    let pressed = whatsapp.change().await.inbound.remove(0);
    assert_eq!(pressed.content, Content::Choice { id: "yes".into(), title: "نعم".into() });
    assert_eq!(pressed.replies_to, Some(inbound.id));
}
