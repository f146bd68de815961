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

/// Processor time so far, with that of its children.
pub fn processor(pid: u32) -> Result<Duration> {
    let own = Times::of(pid)?;
    let children: u64 = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|child| Times::of(child).ok().filter(|times| times.parent == pid))
        .map(|times| times.ticks)
        .sum();
    Ok(Duration::from_secs_f64((own.ticks + children) as f64 / TICKS))
}

struct Times {
    parent: u32,
    /// Of itself and of children that ended.
    ticks: u64,
}

impl Times {
    fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').context("a stat line")?;
        let fields: Vec<u64> = fields.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
        // The parent is the 4th field of the line, utime to cstime the 14th to 17th; the first two are before these.
        let (Some(parent), Some(ticks)) = (fields.get(1), fields.get(11..15)) else { anyhow::bail!("a stat line that is short") };
        Ok(Self { parent: u32::try_from(*parent)?, ticks: ticks.iter().sum() })
    }
}
