//! A laundry that can send, and its customers' phones.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use barid_testkit::eventually;
use serde_json::{Value, json};

use crate::{Api, Stack};

/// The call of the laundry invoices' specification, as it is printed there.
pub const SEED_CALL: &str = include_str!("seed/invoice.json");
/// The text that it asks for.
pub const SEED_TEXT: &str = include_str!("seed/invoice.ar.txt");

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A tenant with a session.
#[derive(Clone, Debug)]
pub struct Business {
    /// Calls with a key of this tenant.
    pub api: Api,
    pub simulator: Api,
    pub tenant: String,
    pub session: String,
    /// Meta's id of its number.
    pub number: String,
}

impl Business {
    /// Registers a laundry in Cairo with its number and its templates at Meta.
    pub(crate) async fn found(stack: &Stack, organisation: &Api, name: &str) -> Result<Self> {
        let tenant = organisation
            .post(
                "/v1/tenants",
                &json!({"tenant": {
                    "name": name, "locale": "ar-EG", "country": "EG", "currency": "EGP", "timeZone": "Africa/Cairo", "dailyQuota": 100_000,
                    "glossary": {"Dry Cleaning": "تنظيف جاف", "Pressing": "كي", "EGP": "جنيه"},
                    "branding": {"businessName": "مغسلة النيل الأزرق", "phone": "01234567890", "emoji": "👋"},
                }}),
            )
            .await?;
        let tenant = text(&tenant, "id")?;
        let key = organisation.post("/v1/apiKeys", &json!({"tenantId": tenant, "displayName": name})).await?;
        let api = organisation.with_key(&text(&key, "secret")?);
        let number = format!("{}", 100_000_000_000 + u64::from(rand_u32()));
        let account = format!("waba-{number}");
        let phone = format!("+2010{:08}", rand_u32() % 100_000_000);
        let token = format!("token-{number}");
        let registered = json!({
            "display_phone_number": phone, "verified_name": name, "token": token, "app": "main", "waba_id": account,
        });
        stack.simulator.put(&format!("/sim/numbers/{number}"), &registered).await?;
        let body = "فاتورة {{1}} رقم {{2}} بمبلغ {{3}} تستحق {{4}}.";
        let approved = json!({"waba": account, "name": "invoice", "language": "ar", "header": "document", "body": body});
        stack.simulator.put("/sim/templates", &approved).await?;
        let session = json!({"displayName": name, "phoneNumber": phone, "cloud": {
            "phoneNumberId": number, "businessAccountId": account, "portfolioId": account, "app": "main", "accessToken": token,
        }});
        let session = text(&api.post("/v1/sessions", &session).await?, "id")?;
        Ok(Self { api, simulator: stack.simulator.clone(), tenant, session, number })
    }

    /// A customer writes, so that free text reaches them.
    pub async fn hears_from(&self, customer: &str) -> Result<()> {
        let message = json!({"to": self.number, "text": "السلام عليكم"});
        self.simulator.post(&format!("/sim/phones/{customer}/messages"), &message).await?;
        eventually(PATIENCE, || async {
            let contact = self.api.get(&format!("/v1/contacts/{customer}")).await?;
            ensure!(contact["lastInboundTime"].is_string(), "the ledger has not heard of it");
            Ok(())
        })
        .await
    }

    /// The customer of the specification, with his name in Arabic; he wrote just now.
    pub async fn knows_ahmed(&self) -> Result<&'static str> {
        const AHMED: &str = "201234567890";
        self.hears_from(AHMED).await?;
        self.api.put(&format!("/v1/contacts/{AHMED}"), &json!({"names": {"ar": "أحمد محمد", "en": "Ahmed Mohamed"}})).await?;
        Ok(AHMED)
    }

    /// Waits until a message reaches a state, and gives it back.
    pub async fn reaches(&self, message: &str, state: &str) -> Result<Value> {
        let wanted = format!("MESSAGE_STATE_{state}");
        eventually(PATIENCE, || async {
            let message = self.api.get(&format!("/v1/messages/{message}")).await?;
            ensure!(message["state"] == wanted.as_str(), "it is {} {}", message["state"], message["reason"]);
            Ok(message)
        })
        .await
    }

    /// What a phone shows of this business, oldest first.
    pub async fn shown(&self, customer: &str) -> Result<Vec<Value>> {
        let phone = self.simulator.get(&format!("/sim/phones/{customer}?number={}", self.number)).await?;
        let conversations = phone["conversations"].as_array().context("a phone has conversations")?;
        let messages = conversations.iter().filter_map(|conversation| conversation["messages"].as_array()).flatten();
        Ok(messages.filter(|message| message["from"] == "business").cloned().collect())
    }
}

/// A field that must be text.
pub(crate) fn text(value: &Value, field: &str) -> Result<String> {
    Ok(value[field].as_str().with_context(|| format!("{field} is missing in {value}"))?.to_owned())
}

/// Numbers of tests differ, as they share a simulator within a stack only.
fn rand_u32() -> u32 {
    u32::from_str_radix(&barid_testkit::secret()[..8], 16).unwrap_or_default()
}
