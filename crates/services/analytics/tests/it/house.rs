//! The service on real servers, between a gateway, a directory of tenants and a ledger that the test plays.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use barid_analytics::{App, Config};
use barid_bus::{Bus, Channel, Relay, RelayConfig, Server, Service, acl};
use barid_db::{Db, NewEvent, Outbox, OutboxTable};
use barid_domain::{ManualClock, MessageId, Minter, Secret, SystemClock, TenantId};
use barid_proto::{
    Guard,
    access::{PRINCIPAL_KEY, Principal, Scope},
    analytics::v1::{
        Dashboard, GetDashboardRequest, ListCountsRequest, ListCountsResponse, analytics_service_client::AnalyticsServiceClient,
    },
    events::v1::{MessagePayload, event::Payload},
    status::not_found,
    tenant::v1::{
        AuthenticateRequest, AuthenticateResponse, ResolveTenantRequest, Tenant,
        directory_service_server::{DirectoryService, DirectoryServiceServer},
    },
    timestamp,
};
use barid_runtime::{Format, Health, HealthConfig, TelemetryConfig};
use barid_testkit::{Database, Nats, database_with, eventually};
use chrono::{DateTime, Utc};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, metadata::MetadataValue};

/// Enough for a broker to come back, be found again and have everything told.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Role passwords belong to the whole cluster: every test gives the same one.
const PASSWORD: &str = "barid-test";

/// The ledger's own event table.
const EVENTS: OutboxTable =
    OutboxTable { table: "queue.message_events", entity: "message", entity_id: |uuid| MessageId::from_uuid(uuid).to_string() };

#[derive(Clone, Default)]
struct Directory(Arc<Mutex<HashMap<String, Tenant>>>);

#[tonic::async_trait]
impl DirectoryService for Directory {
    async fn authenticate(&self, _: Request<AuthenticateRequest>) -> Result<Response<AuthenticateResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn resolve_tenant(&self, request: Request<ResolveTenantRequest>) -> Result<Response<Tenant>, Status> {
        let id = request.into_inner().tenant_id;
        let tenant = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        tenant.map(Response::new).ok_or_else(|| not_found("tenant", &id))
    }
}

/// Something that runs until it is stopped.
struct Running(CancellationToken, JoinHandle<()>);

impl Running {
    fn start<W: Future<Output = ()> + Send + 'static>(work: impl FnOnce(CancellationToken) -> W) -> Self {
        let shutdown = CancellationToken::new();
        Self(shutdown.clone(), tokio::spawn(work(shutdown)))
    }

    async fn stop(self) {
        self.0.cancel();
        self.1.await.expect("ends well");
    }
}

/// What happened to one message.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub tenant: TenantId,
    pub kind: &'static str,
    pub at: DateTime<Utc>,
    pub accepted: DateTime<Utc>,
    pub attempt: u32,
    pub template: &'static str,
}

pub struct House {
    config: Config,
    clock: Arc<ManualClock>,
    minter: Minter,
    ledger: Db,
    wake: Arc<Notify>,
    directory: Directory,
    tenants: Bus,
    gateway: Bus,
    around: Vec<Running>,
    replicas: Vec<Running>,
    pub database: Database,
    pub nats: Nats,
}

impl House {
    /// With one replica of the service, for which it is `now`.
    pub async fn start(now: &str) -> Result<Self> {
        let users = [Service::Gateway, Service::Tenant, Service::Queue, Service::Analytics];
        let nats = barid_testkit::nats(&acl::server_config(&users.map(|service| (service, Secret::new(PASSWORD))))).await?;
        let database = database_with("analytics service", |admin_url| async move {
            let config = barid_migrations::Config { database_url: Secret::new(admin_url), role_password: Secret::new(PASSWORD) };
            barid_migrations::migrate(&config).await?;
            Ok(())
        })
        .await?;
        let config = configuration(&nats, &database);
        let bus = |service| Bus::connect(&config.nats, service);
        let (tenants, gateway, queue) = tokio::try_join!(bus(Service::Tenant), bus(Service::Gateway), bus(Service::Queue))?;
        let ledger = Db::connect(&login(&database, "queue")).await?;
        let (directory, wake) = (Directory::default(), Arc::new(Notify::new()));

        let server = Server::new(tenants.clone(), Arc::new(Guard::new())).add(DirectoryServiceServer::new(directory.clone()));
        let outbox = Outbox::new(ledger.engine.clone(), EVENTS);
        // For a relay in the past no event is too old to be told again.
        let past = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
        let relay = Relay::new(queue, outbox, wake.clone(), past, RelayConfig::default());
        let around = vec![
            Running::start(|shutdown| async move { server.run(shutdown, || {}).await.expect("the directory serves") }),
            Running::start(|shutdown| relay.run(shutdown)),
        ];
        let clock = Arc::new(ManualClock::at(now.parse()?));
        let minter = Minter::new(Arc::new(SystemClock));
        let replicas = Vec::new();
        let mut house = Self { config, clock, minter, ledger, wake, directory, tenants, gateway, around, replicas, database, nats };
        house.replica().await?;
        Ok(house)
    }

    /// One more process of the service.
    pub async fn replica(&mut self) -> Result<()> {
        let health = Health::default();
        let app = App::build(&self.config, self.clock.clone()).await?;
        let told = health.clone();
        self.replicas.push(Running::start(|shutdown| async move { app.run(told, shutdown).await.expect("the service serves") }));
        eventually(PATIENCE, || async {
            let failing = health.failing().await;
            ensure!(failing.is_empty(), "not ready: {failing:?}");
            Ok(())
        })
        .await
    }

