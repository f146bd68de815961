//! The simulator from its configuration to its end: built, asked for its addresses, run.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::post, serve::ListenerExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Config, Error, control, flow, graph, mailbox, page, sms, world::World};

/// How long requests under way may take once the simulator is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// A simulator that is about to serve.
pub struct Simulator {
    world: Arc<World>,
    stop: CancellationToken,
    listener: TcpListener,
    address: SocketAddr,
    mail: Option<TcpListener>,
    #[cfg(feature = "web")]
    tls: Option<crate::tls::Tls>,
}

impl Simulator {
    /// Reads what was kept, and binds what else is to be listened on.
    ///
    /// # Errors
    /// When the configuration is invalid, kept state cannot be read, or an address is taken.
    pub async fn build(config: Config, listener: TcpListener) -> Result<Self, Error> {
        config.validate()?;
        let address = listener.local_addr()?;
        let mail = match config.listen_smtp.as_str() {
            "" => None,
            address => Some(TcpListener::bind(address).await?),
        };
        let stop = CancellationToken::new();
        let world = World::new(config, &address.to_string(), stop.clone())?;
        #[cfg(feature = "web")]
        crate::web::load(&world).map_err(|error| Error::Web(error.to_string()))?;
        Ok(Self {
            #[cfg(feature = "web")]
            tls: crate::tls::Tls::bind(&world.config.web).await?,
            world,
            stop,
            listener,
            address,
            mail,
        })
    }

    /// The base of the Cloud API, the control API, the page and media: `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where e-mail is taken, `smtp://host:port`, if that was configured.
    pub fn smtp_url(&self) -> Option<String> {
        Some(format!("smtp://{}", self.mail.as_ref()?.local_addr().ok()?))
    }

    /// Where clients of the Web protocol connect.
    #[cfg(feature = "web")]
    pub fn web_url(&self) -> String {
        format!("ws://{}/ws/chat", self.address)
    }

    /// Where they connect over TLS, if that was configured.
    #[cfg(feature = "web")]
    pub fn web_tls_url(&self) -> Option<String> {
        self.tls.as_ref().map(|tls| format!("wss://localhost:{}/ws/chat", tls.address.port()))
    }

    /// The certificate of that, in PEM, for clients to trust.
    #[cfg(feature = "web")]
    pub fn web_certificate(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.certificate.as_str())
    }

    /// The Noise key by which clients of the Web protocol know this server.
    #[cfg(feature = "web")]
    pub fn web_server_key(&self) -> [u8; 32] {
        self.world.web.keys.public()
    }

    /// Serves until `shutdown`, then ends requests under way within two seconds.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self {
            #[cfg(feature = "web")]
            tls,
            world,
            stop,
            listener,
            address,
            mail,
        } = self;
        let told = stop.clone();
        world.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => told.cancel(),
                () = told.cancelled() => {}
            }
        });
        world.tasks.spawn(flow::run(Arc::clone(&world)));
        if let Some(mail) = mail {
            world.tasks.spawn(mailbox::serve(Arc::clone(&world), mail));
        }
        #[cfg(feature = "web")]
        world.tasks.spawn(crate::web::save(Arc::clone(&world)));
        let app = router().with_state(Arc::clone(&world));
        #[cfg(feature = "web")]
        if let Some(tls) = tls {
            tracing::info!(address = %tls.address, "simulator listens with TLS");
            world.tasks.spawn(tls.serve(app.clone(), stop.clone(), world.tasks.clone()));
        }
        let listener = listener.tap_io(|stream| {
            // Small answers must not wait for the peer's delayed acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY not set");
            }
        });
        tracing::info!(%address, "simulator listens");
        let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        let served = within(server.into_future(), &stop).await;
        stop.cancel();
        world.tasks.close();
        world.tasks.wait().await;
        served.map_err(Error::from)
    }
}

fn router() -> Router<Arc<World>> {
    let router = page::router().merge(control::router()).merge(graph::router()).route("/sms/messages", post(sms::take));
    #[cfg(feature = "web")]
    let router = router.merge(crate::web::router());
    router
}

/// Runs the server, and past `stop` only as long as allowed for the last requests.
async fn within(server: impl Future<Output = std::io::Result<()>>, stop: &CancellationToken) -> std::io::Result<()> {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    tokio::select! {
        served = server => served,
        () = late => Ok(()),
    }
}
