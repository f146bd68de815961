//! Checks that the files which the documentation names are there: docs that list what is gone are worse than none.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Checks every Markdown file of the workspace.
pub fn run(root: &Path) -> Result<()> {
    let files = crate::workspace::files(root, "md")?;
    let mut missing = Vec::new();
    let mut checked = 0;
    for file in &files {
        let text = std::fs::read_to_string(file)?;
        let here = file.parent().unwrap_or(root);
        for (line, named) in names(&text) {
            let candidates = [here.join(named), root.join(named)];
            if !is_ours(named, here, root) {
                continue;
            }
            checked += 1;
            if !candidates.iter().any(|candidate| candidate.exists()) {
                missing.push(format!("{}:{line}: {named} does not exist", file.strip_prefix(root).unwrap_or(file).display()));
            }
        }
    }
    if missing.is_empty() {
        println!("docs: {checked} paths named in {} files exist", files.len());
        return Ok(());
    }
    bail!("the documentation names what is not there:\n{}", missing.join("\n"))
}

/// Whether a name starts like a path of ours: relative, or with the name of something that is there. `/v1/messages`, `application/json`
/// and `owner/repository` are not. What is made by running (`.barid`, `target`) is not kept in the repository.
fn is_ours(named: &str, here: &Path, root: &Path) -> bool {
    let first = named.split('/').next().unwrap_or_default();
    match first {
        "" | ".barid" | "target" => false,
        "." | ".." => true,
        _ => [here, root].iter().any(|directory| directory.join(first).exists()),
    }
}

/// The paths a text names, with their line: in backticks, and as targets of links.
fn names(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let quoted = line.split('`').skip(1).step_by(2);
            let linked = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            found.extend(quoted.chain(linked).filter_map(as_path).map(|path| (index + 1, path)));
        }
    }
    found
}

/// What looks like a path, without an anchor or a line number.
fn as_path(named: &str) -> Option<&str> {
    let path = named.split('#').next()?;
    let path = path.split_once(':').map_or(path, |(path, rest)| if rest.starts_with(|c: char| c.is_ascii_digit()) { path } else { named });
    let plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    (path.contains('/') && path.chars().all(plain) && PathBuf::from(path).is_relative()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_paths_and_nothing_else() {
        let text = "See `crates/shared/bus` and `proto/README.md`, not `cargo xtask up`, `crates/<x>/y`, `a/*.rs` or `/v1/messages`.\n\
                    A [page](docs/way.md#start) at `src/lib.rs:12` and [elsewhere](https://example.org/a).\n```\n`not/this`\n```\n";
        assert_eq!(names(text), [(1, "crates/shared/bus"), (1, "proto/README.md"), (2, "src/lib.rs"), (2, "docs/way.md")]);
    }

    #[test]
    fn a_missing_file_is_told() -> Result<()> {
        let root = tempfile::tempdir()?;
        std::fs::create_dir(root.path().join("crates"))?;
        std::fs::write(root.path().join("README.md"), "`application/json` is fine, `crates/` too.\n")?;
        run(root.path())?;
        std::fs::write(root.path().join("README.md"), "Look into `crates/gone/lib.rs`.\n")?;
        let failure = run(root.path()).unwrap_err().to_string();
        assert!(failure.contains("README.md:1: crates/gone/lib.rs does not exist"), "{failure}");
        Ok(())
    }
}
