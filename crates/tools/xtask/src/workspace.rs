//! Where things are.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The root of the workspace, wherever the command was started.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("xtask lies three folders deep").to_path_buf()
}

/// Where a Barid of this checkout keeps its state: `.barid/`, unless a measurement has one of its own.
pub fn home(root: &Path) -> PathBuf {
    std::env::var_os(HOME).map_or_else(|| root.join(".barid"), PathBuf::from)
}

/// Names another folder than `.barid/`.
pub const HOME: &str = "BARID_XTASK_HOME";

/// The cargo that runs us.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Directories that hold no sources.
const FOREIGN: [&str; 5] = ["target", ".git", ".barid", "node_modules", "__pycache__"];

/// Every file under `directory` whose name ends in `.<extension>`, sorted.
pub fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(directory, extension, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if !FOREIGN.iter().any(|foreign| entry.file_name() == *foreign) {
                collect(&path, extension, found)?;
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(())
}
