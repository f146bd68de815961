//! Dashboards of Grafana.

use crate::manifests::list;
use serde_json::Value;
use std::collections::BTreeSet;

/// What Grafana takes for a time between two points when it asks.
const INTERVAL: (&str, &str) = ("$__rate_interval", "5m");
/// As `deploy/grafana/provisioning` names it.
const DATASOURCE: &str = "prometheus";

pub struct Dashboard {
    /// The name of the file, without its extension.
    pub name: String,
    pub document: Value,
}

impl Dashboard {
    /// What stands after `Barid: ` in its title.
    pub fn title(&self) -> &str {
        self.document["title"].as_str().and_then(|title| title.strip_prefix("Barid: ")).unwrap_or_default()
    }

    pub fn panels(&self) -> &[Value] {
        list(&self.document["panels"])
    }

    /// Each expression as Prometheus would see it, and where it stands.
    pub fn expressions(&self) -> Vec<(String, String)> {
        let targets = self.panels().iter().flat_map(|panel| list(&panel["targets"]).iter().map(move |target| (panel, target)));
        targets
            .map(|(panel, target)| {
                let text = target["expr"].as_str().unwrap_or_default().replace(INTERVAL.0, INTERVAL.1);
                (format!("the dashboard {}, panel {}", self.name, panel["title"]), text)
            })
            .collect()
    }
}

/// What dashboards lack.
pub fn problems(dashboards: &[Dashboard]) -> Vec<String> {
    let mut problems = Vec::new();
    for dashboard in dashboards {
        let mut refuse = |problem: String| problems.push(format!("the dashboard {}: {problem}", dashboard.name));
        if dashboard.document["uid"] != format!("barid-{}", dashboard.name) {
            refuse(format!("its uid is not barid-{}", dashboard.name));
        }
        if dashboard.title().is_empty() {
            refuse("its title does not begin with `Barid: `".to_owned());
        }
        let mut ids = BTreeSet::new();
        let mut titles = BTreeSet::new();
        for panel in dashboard.panels() {
            let title = panel["title"].as_str().unwrap_or_default();
            if title.is_empty() || !titles.insert(title) || !ids.insert(panel["id"].as_u64()) {
                refuse(format!("the panel {} {title:?} has no title or id of its own", panel["id"]));
            }
            for (pointer, what) in [("/description", "description"), ("/fieldConfig/defaults/unit", "unit"), ("/gridPos/h", "place")] {
                if panel.pointer(pointer).is_none_or(|value| value == "") {
                    refuse(format!("the panel {title:?} has no {what}"));
                }
            }
            let targets = list(&panel["targets"]);
            let sources = targets.iter().chain([panel]).map(|asking| &asking["datasource"]["uid"]);
            if targets.is_empty() || sources.into_iter().any(|uid| uid != DATASOURCE) {
                refuse(format!("the panel {title:?} does not ask Prometheus"));
            }
        }
    }
    problems
}
