use std::sync::Arc;

use barid_simulator::Simulator as Built;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use whatsapp_rust::{
    anyhow, async_channel, async_trait,
    transport::{Transport, TransportEvent, TransportFactory, from_websocket},
    wacore::store::InMemoryBackend,
};

use crate::{
    support::{Simulator, swift},
    web_support::{BUSINESS, CUSTOMER, Device},
};

/// Connects over TLS, trusting the simulator's own certificate and no other.
struct OverTls {
    url: String,
    connector: TlsConnector,
}

#[async_trait]
impl TransportFactory for OverTls {
    async fn create_transport(&self) -> Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>), anyhow::Error> {
        let uri: http::Uri = self.url.parse()?;
        let stream = TcpStream::connect(("127.0.0.1", uri.port_u16().unwrap_or(443))).await?;
        let stream = self.connector.connect(ServerName::try_from("localhost")?, stream).await?;
        let (socket, _) = tokio_websockets::ClientBuilder::from_uri(uri).connect_on(stream).await?;
        Ok(from_websocket(socket))
    }
}

#[tokio::test]
async fn devices_connect_over_tls() {
    let mut config = swift();
    config.web.listen_tls = "127.0.0.1:0".into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let built = Built::build(config, listener).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(built.web_certificate().unwrap().as_bytes()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let url = built.web_tls_url().unwrap();
    assert!(built.web_url().starts_with("ws://127.0.0.1:") && url.starts_with("wss://"), "{url}");
    let http = built.url();
    let stop = CancellationToken::new();
    let served = tokio::spawn(built.run(stop.clone()));

    // The rest of the simulator is where it always is; only the device comes over TLS.
    let sim = Simulator::at(&http).await;
    let way = OverTls { url, connector: TlsConnector::from(Arc::new(client)) };
    let device = Device::start_by(&sim, Arc::new(InMemoryBackend::new()), way).await;
    let code = device.code().await;
    sim.ok("POST", &format!("/sim/web/accounts/{BUSINESS}/scan"), json!({"code": code})).await;
    device.connected().await;
    device.send(CUSTOMER, "3EB0715000000001", "sealed twice").await;
    assert_eq!(device.acknowledged("3EB0715000000001").await, None);
    device.stop().await;
    stop.cancel();
    served.await.unwrap().unwrap();
}
