//! The binary as an operator meets it.

mod all;
mod command_line;
mod database;
// The gateway with the services behind it played, as its own tests have it.
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../../../../services/gateway/tests/it/house.rs"]
mod house;
mod pair;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../../../../services/gateway/tests/it/pairings.rs"]
mod pairings;
mod pool;
mod sessions;

use std::{path::Path, process::Output};

use anyhow::Result;
use tokio::process::Command;

/// Runs the binary and waits for its end.
async fn barid(arguments: &[&str]) -> Result<Output> {
    Ok(command(arguments).output().await?)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_barid"));
    command.args(arguments).kill_on_drop(true);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
