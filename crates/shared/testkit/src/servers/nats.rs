use super::{on_port, until_ready};
use crate::install;
use crate::process::{Ending, Process};
use crate::scratch::Place;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

/// A private nats-server on 127.0.0.1 with JetStream.
#[derive(Debug)]
pub struct Nats {
    // Dropped in this order: the server first, then its files.
    process: Process,
    port: u16,
    name: String,
    place: Place,
}

impl Nats {
    /// Starts a server with the users and permissions of `config` (nats-server's own syntax), its streams in `dir` or a temporary directory.
    pub async fn start(dir: Option<&Path>, port: Option<u16>, config: &str) -> Result<Self> {
        let program = install::nats_server()?;
        on_port(port, |port| Self::launch(&program.path, dir, port, config)).await
    }

    async fn launch(program: &Path, dir: Option<&Path>, port: u16, config: &str) -> Result<Self> {
        let place = Place::new(dir, "nats")?;
        let file = place.path().join("nats.conf");
        write_private(&file, config)?;
        let name = format!("barid-{}", crate::secret());
        let process = Process::new("nats-server", program, place.path().join("nats.log"))
            .arguments(["-a", "127.0.0.1", "-p", &port.to_string(), "-n", &name, "-js"])
            .arguments([Path::new("-sd"), &place.path().join("store"), Path::new("-c"), &file]);
        let server = Self { process, port, name, place };
        server.begin().await?;
        Ok(server)
    }

    /// Starts the server again after `stop` or `kill`, on the same port and data.
    pub async fn begin(&self) -> Result<()> {
        self.process.start()?;
        until_ready(&self.process, || self.greets()).await
    }

    /// Stops cleanly.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(Ending::Terminate, Duration::from_secs(15)).await
    }

    /// The server dies as in a power cut.
    pub async fn kill(&self) -> Result<()> {
        self.process.stop(Ending::Kill, Duration::ZERO).await
    }

    /// Stops cleanly and starts again.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.begin().await
    }

    /// Kills the server and destroys every stream. It stays down until [`Nats::begin`].
    pub async fn wipe_store(&self) -> Result<()> {
        self.kill().await?;
        let store = self.place.path().join("store");
        match std::fs::remove_dir_all(&store) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", store.display()))
            }
            _ => Ok(()),
        }
    }

    /// Replaces the users and permissions, and restarts.
    pub async fn reconfigure(&self, config: &str) -> Result<()> {
        write_private(&self.place.path().join("nats.conf"), config)?;
        self.restart().await
    }

    /// `nats://127.0.0.1:<port>`, without a user.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.place.path()
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether the port is answered by this very server: its first line to every client carries its name.
    async fn greets(&self) -> bool {
        let greeting = async {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await.ok()?;
            Some(line)
        };
        let greeting = tokio::time::timeout(Duration::from_secs(1), greeting).await.ok().flatten();
        greeting.is_some_and(|line| line.starts_with("INFO ") && line.contains(&self.name))
    }
}

/// Writes a file that only its owner reads: it holds passwords.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("writing {}", path.display()))
}
