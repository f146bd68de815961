//! Servers and services, each of which can be stopped by itself.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use barid_bus::{Service, acl};
use barid_domain::{Secret, SystemClock};
use barid_runtime::{Health, config};
use barid_testkit::{Database, Durability, Nats, Postgres, Redis, database_with, eventually};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    Api, Business,
    settings::{Settings, render},
};

/// The same for every test process: roles belong to the whole PostgreSQL server.
const PASSWORD: &str = "barid-test";
pub(crate) const APP_SECRET: &str = "secret-of-the-meta-app";
pub(crate) const VERIFY_TOKEN: &str = "token-of-the-meta-app";
const PLATFORM_KEY: &str = "the-platform-key-of-the-tests-0123456789";
const PATIENCE: Duration = Duration::from_secs(30);

/// The services in the order of their starting.
const SERVICES: [&str; 7] = ["tenant", "template", "queue", "session_pool", "analytics", "webhook", "gateway"];

/// The servers under a stack.
pub struct Servers {
    /// The shared server's database, or a PostgreSQL of the stack's own that may be restarted.
    pub database: Option<Database>,
    pub postgres: Option<Postgres>,
    pub nats: Nats,
    pub redis: Redis,
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<()>>,
}

/// A whole Barid.
pub struct Stack {
    pub api: Api,
    pub simulator: Api,
    pub servers: Servers,
    /// Address of the gateway, as `host:port`.
    pub gateway: String,
    /// Where tenants' webhook endpoints of this stack may be; a test that has some serves on it.
    pub receiver: std::net::TcpListener,
    home: tempfile::TempDir,
    services: BTreeMap<&'static str, Running>,
}

/// A replica of a service in a runtime of its own, so that it can die with everything in it.
pub struct Replica {
    runtime: Option<tokio::runtime::Runtime>,
}

impl Replica {
    async fn start<W: Future<Output = ()> + Send + 'static>(serve: impl FnOnce(Health) -> W) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let health = Health::default();
        runtime.spawn(serve(health.clone()));
        let replica = Self { runtime: Some(runtime) };
        eventually(PATIENCE, || async {
            let failing = health.failing().await;
            ensure!(failing.is_empty(), "the replica is not ready: {failing:?}");
            Ok(())
        })
        .await?;
        Ok(replica)
    }

    /// Ends in the middle of whatever it does.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end();
    }
}

impl Stack {
    /// A Barid on a database of its own on the shared server.
    pub async fn start() -> Result<Self> {
        let database = database_with("e2e m0020", |url| async move { migrate(url).await }).await?;
        Self::with(Some(database), None).await
    }

    /// A Barid on a PostgreSQL of its own, which keeps what it committed when it is restarted.
    pub async fn start_alone() -> Result<Self> {
        let postgres = Postgres::start(None, None, Durability::Durable).await?;
        postgres.ensure_database("barid").await?;
        migrate(postgres.url("barid")).await?;
        Self::with(None, Some(postgres)).await
    }

    async fn with(database: Option<Database>, postgres: Option<Postgres>) -> Result<Self> {
        log_once();
        let home = tempfile::tempdir()?;
        let users: Vec<(Service, Secret)> = Service::ALL.into_iter().map(|service| (service, Secret::new(PASSWORD))).collect();
        let nats = barid_testkit::nats(&acl::server_config(&users)).await?;
        let redis = barid_testkit::redis().await?;
        let gateway = format!("127.0.0.1:{}", barid_testkit::free_port()?);
        let simulator = TcpListener::bind("127.0.0.1:0").await?;
        let simulator_url = format!("http://{}", simulator.local_addr()?);
        let mail = format!("127.0.0.1:{}", barid_testkit::free_port()?);
        let receiver = std::net::TcpListener::bind("127.0.0.1:0")?;
        receiver.set_nonblocking(true)?;

        let master_key = home.path().join("master.key");
        std::fs::write(&master_key, barid_vault::MasterKey::generate())?;
        let address = |role: &str| match (&database, &postgres) {
            (Some(database), _) => database.url_for(role, PASSWORD),
            (None, Some(postgres)) => {
                let url = postgres.url("barid");
                let host = url.split_once('@').map_or("", |(_, host)| host);
                format!("postgres://{role}:{PASSWORD}@{host}")
            }
            (None, None) => String::new(),
        };
        let settings = Settings {
            nats_url: &nats.url(),
            redis_url: &redis.url(),
            simulator_url: &simulator_url,
            mail: &mail,
            gateway: &gateway,
            receiver: receiver.local_addr()?.port(),
            database: &address,
            master_key: &master_key,
            password: PASSWORD,
            platform_key: PLATFORM_KEY,
            app_secret: APP_SECRET,
            verify_token: VERIFY_TOKEN,
        };
        std::fs::write(home.path().join("barid.toml"), render(&settings))?;
        let mut stack = Self {
            api: Api::new(&format!("http://{gateway}"), ""),
            simulator: Api::new(&simulator_url, ""),
            servers: Servers { database, postgres, nats, redis },
            gateway,
            receiver,
            home,
            services: BTreeMap::new(),
        };
        stack.simulate(simulator, mail);
        for service in SERVICES {
            stack.start_service(service).await?;
        }
        stack.enter().await?;
        Ok(stack)
    }

    /// The configuration file of the services.
    pub fn config(&self) -> PathBuf {
        self.home.path().join("barid.toml")
    }

