//! Who may know whom. The rules stand in `packages` (what Cargo.toml may name), `sources` (what code may use) and `release` (what an image may
//! have inside).

mod packages;
mod release;
mod sources;

use anyhow::{Result, bail};
use std::fmt;
use std::path::Path;

/// A line that reaches where it must not.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    /// Relative to the workspace, with a line number where there is one.
    place: String,
    what: String,
    remedy: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.place, self.what, self.remedy)
    }
}

/// Checks the workspace at `root`.
pub fn run(root: &Path) -> Result<()> {
    let packages = packages::load(root)?;
    let mut violations = packages::check(&packages);
    let files = sources::check(root, &mut violations)?;
    violations.extend(release::check(root)?);
    if violations.is_empty() {
        println!("edges: {} packages and {files} source files keep the rules", packages.len());
        return Ok(());
    }
    for violation in &violations {
        eprintln!("{violation}");
    }
    bail!("{} edges are not allowed", violations.len());
}
