use super::nats::write_private;
use super::{on_port, until_ready};
use crate::install;
use crate::process::{Ending, Process};
use crate::scratch::Place;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A private redis-server on 127.0.0.1 that keeps nothing on disk: Redis is never an authority in Barid.
#[derive(Debug)]
pub struct Redis {
    // Dropped in this order: the server first, then its files.
    process: Process,
    port: u16,
    password: String,
    place: Place,
}

impl Redis {
    /// Starts a server whose log is in `dir` or a temporary directory.
    pub async fn start(dir: Option<&Path>, port: Option<u16>) -> Result<Self> {
        let program = install::redis_server()?;
        on_port(port, |port| Self::launch(&program.path, dir, port)).await
    }

    async fn launch(program: &Path, dir: Option<&Path>, port: u16) -> Result<Self> {
        let place = Place::new(dir, "redis")?;
        let password = crate::secret();
        let file = place.path().join("redis.conf");
        let config = format!("bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\ndaemonize no\n");
        write_private(&file, &config)?;
        let process = Process::new("redis-server", program, place.path().join("redis.log")).arguments([&file]).directory(place.path());
        let server = Self { process, port, password, place };
        server.begin().await?;
        Ok(server)
    }

    /// Starts the server again after `stop` or `kill`, on the same port, empty.
    pub async fn begin(&self) -> Result<()> {
        self.process.start()?;
        until_ready(&self.process, || self.answers()).await
    }

    /// Stops cleanly.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(Ending::Terminate, Duration::from_secs(15)).await
    }

    /// The server dies as in a power cut.
    pub async fn kill(&self) -> Result<()> {
        self.process.stop(Ending::Kill, Duration::ZERO).await
    }

    /// Stops cleanly and starts again, empty.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.begin().await
    }

    /// `redis://:<password>@127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}", self.password, self.port)
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

    /// Whether the port is answered by this very server: no other takes its password.
    async fn answers(&self) -> bool {
        let answer = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            stream.write_all(format!("AUTH {}\r\n", self.password).as_bytes()).await.ok()?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await.ok()?;
            Some(line)
        };
        let answer = tokio::time::timeout(Duration::from_secs(1), answer).await.ok().flatten();
        answer.is_some_and(|line| line.starts_with("+OK"))
    }
}
