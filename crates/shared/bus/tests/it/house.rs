//! A real broker with the users of production, and services that the test plays.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use async_nats::{ConnectOptions, Event};
use barid_bus::{Bus, Channel, Config, Server, Service, acl};
use barid_domain::Secret;
use barid_proto::{
    Guard,
    queue::v1::{
        GetQueueStatusRequest, QueueStatus,
        queue_service_server::{QueueService, QueueServiceServer},
    },
    template::v1::{
        RenderMessagesRequest, RenderMessagesResponse,
        renderer_service_client::RendererServiceClient,
        renderer_service_server::{RendererService, RendererServiceServer},
    },
};
use barid_testkit::Nats;
use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// The path of the method that most tests call: internal, from queue to template, without limits of its own.
pub const RENDER: &str = "/barid.template.v1.RendererService/RenderMessages";

/// An empty request in its gRPC frame.
pub const EMPTY: &[u8] = &[0; 5];

const PASSWORD: &str = "barid-test";

pub struct House {
    pub nats: Nats,
    shutdown: CancellationToken,
    running: Vec<JoinHandle<()>>,
}

impl House {
    pub async fn start() -> Result<Self> {
        let config = acl::server_config(&Service::ALL.map(|service| (service, Secret::new(PASSWORD))));
        // Beyond production's users one who may do everything, to break things with.
        let config = config.replacen("users: [", &format!("users: [{{ user: vandal, password: \"{PASSWORD}\" }},"), 1);
        let nats = barid_testkit::nats(&config).await?;
        Ok(Self { nats, shutdown: CancellationToken::new(), running: Vec::new() })
    }

    pub async fn bus(&self, service: Service) -> Result<Bus> {
        let config = Config { url: self.nats.url(), user: String::new(), password: Secret::new(PASSWORD), replicas: 1 };
        Ok(Bus::connect(&config, service).await?)
    }

    /// Serves until the house stops; returns when calls are being taken.
    pub async fn serve(&mut self, server: Server) {
        let (ready, taken) = oneshot::channel();
        let shutdown = self.shutdown.clone();
        self.running.push(tokio::spawn(async move { server.run(shutdown, || ready.send(()).expect("waited for")).await.expect("serves") }));
        taken.await.expect("the service is announced");
    }

    /// Serves template's renderer, and gives queue's client of it.
    pub async fn renderer<F, W>(&mut self, answer: F) -> Result<RendererServiceClient<Channel>>
    where
        F: Fn(Request<RenderMessagesRequest>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Response<RenderMessagesResponse>, Status>> + Send + 'static,
    {
        let server = server(self.bus(Service::Template).await?).add(RendererServiceServer::new(Played::new(answer)));
        self.serve(server).await;
        Ok(RendererServiceClient::new(self.bus(Service::Queue).await?.channel()))
    }

    /// A bare connection of a user, and what the server has against it.
    pub async fn user(&self, name: &str) -> Result<(async_nats::Client, Complaints)> {
        let complaints = Complaints::default();
        let heard = complaints.clone();
        let client = ConnectOptions::with_user_and_password(name.to_owned(), PASSWORD.to_owned())
            .custom_inbox_prefix(format!("_INBOX_{name}"))
            .event_callback(move |event| {
                let heard = heard.clone();
                async move {
                    if let Event::ServerError(error) = event {
                        heard.0.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
                    }
                }
            })
            .connect(self.nats.url())
            .await?;
        Ok((client, complaints))
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        for task in self.running {
            task.await.expect("ends well");
        }
    }

    /// Asks the services to stop.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }
}

pub fn server(bus: Bus) -> Server {
    Server::new(bus, Arc::new(Guard::new()))
}

/// What a server told a connection that it may not do.
#[derive(Clone, Default)]
pub struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    pub fn about(&self, subject: &str) -> bool {
        let quoted = format!("\"{subject}\"");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|text| {
            let text = text.to_lowercase();
            text.contains("permissions violation") && text.contains(&quoted.to_lowercase())
        })
    }
}

type Answer<T> = BoxFuture<'static, Result<Response<T>, Status>>;

/// A service whose one method is a closure.
pub struct Played<Q, A>(Arc<dyn Fn(Request<Q>) -> Answer<A> + Send + Sync>);

impl<Q, A> Played<Q, A> {
    pub fn new<F, W>(answer: F) -> Self
    where
        F: Fn(Request<Q>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Response<A>, Status>> + Send + 'static,
    {
        Self(Arc::new(move |request| answer(request).boxed()))
    }
}

#[tonic::async_trait]
impl RendererService for Played<RenderMessagesRequest, RenderMessagesResponse> {
    async fn render_messages(&self, request: Request<RenderMessagesRequest>) -> Result<Response<RenderMessagesResponse>, Status> {
        (self.0)(request).await
    }
}

#[tonic::async_trait]
impl QueueService for Played<GetQueueStatusRequest, QueueStatus> {
    async fn get_queue_status(&self, request: Request<GetQueueStatusRequest>) -> Result<Response<QueueStatus>, Status> {
        (self.0)(request).await
    }
}

/// Serves queue's status and gives gateway's bus.
pub async fn queue_status<F, W>(house: &mut House, answer: F) -> Result<Bus>
where
    F: Fn(Request<GetQueueStatusRequest>) -> W + Send + Sync + 'static,
    W: Future<Output = Result<Response<QueueStatus>, Status>> + Send + 'static,
{
    let server = server(house.bus(Service::Queue).await?).add(QueueServiceServer::new(Played::new(answer)));
    house.serve(server).await;
    house.bus(Service::Gateway).await
}

/// Longer than anything here takes, shorter than a default deadline.
pub const SOON: Duration = Duration::from_secs(3);
