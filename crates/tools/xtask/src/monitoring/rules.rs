//! Rules of Prometheus and their tests.

use crate::manifests::list;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub struct Rule {
    pub name: String,
    pub is_alert: bool,
    pub expression: String,
    /// Path of the runbook in the workspace; empty when there is none.
    pub runbook: String,
    summary: bool,
    severity: String,
}

/// The rules of a file, in order.
pub fn of(file: &Value) -> Vec<Rule> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rules = list(&file["groups"]).iter().flat_map(|group| list(&group["rules"]));
    rules
        .map(|rule| Rule {
            name: text(if rule["alert"].is_null() { &rule["record"] } else { &rule["alert"] }),
            is_alert: !rule["alert"].is_null(),
            expression: text(&rule["expr"]),
            runbook: text(&rule["annotations"]["runbook"]),
            summary: rule["annotations"]["summary"].is_string(),
            severity: text(&rule["labels"]["severity"]),
        })
        .collect()
}

/// The alerts that a file of tests looks at, and whether it expects them to fire.
pub fn expected(file: &Value) -> Vec<(String, bool)> {
    let looks = list(&file["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"]));
    looks.map(|look| (look["alertname"].as_str().unwrap_or_default().to_owned(), !list(&look["exp_alerts"]).is_empty())).collect()
}

/// What alerts lack, and services of which none tells that they are away.
pub fn problems(rules: &[Rule], expected: &BTreeMap<String, BTreeSet<bool>>, services: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    for alert in rules.iter().filter(|rule| rule.is_alert) {
        let mut refuse = |problem: &str| problems.push(format!("the alert {} {problem}", alert.name));
        if !alert.summary {
            refuse("has no summary");
        }
        if !["warning", "critical"].contains(&alert.severity.as_str()) {
            refuse("is neither a warning nor critical");
        }
        for (fires, problem) in [(true, "fires in no test"), (false, "is expected in every test")] {
            if !expected.get(&alert.name).is_some_and(|expected| expected.contains(&fires)) {
                refuse(problem);
            }
        }
    }
    let named = |service: &String| rules.iter().any(|rule| rule.is_alert && rule.expression.contains(&format!("service=\"{service}\"")));
    problems.extend(services.iter().filter(|service| !named(service)).map(|service| format!("no alert tells that {service} is away")));
    problems
}
