//! The one binary of Barid: `barid --help`.

mod bus;
mod cli;
mod client;
mod clock;
mod config;
mod database;
mod deploy;
mod events;
mod output;
mod part;
mod pool;
mod serve;
mod sessions;
mod vault;
mod version;
mod webhooks;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

/// A fifth of what services do on the way of a message was allocating with the system's, which static images would make slower still.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes, and no backtrace: it is for the operator.
            eprintln!("barid: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Cli { config, command }: Cli) -> anyhow::Result<()> {
    let file = config.as_deref();
    match command {
        Command::Serve(part) => serve::one(part, file).await,
        Command::All => serve::all(file).await,
        Command::Migrate { check } => database::migrate(file, check).await,
        Command::Events(command) => events::run(command, file).await,
        Command::Sessions(command) => sessions::run(command).await,
        Command::Pool(command) => pool::run(command).await,
        Command::Webhooks(command) => webhooks::run(command).await,
        Command::Config(command) => config::run(command, file),
        Command::NatsConfig => bus::print_config(file),
        Command::Vault(command) => vault::run(command),
    }
}
