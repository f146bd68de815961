//! Measurements of a whole Barid of real processes in release builds, with one line of JSON at the end.

mod day;
mod events;
mod figures;
mod house;
mod idle;
mod ledger;
mod overhead;
mod picture;
mod pipeline;
mod process;
mod rotations;
mod sessions;
mod tenants;

use crate::workspace;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use house::Ground;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
    /// A binary with the feature `trust-simulator` to measure instead of building one; the load then comes from this build
    #[arg(long, value_name = "FILE", global = true)]
    barid: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// Invoices of many businesses, one request each, until the phones have them
    Pipeline(pipeline::Options),
    /// Linked devices: memory and processor of warm ones, cold to first acknowledged send, and how fast all come back
    Sessions(sessions::Options),
    /// Sessions that take turns in a few slots, again and again: does anything grow?
    Rotations(rotations::Options),
    /// Many businesses through few slots, in two peaks
    Day(day::Options),
    /// Processor and memory of everything while nobody asks for anything
    Idle(idle::Options),
    /// What a message takes in Barid beside the least it could: its rows in one insert, its bytes in one request
    Overhead(overhead::Options),
    /// The same load while few and many other tenants are there
    Tenants(tenants::Options),
    /// Many subscribers to events, each of whom must hear every one
    Events(events::Options),
    /// What a message reads of a ledger that has grown, beside one that is new
    Ledger(ledger::Options),
}

/// The same command by an optimised build: the load comes from this process, and takes the cores of what is measured.
fn optimised(root: &Path) -> Result<ExitCode> {
    let mut command = Command::new(workspace::cargo());
    command.args(["run", "--quiet", "--release", "--package", "xtask", "--"]).args(std::env::args_os().skip(1)).current_dir(root);
    let status = command.status().context("starting cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures on a Barid of its own, started for it and stopped after it.
pub async fn run(root: &Path, options: Options) -> Result<ExitCode> {
    if cfg!(debug_assertions) && options.barid.is_none() {
        return optimised(root);
    }
    let barid = options.barid.as_deref().map(std::path::absolute).transpose()?;
    let ground = &Ground { root: root.to_owned(), barid };
    match options.what {
        What::Pipeline(options) => pipeline::run(ground, options).await,
        What::Sessions(options) => sessions::run(ground, options).await,
        What::Rotations(options) => rotations::run(ground, options).await,
        What::Day(options) => day::run(ground, options).await,
        What::Idle(options) => idle::run(ground, options).await,
        What::Overhead(options) => overhead::run(ground, options).await,
        What::Tenants(options) => tenants::run(ground, options).await,
        What::Events(options) => events::run(ground, options).await,
        What::Ledger(options) => ledger::run(ground, options).await,
    }
}
