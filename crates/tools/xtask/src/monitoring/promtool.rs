//! Prometheus' own judge of rules: a promtool of this machine, or that of Debian's package in `.barid/`.

use anyhow::{Context, Result, bail};
use barid_testkit::install;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Promtool(PathBuf);

impl Promtool {
    /// Finds it, or unpacks it for the checkout at `root`, for which nobody needs to be root. Blocks.
    pub fn ensure(root: &Path) -> Result<Self> {
        if let Some(program) = install::in_path("promtool") {
            return Ok(Self(program));
        }
        let folder = root.join(".barid/prometheus");
        let program = folder.join("usr/bin/promtool");
        if !program.is_file() {
            println!("unpacking promtool of Debian's package prometheus into {}", folder.display());
            unpack(&folder).context("put promtool into PATH")?;
        }
        Ok(Self(program))
    }

    /// What it says when it is not content.
    pub fn refusal(&self, arguments: &[&str], files: &[PathBuf]) -> Result<Option<String>> {
        let output = Command::new(&self.0).args(arguments).args(files).output().context("promtool cannot be started")?;
        let told = [output.stdout, output.stderr].concat();
        Ok((!output.status.success()).then(|| String::from_utf8_lossy(&told).trim().to_owned()))
    }
}

fn unpack(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    // Unpacked elsewhere first, so that what is there is whole.
    let downloaded = tempfile::tempdir_in(folder)?;
    run(Command::new("apt-get").args(["--quiet", "--quiet", "download", "prometheus"]).current_dir(&downloaded))?;
    let package = std::fs::read_dir(&downloaded)?.next().context("apt-get downloaded nothing")??.path();
    let tree = downloaded.path().join("tree");
    run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&tree))?;
    std::fs::create_dir_all(folder.join("usr/bin"))?;
    Ok(std::fs::rename(tree.join("usr/bin/promtool"), folder.join("usr/bin/promtool"))?)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
