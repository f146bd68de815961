//! Calls a gateway, as any integrator does.

mod error;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use barid_domain::{Secret, TenantId};
use clap::Args;
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

pub(crate) use error::explain;

/// The variable that holds the key.
const KEY: &str = "BARID_KEY";

/// Which gateway, with which key. The key is no argument: whoever may list the processes would read it.
#[derive(Args)]
#[command(next_help_heading = "Gateway")]
pub(crate) struct Server {
    /// Address of the gateway
    #[arg(long, env = "BARID_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// File that holds the API key; without it the key comes from the variable BARID_KEY
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The tenant, `ten_...`; needed with an organisation's key
    #[arg(long, env = "BARID_TENANT", value_name = "TENANT_ID")]
    tenant: Option<TenantId>,
}

/// A connection that carries the key.
pub(crate) type Connection = InterceptedService<Channel, Key>;

/// A gateway that answers.
pub(crate) struct Client {
    pub connection: Connection,
    /// The tenant that was named, or nothing.
    pub tenant: String,
}

impl Server {
    /// Connects; says what to do when that is impossible.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let key = Key::new(&read_key(self.key_file.as_deref())?)?;
        let wrong = || format!("`{}` is no address of a gateway; give one such as http://127.0.0.1:8080", self.server);
        let mut endpoint = Endpoint::from_shared(self.server.clone()).with_context(wrong)?;
        match endpoint.uri().scheme_str() {
            Some("http") => {}
            Some("https") => endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?,
            _ => bail!(wrong()),
        }
        // A stream that is silent for minutes is told apart from one whose other end is gone.
        endpoint = endpoint
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        let channel = endpoint.connect().await.with_context(|| {
            format!(
                "no gateway answers at {}: start one (`cargo xtask up`, `barid gateway`), or name another with --server or BARID_SERVER",
                self.server
            )
        })?;
        let tenant = self.tenant.map(|id| id.to_string()).unwrap_or_default();
        Ok(Client { connection: InterceptedService::new(channel, key), tenant })
    }
}

fn read_key(file: Option<&Path>) -> Result<Secret> {
    let key = match file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("the key file {} cannot be read", file.display()))?,
        None => std::env::var(KEY).unwrap_or_default(),
    };
    let key = Secret::new(key.trim());
    match (key.is_empty(), file) {
        (false, _) => Ok(key),
        (true, Some(file)) => bail!("the key file {} is empty; write the API key into it", file.display()),
        (true, None) => bail!("there is no API key; put it into the variable {KEY}, or name a file that holds it with --key-file"),
    }
}

/// Adds the key to every call.
#[derive(Clone)]
pub(crate) struct Key(AsciiMetadataValue);

impl Key {
    fn new(key: &Secret) -> Result<Self> {
        let mut value: AsciiMetadataValue = format!("Bearer {}", key.expose())
            .parse()
            .ok()
            .context("the API key has characters that no key has; give it as it was shown, alone on one line")?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}
