//! Who writes to whom: businesses on the Cloud API and on linked devices, and their customers.

use super::house::{House, PATIENCE};
use crate::demo::text;
use anyhow::{Result, ensure};
use barid_testkit::eventually;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::time::{Duration, Instant};

/// Calls under way at once while everything is set up.
const AT_ONCE: usize = 8;

/// How a business reaches WhatsApp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Cloud,
    Web,
}

/// A business with its number.
#[derive(Clone, Debug)]
pub struct Business {
    pub via: Via,
    pub tenant: String,
    pub session: String,
    /// What the simulator knows its number by.
    pub number: String,
}

/// One customer of one business, to whom messages go one after another.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub business: Business,
    pub customer: String,
}

impl House {
    /// Sets up businesses of each kind and so many conversations among them in turn.
    pub async fn cast(&self, businesses: &[Via], conversations: usize) -> Result<Vec<Conversation>> {
        self.cast_from(businesses, conversations, 0).await
    }

    /// The same with numbers that are counted from `first` on.
    pub async fn cast_from(&self, businesses: &[Via], conversations: usize, first: usize) -> Result<Vec<Conversation>> {
        let found = stream::iter(businesses.iter().enumerate()).map(async |(index, via)| match via {
            Via::Cloud => self.business_on_cloud(first + index).await,
            Via::Web => self.business_on_web(first + index).await,
        });
        let found: Vec<Business> = found.buffered(AT_ONCE).try_collect().await?;
        let conversation =
            |index: usize| Conversation { business: found[index % found.len()].clone(), customer: format!("20150{:07}", first + index) };
        let conversations: Vec<Conversation> = (0..conversations).map(conversation).collect();
        let written = stream::iter(&conversations).map(|conversation| self.hear_from(conversation));
        written.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(conversations)
    }

    async fn tenant(&self, name: &str) -> Result<String> {
        let tenant = json!({"name": name, "locale": "ar-EG", "country": "EG", "currency": "EGP", "timeZone": "Africa/Cairo",
            "dailyQuota": 10_000_000});
        text(&self.api.post("/v1/tenants", &[], &json!({"tenant": tenant})).await?, "id")
    }

    async fn business_on_cloud(&self, index: usize) -> Result<Business> {
        let tenant = self.tenant(&format!("Cloud {index}")).await?;
        let (number, account, phone) = (format!("1000000{index:05}"), format!("2000000{index:05}"), format!("+20100{index:07}"));
        let token = format!("token-of-{number}");
        let registered =
            json!({"display_phone_number": phone, "verified_name": number, "token": token, "app": crate::up::APP, "waba_id": account});
        self.whatsapp.put(&format!("/sim/numbers/{number}"), &registered).await?;
        let session = json!({"phoneNumber": phone, "messagesPerMinute": 60_000, "cloud": {
            "phoneNumberId": number, "businessAccountId": account, "portfolioId": account, "app": crate::up::APP, "accessToken": token,
        }});
        let session = text(&self.api.post("/v1/sessions", &[("tenantId", &tenant)], &session).await?, "id")?;
        Ok(Business { via: Via::Cloud, tenant, session, number })
    }

    /// Links a device through the protocol: a code is shown, and the phone scans it.
    async fn business_on_web(&self, index: usize) -> Result<Business> {
        let tenant = self.tenant(&format!("Web {index}")).await?;
        let (number, query) = (format!("20120{index:07}"), [("tenantId", tenant.as_str())]);
        let session = json!({"phoneNumber": format!("+{number}"), "messagesPerMinute": 60_000, "web": {}});
        let session = text(&self.api.post("/v1/sessions", &query, &session).await?, "id")?;
        let path = format!("/v1/sessions/{session}/pairing");
        let pairing = self.api.post(&path, &[], &json!({"tenantId": tenant})).await?;
        let code = json!({"code": text(&pairing, "qr")?});
        self.whatsapp.post(&format!("/sim/web/accounts/{number}/scan"), &[], &code).await?;
        let begun = Instant::now();
        loop {
            let pairing = self.api.get(&path, &query).await?;
            if pairing["state"] == "PAIRING_STATE_PAIRED" {
                break;
            }
            ensure!(pairing["done"] != true && begun.elapsed() < PATIENCE, "{number} is not linked: {pairing}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Business { via: Via::Web, tenant: tenant.clone(), session, number })
    }

    /// The customer writes first, which opens the Cloud API's window for free text.
    async fn hear_from(&self, conversation: &Conversation) -> Result<()> {
        let Conversation { business, customer } = conversation;
        if business.via == Via::Web {
            return Ok(());
        }
        let letter = json!({"to": business.number, "text": "السلام عليكم"});
        self.whatsapp.post(&format!("/sim/phones/{customer}/messages"), &[], &letter).await?;
        eventually(PATIENCE, || async {
            let contact = self.api.get(&format!("/v1/contacts/{customer}"), &[("tenantId", &business.tenant)]).await?;
            ensure!(contact["lastInboundTime"].is_string(), "the ledger has not heard of {customer}");
            Ok(())
        })
        .await
    }
}
