//! What a process takes, from /proc.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Ticks of the clock in which Linux tells processor time to programs; the same on every architecture that Barid runs on.
const TICKS: f64 = 100.0;

/// The services, as their processes are named.
pub const SERVICES: [&str; 6] = ["gateway", "queue", "template", "tenant", "session-pool", "analytics"];

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

/// Memory in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// What is in memory, what is shared with others counted in full for each.
    pub resident: f64,
    /// Of what is shared, such as the program itself, the part that falls to each of those who share it.
    pub proportional: f64,
}

impl std::ops::Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { resident: self.resident + other.resident, proportional: self.proportional + other.proportional }
    }
}

/// Memory of a process with its children.
pub fn memory(pid: u32) -> Result<Memory> {
    let mut sum = Memory::default();
    for pid in children(pid)?.into_iter().chain([pid]) {
        match std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
            Ok(rollup) => sum = sum + read_rollup(&rollup)?,
            // One that ended since it was listed.
            Err(_) if !std::path::Path::new("/proc").join(pid.to_string()).exists() => {}
            Err(error) => return Err(error).with_context(|| format!("reading the memory of process {pid}")),
        }
    }
    Ok(sum)
}

fn read_rollup(rollup: &str) -> Result<Memory> {
    let field = |name: &str| -> Result<f64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} is told"))?;
        line.trim().trim_end_matches(" kB").parse().context("memory is told in kB")
    };
    Ok(Memory { resident: field("Rss:")?, proportional: field("Pss:")? })
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let all = std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(all.filter(|child| Times::of(*child).is_ok_and(|times| times.parent == pid)).collect())
}

/// Processor time so far, with that of its children.
pub fn processor(pid: u32) -> Result<Duration> {
    let own = Times::of(pid)?;
    let children: u64 = children(pid)?.into_iter().filter_map(|child| Times::of(child).ok()).map(|times| times.ticks).sum();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_linux_tells() {
        let rollup =
            "55d0-7ffc ---p 00000000 00:00 0    [rollup]\nRss:                2048 kB\nPss:                 512 kB\nPss_Anon: 300 kB\n";
        assert_eq!(read_rollup(rollup).unwrap(), Memory { resident: 2048.0, proportional: 512.0 });
        assert!(read_rollup("Rss: 1 kB\n").is_err());
    }

    #[test]
    fn this_process_has_memory_and_uses_the_processor() {
        let own = memory(std::process::id()).unwrap();
        assert!(own.proportional > 0.0 && own.resident >= own.proportional, "{own:?}");
        assert!(processor(std::process::id()).is_ok());
    }
}
