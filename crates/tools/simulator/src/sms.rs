//! An SMS provider: takes messages over HTTP, each key once.

use std::collections::{HashMap, VecDeque};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::world::World;

/// Messages and keys kept; older ones are forgotten.
const KEPT: usize = 1000;

/// A message that a phone was sent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sms {
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) text: String,
    pub(crate) reference: String,
}

/// How the next messages are answered.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Answers {
    pub(crate) status: u16,
    pub(crate) times: u32,
    /// Whether they are taken all the same.
    #[serde(default)]
    pub(crate) taken: bool,
}

#[derive(Default)]
pub(crate) struct Provider(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    sent: VecDeque<Sms>,
    /// Ids by key.
    keys: HashMap<String, String>,
    answers: Option<Answers>,
    made: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    to: String,
    text: String,
    #[serde(default)]
    reference: String,
}

impl Provider {
    pub(crate) fn sent(&self) -> Vec<Sms> {
        self.0.lock().sent.iter().cloned().collect()
    }

    pub(crate) fn answer(&self, answers: Answers) {
        self.0.lock().answers = Some(answers);
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = Inner::default();
    }

    fn take(&self, key: &str, request: Request) -> (u16, Value) {
        let mut inner = self.0.lock();
        let told = inner.answers.filter(|answers| answers.times > 0);
        if let Some(answers) = &mut inner.answers {
            answers.times = answers.times.saturating_sub(1);
        }
        if let Some(answers) = told.filter(|answers| !answers.taken) {
            return (answers.status, json!({"error": "as it was told to"}));
        }
        let known = inner.keys.get(key).filter(|_| !key.is_empty()).cloned();
        let id = known.unwrap_or_else(|| {
            inner.made += 1;
            let id = format!("sms-{}", inner.made);
            if inner.sent.len() == KEPT {
                inner.sent.pop_front();
                inner.keys.clear();
            }
            inner.keys.insert(key.to_owned(), id.clone());
            inner.sent.push_back(Sms { id: id.clone(), to: request.to, text: request.text, reference: request.reference });
            id
        });
        (told.map_or(202, |answers| answers.status), json!({"messages": [{"id": id}]}))
    }
}

/// `POST /sms/messages`: `{"to", "text", "reference"}`, with an `Idempotency-Key`.
pub(crate) async fn take(State(world): State<Arc<World>>, headers: HeaderMap, Json(request): Json<Request>) -> (StatusCode, Json<Value>) {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let (status, answer) = world.sms.take(key, request);
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(answer))
}
