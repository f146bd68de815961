//! `barid nats-config`.

use std::path::Path;

use anyhow::{Context, Result};
use barid_bus::{Config, Service, acl};
use barid_runtime::config;
use serde::Deserialize;

/// The part of every section that this command reads.
#[derive(Deserialize)]
struct Section {
    nats: Config,
}

/// The bus as a service's section describes it; whatever else stands there is for the service.
pub(crate) fn settings(service: Service, file: Option<&Path>) -> Result<Config> {
    let section: Section = config::read(service.name(), "", file)?;
    Ok(section.nats)
}

pub(crate) fn print_config(file: Option<&Path>) -> Result<()> {
    let users = Service::ALL.into_iter().map(|service| {
        let config = settings(service, file).with_context(|| format!("the bus needs a user for {}", service.name()))?;
        Ok((service, config.password))
    });
    print!("{}", acl::server_config(&users.collect::<Result<Vec<_>>>()?));
    Ok(())
}
