use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where a server keeps its files: a given directory that stays, or a temporary one that goes with the server.
#[derive(Debug)]
pub(crate) enum Place {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    pub(crate) fn new(dir: Option<&Path>, name: &str) -> Result<Self> {
        match dir {
            Some(dir) => {
                std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
                let dir = std::path::absolute(dir).with_context(|| format!("resolving {}", dir.display()))?;
                Ok(Self::Kept(dir))
            }
            None => {
                sweep(&std::env::temp_dir());
                let prefix = format!("{PREFIX}{}-{name}-", std::process::id());
                let dir = tempfile::Builder::new().prefix(&prefix).tempdir().context("creating a temporary directory")?;
                Ok(Self::Temporary(dir))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

const PREFIX: &str = "barid-test-";

/// Removes what processes that were killed left behind. What cannot be removed belongs to someone else.
fn sweep(temporary: &Path) {
    for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next()) else { continue };
        if Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_only_what_the_dead_left() {
        let temporary = tempfile::tempdir().unwrap();
        let dead = temporary.path().join(format!("{PREFIX}4194999-nats-abc"));
        let alive = temporary.path().join(format!("{PREFIX}{}-nats-abc", std::process::id()));
        let other = temporary.path().join("something-else");
        for dir in [&dead, &alive, &other] {
            std::fs::create_dir(dir).unwrap();
        }
        sweep(temporary.path());
        assert!(!dead.exists() && alive.exists() && other.exists());
    }
}
