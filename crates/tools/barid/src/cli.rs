//! The command line.

use std::path::PathBuf;

use barid_domain::TenantId;
use clap::{Parser, Subcommand, ValueEnum};

use crate::part::Part;

/// Barid carries the WhatsApp messages of businesses: a point of sale hands over an invoice, Barid renders it, sends it over the business's
/// own number, and reports when it was delivered and read.
///
/// In production each service runs as a process of its own (`barid gateway`, `barid queue`, ...); `barid all` runs them in one. Every service
/// reads its section of the configuration file, then variables such as BARID_QUEUE__NATS__URL.
#[derive(Parser)]
#[command(name = "barid", version, about, long_about)]
pub(crate) struct Cli {
    /// Configuration file, with a section for each service
    #[arg(long, short, global = true, env = "BARID_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Serve(Part),
    /// Run every service but the simulator in this process
    All,
    /// Bring the database up to date: schemas, tables, roles and policies
    Migrate {
        /// Change nothing; fail when a table holds tenants' rows without protecting them
        #[arg(long)]
        check: bool,
    },
    /// Follow what happens
    #[command(subcommand)]
    Events(Events),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
    /// Print the configuration of a nats-server with a user for each service, from the passwords in the configuration
    NatsConfig,
    /// Keys that keep personal data secret
    #[command(subcommand)]
    Vault(Vault),
}

#[derive(Subcommand)]
pub(crate) enum Events {
    /// Print events as they happen, one JSON object a line
    Tail {
        /// Only events of this tenant
        #[arg(long, value_name = "TENANT_ID")]
        tenant: Option<TenantId>,
        /// What the events are about
        #[arg(long, value_enum, default_value_t = Entity::Message)]
        entity: Entity,
        /// Begin with the oldest event that is kept, instead of now
        #[arg(long)]
        from_start: bool,
        /// Stop after this many events
        #[arg(long, value_name = "N")]
        count: Option<usize>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Entity {
    Message,
    Session,
    Tenant,
    Template,
}

impl Entity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Session => "session",
            Self::Tenant => "tenant",
            Self::Template => "template",
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Print what the services would run with, secrets masked
    Dump {
        /// Only this service
        #[arg(value_name = "SERVICE")]
        service: Option<String>,
    },
    /// Say what is wrong with the configuration, key by key
    Check {
        /// Only this service
        #[arg(value_name = "SERVICE")]
        service: Option<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Vault {
    /// Print a new master key for `vault.master_key_file`
    NewKey,
}
