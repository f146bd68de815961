//! The manifests under k8s/ and the files under deploy/ and .github/: rendered, held against the schemas, and against what Barid asks of them.

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
use object::Object;
use services::Overlay;
use std::path::Path;
use tools::{Schema, Tools};

const OVERLAYS: [(&str, Overlay); 2] = [("dev", Overlay::Development), ("production", Overlay::Production)];

/// Checks the manifests of the workspace at `root`.
pub fn run(root: &Path) -> Result<()> {
    let tools = Tools::ensure(root)?;
    let mut problems = Vec::new();
    let mut objects = 0;
    for (name, overlay) in OVERLAYS {
        let rendered = tools.render(&root.join("k8s/overlays").join(name))?;
        let (checked, found) = judge(&tools, root, &rendered, Schema::Kubernetes, overlay)?;
        objects += checked;
        problems.extend(found.into_iter().map(|problem| format!("k8s/overlays/{name}: {problem}")));
    }
    problems.extend(files::problems(&tools, root)?);
    if problems.is_empty() {
        println!("manifests: {objects} objects of {} overlays, compose.yaml and the workflows keep the rules", OVERLAYS.len());
        return Ok(());
    }
    bail!("{} problems in the manifests:\n{}", problems.len(), problems.join("\n"))
}

/// Judges a rendered overlay for the workspace at `root`. Returns how many objects it has, too.
fn judge(tools: &Tools, root: &Path, rendered: &str, schema: Schema, overlay: Overlay) -> Result<(usize, Vec<String>)> {
    let inspected = tools.inspect(schema, rendered)?;
    let objects: Vec<Object> = inspected.documents.into_iter().map(Object).collect();
    let mut problems = inspected.problems;
    problems.extend(pods::problems(&objects));
    problems.extend(services::problems(&objects, &services_of(root)?, overlay));
    problems.extend(network::problems(&objects));
    problems.extend(settings::problems(&objects, &settings::known(root)?));
    problems.extend(custom::problems(&objects, &custom::Sources::read(root)?));
    problems.extend(custom::roles(&objects));
    Ok((objects.len(), problems))
}

/// The services of the workspace, by their folders.
fn services_of(root: &Path) -> Result<Vec<String>> {
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
