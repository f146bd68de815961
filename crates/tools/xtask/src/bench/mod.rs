//! Measurements of a whole Barid of real processes in release builds, with one line of JSON at the end.

mod day;
mod figures;
mod house;
mod picture;
mod pipeline;
mod process;
mod rotations;
mod sessions;

use crate::workspace;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use std::path::Path;
use std::process::{Command, ExitCode};

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
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
    if cfg!(debug_assertions) {
        return optimised(root);
    }
    match options.what {
        What::Pipeline(options) => pipeline::run(root, options).await,
        What::Sessions(options) => sessions::run(root, options).await,
        What::Rotations(options) => rotations::run(root, options).await,
        What::Day(options) => day::run(root, options).await,
    }
}
