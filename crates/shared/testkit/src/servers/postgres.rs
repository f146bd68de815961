use super::{on_port, until_ready};
use crate::account::Account;
use crate::install::{self, PostgresPrograms};
use crate::process::{Ending, Process};
use crate::psql::Login;
use crate::scratch::Place;
use anyhow::{Context, Result, bail};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Whether what is committed survives the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// No fsync: for servers that live as long as a test.
    Ephemeral,
    /// As in production.
    Durable,
}

/// A private PostgreSQL server on 127.0.0.1, with a superuser `barid` whose password nobody else knows.
#[derive(Debug)]
pub struct Postgres {
    // Dropped in this order: the server first, then its files.
    process: Process,
    login: Login,
    data: PathBuf,
    place: Place,
}

impl Postgres {
    /// Starts a server in `dir`, where the data of an earlier one is taken up again, or in a temporary directory.
    ///
    /// As root the server runs as the account `postgres`. When that account cannot reach `dir`, the files go to a directory under
    /// `/var/tmp` that is the same for the same `dir`; [`Postgres::dir`] tells which.
    pub async fn start(dir: Option<&Path>, port: Option<u16>, durability: Durability) -> Result<Self> {
        let programs = install::postgres()?;
        let account = Account::for_postgres()?;
        on_port(port, |port| Self::launch(&programs, account, dir, port, durability)).await
    }

    async fn launch(
        programs: &PostgresPrograms,
        account: Option<Account>,
        dir: Option<&Path>,
        port: u16,
        durability: Durability,
    ) -> Result<Self> {
        let dir = match (dir, account) {
            (Some(dir), Some(account)) if !account.reaches(&std::path::absolute(dir)?) => Some(elsewhere(dir)),
            (dir, _) => dir.map(Path::to_path_buf),
        };
        let place = Place::new(dir.as_deref(), "postgres")?;
        let data = place.path().join("data");
        if let Some(account) = account {
            account.own(place.path())?;
        }
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o700))?;
        let password = initialise(programs, account, place.path(), &data, durability).await?;

        let log = place.path().join("postgres.log");
        let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
        for setting in settings(port, place.path(), durability) {
            arguments.extend(["-c".to_owned(), setting]);
        }
        let process = Process::new("PostgreSQL", programs.bin.join("postgres"), log)
            .arguments(arguments)
            .environment("LC_ALL", "C")
            .directory(place.path())
            .last_resort(Ending::Quit)
            .account(account);
        let login = Login { host: "127.0.0.1".to_owned(), port, user: SUPERUSER.to_owned(), password };
        let server = Self { process, login, data, place };
        server.begin().await?;
        Ok(server)
    }

    /// Starts the server again after `stop` or `kill`, on the same port and data.
    pub async fn begin(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            self.process.start()?;
            match until_ready(&self.process, || async { self.accepts() }).await {
                // After a kill the sessions of the dead server still hold its memory for a moment.
                Err(error) if format!("{error:#}").contains("still in use") && start.elapsed() < Duration::from_secs(10) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Ends all sessions and stops cleanly.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(Ending::Interrupt, Duration::from_secs(30)).await
    }

    /// The server dies as in a power cut; its next start recovers from the log.
    pub async fn kill(&self) -> Result<()> {
        self.process.stop(Ending::Kill, Duration::ZERO).await
    }

    /// Stops cleanly and starts again.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.begin().await
    }

    /// The address of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        self.login.url(database)
    }

    /// The address of the database `postgres` for the superuser.
    pub fn admin_url(&self) -> String {
        self.url("postgres")
    }

    pub fn port(&self) -> u16 {
        self.login.port
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.place.path()
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Creates a database unless there is one of that name.
    pub async fn ensure_database(&self, name: &str) -> Result<()> {
        let exists = self.login.execute("postgres", &[&format!("SELECT 1 FROM pg_database WHERE datname = '{name}'")]).await?;
        if exists.is_empty() {
            self.login.execute("postgres", &[&format!("CREATE DATABASE \"{name}\"")]).await?;
        }
        Ok(())
    }

    /// Has the server keep as many segments of its log to write again as one that has run for a day: making a new one, 16 MB of zeros, holds
    /// up every commit meanwhile.
    pub async fn season(&self, segments: u32) -> Result<()> {
        let next = "SELECT pg_logical_emit_message(false, 'barid', 'the next segment'), pg_switch_wal()";
        let statements: Vec<&str> = (0..segments).map(|_| next).chain(["CHECKPOINT"]).collect();
        self.login.execute("postgres", &statements).await.map(drop)
    }

    /// Runs statements as the superuser, each in its own transaction, and returns the rows as lines, columns parted by `|`.
    pub async fn execute(&self, database: &str, statements: &[&str]) -> Result<String> {
        self.login.execute(database, statements).await
    }

    /// Reads the file pg_ctl reads: the first line is the process id, the eighth its status.
    fn accepts(&self) -> bool {
        let Ok(text) = std::fs::read_to_string(self.data.join("postmaster.pid")) else { return false };
        let mut lines = text.lines();
        let pid = lines.next().and_then(|line| line.trim().parse().ok());
        pid.is_some() && pid == self.process.id() && lines.nth(6).is_some_and(|status| status.trim() == "ready")
    }
}

