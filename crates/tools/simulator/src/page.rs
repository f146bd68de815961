//! The pages: the chats at `/`, linked devices at `/devices`, e-mail and SMS at `/letters`; each one file without anything from elsewhere.

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};

use crate::world::World;

/// Nothing but this page's own script, style and calls back to where it came from.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'";

pub(crate) fn router() -> Router<Arc<World>> {
    let router = Router::new().route("/", get(page)).route("/letters", get(letters));
    #[cfg(feature = "web")]
    let router = router.route("/devices", get(devices));
    router
}

/// Linked devices of the Web protocol: linking, watching and disturbing them.
#[cfg(feature = "web")]
async fn devices() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("devices.html")))
}

/// E-mail and SMS that came.
async fn letters() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("letters.html")))
}

async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("page.html")))
}
