//! The manifests under k8s/ and the files under deploy/ and .github/: rendered, held against the schemas, and against what Barid asks of them.

mod asked;
mod custom;
mod files;
mod network;
mod object;
mod pods;
mod services;
mod settings;
#[cfg(test)]
mod tests;
mod tools;

use anyhow::{Context, Result, bail};
use clap::Args;
use object::Object;
pub use object::list;
use services::Overlay;
use std::path::{Path, PathBuf};
pub use tools::{Schema, Tools};

const OVERLAYS: [(&str, Overlay); 2] = [("dev", Overlay::Development), ("production", Overlay::Production)];

#[derive(Args, Default)]
pub struct Options {
    /// Ask this `barid`, too, whether it could run with what the manifests and deploy/compose.yaml set
    #[arg(long, value_name = "PATH")]
    barid: Option<PathBuf>,
}

/// Checks the manifests of the workspace at `root`.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let tools = Tools::ensure(root)?;
    let parts: Vec<String> = services_of(root)?;
    let mut problems = Vec::new();
    let mut objects = 0;
    for (name, overlay) in OVERLAYS {
        let rendered = tools.render(&root.join("k8s/overlays").join(name))?;
        let (checked, mut found) = judge(&tools, root, &rendered, Schema::Kubernetes, overlay)?;
        if let Some(program) = &options.barid {
            let with_simulator: Vec<String> = parts.iter().cloned().chain(["simulator".to_owned()]).collect();
            found.extend(asked::overlay(&tools, root, program, &checked, &with_simulator)?);
        }
        objects += checked.len();
        problems.extend(found.into_iter().map(|problem| format!("k8s/overlays/{name}: {problem}")));
    }
    problems.extend(files::problems(&tools, root)?);
    if let Some(program) = &options.barid {
        problems.extend(asked::compose(root, program, &parts)?);
    }
    if problems.is_empty() {
        println!("manifests: {objects} objects of {} overlays, compose.yaml and the workflows keep the rules", OVERLAYS.len());
        return Ok(());
    }
    bail!("{} problems in the manifests:\n{}", problems.len(), problems.join("\n"))
}

/// Judges a rendered overlay for the workspace at `root`. Returns its objects, too.
fn judge(tools: &Tools, root: &Path, rendered: &str, schema: Schema, overlay: Overlay) -> Result<(Vec<Object>, Vec<String>)> {
    let inspected = tools.inspect(schema, rendered)?;
    let objects: Vec<Object> = inspected.documents.into_iter().map(Object).collect();
    let mut problems = inspected.problems;
    problems.extend(pods::problems(&objects));
    problems.extend(services::problems(&objects, &services_of(root)?, overlay));
    problems.extend(network::problems(&objects));
    problems.extend(settings::problems(&objects, &settings::known(root)?));
    problems.extend(custom::problems(&objects, &custom::Sources::read(root)?));
    problems.extend(custom::roles(&objects));
    problems.extend(custom::connections(&objects));
    Ok((objects, problems))
}

/// The services of the workspace, by their folders.
pub fn services_of(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("crates/services");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.path().join("config.default.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
