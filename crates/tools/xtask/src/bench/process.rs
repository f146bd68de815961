//! What a process takes, from /proc.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Ticks of the clock in which Linux tells processor time to programs; the same on every architecture that Barid runs on.
const TICKS: f64 = 100.0;

/// A process of the Barid that runs with this home, by its name.
pub fn named(home: &Path, name: &str) -> Result<u32> {
    let state: Value = serde_json::from_str(&std::fs::read_to_string(home.join("state.json"))?)?;
    let processes = state["running"]["processes"].as_array().context("Barid does not run here")?;
    let process = processes.iter().find(|process| process["name"] == name).with_context(|| format!("{name} does not run"))?;
    u32::try_from(process["pid"].as_u64().context("a process has an id")?).context("a process has an id")
}

/// Resident memory in KiB.
pub fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no memory is told")?;
    line.trim().trim_end_matches(" kB").trim().parse().context("memory is told in kB")
}

/// Processor time so far.
pub fn processor(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("a stat line")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    // utime and stime are the 14th and 15th field of the line, the 12th and 13th behind the name.
    Ok(Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS))
}
