use crate::install;
use anyhow::{Context, Result, anyhow, bail};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A PostgreSQL server and a login to it.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Login {
    /// Reads `postgres://user:password@host:port/anything`.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let parse = || {
            let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))?;
            let (login, rest) = rest.split_once('@')?;
            let (user, password) = login.split_once(':')?;
            let address = rest.split(['/', '?']).next()?;
            let (host, port) = address.rsplit_once(':').unwrap_or((address, "5432"));
            Some(Self { host: host.to_owned(), port: port.parse().ok()?, user: user.to_owned(), password: password.to_owned() })
        };
        parse().ok_or_else(|| anyhow!("not of the form postgres://user:password@host:port/database"))
    }

    /// The address of a database. User and password must need no escaping in a URL, as those Barid makes.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{}:{}@{}:{}/{database}", self.user, self.password, self.host, self.port)
    }

    pub(crate) fn as_user(&self, user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), ..self.clone() }
    }

    /// A psql for `database`; the password travels in the environment, which other users cannot read.
    pub(crate) fn psql(&self, database: &str) -> Result<std::process::Command> {
        let mut command = std::process::Command::new(install::postgres()?.bin.join("psql"));
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]);
        command.env("PGHOST", &self.host).env("PGPORT", self.port.to_string()).env("PGUSER", &self.user);
        command.env("PGPASSWORD", &self.password).env("PGDATABASE", database).env("PGCONNECT_TIMEOUT", "30");
        command.env("PGOPTIONS", "--client-min-messages=warning");
        Ok(command)
    }

    /// Runs statements, each in its own transaction, and returns the rows as lines.
    pub(crate) async fn execute(&self, database: &str, statements: &[&str]) -> Result<String> {
        let mut command = Command::from(self.psql(database)?);
        for statement in statements {
            command.args(["--command", statement]);
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("starting psql")?;
        if !output.status.success() {
            bail!("{}: {}", statements.join("; "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Runs statements on the server of an address, `postgres://user:password@host:port/...`, each in its own transaction, and returns the rows
/// as lines, columns parted by `|`.
pub async fn ask(url: &str, database: &str, statements: &[&str]) -> Result<String> {
    Login::parse(url)?.execute(database, statements).await
}

/// One session that stays open, for what must be held while other things happen.
pub(crate) struct Session {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Session {
    pub(crate) fn open(login: &Login, database: &str) -> Result<Self> {
        let mut command = Command::from(login.psql(database)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting psql")?;
        let input = child.stdin.take().context("psql has no input")?;
        let output = child.stdout.take().context("psql has no output")?;
        Ok(Self { child, input, output: BufReader::new(output).lines() })
    }

    /// Runs a query that yields one non-empty line.
    pub(crate) async fn query(&mut self, statement: &str) -> Result<String> {
        // A failed write means psql ended; the missing answer below tells why.
        let _ = self.input.write_all(format!("{statement};\n").as_bytes()).await;
        if let Some(line) = self.output.next_line().await? {
            return Ok(line);
        }
        let mut reason = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut reason).await?;
        }
        bail!("{statement}: {}", reason.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let login = Login::parse("postgres://barid:secret@127.0.0.1:6543/postgres?sslmode=disable").unwrap();
        assert_eq!(login.url("other"), "postgres://barid:secret@127.0.0.1:6543/other");
        assert_eq!(Login::parse(&login.as_user("a", "b").url("x")).unwrap().user, "a");
        assert!(Login::parse("mysql://nobody").is_err());
    }
}
