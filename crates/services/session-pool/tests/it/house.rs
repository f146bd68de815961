//! The service on real servers, between a gateway, a queue and a directory of tenants that the test plays.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use barid_bus::{Bus, Channel, Server, Service, acl};
use barid_domain::{Id, Minter, Secret, SessionId, SystemClock, TenantId};
use barid_proto::{
    Guard,
    access::{PRINCIPAL_KEY, Principal, Scope},
    queue::v1::{ClaimedMessage, ledger_service_server::LedgerServiceServer},
    session_pool::v1::{
        CloudConnector, CreateSessionRequest, GetSessionRequest, Session, pool_service_client::PoolServiceClient, session::Connector,
        session_service_client::SessionServiceClient,
    },
    tenant::v1::{
        AuthenticateRequest, AuthenticateResponse, ResolveTenantRequest, Tenant,
        directory_service_server::{DirectoryService, DirectoryServiceServer},
    },
};
use barid_runtime::Health;
use barid_session_pool::{App, CloudConfig, Config, PacingConfig, PoolConfig, WebConfig, pace::Curve};
use barid_testkit::{Database, Nats, database_with, eventually};
use barid_vault::MasterKey;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, metadata::MetadataValue};

use crate::{
    ledger::Ledger,
    whatsapp::{APP, WhatsApp},
};

const PASSWORD: &str = "barid-test";
pub const TOKEN: &str = "EAAG-token-of-the-laundry";
/// The laundry's own number.
pub const PHONE: &str = "+201001234567";

#[derive(Clone, Default)]
struct Directory(Arc<Mutex<HashSet<String>>>);

#[tonic::async_trait]
impl DirectoryService for Directory {
    async fn authenticate(&self, _: Request<AuthenticateRequest>) -> Result<Response<AuthenticateResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn resolve_tenant(&self, request: Request<ResolveTenantRequest>) -> Result<Response<Tenant>, Status> {
        let id = request.into_inner().tenant_id;
        if !self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id) {
            return Err(barid_proto::status::not_found("tenant", &id));
        }
        Ok(Response::new(Tenant { id, country: "EG".into(), time_zone: "Africa/Cairo".into(), ..Tenant::default() }))
    }
}

