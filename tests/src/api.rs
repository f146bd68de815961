//! REST as a caller makes it.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// A caller with a key.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    pub url: String,
    pub key: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Api {
    pub fn new(url: &str, key: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned(), key: key.to_owned() }
    }

    /// The same caller with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// Makes a call, whatever comes of it.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !self.key.is_empty() {
            request = request.bearer_auth(&self.key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).with_context(|| format!("{path} answered {status} with {text}"))?;
        Ok(Answer { status, body })
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.succeed(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.succeed(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.succeed(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.succeed(Method::DELETE, path, None).await
    }

    async fn succeed(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.call(method.clone(), path, body).await?;
        ensure!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }
}

impl Answer {
    /// The machine-readable reason of an error.
    pub fn reason(&self) -> &str {
        let details = self.body["details"].as_array().map(Vec::as_slice).unwrap_or_default();
        details.iter().find_map(|detail| detail["reason"].as_str()).unwrap_or_default()
    }

    /// The fields at fault.
    pub fn fields(&self) -> Vec<&str> {
        let details = self.body["details"].as_array().map(Vec::as_slice).unwrap_or_default();
        let violations = details.iter().filter_map(|detail| detail["fieldViolations"].as_array()).flatten();
        violations.filter_map(|violation| violation["field"].as_str()).collect()
    }
}
