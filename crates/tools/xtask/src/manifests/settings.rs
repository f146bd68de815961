//! What the manifests set must be what some configuration knows: variables, and the file that all replicas read.
//!
//! The keys are those of each `config.default.toml`, where the optional ones stand commented out, and those below, which no default names.
//! `barid config check` has the last word; a test asks it.

use super::object::{Object, list};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::Value;

/// Keys of shared libraries that the defaults of the services do not mention.
const SHARED: [(&str, &[&str]); 2] =
    [("nats", &["user", "password", "replicas"]), ("media", &["endpoint", "region", "access_key", "secret_key", "allow_http"])];

/// Sections: dotted keys that may be set.
pub type Known = BTreeMap<String, BTreeSet<String>>;

/// Reads what each part's configuration knows.
pub fn known(root: &Path) -> Result<Known> {
    let mut known = Known::new();
    let services = super::services_of(root)?.into_iter().map(|name| (name.replace('-', "_"), format!("crates/services/{name}")));
    for (section, folder) in services.chain([("simulator".to_owned(), "crates/tools/simulator".to_owned())]) {
        let path = root.join(&folder).join("config.default.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        known.insert(section, keys_of_defaults(&text).with_context(|| path.display().to_string())?);
    }
    known.insert("migrate".to_owned(), ["database_url", "role_password"].map(str::to_owned).into());
    Ok(known)
}

fn keys_of_defaults(text: &str) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    collect("", &Value::Table(uncommented(text).parse()?), &mut keys);
    for (table, shared) in SHARED {
        if keys.iter().any(|key| key.starts_with(&format!("{table}."))) {
            keys.extend(shared.iter().map(|key| format!("{table}.{key}")));
        }
    }
    Ok(keys)
}

/// The defaults with the settings that stand there as comments: `# key = value` and `# [table]`.
fn uncommented(text: &str) -> String {
    let is_setting = |line: &str| {
        let name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"_.".contains(&byte));
        line.split_once(" = ").is_some_and(|(key, _)| name(key))
            || line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(name)
    };
    let line = |line: &str| line.strip_prefix("# ").filter(|setting| is_setting(setting)).map_or_else(|| line.to_owned(), str::to_owned);
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn collect(prefix: &str, value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                collect(&path, value, keys);
            }
        }
        _ => drop(keys.insert(prefix.to_owned())),
    }
}

/// What is set and not known. Parts that the workspace does not have are left out.
pub fn problems(objects: &[Object], known: &Known) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in objects.iter().filter_map(Object::pod) {
        for container in pod.containers() {
            let mine: Vec<String> = list(&container["args"]).iter().filter_map(|part| Some(part.as_str()?.replace('-', "_"))).collect();
            for variable in list(&container["env"]) {
                let name = variable["name"].as_str().unwrap_or_default();
                if let Some(problem) = judge(name, &mine, known) {
                    problems.push(format!("{}: {problem}", pod.owner.id()));
                }
            }
        }
    }
    for object in objects.iter().filter(|object| object.kind() == "ConfigMap") {
        let file = object.text("/data/barid.toml");
        match file.parse() {
            Ok(table) => problems.extend(unknown(&table, known).into_iter().map(|problem| format!("{}: {problem}", object.id()))),
            Err(error) => problems.push(format!("{}: barid.toml: {error}", object.id())),
        }
    }
    problems
}

/// Judges a variable of a container that runs `barid` with these arguments.
fn judge(name: &str, arguments: &[String], known: &Known) -> Option<String> {
    let setting = name.strip_prefix("BARID_").filter(|_| name != "BARID_CONFIG")?;
    let Some((section, key)) = setting.split_once("__") else { return Some(format!("{name} is no setting of Barid")) };
    let (section, key) = (section.to_lowercase(), key.to_lowercase().replace("__", "."));
    if !arguments.contains(&section) {
        return Some(format!("{name} is for another part of Barid"));
    }
    known.get(&section).filter(|keys| !keys.contains(&key)).map(|_| format!("{name}: no configuration knows {section}.{key}"))
}

/// Settings of a file that no configuration knows, section by section.
pub fn unknown(file: &toml::Table, known: &Known) -> Vec<String> {
    let mut problems = Vec::new();
    for (section, settings) in file {
        let mut keys = BTreeSet::new();
        collect("", settings, &mut keys);
        if let Some(known) = known.get(section) {
            problems.extend(keys.difference(known).map(|key| format!("no configuration knows {section}.{key}")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = "# Address.\nlisten = \"a\"\n# user = \"x\"\n# Such as { A = 1 }.\nhealth.listen = \"b\"\n[nats]\nurl = \"c\"\n\
                            # [apps.main]\n# secret = \"d\"\n";

    #[test]
    fn what_stands_commented_out_is_known_too() {
        let keys = keys_of_defaults(DEFAULTS).unwrap();
        let expected = ["apps.main.secret", "health.listen", "listen", "nats.password", "nats.replicas", "nats.url", "nats.user", "user"];
        assert_eq!(keys.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn unknown_and_foreign_variables_are_told() {
        let known = Known::from([("queue".to_owned(), keys_of_defaults(DEFAULTS).unwrap())]);
        let judge = |name| judge(name, &["queue".to_owned()], &known);
        assert_eq!(judge("BARID_QUEUE__NATS__URL"), None);
        assert_eq!(judge("BARID_CONFIG"), None);
        assert_eq!(judge("POSTGRES"), None);
        assert_eq!(judge("BARID_QUEUE__NATS__ULR").unwrap(), "BARID_QUEUE__NATS__ULR: no configuration knows queue.nats.ulr");
        assert_eq!(judge("BARID_TENANT__NATS__URL").unwrap(), "BARID_TENANT__NATS__URL is for another part of Barid");
        assert_eq!(judge("BARID_NATS").unwrap(), "BARID_NATS is no setting of Barid");
        let file = "[queue]\nlisten = \"x\"\nlisen = \"y\"\n".parse().unwrap();
        assert_eq!(unknown(&file, &known), ["no configuration knows queue.lisen"]);
    }
}
