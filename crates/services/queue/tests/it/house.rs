//! The queue on real servers, with the few answers it asks of its neighbours.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use barid_bus::{BoxError, Bus, Channel, Outbox, Relay, RelayConfig, Server, Service, acl};
use barid_domain::{Clock, Minter, Secret, SessionId, SystemClock, TenantId};
use barid_proto::{
    Guard,
    access::{PRINCIPAL_KEY, Principal, Scope},
    events::v1::{Event, Position},
    queue::v1::{
        ClaimRequest, ClaimResponse, ClaimedMessage, FenceRequest, GetMessageRequest, Inbound, ListEventsRequest, Message, Outcome,
        Receipt, ReceiptKind, ReportInboundRequest, ReportOutcomesRequest, ReportReceiptsRequest, ReportReceiptsResponse,
        SendMessageRequest, SessionClaim, SessionEpoch, contact_service_client::ContactServiceClient,
        event_service_client::EventServiceClient, inbound_service_client::InboundServiceClient, ledger_service_client::LedgerServiceClient,
        message_service_client::MessageServiceClient, outcome,
    },
    session_pool::v1::{
        ChooseSessionRequest, ChooseSessionResponse, FetchMediaRequest, FetchMediaResponse, IngestWebhookRequest, IngestWebhookResponse,
        pool_service_server::{PoolService, PoolServiceServer},
    },
    tenant::v1::{
        AuthenticateRequest, AuthenticateResponse, ResolveTenantRequest, Tenant, TenantState,
        directory_service_server::{DirectoryService, DirectoryServiceServer},
    },
};
use barid_queue::{App, Config, DEFAULTS};
use barid_runtime::{Health, config};
use barid_testkit::{Database, Nats, database_with, eventually};
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, metadata::MetadataValue};

const PASSWORD: &str = "barid-test";

/// Every tenant is a laundry in Cairo, unless it was told to be another; every tenant has the session it asks for.
#[derive(Clone, Default)]
struct Neighbours {
    tenants: Arc<Mutex<HashMap<String, Tenant>>>,
}

impl Neighbours {
    fn tenant(&self, id: &str) -> Tenant {
        let laundry = Tenant {
            id: id.to_owned(),
            country: "EG".into(),
            time_zone: "Africa/Cairo".into(),
            daily_quota: 1_000_000,
            state: TenantState::Active.into(),
            ..Tenant::default()
        };
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or(laundry)
    }
}

#[tonic::async_trait]
impl DirectoryService for Neighbours {
    async fn authenticate(&self, _: Request<AuthenticateRequest>) -> Result<Response<AuthenticateResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn resolve_tenant(&self, request: Request<ResolveTenantRequest>) -> Result<Response<Tenant>, Status> {
        Ok(Response::new(self.tenant(&request.into_inner().tenant_id)))
    }
}

#[tonic::async_trait]
impl PoolService for Neighbours {
    async fn choose_session(&self, request: Request<ChooseSessionRequest>) -> Result<Response<ChooseSessionResponse>, Status> {
        Ok(Response::new(ChooseSessionResponse { session_id: request.into_inner().session_id }))
    }

    async fn ingest_webhook(&self, _: Request<IngestWebhookRequest>) -> Result<Response<IngestWebhookResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn fetch_media(&self, request: Request<FetchMediaRequest>) -> Result<Response<FetchMediaResponse>, Status> {
        let request = request.into_inner();
        if request.pointer != POINTER {
            return Err(Status::invalid_argument("another file"));
        }
        let file = file();
        let start = usize::try_from(request.offset).map_or(file.len(), |offset| offset.min(file.len()));
        let end = (start + 1024 * 1024).min(file.len());
        Ok(Response::new(FetchMediaResponse { data: file[start..end].to_vec().into(), total_size: file.len() as u64 }))
    }
}

/// What the tenant service tells.
#[derive(Clone, Default)]
struct Changes(Arc<Mutex<Vec<Event>>>);

impl Outbox for Changes {
    fn entity(&self) -> &'static str {
        "tenant"
    }

    async fn read(&self, after: Position, limit: u32) -> Result<Vec<Event>, BoxError> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(told.into_iter().skip(usize::try_from(after.sequence)?).take(limit as usize).collect())
    }

    async fn before(&self, _: DateTime<Utc>) -> Result<Position, BoxError> {
        Ok(Position::default())
    }

    async fn oldest(&self, _: Position) -> Result<Option<DateTime<Utc>>, BoxError> {
        Ok(None)
    }
}

/// Where the one file is that customers send.
pub const POINTER: &[u8] = b"where the file is, and its key";

/// Two and a half parts.
pub fn file() -> Vec<u8> {
    (0..5u32 * 512 * 1024).map(|index| (index % 251) as u8).collect()
}

pub struct House {
    pub database: Database,
    pub ids: Minter,
    messages: MessageServiceClient<Channel>,
    pub ledger: LedgerServiceClient<Channel>,
    pub inbound: InboundServiceClient<Channel>,
    pub contacts: ContactServiceClient<Channel>,
    pub events: EventServiceClient<Channel>,
    pub bus: Bus,
    neighbours: Neighbours,
    tenants: Bus,
    changes: Changes,
    health: Health,
    config: Config,
    shutdown: CancellationToken,
    _nats: Nats,
    _home: tempfile::TempDir,
}

