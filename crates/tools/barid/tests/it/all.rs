use std::time::Duration;

use anyhow::{Context, Result, ensure};
use barid_testkit::{database_with, eventually, free_port};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
};

use crate::{barid, command, sessions::told, shown, text};

const PASSWORD: &str = "barid-test";
const SERVICES: [&str; 6] = ["tenant", "template", "queue", "session_pool", "analytics", "webhook"];

const PLATFORM_KEY: &str = "a-platform-key-for-this-test-0123456789";

/// `barid webhooks` against the running service.
async fn webhooks(http: &reqwest::Client, url: &str, gateway: u16, tenant: &serde_json::Value, receiver: TcpListener) -> Result<()> {
    let address = receiver.local_addr()?;
    let answers = axum::Router::new().route("/hook", axum::routing::post(|| async { "thank\x1byou" }));
    let server = tokio::spawn(async move { axum::serve(receiver, answers).await });
    let organisation = http.get(url).bearer_auth(PLATFORM_KEY).send().await?.error_for_status()?.json::<serde_json::Value>().await?;
    let request = serde_json::json!({
        "organisationId": organisation["organisations"][0]["id"], "tenantId": tenant, "displayName": "test",
    });
    let key = http.post(url.replace("organisations", "apiKeys")).bearer_auth(PLATFORM_KEY).json(&request).send().await?;
    let key: serde_json::Value = key.error_for_status()?.json().await?;
    let key = key["secret"].as_str().context("a key")?;
    let (url, hook, missing) = (format!("http://127.0.0.1:{gateway}"), format!("http://{address}/hook"), format!("http://{address}/none"));

    let created = told(&url, key, &["webhooks", "create", &hook, "--event", "message.*", "--name", "Till"]).await?.expect("created");
    let id = created.lines().next().and_then(|line| line.strip_prefix("endpoint    ")).context("an id")?.to_owned();
    ensure!(created.contains("\nsecret      whsec_"), "{created}");
    let list = told(&url, key, &["webhooks", "list"]).await?.expect("a list");
    ensure!(list.contains(&id) && list.contains(&hook) && list.contains("enabled") && !list.contains("whsec_"), "{list}");
    assert_eq!(told(&url, key, &["webhooks", "test", &id]).await?.expect("taken"), "200 thank you\n");
    let created = told(&url, key, &["webhooks", "create", &missing]).await?.expect("created");
    let other = created.lines().next().and_then(|line| line.strip_prefix("endpoint    ")).context("an id")?.to_owned();
    let refused = told(&url, key, &["webhooks", "test", &other]).await?.expect_err("not taken");
    ensure!(refused.contains("the endpoint did not take it: 404"), "{refused}");
    let log = told(&url, key, &["webhooks", "deliveries", "--failed", "--endpoint", &other]).await?.expect("a log");
    ensure!(log.lines().count() == 2 && log.contains("webhook.test") && log.contains("failed"), "{log}");
    let wrong = told(&url, key, &["webhooks", "create", "http://10.0.0.1/hook"]).await?.expect_err("private");
    ensure!(wrong.contains("endpoint.url"), "{wrong}");
    server.abort();
    Ok(())
}