    fn simulate(&mut self, listener: TcpListener, mail: String) {
        let mut settings = barid_simulator::Config { listen_smtp: mail, ..Default::default() };
        let app = barid_simulator::App {
            app_secret: Secret::new(APP_SECRET),
            verify_token: Secret::new(VERIFY_TOKEN),
            callback_url: format!("http://{}/webhooks/meta/main", self.gateway),
        };
        settings.apps.insert("main".to_owned(), app);
        settings.delays.sent = Duration::from_millis(5);
        settings.delays.delivered = Duration::from_millis(20);
        settings.delays.read = Duration::from_millis(40);
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { Ok(barid_simulator::serve(settings, listener, stop).await?) });
        self.services.insert("simulator", Running { shutdown, task });
    }

    /// Starts a service and waits until it is ready.
    pub async fn start_service(&mut self, name: &'static str) -> Result<()> {
        let (file, health, shutdown) = (self.config(), Health::default(), CancellationToken::new());
        let file = Some(file.as_path());
        let (clock, ready, stop) = (Arc::new(SystemClock), health.clone(), shutdown.clone());
        macro_rules! service {
            ($package:ident) => {{
                let config: $package::Config = config::load(name, $package::DEFAULTS, file)?;
                let app = $package::App::build(&config, clock).await?;
                tokio::spawn(async move { Ok(app.run(ready, stop).await?) })
            }};
        }
        let task: JoinHandle<Result<()>> = match name {
            "tenant" => service!(barid_tenant),
            "template" => service!(barid_template),
            "queue" => service!(barid_queue),
            "session_pool" => service!(barid_session_pool),
            "analytics" => service!(barid_analytics),
            "webhook" => service!(barid_webhook),
            "gateway" => {
                let config: barid_gateway::Config = config::load(name, barid_gateway::DEFAULTS, file)?;
                let app = barid_gateway::App::build(&config).await?;
                let listener = TcpListener::bind(config.listen).await?;
                tokio::spawn(async move { Ok(app.run(listener, ready, stop).await?) })
            }
            _ => bail!("there is no service {name}"),
        };
        self.services.insert(name, Running { shutdown, task });
        eventually(PATIENCE, || async {
            let failing = health.failing().await;
            ensure!(failing.is_empty(), "{name} is not ready: {failing:?}");
            Ok(())
        })
        .await
    }

    /// One more replica of the session-pool.
    pub async fn pool_replica(&self) -> Result<Replica> {
        let config: barid_session_pool::Config = config::load("session_pool", barid_session_pool::DEFAULTS, Some(&self.config()))?;
        Replica::start(|health| async move {
            let app = barid_session_pool::App::build(&config, Arc::new(SystemClock)).await.expect("the pool finds what it needs");
            app.run(health, CancellationToken::new()).await.expect("the pool serves");
        })
        .await
    }

    /// One more replica of the webhook service.
    pub async fn webhook_replica(&self) -> Result<Replica> {
        let config: barid_webhook::Config = config::load("webhook", barid_webhook::DEFAULTS, Some(&self.config()))?;
        Replica::start(|health| async move {
            let app = barid_webhook::App::build(&config, Arc::new(SystemClock)).await.expect("the service finds what it needs");
            app.run(health, CancellationToken::new()).await.expect("the service serves");
        })
        .await
    }

    /// Asks a service to stop and waits until it has.
    pub async fn stop_service(&mut self, name: &str) -> Result<()> {
        let Running { shutdown, task } = self.services.remove(name).with_context(|| format!("{name} does not run"))?;
        shutdown.cancel();
        tokio::time::timeout(PATIENCE, task).await.with_context(|| format!("{name} does not stop"))??
    }

    /// Ends a service as a crash would: nothing of it runs on.
    pub fn abort_service(&mut self, name: &str) {
        if let Some(running) = self.services.remove(name) {
            running.task.abort();
        }
    }

    /// The platform's operators.
    pub fn platform(&self) -> Api {
        self.api.with_key(PLATFORM_KEY)
    }

    /// Makes an organisation and a key for it.
    async fn enter(&mut self) -> Result<()> {
        let key = self.organisation("Tests").await?;
        self.api = self.api.with_key(&key);
        Ok(())
    }

    /// One more organisation; gives back its key.
    pub async fn organisation(&self, name: &str) -> Result<String> {
        let organisation = self.platform().post("/v1/organisations", &serde_json::json!({ "name": name })).await?;
        let request = serde_json::json!({"organisationId": organisation["id"], "displayName": "tests"});
        let key = self.platform().post("/v1/apiKeys", &request).await?;
        Ok(key["secret"].as_str().context("a key has a secret")?.to_owned())
    }

    /// A business of the stack's organisation that can send.
    pub async fn business(&self, name: &str) -> Result<Business> {
        Business::found(self, &self.api, name).await
    }
}

async fn migrate(database_url: String) -> Result<()> {
    let config = barid_migrations::Config { database_url: Secret::new(database_url), role_password: Secret::new(PASSWORD) };
    barid_migrations::migrate(&config).await?;
    Ok(())
}

/// What goes wrong inside is shown when a test fails; `BARID_LOG=info` shows more.
fn log_once() {
    static LOG: std::sync::OnceLock<Option<barid_runtime::Guard>> = std::sync::OnceLock::new();
    LOG.get_or_init(|| {
        let log = std::env::var("BARID_LOG").unwrap_or_else(|_| "warn".to_owned());
        let config = barid_runtime::TelemetryConfig { log, format: barid_runtime::Format::Text, otlp_endpoint: String::new() };
        barid_runtime::init_telemetry("e2e", &config).ok()
    });
}
