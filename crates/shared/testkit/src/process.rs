//! A child process that ends with its handle, and with us.

use crate::account::Account;
use crate::spawner;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How a child is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM: finish what is begun.
    Terminate,
    /// SIGINT, which PostgreSQL takes as "end sessions, then stop cleanly".
    Interrupt,
    /// SIGQUIT, which PostgreSQL takes as "stop now, recover at the next start".
    Quit,
    /// SIGKILL.
    Kill,
}

impl Ending {
    fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
            Self::Quit => Signal::QUIT,
            Self::Kill => Signal::KILL,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
        }
    }
}

/// A program that can be started, ended and started again, its output appended to a log file.
///
/// It runs in a process group of its own, so Ctrl-C on the terminal reaches us and not it: we decide the order in which things stop.
/// Should we die first, the kernel ends it (`setpriv --pdeathsig`, part of util-linux; elsewhere only dropping the handle does).
#[derive(Debug)]
pub struct Process {
    name: String,
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    account: Option<Account>,
    log: PathBuf,
    last_resort: Ending,
    child: Mutex<Option<Child>>,
}

impl Process {
    pub fn new(name: impl Into<String>, program: impl AsRef<OsStr>, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            account: None,
            log: log.into(),
            last_resort: Ending::Kill,
            child: Mutex::new(None),
        }
    }

    pub fn arguments<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub fn environment(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// How the child is ended when the handle is dropped or we die; SIGKILL unless said otherwise.
    pub fn last_resort(mut self, ending: Ending) -> Self {
        self.last_resort = ending;
        self
    }

    pub(crate) fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it runs, as it stands in its command line.
    pub fn program(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Starts the program; an error when it already runs.
    pub fn start(&self) -> Result<()> {
        let mut slot = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = slot.as_mut()
            && child.try_wait()?.is_none()
        {
            bail!("{} already runs as process {}", self.name, child.id());
        }
        let log =
            OpenOptions::new().create(true).append(true).open(&self.log).with_context(|| format!("opening {}", self.log.display()))?;
        let mut command = match survivors_guard() {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", self.last_resort.name(), "--"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if let Some(account) = self.account {
            account.apply(&mut command);
        }
        *slot = Some(spawner::spawn(command).with_context(|| format!("starting {}", self.name))?);
        Ok(())
    }

    /// The process id; `None` before the first start and after the end.
    pub fn id(&self) -> Option<u32> {
        let mut slot = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let child = slot.as_mut()?;
        matches!(child.try_wait(), Ok(None)).then(|| child.id())
    }

    /// How it ended; `None` while it runs or when it was never started.
    pub fn ended(&self) -> Option<ExitStatus> {
        let mut slot = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_mut()?.try_wait().ok().flatten()
    }

    /// Asks it to end, waits at most `patience`, and kills it when that was not enough. Does nothing when it does not run.
    pub async fn stop(&self, ending: Ending, patience: Duration) -> Result<()> {
        self.signal(ending)?;
        let asked = Instant::now();
        while self.id().is_some() {
            if asked.elapsed() > patience {
                self.signal(Ending::Kill)?;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Sends a signal; does nothing when it does not run.
    pub fn signal(&self, ending: Ending) -> Result<()> {
        self.send(ending.signal())
    }

    /// Takes its processor away (SIGSTOP), as a machine that hangs does, until [`Process::thaw`].
    pub fn freeze(&self) -> Result<()> {
        self.send(Signal::STOP)
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) -> Result<()> {
        self.send(Signal::CONT)
    }

    /// Lets no file of it and its children grow beyond so many bytes, or any again: what they write then fails (EFBIG) as on a disk that is
    /// full. What is started later has no such limit. Needs `prlimit` (util-linux), and no privileges.
    pub fn limit_files(&self, most: Option<u64>) -> Result<()> {
        let Some(pid) = self.id() else { return Ok(()) };
        // The parent first: what it starts meanwhile inherits the limit.
        for pid in std::iter::once(pid).chain(children(pid)?) {
            let mut command = Command::new("prlimit");
            let most = most.map_or_else(|| "unlimited".to_owned(), |most| most.to_string());
            command.args(["--pid", &pid.to_string(), &format!("--fsize={most}:")]);
            // Who may do this is the account that runs it.
            if let Some(account) = self.account {
                account.apply(&mut command);
            }
            let output = command.output().context("starting prlimit")?;
            let gone = !Path::new("/proc").join(pid.to_string()).exists();
            if !output.status.success() && !gone {
                bail!("limiting the files of {}: {}", self.name, String::from_utf8_lossy(&output.stderr).trim());
            }
        }
        Ok(())
    }

    /// Sends the first or the second of the signals that a program may give a meaning of its own, USR1 and USR2.
    pub fn tell(&self, second: bool) -> Result<()> {
        self.send(if second { Signal::USR2 } else { Signal::USR1 })
    }

    fn send(&self, signal: Signal) -> Result<()> {
        let mut slot = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = slot.as_mut() else { return Ok(()) };
        // Not reaped yet, so the id cannot have been given to another process.
        if child.try_wait()?.is_none()
            && let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        {
            rustix::process::kill_process(pid, signal).with_context(|| format!("signalling {}", self.name))?;
        }
        Ok(())
    }

    /// The last lines of its log, for error messages.
    pub fn log_tail(&self, lines: usize) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be reported from here; an unreachable child is left to the parent-death signal.
        let _ = self.signal(self.last_resort);
        let slot = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = slot.as_mut() {
            let _ = child.wait();
        }
    }
}

fn children(parent: u32) -> Result<Vec<u32>> {
    let processes = std::fs::read_dir("/proc").context("reading /proc")?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // After the name in parentheses come the state and the parent.
        let of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        of == Some(parent)
    };
    Ok(ids.filter(is_child).collect())
}

/// `setpriv`, when the machine has one that knows parent-death signals (util-linux 2.33 of 2018).
fn survivors_guard() -> Option<PathBuf> {
    cfg!(target_os = "linux").then(|| crate::install::in_path("setpriv")).flatten()
}
