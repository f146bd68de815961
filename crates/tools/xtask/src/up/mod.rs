//! A whole Barid on this machine.

mod config;
mod control;
mod detach;
mod launch;
mod layout;
mod stack;
mod state;

use crate::demo::{self, Environment};
use anyhow::{Context, Result, bail};
use clap::Args;
pub use config::{APP, overlay};
pub use launch::{DATABASE, Launch, build, find};
pub use layout::{Layout, gateway_port, simulator_port};
pub use stack::{Running as Process, Stack};
use state::Running;
pub use state::State;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Args)]
pub struct Options {
    /// Return as soon as everything runs; `cargo xtask down` stops it
    #[arg(long)]
    detach: bool,
    /// Build and run with optimisations
    #[arg(long)]
    release: bool,
    /// Add this to the ports of the gateway (8080) and the simulator (8090)
    #[arg(long, value_name = "N", default_value_t = 0)]
    port_offset: u16,
    /// Only set the demo's businesses up and send nothing
    #[arg(long)]
    no_demo: bool,
    /// A binary with the feature `trust-simulator` to run instead of building one
    #[arg(long, value_name = "FILE", hide = true)]
    barid: Option<PathBuf>,
    /// Set for the process that `--detach` starts
    #[arg(long, hide = true)]
    supervised: bool,
}

#[derive(Args)]
pub struct RestartOptions {
    /// queue, gateway, ..., simulator, postgres, nats or redis
    name: String,
    /// By SIGKILL, as in a crash
    #[arg(long)]
    kill: bool,
}

