use crate::{bench, breaking, chaos, demo, docs, edges, manifests, monitoring, proto, test, up, workspace};
use anyhow::Result;
use barid_testkit::install;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Barid's chores: build, run and check everything with one command each")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a whole Barid on this machine, run the demo and stay up until Ctrl-C
    ///
    /// Finds or installs PostgreSQL, NATS and Redis, starts private ones under .barid/, builds, migrates, starts every service and the
    /// simulated WhatsApp as processes of their own, and prints where everything is. Data stays in .barid/ for the next time.
    Up(up::Options),
    /// Stop what `cargo xtask up --detach` left running
    Down,
    /// Restart one process of a running Barid: a service, the simulator, postgres, nats or redis
    Restart(up::RestartOptions),
    /// Check everything: format, lints, edges, generated code, docs, manifests and monitoring, then run every test on private servers
    Test(test::Options),
    /// Send real messages through a running Barid and look at the phones
    Demo(demo::Options),
    /// Measure a release build: the pipeline, linked devices, and their rotation
    Bench(bench::Options),
    /// Break things under load on a Barid of its own, and check that every promise was kept
    Chaos(chaos::Options),
    /// Regenerate the Rust code of proto/ (no protoc needed)
    Proto {
        /// Change nothing; fail when the generated code is not that of proto/, or when it or a migration breaks the last release
        #[arg(long)]
        check: bool,
        /// Keep what proto/ says now as the promise of a release; fail when it takes back what the last one promised
        #[arg(long, conflicts_with = "check")]
        release: bool,
        /// With --release: take it back all the same
        #[arg(long, requires = "release")]
        breaking: bool,
    },
    /// Check who depends on whom
    Edges,
    /// Check that the files named in the documentation exist
    Docs,
    /// Render k8s/ and check it, deploy/compose.yaml and the workflows
    Manifests(manifests::Options),
    /// Check the rules, dashboards and runbooks of deploy/, and run the tests of the rules
    Monitoring,
    /// Find or install PostgreSQL, NATS and Redis
    Install,
}

pub async fn run() -> Result<ExitCode> {
    let root = workspace::root();
    match Cli::parse().command {
        Command::Up(options) => return up::run(&root, options).await,
        Command::Restart(options) => up::restart(&root, options).await?,
        Command::Down => up::down(&root).await?,
        Command::Test(options) => return test::run(&root, options).await,
        Command::Demo(options) => return demo::run(&root, options).await,
        Command::Bench(options) => return bench::run(&root, options).await,
        Command::Chaos(options) => return chaos::run(&root, options).await,
        Command::Proto { release: true, breaking, .. } => breaking::release(&root, breaking)?,
        Command::Proto { check, .. } => {
            proto::run(check)?;
            breaking::check(&root)?;
        }
        Command::Edges => edges::run(&root)?,
        Command::Docs => docs::run(&root)?,
        Command::Manifests(options) => manifests::run(&root, &options)?,
        Command::Monitoring => monitoring::run(&root)?,
        Command::Install => {
            let found = install::ensure(&mut |line| println!("{line}"))?;
            println!("PostgreSQL {} in {}", found.postgres.version, found.postgres.bin.display());
            println!("nats-server {} at {}", found.nats.version, found.nats.path.display());
            println!("redis-server {} at {}", found.redis.version, found.redis.path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