impl House {
    pub async fn start() -> Result<Self> {
        Self::start_with("").await
    }

    /// With settings of its own.
    pub async fn start_with(settings: &str) -> Result<Self> {
        Self::start_on(settings, Arc::new(SystemClock)).await
    }

    /// With a clock of its own.
    pub async fn start_on(settings: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::start_in(settings, clock, &[]).await
    }

    /// In a database that was prepared by statements.
    pub async fn start_in(settings: &str, clock: Arc<dyn Clock>, prepare: &[&str]) -> Result<Self> {
        let users = [Service::Gateway, Service::Tenant, Service::Queue, Service::SessionPool];
        let nats = barid_testkit::nats(&acl::server_config(&users.map(|service| (service, Secret::new(PASSWORD))))).await?;
        let database = database_with("queue m0013", |admin_url| async move {
            let config = barid_migrations::Config { database_url: Secret::new(admin_url), role_password: Secret::new(PASSWORD) };
            barid_migrations::migrate(&config).await?;
            Ok(())
        })
        .await?;
        if !prepare.is_empty() {
            database.execute(prepare).await?;
        }
        let home = tempfile::tempdir()?;
        let (key, file) = (home.path().join("master.key"), home.path().join("barid.toml"));
        std::fs::write(&key, barid_vault::MasterKey::generate())?;
        let (url, tenant_url, engine_url) =
            (nats.url(), database.url_for("barid_queue_tenant", PASSWORD), database.url_for("barid_queue_engine", PASSWORD));
        let text = format!(
            "[queue]\nnats = {{ url = {url:?}, password = {PASSWORD:?} }}\ndatabase = {{ tenant_url = {tenant_url:?}, engine_url = {engine_url:?} }}\n\
             vault.master_key_file = {key:?}\n{settings}\n"
        );
        std::fs::write(&file, text)?;
        let config: Config = config::load("queue", DEFAULTS, Some(&file))?;
        let bus = |service| Bus::connect(&config.nats, service);
        let shutdown = CancellationToken::new();
        let guard = Arc::new(Guard::new());
        let (neighbours, tenants) = (Neighbours::default(), bus(Service::Tenant).await?);
        for server in [
            Server::new(tenants.clone(), guard.clone()).add(DirectoryServiceServer::new(neighbours.clone())),
            Server::new(bus(Service::SessionPool).await?, guard).add(PoolServiceServer::new(neighbours.clone())),
        ] {
            let stop = shutdown.clone();
            tokio::spawn(async move { server.run(stop, || {}).await });
        }
        let changes = Changes::default();
        let relay = Relay::new(tenants.clone(), changes.clone(), Arc::default(), clock.clone(), RelayConfig::default());
        tokio::spawn(relay.run(shutdown.clone()));
        let health = serve(&config, clock.clone(), shutdown.clone()).await?;
        let gateway = bus(Service::Gateway).await?;
        Ok(Self {
            messages: MessageServiceClient::new(gateway.channel()),
            inbound: InboundServiceClient::new(gateway.channel()),
            contacts: ContactServiceClient::new(gateway.channel()),
            events: EventServiceClient::new(gateway.channel()),
            bus: gateway,
            neighbours,
            tenants,
            changes,
            health,
            ledger: LedgerServiceClient::new(bus(Service::SessionPool).await?.channel()),
            config,
            ids: Minter::new(clock),
            database,
            shutdown,
            _nats: nats,
            _home: home,
        })
    }

    /// Another replica, which stops with the house.
    pub async fn replica(&self, clock: Arc<dyn Clock>) -> Result<()> {
        serve(&self.config, clock, self.shutdown.clone()).await.map(drop)
    }

