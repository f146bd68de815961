//! The program that was built together with these tests could run with what the manifests set.

use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program beside the chores; built now where these tests were built alone.
fn barid() -> Result<PathBuf> {
    let there = PathBuf::from(env!("CARGO_BIN_EXE_xtask")).with_file_name("barid");
    if !there.is_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let built = Command::new(env!("CARGO")).args(["build", "--package", "barid"]).current_dir(root).status()?;
        ensure!(built.success() && there.is_file(), "barid cannot be built");
    }
    Ok(there)
}

#[test]
fn barid_knows_every_setting_and_the_scripts_make_every_secret() -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("manifests").arg("--barid").arg(barid()?).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
