//! The service on real servers, between a gateway and a ledger that the test plays.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use barid_bus::{Bus, Channel, Relay, RelayConfig, Service, acl};
use barid_db::{Db, NewEvent, Outbox, OutboxTable};
use barid_domain::{Clock, ManualClock, MessageId, Minter, Secret, SystemClock, TenantId};
use barid_egress::{Resolve, System};
use barid_proto::{
    access::{PRINCIPAL_KEY, Principal, Scope},
    events::v1::{MessagePayload, event::Payload},
    webhook::v1::{
        CreateEndpointRequest, Delivery, DeliveryState, Endpoint, GetDeliveryRequest, GetEndpointRequest, ListDeliveriesRequest,
        delivery_service_client::DeliveryServiceClient, endpoint_service_client::EndpointServiceClient,
    },
};
use barid_runtime::{Format, Health, HealthConfig, TelemetryConfig};
use barid_testkit::{Database, Nats, database_with, eventually};
use barid_vault::MasterKey;
use barid_webhook::{App, Config};
use chrono::{DateTime, TimeDelta};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, metadata::MetadataValue};

use crate::receiver::Receiver;

pub const PATIENCE: Duration = Duration::from_secs(40);

/// Role passwords belong to the whole cluster: every test gives the same one.
const PASSWORD: &str = "barid-test";

/// The ledger's own event table.
const EVENTS: OutboxTable =
    OutboxTable { table: "queue.message_events", entity: "message", entity_id: |uuid| MessageId::from_uuid(uuid).to_string() };

/// A replica in a runtime of its own, so that it can die with everything in it.
struct Replica(Option<tokio::runtime::Runtime>, CancellationToken);

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

pub struct House {
    pub config: Config,
    pub clock: Arc<ManualClock>,
    minter: Minter,
    ledger: Db,
    wake: Arc<Notify>,
    gateway: Bus,
    relay: (CancellationToken, JoinHandle<()>),
    replicas: Vec<Replica>,
    pub database: Database,
    _nats: Nats,
    _home: tempfile::TempDir,
}

impl House {
    /// With one replica, which may reach these receivers.
    pub async fn start(receivers: &[&Receiver]) -> Result<Self> {
        let mut house = Self::empty(receivers).await?;
        house.replica().await?;
        Ok(house)
    }

    /// Without a replica.
    pub async fn empty(receivers: &[&Receiver]) -> Result<Self> {
        let users = [Service::Gateway, Service::Queue, Service::Webhook].map(|service| (service, Secret::new(PASSWORD)));
        let nats = barid_testkit::nats(&acl::server_config(&users)).await?;
        let database = database_with("webhook service m0020", |admin_url| async move {
            let config = barid_migrations::Config { database_url: Secret::new(admin_url), role_password: Secret::new(PASSWORD) };
            barid_migrations::migrate(&config).await?;
            Ok(())
        })
        .await?;
        let home = tempfile::tempdir()?;
        let master_key_file = home.path().join("master.key");
        std::fs::write(&master_key_file, MasterKey::generate())?;
        let config = Config {
            retention: Duration::from_secs(30 * 24 * 3600),
            disable_after: Duration::from_secs(5 * 24 * 3600),
            concurrency: 64,
            endpoint_concurrency: 4,
            egress: barid_egress::Settings {
                allow: vec!["127.0.0.1".into()],
                allow_http: true,
                ports: receivers.iter().map(|receiver| receiver.address.port()).chain([443]).collect(),
                total_timeout: Duration::from_secs(10),
                ..barid_egress::Settings::default()
            },
            health: HealthConfig { listen: ([127, 0, 0, 1], 0).into() },
            telemetry: TelemetryConfig { log: "info".into(), format: Format::Text, otlp_endpoint: String::new() },
            nats: barid_bus::Config { url: nats.url(), user: String::new(), password: Secret::new(PASSWORD), replicas: 1 },
            database: login(&database, "webhook"),
            vault: barid_vault::Config { master_key_file },
        };
        let (gateway, queue) = tokio::try_join!(Bus::connect(&config.nats, Service::Gateway), Bus::connect(&config.nats, Service::Queue))?;
        let ledger = Db::connect(&login(&database, "queue")).await?;
        let (wake, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        // For a relay in the past no event is too old to be told again.
        let past = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
        let relay = Relay::new(queue, Outbox::new(ledger.engine.clone(), EVENTS), wake.clone(), past, RelayConfig::default());
        let relay = (shutdown.clone(), tokio::spawn(relay.run(shutdown)));
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let minter = Minter::new(Arc::new(SystemClock));
        Ok(Self { config, clock, minter, ledger, wake, gateway, relay, replicas: Vec::new(), database, _nats: nats, _home: home })
    }

    /// One more process of the service.
    pub async fn replica(&mut self) -> Result<()> {
        self.replica_with(System).await
    }

    /// One that finds addresses in another way.
    pub async fn replica_with(&mut self, resolver: impl Resolve) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (config, clock, health, shutdown) = (self.config.clone(), self.clock.clone(), Health::default(), CancellationToken::new());
        let (ready, stop) = (health.clone(), shutdown.clone());
        runtime.spawn(async move {
            let app = App::build(&config, clock).await.expect("it finds what it needs").with_resolver(resolver).expect("egress");
            app.run(ready, stop).await.expect("it serves");
        });
        self.replicas.push(Replica(Some(runtime), shutdown));
        eventually(PATIENCE, || async {
            let failing = health.failing().await;
            ensure!(failing.is_empty(), "not ready: {failing:?}");
            Ok(())
        })
        .await
    }

