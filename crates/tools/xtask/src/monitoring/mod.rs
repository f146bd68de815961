//! Rules, dashboards and runbooks under deploy/: they ask for metrics that there are, each alert is tested both ways and has a runbook, and each
//! runbook names panels that there are.

mod dashboards;
mod names;
mod promtool;
mod rules;
mod runbooks;
#[cfg(test)]
mod tests;

use crate::manifests::{Schema, Tools, services_of};
use anyhow::{Context, Result, bail};
use dashboards::Dashboard;
use promtool::Promtool;
use rules::Rule;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Checks deploy/ of the workspace at `root`.
pub fn run(root: &Path) -> Result<()> {
    let promtool = Promtool::ensure(root)?;
    let monitoring = Monitoring::read(&Tools::ensure(root)?, root, &root.join("deploy"))?;
    let mut problems = monitoring.problems();
    problems.extend(monitoring.unparsed(&promtool)?);
    problems.extend(promtool.refusal(&["check", "config"], &[root.join("deploy/prometheus/prometheus.yml")])?);
    problems.extend(promtool.refusal(&["test", "rules"], &crate::workspace::files(&root.join("deploy/prometheus/tests"), "yaml")?)?);
    if problems.is_empty() {
        println!(
            "monitoring: {} rules and {} dashboards ask for metrics that there are",
            monitoring.rules.len(),
            monitoring.dashboards.len()
        );
        return Ok(());
    }
    bail!("{} problems in rules, dashboards and runbooks:\n{}", problems.len(), problems.join("\n"))
}

/// Everything that is held against each other.
struct Monitoring {
    /// Names in the sources of services and shared libraries that begin with `barid_`.
    told: BTreeSet<String>,
    /// Names that exporters tell.
    exported: BTreeSet<String>,
    services: Vec<String>,
    rules: Vec<Rule>,
    /// What the tests of the rules expect: for each alert, whether it fires.
    expected: BTreeMap<String, BTreeSet<bool>>,
    dashboards: Vec<Dashboard>,
    /// By the name of the file, without its extension.
    runbooks: BTreeMap<String, String>,
}

impl Monitoring {
    /// Reads `deploy`, for the sources of the workspace at `root`.
    fn read(tools: &Tools, root: &Path, deploy: &Path) -> Result<Self> {
        let yaml = |file: &Path| -> Result<Value> {
            let mut inspected = tools.inspect(Schema::Plain, &read(file)?).with_context(|| file.display().to_string())?;
            Ok(inspected.documents.pop().unwrap_or_default())
        };
        let files = |folder: &str, extension: &str| crate::workspace::files(&deploy.join(folder), extension);
        let mut found = Self {
            told: told(root)?,
            exported: exported(&read(&deploy.join("prometheus/exporters.toml"))?)?,
            services: services_of(root)?,
            rules: Vec::new(),
            expected: BTreeMap::new(),
            dashboards: Vec::new(),
            runbooks: BTreeMap::new(),
        };
        for file in files("prometheus/rules", "yml")? {
            found.rules.extend(rules::of(&yaml(&file)?));
        }
        for file in files("prometheus/tests", "yaml")? {
            for (alert, fires) in rules::expected(&yaml(&file)?) {
                found.expected.entry(alert).or_default().insert(fires);
            }
        }
        for file in files("grafana/dashboards", "json")? {
            let document = serde_json::from_str(&read(&file)?).with_context(|| file.display().to_string())?;
            found.dashboards.push(Dashboard { name: stem(&file), document });
        }
        for file in files("runbooks", "md")? {
            found.runbooks.insert(stem(&file), read(&file)?);
        }
        Ok(found)
    }

    /// What is wrong, as far as it can be seen without running anything.
    fn problems(&self) -> Vec<String> {
        let mut problems = rules::problems(&self.rules, &self.expected, &self.services);
        problems.extend(dashboards::problems(&self.dashboards));
        problems.extend(runbooks::problems(&self.runbooks, &self.rules, &self.dashboards));
        problems.extend(self.unknown());
        problems
    }

    /// Each expression, and where it stands.
    fn expressions(&self) -> Vec<(String, String)> {
        let rules = self.rules.iter().map(|rule| (format!("the rule {}", rule.name), rule.expression.clone()));
        rules.chain(self.dashboards.iter().flat_map(Dashboard::expressions)).collect()
    }

    /// Metrics that are asked for and nobody tells, and those of exporters for which nobody asks.
    fn unknown(&self) -> Vec<String> {
        let recorded: BTreeSet<&str> = self.rules.iter().filter(|rule| !rule.is_alert).map(|rule| rule.name.as_str()).collect();
        let expressions = self.expressions();
        let asked: BTreeSet<(&str, &str)> =
            expressions.iter().flat_map(|(place, text)| names::metrics(text).into_iter().map(|name| (name, place.as_str()))).collect();
        let there = |name: &str| recorded.contains(name) || self.exported.contains(name) || self.tells(name);
        let unknown = asked.iter().filter(|(name, _)| !there(name));
        let mut problems: Vec<String> = unknown.map(|(name, place)| format!("{place} asks for {name}, which nobody tells")).collect();
        let unused = self.exported.iter().filter(|name| !asked.iter().any(|(asked, _)| asked == name));
        problems.extend(unused.map(|name| format!("exporters.toml lists {name}, for which nobody asks")));
        problems
    }

    /// Whether a source names it, or what it is a part of.
    fn tells(&self, name: &str) -> bool {
        let base = ["_bucket", "_sum", "_count", "_total"].iter().find_map(|end| name.strip_suffix(end));
        self.told.contains(name) || base.is_some_and(|base| self.told.contains(base))
    }

    /// Expressions of dashboards that are no PromQL.
    fn unparsed(&self, promtool: &Promtool) -> Result<Option<String>> {
        let expressions = self.dashboards.iter().flat_map(Dashboard::expressions);
        let rules: Vec<Value> = expressions
            .enumerate()
            .map(|(index, (place, text))| serde_json::json!({"record": format!("panel:{index}"), "expr": text, "labels": {"place": place}}))
            .collect();
        // JSON is YAML.
        let file = tempfile::Builder::new().suffix(".yml").tempfile()?;
        serde_json::to_writer(&file, &serde_json::json!({"groups": [{"name": "dashboards", "rules": rules}]}))?;
        promtool.refusal(&["check", "rules"], &[file.path().to_path_buf()])
    }
}

/// The strings in sources of services and shared libraries that could be names of metrics.
fn told(root: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for folder in ["crates/services", "crates/shared"] {
        for file in crate::workspace::files(&root.join(folder), "rs")? {
            if file.components().any(|part| part.as_os_str() == "src") {
                let text = read(&file)?;
                found.extend(text.split('"').filter(|text| text.starts_with("barid_")).map(str::to_owned));
            }
        }
    }
    Ok(found)
}

/// The names in exporters.toml, whoever tells them.
fn exported(file: &str) -> Result<BTreeSet<String>> {
    let exporters: BTreeMap<String, BTreeSet<String>> = toml::from_str(file).context("exporters.toml")?;
    Ok(exporters.into_values().flatten().collect())
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

fn stem(file: &Path) -> String {
    PathBuf::from(file).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