const SUPERUSER: &str = "barid";

/// The longest path a unix socket may have, less the name PostgreSQL gives it.
const SOCKET_DIRECTORY_LIMIT: usize = 85;

fn settings(port: u16, dir: &Path, durability: Durability) -> Vec<String> {
    let socket = dir.display().to_string();
    let socket = if socket.len() > SOCKET_DIRECTORY_LIMIT { String::new() } else { socket };
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={socket}"),
        "max_connections=300".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
    ];
    if durability == Durability::Durable {
        settings.extend(["shared_buffers=256MB", "wal_buffers=16MB", "min_wal_size=1GB", "max_wal_size=2GB"].map(str::to_owned));
    }
    if durability == Durability::Ephemeral {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
    }
    settings
}

/// Makes the data directory unless it is there, and returns the superuser's password, which is kept beside it.
async fn initialise(
    programs: &PostgresPrograms,
    account: Option<Account>,
    dir: &Path,
    data: &Path,
    durability: Durability,
) -> Result<String> {
    let secret = dir.join("superuser.password");
    if data.join("PG_VERSION").is_file() {
        check_version(programs, data)?;
        return std::fs::read_to_string(&secret).with_context(|| format!("reading {}", secret.display()));
    }
    let password = crate::secret();
    std::fs::write(&secret, &password).with_context(|| format!("writing {}", secret.display()))?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let mut command = Command::new(programs.bin.join("initdb"));
    command.arg("--pgdata").arg(data).arg("--pwfile").arg(&secret).arg(format!("--username={SUPERUSER}"));
    command.args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-instructions"]);
    if durability == Durability::Ephemeral {
        // The smallest segments: a server for one test is mostly the time it takes to write its files.
        command.args(["--no-sync", "--wal-segsize=1"]);
    }
    command.env("LC_ALL", "C").current_dir(dir);
    if let Some(account) = account {
        account.own(&secret)?;
        account.apply(&mut command);
    }
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await.context("starting initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(password)
}

fn check_version(programs: &PostgresPrograms, data: &Path) -> Result<()> {
    let made_by = std::fs::read_to_string(data.join("PG_VERSION"))?;
    if made_by.trim() != programs.version.0.to_string() {
        bail!(
            "{} was made by PostgreSQL {} and this is {}: install that version, or delete the directory with its data",
            data.display(),
            made_by.trim(),
            programs.version
        );
    }
    Ok(())
}

/// A directory every account can reach, the same for the same `dir`.
fn elsewhere(dir: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    Path::new("/var/tmp").join(format!("barid-postgres-{:016x}", hasher.finish()))
}