    /// Ends the oldest replica in the middle of whatever it does.
    pub fn kill_one(&mut self) {
        drop(self.replicas.remove(0));
    }

    pub async fn stop(self) {
        for replica in &self.replicas {
            replica.1.cancel();
        }
        self.relay.0.cancel();
        self.relay.1.await.expect("the relay ends well");
    }

    pub fn tenant(&self) -> TenantId {
        self.minter.mint()
    }

    pub fn message(&self) -> MessageId {
        self.minter.mint()
    }

    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// Commits what happened to messages together, for the relay to tell.
    pub async fn tell(&self, tenant: TenantId, told: &[(MessageId, &'static str)]) -> Result<()> {
        let event = |(message, kind): &(MessageId, &'static str)| NewEvent {
            id: self.minter.mint(),
            tenant,
            entity: message.uuid(),
            kind,
            at: SystemClock.now(),
            payload: Payload::Message(MessagePayload { attempt: 1, ..MessagePayload::default() }),
        };
        let events: Vec<NewEvent> = told.iter().map(event).collect();
        self.ledger.engine.transaction("test", move |tx| async move { barid_db::append(&tx, EVENTS, events).await }).await?;
        self.wake.notify_one();
        Ok(())
    }

    pub fn endpoints(&self) -> EndpointServiceClient<Channel> {
        EndpointServiceClient::new(self.gateway.channel().with_deadline(Duration::from_secs(15)))
    }

    pub fn log(&self) -> DeliveryServiceClient<Channel> {
        DeliveryServiceClient::new(self.gateway.channel())
    }

    /// An endpoint of a tenant that wants every event of messages; with its secret.
    pub async fn endpoint(&self, tenant: TenantId, url: &str) -> Result<Endpoint, Status> {
        self.create(tenant, Endpoint { url: url.into(), event_types: vec!["message.*".into()], ..Endpoint::default() }).await
    }

    pub async fn create(&self, tenant: TenantId, endpoint: Endpoint) -> Result<Endpoint, Status> {
        let request = CreateEndpointRequest { endpoint: Some(endpoint), ..CreateEndpointRequest::default() };
        Ok(self.endpoints().create_endpoint(on_behalf(tenant, request)).await?.into_inner())
    }

    pub async fn read(&self, tenant: TenantId, id: &str) -> Result<Endpoint, Status> {
        let request = GetEndpointRequest { id: id.into(), ..GetEndpointRequest::default() };
        Ok(self.endpoints().get_endpoint(on_behalf(tenant, request)).await?.into_inner())
    }

    pub async fn deliveries(&self, tenant: TenantId, request: ListDeliveriesRequest) -> Result<Vec<Delivery>, Status> {
        Ok(self.log().list_deliveries(on_behalf(tenant, request)).await?.into_inner().deliveries)
    }

    pub async fn delivery(&self, tenant: TenantId, id: &str) -> Result<Delivery, Status> {
        let request = GetDeliveryRequest { id: id.into(), ..GetDeliveryRequest::default() };
        Ok(self.log().get_delivery(on_behalf(tenant, request)).await?.into_inner())
    }

    /// Waits until a tenant's deliveries stand as expected: how many in which state.
    pub async fn settled(&self, tenant: TenantId, expected: &[(DeliveryState, usize)]) -> Result<Vec<Delivery>> {
        let expected: BTreeMap<i32, usize> = expected.iter().map(|(state, count)| (i32::from(*state), *count)).collect();
        eventually(PATIENCE, || async {
            let all = ListDeliveriesRequest { page_size: 1000, ..ListDeliveriesRequest::default() };
            let deliveries = self.deliveries(tenant, all).await?;
            let mut counted = BTreeMap::new();
            for delivery in &deliveries {
                *counted.entry(delivery.state).or_default() += 1;
            }
            ensure!(counted == expected, "{counted:?} instead of {expected:?}");
            Ok(deliveries)
        })
        .await
    }

    /// Waits until a pending delivery has been tried so often.
    pub async fn tried(&self, tenant: TenantId, attempts: u32) -> Result<Delivery> {
        eventually(PATIENCE, || async {
            let deliveries = self.deliveries(tenant, ListDeliveriesRequest::default()).await?;
            let tried = deliveries.into_iter().find(|delivery| delivery.attempt_count == attempts);
            tried.ok_or_else(|| anyhow::anyhow!("not tried {attempts} times yet"))
        })
        .await
    }
}

fn login(database: &Database, schema: &str) -> barid_db::Config {
    let url = |kind: &str| Secret::new(database.url_for(&format!("barid_{schema}_{kind}"), PASSWORD));
    barid_db::Config { tenant_url: url("tenant"), engine_url: url("engine"), max_connections: 6 }
}

/// A call as the gateway hands it on for a tenant.
pub fn on_behalf<T>(tenant: TenantId, message: T) -> Request<T> {
    let principal = Principal { scope: Scope::Tenant.into(), tenant_id: tenant.to_string(), ..Principal::default() };
    let mut request = Request::new(message);
    request.metadata_mut().insert_bin(PRINCIPAL_KEY, MetadataValue::from_bytes(&prost::Message::encode_to_vec(&principal)));
    request
}
