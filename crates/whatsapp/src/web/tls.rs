//! One TLS configuration for all connections, so that a thousand of them share their roots and session tickets.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer, pki_types::pem::PemObject};
use tokio_rustls::TlsConnector;

use super::Error;

/// The system's roots, with `extra` besides.
pub(super) fn roots(extra: Option<&Path>) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Error> {
    let mut store = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(native.certs);
    let mut extras = Vec::new();
    if let Some(path) = extra {
        let unreadable = |detail: String| Error::Certificate { path: path.to_owned(), detail };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            store.add(certificate.clone()).map_err(|error| unreadable(error.to_string()))?;
            extras.push(certificate);
        }
    }
    Ok((store, extras))
}

pub(super) fn connector(roots: RootCertStore) -> Result<TlsConnector, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