pub async fn run(root: &Path, options: Options) -> Result<ExitCode> {
    let layout = Layout::new(root);
    std::fs::create_dir_all(layout.home.join("logs")).context("creating .barid")?;
    let lock = File::create(layout.lock()).context("creating .barid/lock")?;
    if lock.try_lock().is_err() {
        return already_up(&layout);
    }
    if options.detach {
        // The process in the background takes the lock itself.
        drop(lock);
        return detach::start(&layout, &options).await;
    }
    let mut state = State::load(&layout)?;
    state.prepare(options.port_offset)?;
    state.running = Some(Running {
        supervisor: std::process::id(),
        gateway: format!("http://127.0.0.1:{}", state.port("gateway")),
        simulator: format!("http://127.0.0.1:{}", state.port("simulator")),
        processes: Vec::new(),
        ready: false,
        trouble: None,
    });
    state.save(&layout)?;

    let mut stack = Stack::default();
    let outcome = tokio::select! {
        outcome = work(&layout, &mut state, &options, &mut stack) => outcome,
        outcome = stop_signal(options.supervised) => outcome,
    };
    if let Err(error) = &outcome {
        eprintln!("error: {error:#}");
    }
    println!("\nstopping ... (again to kill)");
    tokio::select! {
        stopped = stack.stop() => stopped?,
        // Dropping the stack kills what is left of it.
        again = stop_signal(options.supervised) => again?,
    }
    state.running = None;
    state.save(&layout)?;
    println!("Barid is down. Its data stays in {}.", layout.shown(&layout.home));
    Ok(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub async fn restart(root: &Path, options: RestartOptions) -> Result<()> {
    control::request(&Layout::new(root), &options.name, options.kill).await?;
    println!("{} was {} and is ready again", options.name, if options.kill { "killed" } else { "stopped" });
    Ok(())
}

pub async fn down(root: &Path) -> Result<()> {
    detach::stop(&Layout::new(root)).await
}

/// Brings everything up and keeps it; returns only when something fails.
async fn work(layout: &Layout, state: &mut State, options: &Options, stack: &mut Stack) -> Result<()> {
    let http = reqwest::Client::new();
    let say = |line: String| println!("{line}");
    launch::find(&say)?;
    let binary = match &options.barid {
        Some(binary) => std::path::absolute(binary)?,
        None => launch::build(&layout.root, options.release, &say).await?,
    };
    Launch { layout, state, binary: &binary, settings: &toml::Table::new(), keep: true, season: options.release, http: &http }
        .run(stack, &say)
        .await?;
    let listener = control::listen(layout);
    let stack = &*stack;
    record(layout, state, stack)?;

    let played = tokio::select! {
        played = play(layout, state, options) => played?,
        death = serve(layout, state, stack, listener.as_ref(), &http) => return Err(death),
    };
    let running = state.running.as_mut().context("the state of this run is gone")?;
    running.ready = true;
    running.trouble = played.trouble;
    record(layout, state, stack)?;
    Err(serve(layout, state, stack, listener.as_ref(), &http).await)
}

/// What the demo left to say.
struct Played {
    trouble: Option<String>,
}

/// Sets the demo's businesses up and sends its messages. Trouble with the messages leaves everything up, to be looked at.
async fn play(layout: &Layout, state: &State, options: &Options) -> Result<Played> {
    let running = state.running.as_ref().context("the state of this run is gone")?;
    let environment = Environment {
        url: running.gateway.clone(),
        simulator_url: running.simulator.clone(),
        platform_key: Some(state.secrets.platform_key.clone()),
        ..Environment::left_in(&layout.home)?
    };
    environment.save(&layout.home)?;
    let stage = demo::Stage::set(&layout.home, environment).await?;
    let trouble = if options.no_demo {
        None
    } else {
        match demo::perform(&stage, &demo::Size::default()).await {
            Ok(report) => {
                println!("{report}");
                report.trouble()
            }
            Err(error) => Some(format!("{error:#}")),
        }
    };
    if let Some(trouble) = &trouble {
        eprintln!("The demo failed: {trouble}\nEverything stays up, so that you can look at it.");
    }
    announce(layout, running, &stage);
    Ok(Played { trouble })
}

fn announce(layout: &Layout, running: &Running, stage: &demo::Stage) {
    let Running { gateway, simulator, .. } = running;
    println!("\nBarid is up.");
    println!("  gateway    {gateway}   REST, gRPC and webhooks; {gateway}/openapi.json");
    println!("  simulator  {simulator}   the phones, to look at");
    println!("  API key    {}   with the addresses also in .barid/dev.env", stage.api_key());
    println!("  tenant     {}   {}", stage.tenant_id(), stage.tenant_name());
    println!("  logs       {}", layout.shown(&layout.home.join("logs")));
    println!("Ctrl-C, or `cargo xtask down`, stops all of it.");
}

async fn serve(layout: &Layout, state: &State, stack: &Stack, listener: Option<&UnixListener>, http: &reqwest::Client) -> anyhow::Error {
    // Restarted processes have new ids. Only `down` reads them, and only when this process was killed: a failed write changes nothing now.
    let note = || drop(record(layout, state, stack));
    control::serve(stack, listener, http, note).await
}

fn record(layout: &Layout, state: &State, stack: &Stack) -> Result<()> {
    let running = state.running.clone().map(|running| Running { processes: stack.recorded(), ..running });
    State { ports: state.ports.clone(), secrets: state.secrets.clone(), running }.save(layout)
}

/// Waits for the wish to stop. In the background the end of a terminal means nothing.
async fn stop_signal(background: bool) -> Result<()> {
    let (mut interrupt, mut terminate, mut hangup) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => if !background { return Ok(()) },
        }
    }
}

fn already_up(layout: &Layout) -> Result<ExitCode> {
    let Some(running) = State::load(layout)?.running else { bail!("another `cargo xtask up` is just starting or stopping here") };
    println!("Barid already runs here{} (process {}):", if running.ready { "" } else { ", or is about to" }, running.supervisor);
    println!("  gateway    {}\n  simulator  {}", running.gateway, running.simulator);
    for process in &running.processes {
        println!("  {:<14} process {}", process.name, process.pid);
    }
    println!("The API key is in .barid/dev.env. `cargo xtask down` stops it.");
    Ok(ExitCode::SUCCESS)
}
