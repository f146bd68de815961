//! The check is seen to fail: what is kept is broken in one way after the other.

use super::*;
use std::fs;

/// A file under deploy/, what is replaced in it and by what, and a part of what is told then.
const BREAKAGES: [(&str, &str, &str, &str); 19] = [
    // Metrics.
    (
        "prometheus/rules/barid.yml",
        "(barid_relay_lag_seconds)",
        "(barid_relay_late_seconds)",
        "barid_relay_late_seconds, which nobody tells",
    ),
    (
        "prometheus/rules/barid.yml",
        "expr: barid:messages_waiting",
        "expr: barid:messages_wating",
        "barid:messages_wating, which nobody tells",
    ),
    ("prometheus/rules/barid.yml", "or redis_up", "or redis_upp", "the rule BaridServerDown asks for redis_upp"),
    (
        "grafana/dashboards/pool.json",
        "sum(barid_pool_waiting)",
        "sum(barid_pool_waits)",
        "panel \"Sessions that wait\" asks for barid_pool_waits",
    ),
    ("prometheus/exporters.toml", "\"pg_up\"", "\"pg_up\", \"pg_idle\"", "exporters.toml lists pg_idle, for which nobody asks"),
    // Alerts.
    ("prometheus/rules/barid.yml", "severity: critical", "severity: bad", "BaridServiceDown is neither a warning nor critical"),
    (
        "prometheus/rules/barid.yml",
        "summary: \"{{ $labels.service }}",
        "sumary: \"{{ $labels.service }}",
        "BaridServiceDown has no summary",
    ),
    ("prometheus/rules/barid.yml", "alert: BaridQueueDeep", "alert: BaridQueueDeeper", "BaridQueueDeeper fires in no test"),
    ("prometheus/tests/servers.yaml", "alertname: BaridDiskFull\n", "alertname: BaridDisk\n", "BaridDiskFull fires in no test"),
    ("prometheus/rules/barid.yml", ", service=\"queue\"", ", service=\"queu\"", "no alert tells that queue is away"),
    // Runbooks.
    (
        "prometheus/rules/barid.yml",
        "runbooks/BaridQueueDeep.md",
        "runbooks/BaridEventsLate.md",
        "BaridQueueDeep has no runbook of its name",
    ),
    ("prometheus/rules/barid.yml", "alert: BaridDiskFull", "alert: BaridDiskFuller", "the runbook BaridDiskFull is for no alert"),
    ("runbooks/BaridQueueDeep.md", "# BaridQueueDeep", "# BaridQueue", "BaridQueueDeep has another title"),
    ("runbooks/BaridQueueDeep.md", "**Do**", "**Try**", "BaridQueueDeep does not say **Do**"),
    ("runbooks/BaridQueueDeep.md", "\"Messages under way\"", "\"Messages away\"", "names the panel \"Messages away\" of Pool"),
    // Dashboards.
    ("grafana/dashboards/queue.json", "\"uid\": \"barid-queue\"", "\"uid\": \"queue\"", "the dashboard queue: its uid is not barid-queue"),
    ("grafana/dashboards/queue.json", "\"unit\": ", "\"units\": ", "has no unit"),
    ("grafana/dashboards/queue.json", "\"description\": ", "\"about\": ", "has no description"),
    ("grafana/dashboards/queue.json", "\"uid\": \"prometheus\"", "\"uid\": \"other\"", "does not ask Prometheus"),
];

#[test]
fn what_is_broken_is_told() -> Result<()> {
    let root = crate::workspace::root();
    let tools = Tools::ensure(&root)?;
    assert_eq!(Monitoring::read(&tools, &root, &root.join("deploy"))?.problems(), [""; 0]);
    for (file, old, new, told) in BREAKAGES {
        let copy = broken(&root, file, old, new)?;
        let problems = Monitoring::read(&tools, &root, copy.path())?.problems();
        assert!(problems.iter().any(|problem| problem.contains(told)), "{file}: {old:?} as {new:?} is told as {problems:#?}");
    }
    Ok(())
}

/// A threshold that moved is found by the rules' own tests, an expression that does not parse by promtool.
#[test]
fn what_prometheus_would_refuse_is_told() -> Result<()> {
    let root = crate::workspace::root();
    let promtool = Promtool::ensure(&root)?;
    let tests = |deploy: &Path| promtool.refusal(&["test", "rules"], &[deploy.join("prometheus/tests/services.yaml")]);
    assert_eq!(tests(&root.join("deploy"))?, None);
    let copy = broken(&root, "prometheus/rules/barid.yml", "(barid_relay_lag_seconds) > 10", "(barid_relay_lag_seconds) > 100")?;
    let told = tests(copy.path())?.unwrap_or_default();
    assert!(told.contains("alertname: BaridEventsLate"), "{told}");

    let tools = Tools::ensure(&root)?;
    let unparsed = |deploy: &Path| Monitoring::read(&tools, &root, deploy)?.unparsed(&promtool);
    assert_eq!(unparsed(&root.join("deploy"))?, None);
    let copy = broken(&root, "grafana/dashboards/pool.json", "sum(barid_pool_waiting)", "sum(barid_pool_waiting")?;
    let told = unparsed(copy.path())?.unwrap_or_default();
    assert!(told.contains("could not parse expression"), "{told}");
    Ok(())
}

/// A copy of deploy/ with one text replaced.
fn broken(root: &Path, file: &str, old: &str, new: &str) -> Result<tempfile::TempDir> {
    let copy = tempfile::tempdir()?;
    for folder in ["prometheus", "prometheus/rules", "prometheus/tests", "grafana/dashboards", "runbooks"] {
        fs::create_dir_all(copy.path().join(folder))?;
        for entry in fs::read_dir(root.join("deploy").join(folder))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), copy.path().join(folder).join(entry.file_name()))?;
            }
        }
    }
    let path = copy.path().join(file);
    let text = fs::read_to_string(&path)?;
    assert!(text.contains(old), "{file} says no more {old:?}");
    fs::write(&path, text.replacen(old, new, 1))?;
    Ok(copy)
}
