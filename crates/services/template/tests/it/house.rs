//! The service on real servers, between a gateway, a queue and a directory of tenants that the test plays.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use barid_bus::{Bus, Channel, Server, Service, acl};
use barid_domain::{Clock, Id, Minter, Secret, SystemClock, TenantId};
use barid_proto::{
    Guard,
    access::{PRINCIPAL_KEY, Principal, Scope},
    template::v1::{renderer_service_client::RendererServiceClient, template_service_client::TemplateServiceClient},
    tenant::v1::{
        AuthenticateRequest, AuthenticateResponse, Branding, ResolveTenantRequest, Tenant,
        directory_service_server::{DirectoryService, DirectoryServiceServer},
    },
};
use barid_runtime::Health;
use barid_template::{App, Config};
use barid_testkit::{Database, Nats, database_with, eventually};
use prost_types::{ListValue, Struct, Value as WireValue, value::Kind};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, metadata::MetadataValue};

const PASSWORD: &str = "barid-test";

#[derive(Clone, Default)]
pub struct Directory(Arc<Mutex<HashMap<String, Tenant>>>);

#[tonic::async_trait]
impl DirectoryService for Directory {
    async fn authenticate(&self, _: Request<AuthenticateRequest>) -> Result<Response<AuthenticateResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn resolve_tenant(&self, request: Request<ResolveTenantRequest>) -> Result<Response<Tenant>, Status> {
        let id = request.into_inner().tenant_id;
        let tenant = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        tenant.map(Response::new).ok_or_else(|| barid_proto::status::not_found("tenant", &id))
    }
}

pub struct House {
    config: Config,
    tenants: Bus,
    gateway: Bus,
    queue: Bus,
    directory: Directory,
    minter: Minter,
    shutdown: CancellationToken,
    running: Vec<JoinHandle<()>>,
    pub database: Database,
    _nats: Nats,
}

impl House {
    pub async fn start() -> Result<Self> {
        let users = [Service::Gateway, Service::Tenant, Service::Template, Service::Queue];
        let nats = barid_testkit::nats(&acl::server_config(&users.map(|service| (service, Secret::new(PASSWORD))))).await?;
        let database = database_with("template service", |admin_url| async move {
            let config = barid_migrations::Config { database_url: Secret::new(admin_url), role_password: Secret::new(PASSWORD) };
            barid_migrations::migrate(&config).await?;
            Ok(())
        })
        .await?;
        let config: Config = configuration(&nats, &database);
        let bus = |service| Bus::connect(&config.nats, service);
        let (tenants, gateway, queue) = tokio::try_join!(bus(Service::Tenant), bus(Service::Gateway), bus(Service::Queue))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (minter, directory, shutdown) = (Minter::new(clock), Directory::default(), CancellationToken::new());
        let server = Server::new(tenants.clone(), Arc::new(Guard::new())).add(DirectoryServiceServer::new(directory.clone()));
        let stop = shutdown.clone();
        let running = vec![tokio::spawn(async move { server.run(stop, || {}).await.expect("the directory serves") })];
        let mut house = Self { config, tenants, gateway, queue, directory, minter, shutdown, running, database, _nats: nats };
        house.replica().await?;
        Ok(house)
    }

    /// One more process of the service.
    pub async fn replica(&mut self) -> Result<()> {
        let (health, shutdown) = (Health::default(), self.shutdown.clone());
        let app = App::build(&self.config, Arc::new(SystemClock)).await?;
        let told = health.clone();
        self.running.push(tokio::spawn(async move { app.run(told, shutdown).await.expect("the service serves") }));
        eventually(Duration::from_secs(10), || async {
            let failing = health.failing().await;
            ensure!(failing.is_empty(), "not ready: {failing:?}");
            Ok(())
        })
        .await
    }

    pub fn add(&self, tenant: Tenant) -> TenantId {
        let id: TenantId = self.minter.mint();
        self.put(id, tenant);
        id
    }

    fn put(&self, id: TenantId, tenant: Tenant) {
        let tenant = Tenant { id: id.to_string(), ..tenant };
        self.directory.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string(), tenant);
    }

    /// Changes a tenant, and tells of it as the tenant service does.
    pub async fn change(&self, id: TenantId, tenant: Tenant) {
        self.put(id, tenant);
        self.tenants.notify("tenant-changed", id.to_string().into_bytes().into()).await;
    }

    pub fn templates(&self) -> TemplateServiceClient<Channel> {
        TemplateServiceClient::new(self.gateway.channel())
    }

    pub fn renderer(&self) -> RendererServiceClient<Channel> {
        RendererServiceClient::new(self.queue.channel())
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        for task in self.running {
            task.await.expect("ends well");
        }
    }
}

/// Remembers for so long that tests only pass by being told of changes.
fn configuration(nats: &Nats, database: &Database) -> Config {
    Config {
        cache_ttl: Duration::from_secs(600),
        health: barid_runtime::HealthConfig { listen: ([127, 0, 0, 1], 0).into() },
        telemetry: barid_runtime::TelemetryConfig { log: "info".into(), format: barid_runtime::Format::Text, otlp_endpoint: String::new() },
        nats: barid_bus::Config { url: nats.url(), user: String::new(), password: Secret::new(PASSWORD), replicas: 1 },
        database: barid_db::Config {
            tenant_url: Secret::new(database.url_for("barid_template_tenant", PASSWORD)),
            engine_url: Secret::new(database.url_for("barid_template_engine", PASSWORD)),
            max_connections: 4,
        },
    }
}

/// A call as the gateway hands it on for a tenant.
pub fn on_behalf<T>(tenant: TenantId, message: T) -> Request<T> {
    let principal = Principal { scope: Scope::Tenant.into(), tenant_id: tenant.to_string(), ..Principal::default() };
    let mut request = Request::new(message);
    request.metadata_mut().insert_bin(PRINCIPAL_KEY, MetadataValue::from_bytes(&prost::Message::encode_to_vec(&principal)));
    request
}

/// The laundry of the seed, as the tenant service knows it.
pub fn laundry() -> Tenant {
    let glossary = [("Dry Cleaning", "تنظيف جاف"), ("Pressing", "كي"), ("EGP", "جنيه")];
    Tenant {
        name: "Blue Nile".into(),
        locale: "ar-EG".into(),
        country: "EG".into(),
        currency: "EGP".into(),
        time_zone: "Africa/Cairo".into(),
        glossary: glossary.map(|(word, translation)| (word.into(), translation.into())).into(),
        branding: Some(Branding {
            business_name: "مغسلة النيل الأزرق".into(), phone: "01234567890".into(), emoji: "👋".into()
        }),
        ..Tenant::default()
    }
}

/// JSON as it comes over the wire: every number is a float.
pub fn variables(json: Value) -> Option<Struct> {
    match wire(json).kind {
        Some(Kind::StructValue(fields)) => Some(fields),
        _ => panic!("variables are an object"),
    }
}

fn wire(json: Value) -> WireValue {
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().expect("a number")),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => Kind::ListValue(ListValue { values: values.into_iter().map(wire).collect() }),
        Value::Object(fields) => {
            Kind::StructValue(Struct { fields: fields.into_iter().map(|(name, value)| (name, wire(value))).collect() })
        }
    };
    WireValue { kind: Some(kind) }
}

/// A tenant that nobody knows.
pub fn nobody() -> TenantId {
    Id::from_uuid(uuid::Uuid::from_u128(7))
}
