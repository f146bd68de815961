//! Waits for the end, then reads what the ledger says over the public API and what the phones show over the simulator's.

use super::cast::{Conversation, Via};
use super::check::{Entry, Findings, Phone, Promise, Shown, compare};
use super::house::House;
use crate::demo::text;
use anyhow::{Context, Result, ensure};
use barid_testkit::eventually;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

/// Phones looked at at once.
const AT_ONCE: usize = 16;
/// How long receipts may take after the last message was sent: those that a replica of the session-pool held when it died are taken up by
/// another after 30 s.
const RECEIPTS: Duration = Duration::from_secs(35);
/// Between two looks at everything, at least.
const PAUSE: Duration = Duration::from_millis(200);

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub id: String,
    /// The message, or what a customer wrote.
    pub message: String,
    pub kind: String,
    /// Empty unless it is one of ours.
    pub lane: String,
}

impl House {
    /// Waits until every message has come to its end, at most `patience`, and holds everything against everything.
    pub async fn judge(&self, cast: &[Conversation], promises: &[Promise], patience: Duration) -> Result<Findings> {
        // What is not settled by then is among the findings.
        let _ = eventually(patience, || async { self.is_settled(cast).await }).await;
        let begun = Instant::now();
        loop {
            let looked = Instant::now();
            let ledger = self.ledger(cast).await?;
            let findings = compare(promises, &ledger, &self.phones(cast).await?);
            // A receipt that is still on its way puts both right.
            if (findings.unconfirmed == 0 && findings.mismatched == 0) || begun.elapsed() > RECEIPTS.max(patience / 4) {
                return Ok(findings);
            }
            tokio::time::sleep(looked.elapsed().max(PAUSE)).await;
        }
    }

    async fn is_settled(&self, cast: &[Conversation]) -> Result<()> {
        for tenant in tenants(cast) {
            let queue = self.api.get("/v1/queue", &[("tenantId", tenant)]).await?;
            let open: u64 = ["scheduled", "queued", "sending", "uncertain"]
                .iter()
                .filter_map(|count| queue[*count].as_str()?.parse::<u64>().ok())
                .sum();
            ensure!(open == 0, "{open} messages of {tenant} are under way");
        }
        Ok(())
    }

    /// Every message that the ledger has of these businesses.
    pub async fn ledger(&self, cast: &[Conversation]) -> Result<HashMap<String, Entry>> {
        let mut ledger = HashMap::new();
        for tenant in tenants(cast) {
            for message in self.api.list("/v1/messages", &[("tenantId", tenant), ("pageSize", "1000")], "messages").await? {
                ledger.insert(text(&message, "id")?, entry(&message));
            }
        }
        Ok(ledger)
    }

    /// What the phones of these conversations show.
    pub async fn phones(&self, cast: &[Conversation]) -> Result<Vec<Phone>> {
        stream::iter(cast).map(|conversation| self.phone(conversation)).buffered(AT_ONCE).try_collect().await
    }

    async fn phone(&self, conversation: &Conversation) -> Result<Phone> {
        let Conversation { business, customer } = conversation;
        let phone = self.whatsapp.get(&format!("/sim/phones/{customer}"), &[("number", &business.number)]).await?;
        let conversations = phone["conversations"].as_array().context("a phone has conversations")?;
        let messages = conversations.iter().filter_map(|conversation| conversation["messages"].as_array()).flatten();
        let shown = messages.filter(|message| message["from"] == "business").map(shown).collect::<Result<_>>()?;
        Ok(Phone { repeats: business.via == Via::Web, shown })
    }

    /// Every event of a tenant's messages after one of them, or all: the id, the message, and what happened to it.
    pub async fn events(&self, tenant: &str, after: &str) -> Result<Vec<Told>> {
        let mut events: Vec<Told> = Vec::new();
        loop {
            let after = events.last().map_or(after, |event| event.id.as_str()).to_owned();
            let page = self.api.get("/v1/events", &[("tenantId", tenant), ("pageSize", "1000"), ("after", &after)]).await?;
            let page = page["events"].as_array().cloned().unwrap_or_default();
            if page.is_empty() {
                return Ok(events);
            }
            for event in page {
                let lane = event["message"]["lane"].as_str().unwrap_or_default().to_owned();
                events.push(Told { id: text(&event, "id")?, message: text(&event, "entityId")?, kind: text(&event, "kind")?, lane });
            }
        }
    }

    /// Steps of messages that were told more than once, of those that happen once in a message's life.
    pub async fn told_again(&self, cast: &[Conversation]) -> Result<usize> {
        let mut again = 0;
        for tenant in tenants(cast) {
            let mut told = HashSet::new();
            let events = self.events(tenant, "").await?;
            let once = events.iter().filter(|event| matches!(event.kind.as_str(), "sent" | "delivered" | "read" | "failed"));
            again += once.filter(|event| !told.insert((&event.message, &event.kind))).count();
        }
        Ok(again)
    }

    /// The 99th percentile of the milliseconds that these messages waited from their acceptance until WhatsApp had them.
    pub async fn p99(&self, cast: &[Conversation], promises: &[Promise]) -> Result<f64> {
        let ledger = self.ledger(cast).await?;
        let mut waited: Vec<f64> = promises.iter().filter_map(|promise| ledger.get(&promise.id)?.waited_ms).collect();
        waited.sort_by(f64::total_cmp);
        waited.get((waited.len() * 99).div_ceil(100).saturating_sub(1)).copied().context("nothing was sent")
    }

    /// Waits until the figures, which come from the events, are those of the ledger, at most `patience`.
    pub async fn until_counted(&self, cast: &[Conversation], patience: Duration) -> Result<()> {
        eventually(patience, || async {
            for tenant in tenants(cast) {
                let of_tenant: Vec<Conversation> =
                    cast.iter().filter(|conversation| conversation.business.tenant == tenant).take(1).cloned().collect();
                let ledger = self.ledger(&of_tenant).await?;
                let read = ledger.values().filter(|entry| entry.state == "READ").count();
                let totals = self.api.get("/v1/analytics/dashboard", &[("tenantId", tenant)]).await?["totals"].take();
                let is = |field: &str, count: usize| totals[field].as_str().unwrap_or("0") == count.to_string();
                ensure!(
                    is("accepted", ledger.len()) && is("read", read),
                    "of {tenant} {} messages are accepted and {read} are read, and the figures say {totals}",
                    ledger.len()
                );
            }
            Ok(())
        })
        .await
    }
}

pub fn tenants(cast: &[Conversation]) -> BTreeSet<&str> {
    cast.iter().map(|conversation| conversation.business.tenant.as_str()).collect()
}

/// Milliseconds that it waited until WhatsApp had it; `None` while it has not.
fn waited(message: &Value) -> Option<f64> {
    Some((time(message, "sentTime")? - time(message, "createTime")?).num_microseconds()? as f64 / 1000.0)
}

fn time(message: &Value, field: &str) -> Option<DateTime<Utc>> {
    message[field].as_str()?.parse().ok()
}

fn entry(message: &Value) -> Entry {
    let field = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let state = field("state").trim_start_matches("MESSAGE_STATE_").to_owned();
    Entry {
        text: field("text"),
        state,
        reason: field("reason"),
        wire_id: field("providerId"),
        waited_ms: waited(message),
        created: time(message, "createTime"),
    }
}

fn shown(message: &Value) -> Result<Shown> {
    let message_id = message["biz_opaque_callback_data"].as_str().map(str::to_owned);
    Ok(Shown { text: text(message, "text")?, wire_id: text(message, "wamid")?, message_id })
}