/// One process serves everything, the terminal follows its events, and it ends when it is asked to.
#[tokio::test]
async fn all_services_in_one_process() -> Result<()> {
    let database = database_with("barid all m0020", |url| async move {
        let config =
            barid_migrations::Config { database_url: barid_domain::Secret::new(url), role_password: barid_domain::Secret::new(PASSWORD) };
        Ok(barid_migrations::migrate(&config).await.map(drop)?)
    })
    .await?;
    let home = tempfile::tempdir()?;
    let (file, key) = (home.path().join("barid.toml"), home.path().join("master.key"));
    std::fs::write(&key, barid(&["vault", "new-key"]).await?.stdout)?;
    let bus_users: String = SERVICES
        .iter()
        .chain(&["gateway", "operator"])
        .map(|name| format!("[{name}]\nnats = {{ url = \"unset\", password = {PASSWORD:?} }}\n"))
        .collect();
    std::fs::write(&file, &bus_users)?;
    let rules = text(&barid(&["nats-config", "--config", &shown(&file)]).await?.stdout);
    let (nats, redis, gateway) = (barid_testkit::nats(&rules).await?, barid_testkit::redis().await?, free_port()?);

    let mut settings = bus_users.replace("unset", &nats.url());
    for service in SERVICES {
        let url = |kind: &str| database.url_for(&format!("barid_{service}_{kind}"), PASSWORD);
        let databases = format!("database = {{ tenant_url = {:?}, engine_url = {:?} }}\n", url("tenant"), url("engine"));
        settings = settings.replace(&format!("[{service}]\n"), &format!("[{service}]\n{databases}"));
    }
    for service in ["queue", "session_pool", "webhook"] {
        settings = settings.replace(&format!("[{service}]\n"), &format!("[{service}]\nvault.master_key_file = {key:?}\n"));
    }
    let receiver = TcpListener::bind("127.0.0.1:0").await?;
    let port = receiver.local_addr()?.port();
    let egress = format!("egress = {{ allow = [\"127.0.0.1\"], allow_http = true, ports = [{port}] }}\n");
    settings = settings.replace("[webhook]\n", &format!("[webhook]\n{egress}"));
    // Nothing links here; but a build for tests talks to this machine only.
    let (socket, media) = ("ws://127.0.0.1:1/ws/chat", format!("file://{}", home.path().join("media").display()));
    settings = settings.replace("[session_pool]\n", &format!("[session_pool]\nweb.url = {socket:?}\nmedia.url = {media:?}\n"));
    settings = settings.replace("[tenant]\n", "[tenant]\nplatform_key = \"a-platform-key-for-this-test-0123456789\"\n");
    settings = settings.replace("[gateway]\n", &format!("[gateway]\nlisten = \"127.0.0.1:{gateway}\"\nredis.url = {:?}\n", redis.url()));
    std::fs::write(&file, settings)?;

    let mut all = command(&["all", "--config", &shown(&file)]).spawn()?;
    let url = format!("http://127.0.0.1:{gateway}/v1/organisations");
    let http = reqwest::Client::new();
    let mut tail = command(&["events", "tail", "--config", &shown(&file), "--entity", "tenant", "--from-start", "--count", "1"]);
    let mut tail = tail.stdout(std::process::Stdio::piped()).spawn()?;
    let organisation: serde_json::Value = eventually(Duration::from_secs(30), || async {
        let request = http.post(&url).bearer_auth(PLATFORM_KEY).body("{\"name\": \"One\"}");
        Ok(request.send().await?.error_for_status()?.json().await?)
    })
    .await?;
    let tenant = serde_json::json!({"organisationId": organisation["id"], "tenant": {
        "name": "Aire", "locale": "en-GB", "country": "GB", "currency": "GBP", "timeZone": "Europe/London",
    }});
    let created = http.post(url.replace("organisations", "tenants")).bearer_auth(PLATFORM_KEY).json(&tenant).send().await?;
    let created: serde_json::Value = created.error_for_status()?.json().await?;

    webhooks(&http, &url, gateway, &created["id"], receiver).await?;
    let lines = BufReader::new(tail.stdout.take().context("its output")?);
    let line = tokio::time::timeout(Duration::from_secs(20), lines.lines().next_line()).await??.context("an event")?;
    let event: serde_json::Value = serde_json::from_str(&line)?;
    assert_eq!((&event["entityId"], event["kind"].as_str()), (&created["id"], Some("created")));
    ensure!(tokio::time::timeout(Duration::from_secs(10), tail.wait()).await??.success(), "the tail ends after its count");

    let pid = all.id().context("it runs")?.to_string();
    ensure!(tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await?.success(), "it is asked to stop");
    ensure!(tokio::time::timeout(Duration::from_secs(30), all.wait()).await??.success(), "it ends well");
    Ok(())
}
