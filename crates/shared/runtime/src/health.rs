//! `/livez`, `/readyz` and `/metrics`.

use std::{
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Where health is told.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address of `/livez`, `/readyz` and `/metrics`; port 0 takes any free one.
    pub listen: SocketAddr,
}

type Metrics = Arc<dyn Fn() -> String + Send + Sync>;
type Check = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// What a service says of itself. Clone it freely.
#[derive(Clone, Default)]
pub struct Health {
    serving: Arc<AtomicBool>,
    checks: Arc<RwLock<Vec<(&'static str, Check)>>>,
    metrics: Arc<RwLock<Vec<Metrics>>>,
}

impl Health {
    /// Says that the service serves.
    pub fn serving(&self) {
        self.serving.store(true, Ordering::SeqCst);
    }

    /// Says that the service takes no more work.
    pub fn draining(&self) {
        self.serving.store(false, Ordering::SeqCst);
    }

    pub fn is_serving(&self) -> bool {
        self.serving.load(Ordering::SeqCst)
    }

    /// Adds something that must work for the service to be ready.
    pub fn check<F>(&self, name: &'static str, works: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let check: Check = Arc::new(move || works().boxed());
        self.checks.write().unwrap_or_else(std::sync::PoisonError::into_inner).push((name, check));
    }

    /// Adds figures to `/metrics`: lines in Prometheus' text format.
    pub fn metrics(&self, figures: impl Fn() -> String + Send + Sync + 'static) {
        self.metrics.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(Arc::new(figures));
    }

    /// Every figure that was added, in Prometheus' text format.
    pub fn figures(&self) -> String {
        let figures = self.metrics.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        figures.iter().map(|figures| figures()).collect()
    }

    /// What does not work; empty when ready.
    pub async fn failing(&self) -> Vec<&'static str> {
        let checks = self.checks.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let mut failing = if self.is_serving() { vec![] } else { vec!["serving"] };
        for (name, check) in checks {
            if !check().await {
                failing.push(name);
            }
        }
        failing
    }

    /// Answers probes until `shutdown`.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> std::io::Result<()> {
        let routes = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self);
        axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned()).await
    }
}

async fn metrics(State(health): State<Health>) -> ([(axum::http::header::HeaderName, &'static str); 1], String) {
    ([(axum::http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], health.figures())
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    match health.failing().await.as_slice() {
        [] => (StatusCode::OK, "ok\n".to_owned()),
        failing => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", failing.join(", "))),
    }
}
