//! Runbooks: one for each alert, and they name panels that there are.

use super::dashboards::Dashboard;
use super::rules::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// Alerts without a runbook, runbooks without an alert, and panels that are not there.
pub fn problems(runbooks: &BTreeMap<String, String>, rules: &[Rule], dashboards: &[Dashboard]) -> Vec<String> {
    let mut problems = Vec::new();
    let alerts: BTreeSet<&str> = rules.iter().filter(|rule| rule.is_alert).map(|rule| rule.name.as_str()).collect();
    for alert in rules.iter().filter(|rule| rule.is_alert) {
        if alert.runbook != format!("deploy/runbooks/{}.md", alert.name) || !runbooks.contains_key(&alert.name) {
            problems.push(format!("the alert {} has no runbook of its name", alert.name));
        }
    }
    for (name, text) in runbooks {
        let mut refuse = |problem: String| problems.push(format!("the runbook {name} {problem}"));
        if !alerts.contains(name.as_str()) {
            refuse("is for no alert".to_owned());
        }
        if !text.starts_with(&format!("# {name}\n")) {
            refuse("has another title".to_owned());
        }
        for part in ["**Look at**", "**Do**", "**It is over**"] {
            if !text.contains(part) {
                refuse(format!("does not say {part}"));
            }
        }
        for (dashboard, panel) in panels(text) {
            let is_it = |there: &&Dashboard| there.title().eq_ignore_ascii_case(dashboard);
            let there = dashboards.iter().find(is_it).is_some_and(|there| there.panels().iter().any(|there| there["title"] == panel));
            if !there {
                refuse(format!("names the panel {panel:?} of {dashboard}, which is not there"));
            }
        }
    }
    problems
}

/// The panels in `*Queue*, panels "a" and "b"`, each with its dashboard.
fn panels(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for line in text.lines() {
        for (at, _) in line.match_indices("*, panel") {
            let dashboard = line[..at].rsplit('*').next().unwrap_or_default();
            let listed = line[at + 1..].split([':', ';', '.', ')', '*']).next().unwrap_or_default();
            found.extend(listed.split('"').skip(1).step_by(2).map(|panel| (dashboard, panel)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::panels;

    #[test]
    fn panels_are_those_after_a_dashboard() {
        let text = "- *Queue*, panels \"a b\" and \"c\": not \"d\" (*Pool*, panel \"e\").\n- *Overview* is no panel, \"f\" is none.\n";
        assert_eq!(panels(text), [("Queue", "a b"), ("Queue", "c"), ("Pool", "e")]);
    }
}
