//! A gateway on a real broker with the users of production; the test plays tenant's directory and session-pool.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use barid_bus::{Bus, Server, Service, acl};
use barid_domain::{Clock, Minter, OrganisationId, Secret, SystemClock, TenantId};
use barid_gateway::{App, Config, DEFAULTS};
use barid_proto::{
    Guard,
    access::{Principal, Scope},
    status::not_found,
    tenant::v1::{
        AuthenticateRequest, AuthenticateResponse, ResolveTenantRequest, Tenant, TenantState,
        directory_service_server::{DirectoryService, DirectoryServiceServer},
    },
};
use barid_runtime::{Health, config};
use barid_testkit::{Nats, eventually};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Channel};

pub const TENANT_KEY: &str = "the-key-of-a-tenant";
pub const ORGANISATION_KEY: &str = "the-key-of-an-organisation";
pub const PLATFORM_KEY: &str = "the-key-of-the-platform";
/// Longer than anything here takes, shorter than what a stream does by itself after a while.
pub const PATIENCE: Duration = Duration::from_secs(10);

const PASSWORD: &str = "barid-test";

pub struct House {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    pub tenant: TenantId,
    directory: Directory,
    tenant_bus: Bus,
    config: Config,
    shutdown: CancellationToken,
    gateway: JoinHandle<Result<(), barid_gateway::Error>>,
    _nats: Nats,
}

/// A service that can be stopped.
pub struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        Ok(tokio::time::timeout(PATIENCE, self.task).await??)
    }
}

impl House {
    /// `settings` are further lines of the gateway's section.
    pub async fn start(settings: &str) -> Result<Self> {
        let users = [Service::Gateway, Service::Tenant, Service::SessionPool];
        let nats = barid_testkit::nats(&acl::server_config(&users.map(|service| (service, Secret::new(PASSWORD))))).await?;
        let (home, url) = (tempfile::tempdir()?, nats.url());
        let file = home.path().join("barid.toml");
        // Nobody is at the address of Redis: the gateway limits by itself.
        let text = format!(
            "[gateway]\nlisten = \"127.0.0.1:0\"\nredis.url = \"redis://127.0.0.1:1\"\nnats = {{ url = {url:?}, password = {PASSWORD:?} }}\n{settings}\n"
        );
        std::fs::write(&file, text)?;
        let config: Config = config::load("gateway", DEFAULTS, Some(&file))?;

        let ids = Minter::new(Arc::new(SystemClock) as Arc<dyn Clock>);
        let (organisation, tenant): (OrganisationId, TenantId) = (ids.mint(), ids.mint());
        let tenant_bus = Bus::connect(&config.nats, Service::Tenant).await?;
        let directory = Directory::new(organisation, tenant);
        serve(Server::new(tenant_bus.clone(), Arc::new(Guard::new())).add(DirectoryServiceServer::new(directory.clone()))).await?;

        let listener = TcpListener::bind(config.listen).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (health, shutdown) = (Health::default(), CancellationToken::new());
        let app = App::build(&config).await?;
        let gateway = tokio::spawn(app.run(listener, health.clone(), shutdown.clone()));
        eventually(PATIENCE, || async {
            let failing = health.failing().await;
            ensure!(failing.is_empty(), "not ready: {failing:?}");
            Ok(())
        })
        .await?;
        Ok(Self { url, tenant, directory, tenant_bus, config, shutdown, gateway, _nats: nats })
    }

    /// Plays session-pool; returns when calls are being taken.
    pub async fn session_pool(&self, add: impl FnOnce(Server) -> Server) -> Result<Running> {
        let bus = Bus::connect(&self.config.nats, Service::SessionPool).await?;
        serve(add(Server::new(bus, Arc::new(Guard::new())))).await
    }

    /// A gRPC connection to the gateway.
    pub async fn channel(&self) -> Result<Channel> {
        Ok(tonic::transport::Endpoint::from_shared(self.url.clone())?.connect().await?)
    }

    /// Takes a key away, as tenant does it.
    pub async fn revoke(&self, key: &str) {
        let hash = Sha256::digest(key);
        self.directory.keys.lock().remove(hash.as_slice());
        self.tenant_bus.notify("key-revoked", hash.to_vec().into()).await;
    }

    /// Asks the gateway to stop.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the gateway has stopped.
    pub async fn stopped(&mut self) -> Result<()> {
        let ended = tokio::time::timeout(PATIENCE, &mut self.gateway).await.context("the gateway does not stop")?;
        Ok(ended??)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn serve(server: Server) -> Result<Running> {
    let (ready, taken) = oneshot::channel();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let task = tokio::spawn(async move { server.run(stop, || ready.send(()).expect("is waited for")).await.expect("serves") });
    taken.await?;
    Ok(Running { shutdown, task })
}

/// A request with a key.
pub fn with_key<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().expect("a header"));
    request
}

#[derive(Clone)]
struct Directory {
    organisation: OrganisationId,
    keys: Arc<Mutex<HashMap<Vec<u8>, Principal>>>,
}

impl Directory {
    fn new(organisation: OrganisationId, tenant: TenantId) -> Self {
        let principal = |key: &str, scope: Scope, tenant: &str| {
            let holder = Principal {
                scope: scope.into(),
                organisation_id: organisation.to_string(),
                tenant_id: tenant.to_owned(),
                key_id: format!("id of {key}"),
            };
            (Sha256::digest(key).to_vec(), holder)
        };
        let keys = HashMap::from([
            principal(TENANT_KEY, Scope::Tenant, &tenant.to_string()),
            principal(ORGANISATION_KEY, Scope::Organisation, ""),
            principal(PLATFORM_KEY, Scope::Platform, ""),
        ]);
        Self { organisation, keys: Arc::new(Mutex::new(keys)) }
    }
}

#[tonic::async_trait]
impl DirectoryService for Directory {
    async fn authenticate(&self, request: Request<AuthenticateRequest>) -> Result<Response<AuthenticateResponse>, Status> {
        let principal = self.keys.lock().get(&request.into_inner().secret_sha256).cloned();
        Ok(Response::new(AuthenticateResponse { principal: Some(principal.ok_or_else(|| not_found("API key", ""))?) }))
    }

    async fn resolve_tenant(&self, request: Request<ResolveTenantRequest>) -> Result<Response<Tenant>, Status> {
        Ok(Response::new(Tenant {
            id: request.into_inner().tenant_id,
            organisation_id: self.organisation.to_string(),
            state: TenantState::Active.into(),
            ..Tenant::default()
        }))
    }
}
