//! Finds the servers on this machine and, for `cargo xtask`, installs what is missing.

mod packages;
mod version;

use anyhow::{Result, bail};
pub use packages::{Installed, ensure, python};
use std::path::{Path, PathBuf};
use version::Version;

/// The programs of a PostgreSQL installation.
#[derive(Clone, Debug)]
pub struct PostgresPrograms {
    /// The directory with `initdb`, `postgres` and `psql`.
    pub bin: PathBuf,
    pub version: Version,
}

/// A server program.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub version: Version,
}

/// Row level security as Barid uses it, `ICU` and `MERGE`: the oldest release that is tested.
const OLDEST_POSTGRES: Version = Version(15, 0);
/// Per-subject limits and atomic batches of JetStream.
const OLDEST_NATS: Version = Version(2, 12);
const OLDEST_REDIS: Version = Version(7, 0);

/// The newest PostgreSQL in `PATH` and in Debian's `/usr/lib/postgresql/<version>/bin`.
pub fn postgres() -> Result<PostgresPrograms> {
    let mut directories: Vec<PathBuf> = in_path("initdb").and_then(|initdb| initdb.parent().map(Path::to_path_buf)).into_iter().collect();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        directories.push(entry.path().join("bin"));
    }
    let complete = |bin: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|program| bin.join(program).is_file());
    let found = directories
        .into_iter()
        .filter(complete)
        .filter_map(|bin| Some(PostgresPrograms { version: version::of(&bin.join("postgres"))?, bin }));
    match found.max_by_key(|found| found.version) {
        Some(found) if found.version >= OLDEST_POSTGRES => Ok(found),
        Some(found) => bail!("PostgreSQL {} in {} is older than {OLDEST_POSTGRES}: {REMEDY}", found.version, found.bin.display()),
        None => bail!("no PostgreSQL in PATH or /usr/lib/postgresql: {REMEDY}"),
    }
}

/// The first nats-server that is new enough, of `BARID_NATS_SERVER`, `PATH` and the checkout's `.barid/venv` (Debian's own is too old).
pub fn nats_server() -> Result<Program> {
    let named = std::env::var_os("BARID_NATS_SERVER").map(PathBuf::from);
    let private = venv().map(|venv| venv.join("bin/nats-server")).filter(|path| path.is_file());
    pick("nats-server", OLDEST_NATS, named.into_iter().chain(all_in_path("nats-server")).chain(private))
}

/// The first redis-server in `PATH` that is new enough.
pub fn redis_server() -> Result<Program> {
    pick("redis-server", OLDEST_REDIS, all_in_path("redis-server"))
}

const REMEDY: &str = "run `cargo xtask install`";

fn pick(name: &str, oldest: Version, candidates: impl Iterator<Item = PathBuf>) -> Result<Program> {
    let mut refused = Vec::new();
    for path in candidates {
        match version::of(&path) {
            Some(version) if version >= oldest => return Ok(Program { path, version }),
            Some(version) => refused.push(format!("{} is {version}", path.display())),
            None => refused.push(format!("{} does not tell its version", path.display())),
        }
    }
    if refused.is_empty() {
        bail!("no {name} found: {REMEDY}");
    }
    bail!("no {name} of at least {oldest}: {}; {REMEDY}", refused.join(", "))
}

/// The checkout we work in: the closest parent of the current directory with a `Cargo.lock`.
pub(crate) fn checkout() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().find(|directory| directory.join("Cargo.lock").is_file()).map(Path::to_path_buf)
}

fn venv() -> Option<PathBuf> {
    checkout().map(|checkout| checkout.join(".barid/venv"))
}

/// The first program of this name in `PATH`.
pub fn in_path(program: &str) -> Option<PathBuf> {
    all_in_path(program).next()
}

fn all_in_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Vec<PathBuf> = std::env::split_paths(&path).map(|directory| directory.join(program)).filter(|path| path.is_file()).collect();
    found.into_iter()
}
