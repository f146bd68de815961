//! What `barid` itself says of the manifests: its `config check` sees what each container would see, with Secrets that the kept scripts make.

use super::object::{Object, list};
use super::tools::{Schema, Tools};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

type Variables = BTreeMap<String, String>;

/// What each part of a rendered overlay would refuse. `parts` are those that `program` knows.
pub fn overlay(tools: &Tools, root: &Path, program: &Path, objects: &[Object], parts: &[String]) -> Result<Vec<String>> {
    let secrets = secrets_of(tools, root, program)?;
    let mut problems = Vec::new();
    for pod in objects.iter().filter_map(Object::pod) {
        for container in pod.containers().filter(|container| container["name"] == "barid") {
            let (variables, missing) = environment(container, objects, &secrets);
            problems.extend(missing.into_iter().map(|problem| format!("{}: {problem}", pod.owner.id())));
            let part = container["args"][0].as_str().unwrap_or_default();
            if parts.iter().any(|known| known == part) {
                let file = objects.iter().find_map(|object| object.0["data"]["barid.toml"].as_str()).unwrap_or_default();
                problems.extend(check(program, part, file, &variables)?.map(|told| format!("{}: {told}", pod.owner.id())));
            }
        }
    }
    Ok(problems)
}

/// What each part of deploy/compose.yaml would refuse, with a deploy/secrets made for the purpose.
pub fn compose(root: &Path, program: &Path, parts: &[String]) -> Result<Vec<String>> {
    let copy = tempfile::tempdir()?;
    for name in ["barid.toml", "secrets.sh"] {
        std::fs::copy(root.join("deploy").join(name), copy.path().join(name))?;
    }
    run(Command::new("sh").arg(copy.path().join("secrets.sh")).env("BARID", program))?;
    let file = std::fs::read_to_string(copy.path().join("barid.toml"))?;
    let mut problems = Vec::new();
    for part in parts {
        let path = copy.path().join("secrets").join(format!("{part}.env"));
        let lines = std::fs::read_to_string(&path).with_context(|| format!("deploy/secrets.sh makes no {part}.env"))?;
        let variables = lines.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned()));
        problems.extend(check(program, part, &file, &variables.collect())?.map(|told| format!("compose.yaml: {told}")));
    }
    Ok(problems)
}

/// `barid config check` for one part.
fn check(program: &Path, part: &str, file: &str, variables: &Variables) -> Result<Option<String>> {
    let path = tempfile::Builder::new().suffix(".toml").tempfile()?;
    std::fs::write(&path, file)?;
    let mut command = Command::new(program);
    command.env_clear().envs(variables).env_remove("BARID_CONFIG").arg("--config").arg(path.path()).args(["config", "check", part]);
    let output = command.output().with_context(|| format!("{} cannot be started", program.display()))?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

/// Secrets by name, each with its keys.
fn secrets_of(tools: &Tools, root: &Path, program: &Path) -> Result<BTreeMap<String, Value>> {
    let made = run(Command::new("sh").arg(root.join("k8s/secrets.sh")).arg("--dev").env("BARID", program))?;
    let secrets = tools.inspect(Schema::Kubernetes, &made)?;
    if !secrets.problems.is_empty() {
        bail!("k8s/secrets.sh makes what Kubernetes refuses: {}", secrets.problems.join("; "));
    }
    Ok(secrets.documents.into_iter().map(|secret| (Object(secret.clone()).name().to_owned(), secret["stringData"].clone())).collect())
}

/// The variables that a container would see, and what it refers to that is not there.
fn environment(container: &Value, objects: &[Object], secrets: &BTreeMap<String, Value>) -> (Variables, Vec<String>) {
    let mut variables = Variables::new();
    let mut missing = Vec::new();
    for variable in list(&container["env"]) {
        let name = variable["name"].as_str().unwrap_or_default();
        let value = if let Some(reference) = variable["valueFrom"]["configMapKeyRef"].as_object() {
            let map = objects.iter().find(|object| object.kind() == "ConfigMap" && object.name() == reference["name"]);
            map.and_then(|map| map.0["data"][reference["key"].as_str()?].as_str())
        } else if let Some(reference) = variable["valueFrom"]["secretKeyRef"].as_object() {
            let secret = reference["name"].as_str().and_then(|name| secrets.get(name));
            let value = secret.and_then(|secret| secret[reference["key"].as_str()?].as_str());
            if value.is_none() && reference.get("optional") == Some(&Value::Bool(true)) {
                continue;
            }
            value
        } else {
            variable["value"].as_str()
        };
        match value {
            Some(value) => drop(variables.insert(name.to_owned(), expand(value, &variables))),
            None => missing.push(format!("{name} refers to what is not there: {}", variable["valueFrom"])),
        }
    }
    (variables, missing)
}

/// Puts variables that stand before it into a value, as Kubernetes does.
fn expand(value: &str, variables: &Variables) -> String {
    variables.iter().fold(value.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_sees_what_kubernetes_would_show_it() {
        let map = Object(json!({"kind": "ConfigMap", "metadata": {"name": "servers"}, "data": {"at": "host:1"}}));
        let secrets = BTreeMap::from([("db".to_owned(), json!({"password": "pw"}))]);
        let from = |kind: &str, name: &str, key: &str| json!({kind: {"name": name, "key": key}});
        let container = json!({"env": [
            {"name": "AT", "valueFrom": from("configMapKeyRef", "servers", "at")},
            {"name": "PASSWORD", "valueFrom": from("secretKeyRef", "db", "password")},
            {"name": "URL", "value": "x://u:$(PASSWORD)@$(AT)"},
            {"name": "EARLY", "value": "$(LATE)"},
            {"name": "LATE", "value": "late"},
            {"name": "GONE", "valueFrom": from("secretKeyRef", "gone", "password")},
            {"name": "OPTIONAL", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "a", "optional": true}}},
        ]});
        let (variables, missing) = environment(&container, &[map], &secrets);
        assert_eq!(variables["URL"], "x://u:pw@host:1");
        assert_eq!(variables["EARLY"], "$(LATE)");
        assert!(!variables.contains_key("OPTIONAL"));
        assert_eq!(missing.len(), 1, "{missing:?}");
    }
}
