//! The simulator's own API under `/sim/`: setting up, being the customer, looking at phones, arming faults.

mod business;
mod customer;
mod faults;
mod letters;
mod phones;
#[cfg(feature = "web")]
mod web;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequest, Query, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::world::World;

pub(crate) fn router() -> Router<Arc<World>> {
    let router = Router::new()
        .route("/sim/health", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/sim/stats", get(stats))
        .route("/sim/reset", post(reset))
        .route("/sim/apps", get(business::list_apps))
        .route("/sim/apps/{app}", put(business::put_app))
        .route("/sim/apps/{app}/verify", post(business::verify_app))
        .route("/sim/numbers", get(business::list_numbers))
        .route("/sim/numbers/{id}", put(business::put_number).delete(business::delete_number))
        .route("/sim/templates", get(business::list_templates).put(business::put_templates))
        .route("/sim/phones", get(phones::list))
        .route("/sim/phones/{wa_id}", get(phones::get).put(customer::set))
        .route("/sim/phones/{wa_id}/messages", post(customer::write))
        .route("/sim/phones/{wa_id}/read", post(customer::read))
        .route("/sim/phones/{wa_id}/window", put(customer::set_window))
        .route("/sim/mail", get(letters::mail).put(letters::refuse_mail))
        .route("/sim/sms", get(letters::sms).put(letters::answer_sms))
        .route("/sim/faults", get(faults::list).post(faults::arm).delete(faults::clear))
        .route("/sim/faults/{id}", delete(faults::disarm));
    #[cfg(feature = "web")]
    let router = router.merge(web::router());
    router
}

/// What was wrong with a call, in one sentence: `{"error": {"message": ...}}`.
#[derive(Debug)]
struct Error(StatusCode, String);

impl Error {
    fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, message.into())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": {"message": self.1}}))).into_response()
    }
}

/// A JSON body, whatever its content type says: what is wrong with it is told in this API's own shape.
struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| Error(error.status(), error.body_text()))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Error::bad(format!("the body does not fit: {error}")))
    }
}

fn wa_id(path: &str) -> Result<String, Error> {
    crate::graph::wa_id(path).ok_or_else(|| Error::bad("a phone is named by its number: 7 to 15 digits with the country code"))
}

async fn stats(State(world): State<Arc<World>>) -> Json<Value> {
    let mut view = world.stats.view();
    view["webhook_items_waiting"] = json!(world.directory.apps().iter().map(|app| app.waiting()).sum::<usize>());
    view["phones"] = json!(world.phones.len());
    view["faults"] = json!(world.faults.fired());
    Json(view)
}

#[derive(Deserialize)]
struct Reset {
    #[serde(default)]
    all: bool,
}

async fn reset(State(world): State<Arc<World>>, Query(Reset { all }): Query<Reset>) -> Json<Value> {
    world.reset(all);
    Json(json!({"success": true}))
}
