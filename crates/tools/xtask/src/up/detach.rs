//! Running in the background, and ending what runs there.

use super::Options;
use super::layout::Layout;
use super::state::State;
use crate::private_file;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How long `down` waits for everything to finish what it began.
const STOP_LIMIT: Duration = Duration::from_secs(180);

/// Starts `up` again as a process in a session of its own, shows what it says, and returns when everything runs.
pub async fn start(layout: &Layout, options: &Options) -> Result<ExitCode> {
    let log = layout.log("up");
    let file = private_file::create(&log).with_context(|| format!("writing {}", log.display()))?;
    let program = std::env::current_exe()?;
    // setsid (util-linux) replaces itself with the program, so the id stays; without it a process group of its own is nearly as good.
    let mut command = if Path::new("/usr/bin/setsid").exists() {
        let mut command = Command::new("/usr/bin/setsid");
        command.arg(program);
        command
    } else {
        let mut command = Command::new(program);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    };
    command.args(["up", "--supervised", "--port-offset", &options.port_offset.to_string()]);
    if options.release {
        command.arg("--release");
    }
    if options.no_demo {
        command.arg("--no-demo");
    }
    if let Some(binary) = &options.barid {
        command.arg("--barid").arg(binary);
    }
    let mut child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn().context("starting in the background")?;

    let mut shown = File::open(&log)?;
    loop {
        // Looked up first: what was written before the end is then shown.
        let ended = child.try_wait()?;
        let running = State::load(layout)?.running.filter(|running| running.supervisor == child.id() && running.ready);
        let mut fresh = Vec::new();
        shown.read_to_end(&mut fresh)?;
        std::io::stdout().write_all(&fresh)?;
        match (running, ended) {
            (Some(running), _) => {
                println!("It stays up in the background; `cargo xtask down` stops it.");
                return Ok(if running.trouble.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            (None, Some(status)) => bail!("it did not come up ({status}); the whole story is in {}", layout.shown(&log)),
            (None, None) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Stops what runs in the background, or in another terminal.
pub async fn stop(layout: &Layout) -> Result<()> {
    let state = State::load(layout)?;
    let Some(running) = state.running else {
        println!("Barid does not run here.");
        return Ok(());
    };
    let lock = File::create(layout.lock())?;
    if lock.try_lock().is_err() {
        if !is(running.supervisor, "xtask") {
            bail!(
                "process {} holds {} but is no `cargo xtask up`: look at it before ending it",
                running.supervisor,
                layout.shown(&layout.lock())
            );
        }
        send("TERM", running.supervisor)?;
        println!("stopping ...");
        let asked = Instant::now();
        while lock.try_lock().is_err() {
            if asked.elapsed() > STOP_LIMIT {
                // Its processes end with it.
                send("KILL", running.supervisor)?;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    // Nothing is left unless the supervisor was killed where no parent-death signal exists.
    for process in running.processes.iter().filter(|process| is(process.pid, &process.program)) {
        println!("ending {} (process {})", process.name, process.pid);
        send("TERM", process.pid)?;
    }
    let mut state = State::load(layout)?;
    state.running = None;
    state.save(layout)?;
    println!("Barid is down. Its data stays in {}.", layout.shown(&layout.home));
    Ok(())
}

/// Whether the process of this id runs this program, and is not another that got the id since.
fn is(pid: u32, program: &str) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains(program)
}

fn send(signal: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().context("starting kill")?;
    if !status.success() {
        bail!("process {pid} cannot be ended: is it another user's?");
    }
    Ok(())
}
