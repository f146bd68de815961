//! Faults under load on a Barid of real processes, and whether every promise was kept all the same.

mod cast;
mod check;
mod house;
mod listener;
mod load;
mod proxy;
mod scenarios;
mod trial;
mod witness;

use crate::up;
use anyhow::{Context, Result, bail};
use house::House;
pub use listener::differ;
use scenarios::{SCENARIOS, Scenario};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use trial::{Outcome, Trial};

#[derive(clap::Args)]
pub struct Options {
    /// The scenario, or `all`
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Tell what there is
    #[arg(long)]
    list: bool,
    /// Messages to hand over, instead of the scenario's own number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    messages: Option<u32>,
    /// Hand over each scenario's full number, as before a release; use a binary with optimisations
    #[arg(long, conflicts_with = "messages")]
    full: bool,
    /// Print nothing but the closing line of JSON
    #[arg(long)]
    json: bool,
    /// A binary with the feature `trust-simulator` to use instead of building one
    #[arg(long, value_name = "FILE")]
    barid: Option<PathBuf>,
}

/// Runs scenarios, each on a Barid of its own; fails when one of them does.
pub async fn run(root: &Path, options: Options) -> Result<ExitCode> {
    if options.list {
        for Scenario { name, about, messages, full, .. } in SCENARIOS {
            println!("{name:<22} {about} ({messages} messages, in full {full})");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let name = options.name.as_deref().unwrap_or_default();
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| name == "all" || scenario.name == name).collect();
    if chosen.is_empty() {
        bail!("there is no scenario {name}: `cargo xtask chaos --list`");
    }
    let say = |line: String| {
        if !options.json {
            eprintln!("{line}");
        }
    };
    up::find(&say)?;
    let binary = match &options.barid {
        Some(binary) => std::path::absolute(binary)?,
        None => up::build(root, false, &say).await?,
    };
    let mut passed = true;
    for scenario in chosen {
        let messages = options.messages.unwrap_or(if options.full { scenario.full } else { scenario.messages });
        let verdict = try_out(root, &binary, scenario, messages, &say).await;
        println!("{verdict}");
        passed &= verdict["passed"] == true;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn try_out(root: &Path, binary: &Path, scenario: &Scenario, messages: u32, say: &dyn Fn(String)) -> Value {
    say(format!("\nscenario  {}: {}", scenario.name, scenario.about));
    let start = Instant::now();
    let outcome = async {
        let house = House::start(root, binary, scenario.pools, scenario.settings, say).await.context("starting Barid")?;
        let mut trial = Trial { house, messages: messages as usize, slow: scenario.slow, pace: scenario.pace, say };
        let outcome = (scenario.play)(&mut trial).await;
        let passed = outcome.as_ref().is_ok_and(is_good);
        if !passed {
            let logs = root.join("target/chaos").join(scenario.name);
            trial.house.keep_logs(&logs)?;
            say(format!("logs      {}", logs.display()));
        }
        outcome
    };
    let outcome = outcome.await.unwrap_or_else(|error| Outcome { troubles: vec![format!("{error:#}")], ..Outcome::default() });
    let passed = is_good(&outcome);
    let mut verdict = json!({"scenario": scenario.name, "passed": passed, "messages": messages, "faults": outcome.faults});
    if let (Value::Object(verdict), Ok(Value::Object(findings))) = (&mut verdict, serde_json::to_value(&outcome.findings)) {
        verdict.extend(findings);
        verdict.extend(outcome.figures);
        let troubles: Vec<String> = outcome.troubles.into_iter().chain(outcome.findings.examples).collect();
        verdict.insert("troubles".to_owned(), json!(troubles));
        verdict.insert("seconds".to_owned(), json!((start.elapsed().as_secs_f64() * 10.0).round() / 10.0));
    }
    verdict
}

fn is_good(outcome: &Outcome) -> bool {
    outcome.findings.are_good() && outcome.faults > 0 && outcome.troubles.is_empty()
}