    /// Stops every process of the service.
    pub async fn stop_replicas(&mut self) {
        for replica in self.replicas.drain(..) {
            replica.stop().await;
        }
    }

    /// Stops the process that was started last.
    pub async fn stop_one(&mut self) {
        self.replicas.pop().expect("one runs").stop().await;
    }

    pub async fn stop(mut self) {
        self.stop_replicas().await;
        for other in self.around {
            other.stop().await;
        }
    }

    /// A tenant whose clocks show this zone's time.
    pub fn tenant(&self, time_zone: &str) -> TenantId {
        let id: TenantId = self.minter.mint();
        self.put(id, time_zone);
        id
    }

    fn put(&self, id: TenantId, time_zone: &str) {
        let tenant = Tenant { id: id.to_string(), time_zone: time_zone.into(), ..Tenant::default() };
        self.directory.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string(), tenant);
    }

    /// Gives a tenant other clocks, and tells of it as the tenant service does.
    pub async fn change_zone(&self, id: TenantId, time_zone: &str) {
        self.put(id, time_zone);
        self.tenants.notify("tenant-changed", id.to_string().into_bytes().into()).await;
    }

    /// Commits events together, for the relay to tell.
    pub async fn tell(&self, told: &[Told]) -> Result<()> {
        let events: Vec<NewEvent> = told.iter().map(|told| self.event(told)).collect();
        self.ledger.engine.transaction("test", move |tx| async move { barid_db::append(&tx, EVENTS, events).await }).await?;
        self.wake.notify_one();
        Ok(())
    }

    fn event(&self, told: &Told) -> NewEvent {
        NewEvent {
            id: self.minter.mint(),
            tenant: told.tenant,
            entity: self.minter.mint::<barid_domain::id::Message>().uuid(),
            kind: told.kind,
            at: told.at,
            payload: Payload::Message(MessagePayload {
                template: told.template.into(),
                attempt: told.attempt,
                accept_time: Some(timestamp(told.accepted)),
                ..MessagePayload::default()
            }),
        }
    }

    /// What stands in the tables, over all tenants and quarters: messages by state and template.
    pub async fn counted(&self) -> Result<BTreeMap<(String, String), u64>> {
        let rows = self.database.execute(&["SELECT state, template, sum(messages) FROM analytics.counts GROUP BY 1, 2"]).await?;
        let read = |line: &str| {
            let mut columns = line.split('|').map(str::to_owned);
            let (state, template) = (columns.next()?, columns.next()?);
            Some(((state, template), columns.next()?.parse().ok()?))
        };
        rows.lines().map(|line| read(line).context("a row")).collect()
    }

    /// Waits until the service has been through everything that the stream holds and the ledger has told.
    pub async fn caught_up(&self) -> Result<()> {
        eventually(PATIENCE, || async {
            let behind = "
                SELECT count(*) FROM queue.message_events e WHERE (e.generation, e.xid::text::bigint, e.seq) > coalesce(
                    (SELECT (generation, transaction, sequence) FROM analytics.consumer_checkpoints WHERE consumer = 'messages'), (0, 0, 0))";
            let behind = self.database.execute(&[behind]).await?;
            ensure!(behind == "0", "{behind} events behind");
            Ok(())
        })
        .await
    }

    fn client(&self) -> AnalyticsServiceClient<Channel> {
        AnalyticsServiceClient::new(self.gateway.channel())
    }

    pub async fn dashboard(&self, tenant: TenantId, first_day: &str, last_day: &str) -> Result<Dashboard, Status> {
        let request = GetDashboardRequest { first_day: first_day.into(), last_day: last_day.into(), ..Default::default() };
        Ok(self.client().get_dashboard(on_behalf(tenant, request)).await?.into_inner())
    }

    pub async fn counts(&self, tenant: TenantId, request: ListCountsRequest) -> Result<ListCountsResponse, Status> {
        Ok(self.client().list_counts(on_behalf(tenant, request)).await?.into_inner())
    }
}

fn configuration(nats: &Nats, database: &Database) -> Config {
    Config {
        health: HealthConfig { listen: ([127, 0, 0, 1], 0).into() },
        telemetry: TelemetryConfig { log: "info".into(), format: Format::Text, otlp_endpoint: String::new() },
        nats: barid_bus::Config { url: nats.url(), user: String::new(), password: Secret::new(PASSWORD), replicas: 1 },
        database: login(database, "analytics"),
    }
}

fn login(database: &Database, schema: &str) -> barid_db::Config {
    let url = |kind: &str| Secret::new(database.url_for(&format!("barid_{schema}_{kind}"), PASSWORD));
    barid_db::Config { tenant_url: url("tenant"), engine_url: url("engine"), max_connections: 4 }
}

/// A call as the gateway hands it on for a tenant.
pub fn on_behalf<T>(tenant: TenantId, message: T) -> Request<T> {
    let principal = Principal { scope: Scope::Tenant.into(), tenant_id: tenant.to_string(), ..Principal::default() };
    let mut request = Request::new(message);
    request.metadata_mut().insert_bin(PRINCIPAL_KEY, MetadataValue::from_bytes(&prost::Message::encode_to_vec(&principal)));
    request
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}
