//! As much of S3 as the store speaks, on a loopback port. Refuses what is not signed as Amazon has it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

pub const ACCESS_KEY: &str = "AKIABARID";
pub const SECRET_KEY: &str = "hush-hush";
pub const REGION: &str = "eu-south-9";

#[derive(Default)]
pub struct Kept {
    /// Path with bucket, content, time.
    pub objects: BTreeMap<String, (Bytes, DateTime<Utc>)>,
    pub parts: BTreeMap<u32, Bytes>,
    /// What was called, such as `PUT /bucket/key?partNumber`.
    pub calls: Vec<String>,
    /// The time of what is written.
    pub now: DateTime<Utc>,
    /// The time that lists show instead of the objects' own.
    pub listed_as_of: Option<DateTime<Utc>>,
    /// Calls to fail before any is answered.
    pub failures: u32,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Kept>>);

pub struct Server {
    pub endpoint: String,
    shared: Shared,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Shared::default();
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { endpoint, shared, task }
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    if header(&parts.headers, "authorization") != signature(&parts, &body) {
        return (StatusCode::FORBIDDEN, "<Error><Code>SignatureDoesNotMatch</Code></Error>").into_response();
    }
    shared.0.lock().unwrap_or_else(PoisonError::into_inner).call(&parts, body)
}

impl Kept {
    fn call(&mut self, parts: &Parts, body: Bytes) -> Response {
        let query = query(parts);
        let (path, has) = (parts.uri.path().to_owned(), |key: &str| query.iter().any(|(name, _)| name == key));
        let kind = query.first().map(|(name, _)| format!("?{name}")).unwrap_or_default();
        self.calls.push(format!("{} {path}{kind}", parts.method));
        if self.failures > 0 {
            self.failures -= 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let tag = [(header::ETAG, "\"tag\"")];
        match parts.method {
            Method::PUT if has("partNumber") => {
                let number = query.iter().find(|(name, _)| name == "partNumber").and_then(|(_, value)| value.parse().ok());
                self.parts.insert(number.expect("a number"), body);
                tag.into_response()
            }
            Method::PUT if parts.headers.contains_key("x-amz-copy-source") => {
                let source = header(&parts.headers, "x-amz-copy-source");
                let Some((content, _)) = self.objects.get(&format!("/{}", source.trim_start_matches('/'))) else { return missing() };
                self.objects.insert(path, (content.clone(), self.now));
                "<CopyObjectResult><ETag>\"tag\"</ETag></CopyObjectResult>".into_response()
            }
            Method::PUT => {
                self.objects.insert(path, (body, self.now));
                tag.into_response()
            }
            Method::POST if has("uploads") => {
                self.parts.clear();
                "<InitiateMultipartUploadResult><UploadId>7</UploadId></InitiateMultipartUploadResult>".into_response()
            }
            Method::POST => {
                let whole: Vec<u8> = std::mem::take(&mut self.parts).into_values().flatten().collect();
                self.objects.insert(path, (whole.into(), self.now));
                "<CompleteMultipartUploadResult><ETag>\"tag\"</ETag></CompleteMultipartUploadResult>".into_response()
            }
            Method::DELETE if has("uploadId") => {
                self.parts.clear();
                StatusCode::NO_CONTENT.into_response()
            }
            Method::DELETE => {
                self.objects.remove(&path);
                StatusCode::NO_CONTENT.into_response()
            }
            _ if has("list-type") => self.list(&path, &query),
            _ => match self.objects.get(&path) {
                Some((content, time)) => {
                    let head = [
                        (header::ETAG, "\"tag\"".to_owned()),
                        (header::LAST_MODIFIED, time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
                        (header::CONTENT_LENGTH, content.len().to_string()),
                    ];
                    (head, Body::from(content.clone())).into_response()
                }
                None => missing(),
            },
        }
    }

    fn list(&self, bucket: &str, query: &[(String, String)]) -> Response {
        let prefix = query.iter().find(|(name, _)| name == "prefix").map(|(_, value)| value.as_str()).unwrap_or_default();
        let bucket = format!("{}/", bucket.trim_end_matches('/'));
        let entry = |(path, (content, time)): (&String, &(Bytes, DateTime<Utc>))| {
            let key = path.strip_prefix(&bucket).filter(|key| key.starts_with(prefix))?;
            let (time, size) = (self.listed_as_of.unwrap_or(*time).to_rfc3339(), content.len());
            Some(format!("<Contents><Key>{key}</Key><LastModified>{time}</LastModified><Size>{size}</Size></Contents>"))
        };
        let entries: String = self.objects.iter().filter_map(entry).collect();
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>").into_response()
    }
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn query(parts: &Parts) -> Vec<(String, String)> {
    let pairs = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| (name.to_owned(), value.replace("%2F", "/"))).collect()
}

/// The header that Amazon's Signature Version 4 asks for.
fn signature(parts: &Parts, body: &[u8]) -> String {
    let signed = header(&parts.headers, "authorization").split("SignedHeaders=").nth(1).unwrap_or_default();
    let signed = signed.split(',').next().unwrap_or_default();
    let headers: String = signed.split(';').map(|name| format!("{name}:{}\n", header(&parts.headers, name).trim())).collect();
    let mut query: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let hash = hex::encode(Sha256::digest(body));
    let request = [parts.method.as_str(), parts.uri.path(), &query.join("&"), &headers, signed, &hash].join("\n");
    let time = header(&parts.headers, "x-amz-date");
    let day = time.get(..8).unwrap_or_default();
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
    let secret = format!("AWS4{SECRET_KEY}").into_bytes();
    let key = [day, REGION, "s3", "aws4_request", &text].iter().fold(secret, |key, part| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
        mac.update(part.as_bytes());
        mac.finalize().into_bytes().to_vec()
    });
    format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={signed}, Signature={}", hex::encode(key))
}
