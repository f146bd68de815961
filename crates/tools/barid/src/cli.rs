//! The command line.

use std::path::PathBuf;

use barid_domain::{EndpointId, SessionId, TenantId};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{client::Server, part::Part, version};

/// Barid carries the WhatsApp messages of businesses: a point of sale hands over an invoice, Barid renders it, sends it over the business's
/// own number, and reports when it was delivered and read.
///
/// In production each service runs as a process of its own (`barid gateway`, `barid queue`, ...); `barid all` runs them in one. Every service
/// reads its section of the configuration file, then variables such as BARID_QUEUE__NATS__URL.
#[derive(Parser)]
#[command(name = "barid", version, long_version = version::LONG, about, long_about)]
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
    /// The WhatsApp numbers of a tenant: pair them, look at them
    ///
    /// These commands call a gateway. The key of a tenant or of its organisation comes from the variable BARID_KEY or from --key-file.
    #[command(subcommand)]
    Sessions(Sessions),
    /// The connections to WhatsApp, as the operators of the platform see them
    ///
    /// These commands call a gateway. The platform's key comes from the variable BARID_KEY or from --key-file.
    #[command(subcommand)]
    Pool(Pool),
    /// A tenant's own endpoints: make them, test them, look at what was delivered
    ///
    /// These commands call a gateway. The key of a tenant or of its organisation comes from the variable BARID_KEY or from --key-file.
    #[command(subcommand)]
    Webhooks(Webhooks),
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
    Webhook,
}

impl Entity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Session => "session",
            Self::Tenant => "tenant",
            Self::Template => "template",
            Self::Webhook => "webhook",
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Sessions {
    /// Link a number to Barid: shows the code that its phone scans, until it is linked
    ///
    /// On the phone: WhatsApp, Linked devices, Link a device. Exit status is 0 when the number was linked and 1 when it was not; Ctrl-C
    /// ends the pairing. The code is drawn anew whenever WhatsApp replaces it.
    Pair(Pair),
    /// List the numbers of a tenant and how they are
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Show one number in full
    Status {
        /// The session, `ses_...`
        #[arg(value_name = "SESSION_ID")]
        id: SessionId,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Unlink a number from its phone and forget its keys. It sends nothing until it is paired again; its messages wait
    Logout {
        /// The session, `ses_...`
        #[arg(value_name = "SESSION_ID")]
        id: SessionId,
        /// Do not ask first
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Args)]
pub(crate) struct Pair {
    /// The session, `ses_...`: `barid sessions list` knows it
    #[arg(value_name = "SESSION_ID")]
    pub id: SessionId,
    /// Show a code to type on the phone (Linked devices, Link with phone number instead) in place of one to scan
    #[arg(long)]
    pub by_code: bool,
    /// Write the code to scan as a picture, too, anew whenever it changes
    #[arg(long, value_name = "FILE", conflicts_with = "by_code")]
    pub png: Option<PathBuf>,
    /// Where the passkey's answer will be written, when the account has one; it is read from standard input without this
    #[arg(long, value_name = "FILE")]
    pub passkey_answer: Option<PathBuf>,
    #[command(flatten)]
    pub server: Server,
}

#[derive(Subcommand)]
pub(crate) enum Pool {
    /// Show the replicas and their slots, who is connected and why, and who waits and for what
    Status {
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
        /// Show it anew every two seconds, until Ctrl-C
        #[arg(long, short)]
        watch: bool,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Subcommand)]
pub(crate) enum Webhooks {
    /// List the endpoints of a tenant and how they are
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Make an endpoint, and show its secret this once
    Create {
        /// An https address on the public internet
        #[arg(value_name = "URL")]
        url: String,
        /// A type of event such as `message.delivered`, or `message.*`; may be repeated. Everything without one
        #[arg(long = "event", value_name = "TYPE")]
        event_types: Vec<String>,
        /// What people call it
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// Post a test event to an endpoint and show what it answers. Exit status is 0 when it took it
    Test {
        /// The endpoint, `whe_...`
        #[arg(value_name = "ENDPOINT_ID")]
        id: EndpointId,
        #[command(flatten)]
        server: Server,
    },
    /// Show the newest hundred deliveries
    Deliveries {
        /// Only of this endpoint
        #[arg(long, value_name = "ENDPOINT_ID")]
        endpoint: Option<EndpointId>,
        /// Only about this message or other entity, such as `msg_...`
        #[arg(long = "about", value_name = "ID", default_value = "", hide_default_value = true)]
        entity: String,
        /// Only what was given up
        #[arg(long)]
        failed: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
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
