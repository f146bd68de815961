//! How the library reaches WhatsApp's media hosts: over our client, with limits, and elsewhere if settings say so.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use reqwest::{Certificate, Method, Url, header::HeaderName, redirect};
use rustls::pki_types::CertificateDer;
use wacore::net::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::anyhow::{self, anyhow, bail};

use super::{Error, Settings};

/// The protocol pads and signs what it encrypts.
const ENCRYPTION_OVERHEAD: u64 = 1024;

#[derive(Clone)]
pub(super) struct Media {
    http: reqwest::Client,
    instead: Option<Url>,
    limit: u64,
}

impl Media {
    pub fn new(settings: &Settings, instead: Option<Url>, extra_roots: &[CertificateDer<'static>]) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.media_timeout)
            .pool_idle_timeout(Duration::from_secs(20))
            .redirect(redirect::Policy::none());
        for certificate in extra_roots {
            builder = builder.add_root_certificate(Certificate::from_der(certificate)?);
        }
        Ok(Self { http: builder.build()?, instead, limit: settings.media_limit })
    }

    /// The address to call: the media hosts over TLS only, or whatever stands in for them.
    fn address(&self, url: &str) -> anyhow::Result<Url> {
        let asked = Url::parse(url)?;
        let Some(instead) = &self.instead else {
            if asked.scheme() != "https" || !asked.host_str().is_some_and(is_whatsapp) {
                bail!("{} is no media host of WhatsApp", asked.host_str().unwrap_or("nothing"));
            }
            return Ok(asked);
        };
        let mut address = instead.clone();
        let prefix = instead.path().trim_end_matches('/');
        address.set_path(&format!("{prefix}{}", asked.path()));
        address.set_query(asked.query());
        Ok(address)
    }
}

/// The server names the hosts. A wrong one could send us to where the operator's own network is.
fn is_whatsapp(host: &str) -> bool {
    host == "whatsapp.net" || host.ends_with(".whatsapp.net")
}

#[async_trait]
impl HttpClient for Media {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let method = Method::from_bytes(request.method.as_bytes())?;
        let mut call = self.http.request(method, self.address(&request.url)?);
        for (name, value) in &request.headers {
            call = call.header(HeaderName::from_bytes(name.as_bytes())?, value);
        }
        if let Some(body) = request.body {
            call = call.body(body);
        }
        let answer = call.send().await.map_err(|error| anyhow!(error.without_url()))?;
        let limit = self.limit + ENCRYPTION_OVERHEAD;
        if answer.content_length().is_some_and(|length| length > limit) {
            bail!("the file is larger than {limit} bytes");
        }
        let status_code = answer.status().as_u16();
        let mut body = Vec::with_capacity(answer.content_length().unwrap_or(1024) as usize);
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| anyhow!(error.without_url()))?;
            if (body.len() + chunk.len()) as u64 > limit {
                bail!("the file is larger than {limit} bytes");
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status_code, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(instead: Option<&str>) -> Media {
        Media::new(&Settings::default(), instead.map(|url| Url::parse(url).unwrap()), &[]).unwrap()
    }

    #[test]
    fn only_hosts_of_whatsapp_are_called() {
        let media = media(None);
        assert!(media.address("https://mmg.whatsapp.net/v/t62?x=1").is_ok());
        for url in ["http://mmg.whatsapp.net/", "https://169.254.169.254/", "https://evil-whatsapp.net/", "https://whatsapp.net.evil/"] {
            assert!(media.address(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_stands_in_keeps_path_and_query() {
        let media = media(Some("http://127.0.0.1:9/media/"));
        let url = media.address("https://mmg.whatsapp.net/mms/image/abc?auth=1&token=2").unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:9/media/mms/image/abc?auth=1&token=2");
    }
}