    /// Changes a tenant, as its own service would: tells it to those who remember, and for good.
    pub async fn change(&self, tenant: TenantId, change: impl FnOnce(&mut Tenant)) {
        let mut changed = self.neighbours.tenant(&tenant.to_string());
        change(&mut changed);
        self.neighbours.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.to_string(), changed);
        self.tenants.notify("tenant-changed", tenant.to_string().into_bytes().into()).await;
        let mut told = self.changes.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = told.len() as u64 + 1;
        told.push(Event {
            id: self.ids.mint::<barid_domain::id::Event>().to_string(),
            tenant_id: tenant.to_string(),
            entity: "tenant".into(),
            entity_id: tenant.to_string(),
            kind: "updated".into(),
            position: Some(Position { generation: 1, transaction: 1, sequence }),
            ..Event::default()
        });
    }

    /// A figure of `/metrics`.
    pub fn figure(&self, name: &str) -> Result<f64> {
        let figures = self.health.figures();
        let line = figures.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in {figures}"))?;
        Ok(line.trim().parse()?)
    }

    pub fn on_behalf_of<T>(tenant: TenantId, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let principal = Principal { scope: Scope::Tenant.into(), tenant_id: tenant.to_string(), ..Principal::default() };
        let value = MetadataValue::from_bytes(&prost::Message::encode_to_vec(&principal));
        request.metadata_mut().insert_bin(PRINCIPAL_KEY, value);
        request
    }

    /// Hands over a text; gives back the id.
    pub async fn send(&self, tenant: TenantId, session: SessionId, recipient: &str, text: &str) -> Result<String> {
        self.send_request(tenant, session, SendMessageRequest { recipient: recipient.into(), text: text.into(), ..Default::default() })
            .await
    }

    pub async fn send_request(&self, tenant: TenantId, session: SessionId, request: SendMessageRequest) -> Result<String> {
        let request = SendMessageRequest { session_id: session.to_string(), ..request };
        Ok(self.hand_over(tenant, request).await?.id)
    }

    /// Hands over a request as it is.
    pub async fn hand_over(&self, tenant: TenantId, request: SendMessageRequest) -> Result<Message, Status> {
        Ok(self.messages.clone().send_message(Self::on_behalf_of(tenant, request)).await?.into_inner())
    }

    pub async fn message(&self, tenant: TenantId, id: &str) -> Result<Message> {
        let request = GetMessageRequest { id: id.to_owned(), ..Default::default() };
        Ok(self.messages.clone().get_message(Self::on_behalf_of(tenant, request)).await?.into_inner())
    }

    /// A client of the messages.
    pub fn messages(&self) -> MessageServiceClient<Channel> {
        self.messages.clone()
    }

    /// A tenant's events after the one with this id; all of them when it is empty.
    pub async fn list_events(&self, tenant: TenantId, after: &str) -> Result<Vec<Event>> {
        self.database.settle().await?;
        let request = ListEventsRequest { after: after.to_owned(), page_size: 1000, ..ListEventsRequest::default() };
        Ok(self.events.clone().list_events(Self::on_behalf_of(tenant, request)).await?.into_inner().events)
    }

    pub async fn fence(&self, session: SessionId, epoch: u64) -> Result<u64> {
        let sessions = vec![SessionEpoch { session_id: session.to_string(), epoch }];
        let standing = self.ledger.clone().fence(FenceRequest { sessions }).await?.into_inner();
        Ok(standing.sessions.first().context("an epoch")?.epoch)
    }

    pub async fn claim(&self, claim_id: &str, sessions: &[(SessionId, u64, u32)]) -> Result<ClaimResponse> {
        self.claim_as(claim_id, sessions, &SessionClaim::default()).await
    }

    /// Claims for sessions that send under ids of ours.
    pub async fn claim_web(&self, session: SessionId, epoch: u64) -> Result<Vec<ClaimedMessage>> {
        let web = SessionClaim { repeatable: true, ..SessionClaim::default() };
        Ok(self.claim_as(&claim_id(), &[(session, epoch, 10)], &web).await?.messages)
    }

    /// Claims for sessions of a kind.
    pub async fn claim_as(&self, claim_id: &str, sessions: &[(SessionId, u64, u32)], kind: &SessionClaim) -> Result<ClaimResponse> {
        let sessions = sessions.iter().map(|(session, epoch, max)| SessionClaim {
            session_id: session.to_string(),
            epoch: *epoch,
            max: *max,
            ..kind.clone()
        });
        let request = ClaimRequest { claim_id: claim_id.to_owned(), sessions: sessions.collect() };
        Ok(self.ledger.clone().claim(request).await?.into_inner())
    }

    /// Tells what a customer did.
    pub async fn hear(&self, inbound: Inbound) -> Result<(), Status> {
        self.ledger.clone().report_inbound(ReportInboundRequest { inbound: vec![inbound] }).await.map(drop)
    }

    pub async fn report(&self, claimed: &ClaimedMessage, outcome: outcome::Outcome) -> Result<u32> {
        let outcome = Outcome { message_id: claimed.message_id.clone(), attempt: claimed.attempt, time: None, outcome: Some(outcome) };
        Ok(self.ledger.clone().report_outcomes(ReportOutcomesRequest { outcomes: vec![outcome] }).await?.into_inner().applied)
    }

    pub async fn receipt(&self, session: SessionId, provider_id: &str, message: &str, kind: ReceiptKind) -> Result<ReportReceiptsResponse> {
        let receipt = Receipt {
            session_id: session.to_string(),
            provider_id: provider_id.into(),
            message_id: message.into(),
            kind: kind.into(),
            ..Receipt::default()
        };
        Ok(self.ledger.clone().report_receipts(ReportReceiptsRequest { receipts: vec![receipt] }).await?.into_inner())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Starts a queue, and waits until it is ready.
async fn serve(config: &Config, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<Health> {
    let (health, app) = (Health::default(), App::build(config, clock).await?);
    let ready = health.clone();
    tokio::spawn(async move { app.run(ready, stop).await });
    eventually(Duration::from_secs(10), || async {
        let failing = health.failing().await;
        ensure!(failing.is_empty(), "not ready: {failing:?}");
        Ok(())
    })
    .await?;
    Ok(health)
}

/// A claim's id.
pub fn claim_id() -> String {
    let hex = barid_testkit::secret();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
