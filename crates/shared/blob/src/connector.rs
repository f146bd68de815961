//! Lets the object store use the HTTP client that the rest of Barid uses, and its TLS.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::{
    ClientConfigKey, ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService},
};
use reqwest::{Body, Client, Request, redirect};

/// Makes clients for an S3 store and for the services that give it its credentials.
#[derive(Debug)]
pub(crate) struct Connector;

impl Connector {
    const CONNECT: Duration = Duration::from_secs(5);
    /// How long nothing may come. There is no limit for a whole object: those may be large.
    const SILENCE: Duration = Duration::from_secs(60);
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let may_be_plain = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        let client = Client::builder()
            .user_agent(concat!("Barid/", env!("CARGO_PKG_VERSION")))
            .https_only(!may_be_plain)
            // A request is signed for one host.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(Self::CONNECT)
            .read_timeout(Self::SILENCE)
            .build()
            .map_err(|error| object_store::Error::Generic { store: "S3", source: error.into() })?;
        Ok(HttpClient::new(Service(client)))
    }
}

#[derive(Debug)]
struct Service(Client);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = Request::try_from(request.map(Body::wrap)).map_err(told)?;
        let response = http::Response::<Body>::from(self.0.execute(request).await.map_err(told)?);
        Ok(response.map(|body| HttpResponseBody::new(body.map_err(told))))
    }
}

/// Says what the store needs to know to try again or not.
fn told(error: reqwest::Error) -> HttpError {
    let kind = if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_builder() {
        HttpErrorKind::Unknown
    } else {
        HttpErrorKind::Interrupted
    };
    // The store adds the URL unless it is secret.
    HttpError::new(kind, error.without_url())
}
