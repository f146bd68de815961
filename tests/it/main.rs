//! Scenarios across all services, on real servers.

mod absence;
mod bad_input;
mod bulk;
mod events;
mod fallback;
mod faults;
mod golden;
mod idempotency;
mod integrator;
mod lifecycle;
mod linked;
mod restarts;
mod seed_paths;
mod tenancy;
mod tenant_webhooks;
mod webhooks;

/// The variables of the specification's invoice.
fn invoice() -> serde_json::Value {
    let call: serde_json::Value = serde_json::from_str(e2e::SEED_CALL).expect("the seed's call is JSON");
    call["variables"].clone()
}

/// A time so many seconds ahead, in RFC 3339.
fn in_seconds(seconds: u64) -> String {
    use barid_domain::Clock;
    (barid_domain::SystemClock.now() + std::time::Duration::from_secs(seconds)).to_rfc3339()
}
