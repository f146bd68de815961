use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The simulated WhatsApp, from its customers' and Meta's side.
#[derive(Clone, Debug)]
pub struct Phones {
    http: reqwest::Client,
    url: String,
}

/// A message as a phone shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Shown {
    pub text: String,
    pub template: Option<Template>,
    /// The id that Barid gave it.
    #[serde(rename = "biz_opaque_callback_data")]
    pub message_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Template {
    pub name: String,
}

impl Phones {
    pub fn new(http: reqwest::Client, url: &str) -> Self {
        Self { http, url: url.to_owned() }
    }

    /// Registers a business number.
    pub async fn register(&self, phone_number_id: &str, number: &Value) -> Result<()> {
        self.call(self.http.put(format!("{}/sim/numbers/{phone_number_id}", self.url)).json(number)).await.map(drop)
    }

    /// Approves templates of a business account.
    pub async fn approve(&self, templates: &[Value]) -> Result<()> {
        self.call(self.http.put(format!("{}/sim/templates", self.url)).json(templates)).await.map(drop)
    }

    /// A customer writes to a business.
    pub async fn write(&self, wa_id: &str, phone_number_id: &str, text: &str) -> Result<()> {
        let message = json!({"to": phone_number_id, "text": text});
        self.call(self.http.post(format!("{}/sim/phones/{wa_id}/messages", self.url)).json(&message)).await.map(drop)
    }

    /// What a phone shows of one business, oldest first.
    pub async fn conversation(&self, wa_id: &str, phone_number_id: &str) -> Result<Vec<Shown>> {
        let request = self.http.get(format!("{}/sim/phones/{wa_id}", self.url)).query(&[("number", phone_number_id)]);
        let phone = self.call(request).await?;
        let conversations = phone["conversations"].as_array().cloned().unwrap_or_default();
        let messages =
            conversations.into_iter().filter_map(|mut conversation| conversation["messages"].as_array_mut().map(std::mem::take)).flatten();
        messages.map(|message| serde_json::from_value(message).context("a phone shows what the demo does not understand")).collect()
    }

    /// The phone of a business number scans a code to link a device; returns when it is linked.
    pub async fn scan(&self, number: &str, code: &str) -> Result<()> {
        let scan = self.http.post(format!("{}/sim/web/accounts/{number}/scan", self.url)).json(&json!({"code": code}));
        self.call(scan).await.map(drop)
    }

    /// What the simulator counted.
    pub async fn stats(&self) -> Result<Value> {
        self.call(self.http.get(format!("{}/sim/stats", self.url))).await
    }

    /// How often a phone shows the message of a linked device with this id.
    pub async fn shown(&self, wa_id: &str, number: &str, wire_id: &str) -> Result<usize> {
        Ok(self.wire_ids(wa_id, number).await?.iter().filter(|shown| *shown == wire_id).count())
    }

    /// WhatsApp's ids of what a phone shows of one business, oldest first.
    pub async fn wire_ids(&self, wa_id: &str, number: &str) -> Result<Vec<String>> {
        let request = self.http.get(format!("{}/sim/phones/{wa_id}", self.url)).query(&[("number", number)]);
        let phone = self.call(request).await?;
        let conversations = phone["conversations"].as_array().cloned().unwrap_or_default();
        let messages = conversations.iter().filter_map(|conversation| conversation["messages"].as_array()).flatten();
        Ok(messages.filter_map(|message| message["wamid"].as_str().map(str::to_owned)).collect())
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = request.timeout(Duration::from_secs(10)).send().await.context("the simulator does not answer")?;
        let (status, path) = (answer.status(), answer.url().path().to_owned());
        let body: Value = answer.json().await.unwrap_or_default();
        if !status.is_success() {
            bail!("the simulator refuses {path}: {status} {}", body["error"]["message"].as_str().unwrap_or_default());
        }
        Ok(body)
    }
}