/// A process of the service, in a runtime of its own so that it can die.
pub struct Replica {
    runtime: Option<Runtime>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Replica {
    /// Ends as it should.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        (&mut self.running).await.expect("ends well");
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

pub struct House {
    pub config: Config,
    pub gateway: Bus,
    pub queue: Bus,
    pub ledger: Ledger,
    pub whatsapp: WhatsApp,
    pub database: Database,
    directory: Directory,
    minter: Minter,
    _played: tokio_util::sync::DropGuard,
    _files: tempfile::TempDir,
    _nats: Nats,
}

impl House {
    /// Everything but the service itself.
    pub async fn build() -> Result<Self> {
        let users = [Service::Gateway, Service::Tenant, Service::SessionPool, Service::Queue];
        let nats = barid_testkit::nats(&acl::server_config(&users.map(|service| (service, Secret::new(PASSWORD))))).await?;
        let database = database_with("session pool service m0013", |admin_url| async move {
            let config = barid_migrations::Config { database_url: Secret::new(admin_url), role_password: Secret::new(PASSWORD) };
            barid_migrations::migrate(&config).await?;
            Ok(())
        })
        .await?;
        let files = tempfile::tempdir()?;
        let key_file = files.path().join("master.key");
        std::fs::write(&key_file, MasterKey::generate())?;
        let mut config = configuration(&nats, &database);
        config.vault.master_key_file = key_file;
        config.media = barid_blob::Config::folder(&files.path().join("media"));
        let bus = |service| Bus::connect(&config.nats, service);
        let (tenants, gateway, queue) = tokio::try_join!(bus(Service::Tenant), bus(Service::Gateway), bus(Service::Queue))?;
        let whatsapp = WhatsApp::start(&gateway).await?;
        config.cloud.base_url = whatsapp.url.clone();
        config.web.url = whatsapp.web_url.clone();
        config.web.media_url = whatsapp.url.clone();
        let (directory, ledger, stop) = (Directory::default(), Ledger::new(queue.clone()), CancellationToken::new());
        let guard = Arc::new(Guard::new());
        let servers = [
            Server::new(tenants, guard.clone()).add(DirectoryServiceServer::new(directory.clone())),
            Server::new(queue.clone(), guard).add(LedgerServiceServer::new(ledger.clone())),
        ];
        for server in servers {
            let stop = stop.clone();
            tokio::spawn(async move { server.run(stop, || {}).await.expect("it serves") });
        }
        Ok(Self {
            config,
            gateway,
            queue,
            ledger,
            whatsapp,
            database,
            directory,
            minter: Minter::new(Arc::new(SystemClock)),
            _played: stop.drop_guard(),
            _files: files,
            _nats: nats,
        })
    }

    /// With one replica of the service.
    pub async fn start() -> Result<(Self, Replica)> {
        let house = Self::build().await?;
        let replica = house.replica().await?;
        Ok((house, replica))
    }

    /// One more process of the service.
    pub async fn replica(&self) -> Result<Replica> {
        let (health, shutdown, config) = (Health::default(), CancellationToken::new(), self.config.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (told, stop) = (health.clone(), shutdown.clone());
        let running = runtime.spawn(async move {
            let app = App::build(&config, Arc::new(SystemClock)).await.expect("the service finds what it needs");
            app.run(told, stop).await.expect("the service serves");
        });
        let replica = Replica { runtime: Some(runtime), shutdown, running };
        eventually(Duration::from_secs(20), || async {
            let failing = health.failing().await;
            ensure!(failing.is_empty(), "not ready: {failing:?}");
            Ok(())
        })
        .await?;
        Ok(replica)
    }

    pub fn tenant(&self) -> TenantId {
        let id: TenantId = self.minter.mint();
        self.directory.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string());
        id
    }

    pub fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.gateway.channel())
    }

    pub fn pool(&self) -> PoolServiceClient<Channel> {
        PoolServiceClient::new(self.gateway.channel())
    }

    pub async fn create(&self, tenant: TenantId, session: Session) -> Result<Session, Status> {
        let request = CreateSessionRequest { session: Some(session), ..Default::default() };
        Ok(self.sessions().create_session(on_behalf(tenant, request)).await?.into_inner())
    }

    pub async fn get(&self, tenant: TenantId, id: &str) -> Result<Session, Status> {
        let request = GetSessionRequest { id: id.into(), ..Default::default() };
        Ok(self.sessions().get_session(on_behalf(tenant, request)).await?.into_inner())
    }

    /// A tenant with a session on a number that the simulator knows.
    pub async fn laundry(&self, number: &str) -> Result<(TenantId, SessionId)> {
        self.laundry_at(number, 0).await
    }

    pub async fn laundry_at(&self, number: &str, messages_per_minute: u32) -> Result<(TenantId, SessionId)> {
        self.whatsapp.number(number, TOKEN).await?;
        let tenant = self.tenant();
        let session = self.create(tenant, Session { messages_per_minute, ..session(number) }).await?;
        Ok((tenant, session.id.parse()?))
    }

    /// A text to a customer whose window is open.
    pub async fn text(&self, from: (TenantId, SessionId), number: &str, to: &str) -> Result<ClaimedMessage> {
        self.whatsapp.open_window(to, number, &now()).await?;
        Ok(self.ledger.text(from.0, from.1, to, "طلبك جاهز"))
    }

    /// Waits for an outcome of a message, one that `fits`.
    pub async fn outcome<T>(&self, message: &str, fits: impl Fn(barid_proto::queue::v1::outcome::Outcome) -> Option<T>) -> Result<T> {
        eventually(Duration::from_secs(20), || async {
            let outcome = self.ledger.outcome(message).context("no outcome yet")?;
            fits(outcome.clone()).with_context(|| format!("the outcome is {outcome:?}"))
        })
        .await
    }

