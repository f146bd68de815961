//! The test command: cheap checks first, the test runner last, so that its summary is the last thing to be seen.

use crate::{breaking, docs, edges, manifests, monitoring, proto, workspace};
use anyhow::{Context, Result, bail};
use barid_testkit::{Durability, POSTGRES_URL_VARIABLE, Postgres, install};
use clap::Args;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct Options {
    /// Run only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Leave the checks out and only run tests
    #[arg(long)]
    only_tests: bool,
    /// Passed on to `cargo nextest run` (or `cargo test` where there is no nextest), such as `-p barid-queue`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// A check that needs no server.
struct Step {
    name: &'static str,
    outcome: Result<()>,
    took: Duration,
}

pub async fn run(root: &Path, options: Options) -> Result<ExitCode> {
    if !options.only_tests {
        let steps = check(root);
        summarise(&steps);
        if steps.iter().any(|step| step.outcome.is_err()) {
            bail!("checks failed; the tests were not run (`cargo xtask test --only-tests` runs them all the same)");
        }
    }
    run_tests(root, &options).await
}

fn check(root: &Path) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |name, work: &dyn Fn() -> Result<()>| {
        println!("checking {name}");
        let start = Instant::now();
        let outcome = work();
        if let Err(error) = &outcome {
            eprintln!("{name}: {error:#}");
        }
        steps.push(Step { name, outcome, took: start.elapsed() });
    };
    step("format", &|| with_component(root, "rustfmt", &["fmt", "--all", "--", "--check"]));
    step("clippy", &|| with_component(root, "clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    step("edges", &|| edges::run(root));
    step("proto", &|| proto::run(true).and_then(|()| breaking::check(root)));
    step("docs", &|| docs::run(root));
    step("manifests", &|| manifests::run(root, &manifests::Options::default()));
    step("monitoring", &|| monitoring::run(root));
    steps
}

fn summarise(steps: &[Step]) {
    println!("\nchecks");
    for step in steps {
        let outcome = if step.outcome.is_ok() { "ok" } else { "FAILED" };
        println!("{:<10} {outcome:<8} {:>6.1} s", step.name, step.took.as_secs_f64());
    }
}

/// Runs a cargo subcommand that is a component of the toolchain, which a minimal installation lacks.
fn with_component(root: &Path, component: &str, arguments: &[&str]) -> Result<()> {
    let there = Command::new(workspace::cargo())
        .args([arguments[0], "--version"])
        .current_dir(root)
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        println!("adding {component} to the toolchain");
        let added = Command::new("rustup").args(["component", "add", component]).current_dir(root).status();
        if !added.is_ok_and(|status| status.success()) {
            bail!("this toolchain has no {component}: run `rustup component add {component}`");
        }
    }
    let status = Command::new(workspace::cargo()).args(arguments).current_dir(root).status()?;
    if !status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    Ok(())
}

async fn run_tests(root: &Path, options: &Options) -> Result<ExitCode> {
    let servers = install::ensure(&mut |line| println!("{line}"))?;
    let postgres = Postgres::start(None, None, Durability::Ephemeral).await.context("starting PostgreSQL for the tests")?;
    let mut command = tokio::process::Command::new(workspace::cargo());
    if has_nextest(root) {
        command.args(["nextest", "run"]);
    } else {
        println!("cargo-nextest is not installed; running `cargo test`");
        command.args(["test", "--no-fail-fast"]);
    }
    if !options.arguments.iter().any(|argument| argument == "--package" || argument.starts_with("-p") || argument.starts_with("--package="))
    {
        command.arg("--workspace");
    }
    command.args(&options.arguments).args(&options.filter).current_dir(root);
    command.env(POSTGRES_URL_VARIABLE, postgres.admin_url()).env("BARID_NATS_SERVER", &servers.nats.path);
    let mut runner = command.spawn().context("starting the test runner")?;
    let status = loop {
        // Ctrl-C reaches the runner as well, which ends its tests and tells about it; the server must outlive that.
        tokio::select! {
            status = runner.wait() => break status?,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
    };
    drop(postgres);
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)) })
}

fn has_nextest(root: &Path) -> bool {
    let asked = Command::new(workspace::cargo())
        .args(["nextest", "--version"])
        .current_dir(root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
