use anyhow::{Context, Result, anyhow};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a call is repeated while Barid cannot answer: longer than any of its processes takes to come back.
const PATIENCE: Duration = Duration::from_secs(90);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Barid's REST API, with one key.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    key: String,
}

/// What Barid said no to.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status, self.message)
    }
}

impl std::error::Error for Refusal {}

impl Api {
    pub fn new(http: reqwest::Client, url: &str, key: &str) -> Self {
        Self { http, url: url.to_owned(), key: key.to_owned() }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// GET with query parameters.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        self.call(Method::GET, path, query, None, None).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::PUT, path, &[], Some(body), None).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.call(Method::DELETE, path, &[], None, None).await
    }

    /// POST of what has no idempotency key. Repeated only when Barid said that it did not take it.
    pub async fn post(&self, path: &str, query: &[(&str, &str)], body: &Value) -> Result<Value> {
        self.call(Method::POST, path, query, Some(body), None).await
    }

    /// POST of messages, repeated under the same key until there is an answer.
    pub async fn send(&self, path: &str, idempotency_key: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, &[], Some(body), Some(idempotency_key)).await
    }

    /// All pages of a list.
    pub async fn list(&self, path: &str, query: &[(&str, &str)], field: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = query.to_vec();
            if !token.is_empty() {
                query.push(("pageToken", &token));
            }
            let mut page = self.get(path, &query).await?;
            if let Some(Value::Array(found)) = page.get_mut(field).map(Value::take) {
                items.extend(found);
            }
            token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                return Ok(items);
            }
        }
    }

    async fn call(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<&Value>, key: Option<&str>) -> Result<Value> {
        let start = Instant::now();
        let repeatable = method != Method::POST || key.is_some();
        let mut pause = Duration::from_millis(100);
        loop {
            let mut request =
                self.http.request(method.clone(), format!("{}{path}", self.url)).bearer_auth(&self.key).query(query).timeout(TIMEOUT);
            if let Some(body) = body {
                request = request.json(body);
            }
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            let (failure, again) = match request.send().await {
                Ok(answer) => {
                    let status = answer.status();
                    let wait =
                        answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok()).map(Duration::from_secs);
                    let body: Value = answer.json().await.unwrap_or_default();
                    if status.is_success() {
                        return Ok(body);
                    }
                    let message = body["message"].as_str().map_or_else(|| body.to_string(), str::to_owned);
                    // Refused before anything was done; or, for what can be repeated, with an unknown outcome.
                    let again = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
                        || (repeatable && matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT));
                    pause = wait.unwrap_or(pause);
                    (anyhow::Error::new(Refusal { status, message }), again)
                }
                Err(error) => {
                    let again = error.is_connect() || repeatable;
                    (anyhow!(error), again)
                }
            };
            if !again || start.elapsed() > PATIENCE {
                return Err(failure).with_context(|| format!("{method} {path}"));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}

/// The string at `field` of an answer; an error that shows the answer when there is none.
pub fn text(answer: &Value, field: &str) -> Result<String> {
    answer[field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {answer}"))
}
