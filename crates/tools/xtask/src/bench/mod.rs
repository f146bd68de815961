//! Measurements of a whole Barid of real processes in release builds, with one line of JSON at the end.

mod day;
mod figures;
mod house;
mod picture;
mod process;
mod rotations;
mod sessions;

use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::Path;
use std::process::ExitCode;

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Linked devices: memory and processor of warm ones, cold to first acknowledged send, and how fast all come back
    Sessions(sessions::Options),
    /// Sessions that take turns in a few slots, again and again: does anything grow?
    Rotations(rotations::Options),
    /// Many businesses through few slots, in two peaks
    Day(day::Options),
}

/// Measures on a Barid of its own, started for it and stopped after it.
pub async fn run(root: &Path, options: Options) -> Result<ExitCode> {
    match options.what {
        What::Sessions(options) => sessions::run(root, options).await,
        What::Rotations(options) => rotations::run(root, options).await,
        What::Day(options) => day::run(root, options).await,
    }
}
