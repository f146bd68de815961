//! The configuration of every service, as an operator would write it.

use std::path::Path;

use toml::{Table, Value, toml};

/// What the services need to find each other.
pub(crate) struct Settings<'a> {
    pub nats_url: &'a str,
    pub redis_url: &'a str,
    pub simulator_url: &'a str,
    /// Address of the simulator's mail server.
    pub mail: &'a str,
    /// Address of the gateway.
    pub gateway: &'a str,
    /// Port of the tenants' own server.
    pub receiver: u16,
    /// Address of a database for a role.
    pub database: &'a dyn Fn(&str) -> String,
    pub master_key: &'a Path,
    pub password: &'a str,
    pub platform_key: &'a str,
    pub app_secret: &'a str,
    pub verify_token: &'a str,
}

/// The services that have tables.
const STORES: [&str; 6] = ["tenant", "template", "queue", "session_pool", "analytics", "webhook"];

pub(crate) fn render(settings: &Settings) -> String {
    let mut file = Table::new();
    for service in STORES.into_iter().chain(["gateway"]) {
        let mut section = Table::new();
        let (url, password) = (settings.nats_url, settings.password);
        section.insert("nats".into(), Value::Table(toml! { url = url password = password }));
        section.insert("telemetry".into(), Value::Table(toml! { log = "warn" format = "text" }));
        if STORES.contains(&service) {
            let (tenant_url, engine_url) =
                ((settings.database)(&format!("barid_{service}_tenant")), (settings.database)(&format!("barid_{service}_engine")));
            section.insert("database".into(), Value::Table(toml! { tenant_url = tenant_url engine_url = engine_url max_connections = 6 }));
        }
        file.insert(service.to_owned(), Value::Table(section));
    }
    let mut set = |section: &str, key: &str, value: Value| {
        if let Some(Value::Table(section)) = file.get_mut(section) {
            section.insert(key.to_owned(), value);
        }
    };
    for service in ["queue", "session_pool", "webhook"] {
        let master_key_file = settings.master_key.display().to_string();
        set(service, "vault", Value::Table(toml! { master_key_file = master_key_file }));
    }
    let (redis_url, base_url) = (settings.redis_url, settings.simulator_url);
    let (app_secret, verify_token) = (settings.app_secret, settings.verify_token);
    set("tenant", "platform_key", settings.platform_key.into());
    set("session_pool", "cloud", Value::Table(toml! { base_url = base_url connect_timeout = "1s" request_timeout = "2s" }));
    set("session_pool", "pool", Value::Table(toml! { heartbeat_ttl = "3s" min_warm = "500ms" }));
    let web_url = format!("{}/ws/chat", base_url.replacen("http", "ws", 1));
    set("session_pool", "web", Value::Table(toml! { url = web_url media_url = base_url ack_timeout = "2s" login_timeout = "5s" }));
    set("session_pool", "egress", Value::Table(toml! { allow = ["127.0.0.1"] allow_http = true }));
    let media_url = format!("file://{}", settings.master_key.with_file_name("media").display());
    set("session_pool", "media", Value::Table(toml! { url = media_url }));
    let unlimited = Value::Table(toml! { points = [] full_from = 0 });
    let (warm_up, first_contacts) = (unlimited.clone(), unlimited);
    set("session_pool", "pacing", Value::Table(toml! { recipient_spacing = "0s" warm_up = warm_up first_contacts = first_contacts }));
    let (smtp_url, sms_url) = (format!("smtp://{}", settings.mail), format!("{base_url}/sms/messages"));
    let port = base_url.rsplit(':').next().and_then(|port| port.parse::<i64>().ok()).unwrap_or_default();
    let fallback = toml! {
        smtp_url = smtp_url
        email_from = "invoices@barid.example"
        sms = { url = sms_url }
        egress = { allow = ["127.0.0.1"], allow_http = true, ports = [port] }
    };
    set("queue", "fallback", Value::Table(fallback));
    let receiver = i64::from(settings.receiver);
    let receivers = toml! { allow = ["127.0.0.1"] allow_http = true ports = [receiver] connect_timeout = "1s" total_timeout = "2s" };
    set("webhook", "egress", Value::Table(receivers));
    set("gateway", "redis", Value::Table(toml! { url = redis_url }));
    set("gateway", "listen", settings.gateway.into());
    set("gateway", "meta_apps", Value::Table(toml! { main = { app_secret = app_secret, verify_token = verify_token } }));
    file.to_string()
}
