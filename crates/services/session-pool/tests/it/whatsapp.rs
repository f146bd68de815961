//! A simulated WhatsApp whose webhooks go to the service as the gateway would bring them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use barid_bus::{Bus, Channel};
use barid_domain::Secret;
use barid_proto::session_pool::v1::{IngestWebhookRequest, pool_service_client::PoolServiceClient};
use barid_simulator::{App, Config, Simulator};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub const APP: &str = "barid";

pub struct WhatsApp {
    pub url: String,
    pub web_url: String,
    http: reqwest::Client,
    _stop: DropGuard,
}

impl WhatsApp {
    pub async fn start(gateway: &Bus) -> Result<Self> {
        let hook = TcpListener::bind("127.0.0.1:0").await?;
        let callback_url = format!("http://{}/", hook.local_addr()?);
        let app = Router::new().route("/", post(bring)).with_state(PoolServiceClient::new(gateway.channel()));
        tokio::spawn(axum::serve(hook, app).into_future());

        let mut config = Config::default();
        for delay in [&mut config.delays.sent, &mut config.delays.delivered, &mut config.delays.read, &mut config.delays.jitter] {
            *delay = Duration::ZERO;
        }
        config.webhooks.batch_wait = Duration::ZERO;
        config.apps.insert(APP.into(), App { app_secret: Secret::new("s3cret"), verify_token: Secret::default(), callback_url });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stop = CancellationToken::new();
        let simulator = Simulator::build(config, listener).await?;
        let (url, web_url) = (simulator.url(), simulator.web_url());
        tokio::spawn(simulator.run(stop.clone()));
        Ok(Self { url, web_url, http: reqwest::Client::new(), _stop: stop.drop_guard() })
    }

    pub async fn control(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        let answer = self.http.request(method.parse()?, format!("{}{path}", self.url)).json(&body).send().await?;
        ensure!(answer.status().is_success(), "{method} {path}: {}", answer.text().await?);
        Ok(answer.json().await?)
    }

    pub async fn number(&self, id: &str, token: &str) -> Result<()> {
        let business =
            json!({"display_phone_number": "+20 2 1234 5678", "verified_name": "Laundry", "token": token, "waba_id": format!("9{id}")});
        self.control("PUT", &format!("/sim/numbers/{id}"), business).await.map(drop)
    }

    /// Lets free text reach a phone, without the customer's writing being told.
    pub async fn open_window(&self, phone: &str, number: &str, at: &str) -> Result<()> {
        self.control("PUT", &format!("/sim/phones/{phone}/window"), json!({"number": number, "last_wrote": at})).await.map(drop)
    }

    pub async fn arm(&self, fault: Value) -> Result<()> {
        self.control("POST", "/sim/faults", fault).await.map(drop)
    }

    pub async fn count(&self, counter: &str) -> Result<u64> {
        self.control("GET", "/sim/stats", json!(null)).await?[counter].as_u64().with_context(|| format!("no counter {counter}"))
    }

    /// What a business sent to a phone, oldest first.
    pub async fn shown(&self, phone: &str) -> Result<Vec<Value>> {
        let phone = self.control("GET", &format!("/sim/phones/{phone}"), json!(null)).await?;
        let messages = phone["conversations"][0]["messages"].as_array().cloned().unwrap_or_default();
        Ok(messages.into_iter().filter(|message| message["from"] == "business").collect())
    }
}

async fn bring(State(mut pool): State<PoolServiceClient<Channel>>, body: Bytes) -> StatusCode {
    let request = IngestWebhookRequest { app: APP.into(), body };
    if pool.ingest_webhook(request).await.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