    pub async fn acknowledged(&self, message: &str) -> Result<String> {
        use barid_proto::queue::v1::outcome::Outcome;
        self.outcome(message, |outcome| if let Outcome::Acknowledged(ack) = outcome { Some(ack.provider_id) } else { None }).await
    }
}

pub fn now() -> String {
    barid_domain::Clock::now(&SystemClock).to_rfc3339()
}

fn configuration(nats: &Nats, database: &Database) -> Config {
    Config {
        cloud: CloudConfig {
            base_url: String::new(),
            version: "v23.0".into(),
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
        },
        pool: PoolConfig {
            heartbeat_ttl: Duration::from_secs(6),
            tick: Duration::from_millis(50),
            slots: 10,
            max_wait: Duration::from_secs(2),
            min_warm: Duration::from_millis(300),
            min_turn: Duration::from_secs(1),
            max_hold: Duration::from_secs(5),
            linger: Duration::from_secs(60),
            sweep: Duration::from_secs(3600),
            high_volume: 200,
            logins_per_second: 80.0,
            max_in_flight: 64,
            max_in_flight_per_session: 16,
        },
        web: WebConfig {
            url: "ws://127.0.0.1:1/ws/chat".into(),
            media_url: String::new(),
            version: String::new(),
            device_name: "Barid".into(),
            connect_timeout: Duration::from_secs(2),
            login_timeout: Duration::from_secs(5),
            ack_timeout: Duration::from_secs(2),
            prekeys: 16,
            media_limit: 1 << 20,
            event_queue: 64,
            root_certificate: Default::default(),
        },
        pacing: PacingConfig {
            recipient_spacing: Duration::ZERO,
            warm_up: Curve { points: vec![], full_from: Some(0) },
            first_contacts: Curve { points: vec![], full_from: Some(0) },
            portfolio_limit: 0,
        },
        media: barid_blob::Config::folder(std::path::Path::new("/")),
        egress: barid_egress::Settings::default(),
        health: barid_runtime::HealthConfig { listen: ([127, 0, 0, 1], 0).into() },
        telemetry: barid_runtime::TelemetryConfig { log: "info".into(), format: barid_runtime::Format::Text, otlp_endpoint: String::new() },
        nats: barid_bus::Config { url: nats.url(), user: String::new(), password: Secret::new(PASSWORD), replicas: 1 },
        database: barid_db::Config {
            tenant_url: Secret::new(database.url_for("barid_session_pool_tenant", PASSWORD)),
            engine_url: Secret::new(database.url_for("barid_session_pool_engine", PASSWORD)),
            max_connections: 4,
        },
        vault: barid_vault::Config { master_key_file: Default::default() },
    }
}

/// A call as the gateway hands it on for a tenant.
pub fn on_behalf<T>(tenant: TenantId, message: T) -> Request<T> {
    let principal = Principal { scope: Scope::Tenant.into(), tenant_id: tenant.to_string(), ..Principal::default() };
    let mut request = Request::new(message);
    request.metadata_mut().insert_bin(PRINCIPAL_KEY, MetadataValue::from_bytes(&prost::Message::encode_to_vec(&principal)));
    request
}

pub fn session(number: &str) -> Session {
    let cloud = CloudConnector {
        phone_number_id: number.into(),
        business_account_id: format!("9{number}"),
        app: APP.into(),
        access_token: TOKEN.into(),
        ..CloudConnector::default()
    };
    Session {
        display_name: "Front desk".into(),
        phone_number: PHONE.into(),
        connector: Some(Connector::Cloud(cloud)),
        ..Session::default()
    }
}

/// A tenant that nobody knows.
pub fn nobody() -> TenantId {
    Id::from_uuid(uuid::Uuid::from_u128(7))
}
