//! What it takes to run each part.

use std::path::Path;

use anyhow::{Context, Result};
use barid_runtime::{Format, Health, HealthConfig, TelemetryConfig, config};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::clock;

/// A part that runs by itself.
pub(crate) trait Deployable {
    type Config: Serialize;
    /// Its section in the configuration.
    const SECTION: &'static str;

    /// Reads and checks its configuration.
    fn load(file: Option<&Path>) -> Result<Self::Config>;
    fn telemetry(config: &Self::Config) -> TelemetryConfig;
    /// Connects and serves until `shutdown`.
    async fn run(config: Self::Config, shutdown: CancellationToken) -> Result<()>;
}

macro_rules! services {
    ($($name:ident $package:ident $section:literal |$config:ident, $health:ident, $shutdown:ident| $run:expr;)*) => {$(
        pub(crate) struct $name;

        impl Deployable for $name {
            type Config = $package::Config;
            const SECTION: &'static str = $section;

            fn load(file: Option<&Path>) -> Result<Self::Config> {
                Ok(config::load(Self::SECTION, $package::DEFAULTS, file)?)
            }

            fn telemetry(config: &Self::Config) -> TelemetryConfig {
                config.telemetry.clone()
            }

            async fn run($config: Self::Config, $shutdown: CancellationToken) -> Result<()> {
                let $health = Health::default();
                let probes = tokio::spawn(probes(&$config.health, $health.clone(), $shutdown.clone()).await?);
                let served: Result<()> = $run;
                $shutdown.cancel();
                probes.await??;
                served
            }
        }
    )*};
}

services! {
    Tenant barid_tenant "tenant" |config, health, shutdown| {
        Ok(barid_tenant::App::build(&config, clock()?).await?.run(health, shutdown.clone()).await?)
    };
    Template barid_template "template" |config, health, shutdown| {
        Ok(barid_template::App::build(&config, clock()?).await?.run(health, shutdown.clone()).await?)
    };
    Queue barid_queue "queue" |config, health, shutdown| {
        Ok(barid_queue::App::build(&config, clock()?).await?.run(health, shutdown.clone()).await?)
    };
    SessionPool barid_session_pool "session_pool" |config, health, shutdown| {
        Ok(barid_session_pool::App::build(&config, clock()?).await?.run(health, shutdown.clone()).await?)
    };
    Analytics barid_analytics "analytics" |config, health, shutdown| {
        Ok(barid_analytics::App::build(&config, clock()?).await?.run(health, shutdown.clone()).await?)
    };
    Webhook barid_webhook "webhook" |config, health, shutdown| {
        Ok(barid_webhook::App::build(&config, clock()?).await?.run(health, shutdown.clone()).await?)
    };
    Gateway barid_gateway "gateway" |config, health, shutdown| {
        let app = barid_gateway::App::build(&config).await?;
        let address = config.listen;
        let listener = TcpListener::bind(address).await.with_context(|| format!("gateway.listen: cannot listen on {address}"))?;
        tracing::info!(address = %listener.local_addr()?, "the gateway listens");
        Ok(app.run(listener, health, shutdown.clone()).await?)
    };
}

/// The simulator. It tells its health on its own address.
pub(crate) struct Simulator;

impl Deployable for Simulator {
    type Config = barid_simulator::Config;
    const SECTION: &'static str = "simulator";

    fn load(file: Option<&Path>) -> Result<Self::Config> {
        let config: Self::Config = config::read(Self::SECTION, barid_simulator::DEFAULTS, file)?;
        config.validate()?;
        Ok(config)
    }

    fn telemetry(_: &Self::Config) -> TelemetryConfig {
        TelemetryConfig { log: "info".to_owned(), format: Format::Text, otlp_endpoint: String::new() }
    }

    async fn run(config: Self::Config, shutdown: CancellationToken) -> Result<()> {
        let address = &config.listen;
        let listener = TcpListener::bind(address).await.with_context(|| format!("simulator.listen: cannot listen on {address}"))?;
        tracing::info!(address = %listener.local_addr()?, "the simulator listens");
        Ok(barid_simulator::serve(config, listener, shutdown).await?)
    }
}

/// Answers probes from before the first connection on: a service that cannot connect is alive and not ready.
async fn probes(
    config: &HealthConfig,
    health: Health,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = std::io::Result<()>> + use<>> {
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("health.listen: cannot listen on {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, "health is told");
    Ok(health.serve(listener, shutdown))
}
