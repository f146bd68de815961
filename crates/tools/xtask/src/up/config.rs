use super::layout::{Layout, SERVICES};
use super::state::{State, health_name};
use anyhow::{Context, Result};
use toml::{Table, Value};

/// The Meta app that the simulator plays; its webhooks come in at `/webhooks/meta/demo`.
pub const APP: &str = "demo";

/// Ports of webhook endpoints on this machine and elsewhere.
const RECEIVER_PORTS: [i64; 9] = [80, 443, 3000, 4000, 5000, 8000, 8081, 8443, 9000];

/// The addresses that are known only once the servers run.
pub struct Servers<'a> {
    /// The database of the services, as superuser.
    pub database_url: &'a str,
    pub redis_url: &'a str,
}

/// The configuration file of all services, with `settings` over what is the same for all.
pub fn render(layout: &Layout, state: &State, servers: &Servers, settings: &Table) -> Result<String> {
    let nats_url = format!("nats://127.0.0.1:{}", state.port("nats"));
    let gateway = format!("127.0.0.1:{}", state.port("gateway"));
    let simulator = format!("127.0.0.1:{}", state.port("simulator"));
    let nats = |user: &str| -> Result<Value> {
        let password = state.secrets.bus.get(user).with_context(|| format!("no password for the bus user {user}"))?;
        Ok(table([("url", text(&nats_url)), ("user", text(user)), ("password", text(password))]))
    };
    let (_, at_database) = servers.database_url.split_once('@').context("the database's address names no login")?;

    let mut file = Table::new();
    for service in &SERVICES {
        let mut section = Table::new();
        section.insert("nats".to_owned(), nats(service.section)?);
        let health = format!("127.0.0.1:{}", state.port(&health_name(service.section)));
        section.insert("health".to_owned(), table([("listen", text(&health))]));
        if service.database {
            let url = |kind: &str| text(&format!("postgres://barid_{}_{kind}:{}@{at_database}", service.section, state.secrets.roles));
            section.insert("database".to_owned(), table([("tenant_url", url("tenant")), ("engine_url", url("engine"))]));
        }
        if service.vault {
            section.insert("vault".to_owned(), table([("master_key_file", text(&layout.master_key().display().to_string()))]));
        }
        file.insert(service.section.to_owned(), Value::Table(section));
    }
    let mut set = |section: &str, key: &str, value: Value| {
        if let Value::Table(section) = file.entry(section).or_insert_with(|| Value::Table(Table::new())) {
            section.insert(key.to_owned(), value);
        }
    };
    let app = [("app_secret", text(&state.secrets.app_secret)), ("verify_token", text(&state.secrets.verify_token))];
    set("gateway", "listen", text(&gateway));
    set("gateway", "redis", table([("url", text(servers.redis_url))]));
    set("gateway", "meta_apps", table([(APP, table(app.clone()))]));
    set("tenant", "platform_key", text(&state.secrets.platform_key));
    set("session_pool", "cloud", table([("base_url", text(&format!("http://{simulator}")))]));
    let web = [("url", text(&format!("ws://{simulator}/ws/chat"))), ("media_url", text(&format!("http://{simulator}")))];
    set("session_pool", "web", table(web));
    set("session_pool", "media", table([("url", text(&format!("file://{}", layout.home.join("media").display())))]));
    set("session_pool", "egress", table([("allow", Value::Array(vec![text("127.0.0.1")])), ("allow_http", Value::Boolean(true))]));
    // A developer's own receiver, on the ports that such things listen on.
    let ports = RECEIVER_PORTS.map(Value::Integer).to_vec();
    let receivers =
        [("allow", Value::Array(vec![text("127.0.0.1")])), ("allow_http", Value::Boolean(true)), ("ports", Value::Array(ports))];
    set("webhook", "egress", table(receivers));
    // Nobody bans a simulated number; on real ones the defaults hold.
    let unlimited = || table([("points", Value::Array(vec![])), ("full_from", Value::Integer(0))]);
    let pacing = [("recipient_spacing", text("0s")), ("warm_up", unlimited()), ("first_contacts", unlimited())];
    set("session_pool", "pacing", table(pacing));
    set("operator", "nats", nats("operator")?);
    set("migrate", "database_url", text(servers.database_url));
    set("migrate", "role_password", text(&state.secrets.roles));
    let callback = text(&format!("http://{gateway}/webhooks/meta/{APP}"));
    set("simulator", "listen", text(&simulator));
    set("simulator", "web", table([("state_dir", text(&layout.home.join("simulator").display().to_string()))]));
    set("simulator", "apps", table([(APP, table(app.into_iter().chain([("callback_url", callback)])))]));
    overlay(&mut file, settings);
    let settings = toml::to_string_pretty(&file)?;
    Ok(format!("# Written anew by every `cargo xtask up`. It holds the secrets of this checkout's private servers.\n\n{settings}"))
}

/// Lays settings over others, key by key.
pub fn overlay(file: &mut Table, settings: &Table) {
    for (key, value) in settings {
        match (file.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            _ => drop(file.insert(key.clone(), value.clone())),
        }
    }
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn table<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_service_finds_its_section() {
        let mut state = State::default();
        state.prepare(22_000).unwrap();
        let servers = Servers { database_url: "postgres://barid:pw@127.0.0.1:5000/barid", redis_url: "redis://:pw@127.0.0.1:6000" };
        let settings = toml::toml! { tenant.nats.user = "tenant" queue.doubt_after = "5s" };
        let rendered = render(&Layout::new(Path::new("/checkout")), &state, &servers, &settings).unwrap();
        let file: Table = rendered.parse().unwrap();
        for service in &SERVICES {
            let section = &file[service.section];
            assert_eq!(section["nats"]["user"].as_str(), Some(service.section));
            assert!(section["health"]["listen"].as_str().unwrap().starts_with("127.0.0.1:"));
            assert_eq!(section.get("database").is_some(), service.database);
        }
        assert_eq!(file["queue"]["doubt_after"].as_str(), Some("5s"));
        let url = file["session_pool"]["database"]["tenant_url"].as_str().unwrap();
        assert_eq!(url, format!("postgres://barid_session_pool_tenant:{}@127.0.0.1:5000/barid", state.secrets.roles));
        assert_eq!(file["simulator"]["apps"]["demo"]["callback_url"].as_str(), Some("http://127.0.0.1:30080/webhooks/meta/demo"));
        assert_eq!(file["webhook"]["egress"]["allow"][0].as_str(), Some("127.0.0.1"));
        assert_eq!(file["queue"]["vault"]["master_key_file"].as_str(), Some("/checkout/.barid/master.key"));
    }
}
