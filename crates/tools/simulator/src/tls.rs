//! The same server over TLS: clients of the Web protocol connect by `wss`, and fetch media by `https`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Error, config};

const HANDSHAKE: Duration = Duration::from_secs(20);

pub(crate) struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    pub(crate) address: SocketAddr,
    /// In PEM, for clients to trust.
    pub(crate) certificate: String,
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Web(format!("TLS: {error}"))
}

impl Tls {
    /// Binds the address of the configuration; none if there is none.
    pub(crate) async fn bind(settings: &config::Web) -> Result<Option<Self>, Error> {
        if settings.listen_tls.is_empty() {
            return Ok(None);
        }
        let listener = TcpListener::bind(&settings.listen_tls).await?;
        let address = listener.local_addr()?;
        let (chain, key, certificate) = if settings.certificate.as_os_str().is_empty() {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
            let made = made.map_err(unusable)?;
            let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
            (vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key), made.cert.pem())
        } else {
            let chain = CertificateDer::pem_file_iter(&settings.certificate).map_err(unusable)?;
            let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unusable)?;
            let key = PrivateKeyDer::from_pem_file(&settings.private_key).map_err(unusable)?;
            (chain, key, std::fs::read_to_string(&settings.certificate)?)
        };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        Ok(Some(Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), address, certificate }))
    }

    /// Serves until `stop`; connections run among `tasks`.
    pub(crate) async fn serve(self, app: Router, stop: CancellationToken, tasks: TaskTracker) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(converse(self.acceptor.clone(), stream, app.clone(), stop.clone()));
                }
                Err(error) => {
                    // Mostly too many open files: the next connection may find one free.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn converse(acceptor: TlsAcceptor, stream: TcpStream, app: Router, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(app));
    tokio::select! {
        () = stop.cancelled() => {}
        served = connection => {
            if let Err(error) = served {
                tracing::debug!(error, "a connection over TLS ended");
            }
        }
    }
}
