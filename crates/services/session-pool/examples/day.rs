//! Plays a day of a cluster and draws it: `cargo run --release -p barid-session-pool --example day -- --sessions 10000 --out target/day.svg`.

use std::{error::Error, path::PathBuf, time::Instant};

use barid_domain::SessionId;
use barid_session_pool::choice::{Candidate, Settings, choose, day};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = day::Options::default();
    let mut out = PathBuf::from("target/day.svg");
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} has no value"))?;
        match name.as_str() {
            "--sessions" => options.sessions = value.parse()?,
            "--replicas" => options.replicas = value.parse()?,
            "--slots" => options.settings.slots = value.parse()?,
            "--load" => options.load = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--out" => out = value.into(),
            _ => return Err(format!("{name} is not known: --sessions, --replicas, --slots (of a replica), --load, --seed, --out").into()),
        }
    }
    let begun = Instant::now();
    let report = day::run(&options);
    let took = begun.elapsed();
    std::fs::write(&out, day::draw(&report))?;
    let mut summary = serde_json::to_value(&report)?;
    summary["simulated_in_ms"] = took.as_millis().try_into().unwrap_or(u64::MAX).into();
    summary["decision_us"] = decisions().into();
    println!("{summary}");
    eprintln!("drawn in {}", out.display());
    Ok(())
}

/// Microseconds of one decision among 10,000 sessions of which each second one waits: the median of many.
fn decisions() -> u64 {
    let settings = Settings::default();
    let now = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).unwrap_or_default();
    let ago = |seconds: u32| Some(now - TimeDelta::seconds(seconds.into()));
    let candidate = |number: u32| {
        let waiting = u64::from(number * 7919 % 500) * u64::from(number % 2);
        Candidate {
            immediate: if number % 6 == 1 { waiting } else { 0 },
            waiting,
            oldest: now - TimeDelta::seconds((number * 31 % 90).into()),
            peak: number.is_multiple_of(5),
            last_used: ago(number * 17 % 2000),
            slot_since: if number < 200 { ago(number) } else { None },
            last_visit: ago(number * 13 % 30_000),
            ..Candidate::new(SessionId::from_uuid(Uuid::from_u128(number.into())), now)
        }
    };
    let candidates: Vec<Candidate> = (0..10_000).map(candidate).collect();
    let mut times: Vec<u64> = (0..101)
        .map(|_| {
            let begun = Instant::now();
            std::hint::black_box(choose(std::hint::black_box(&candidates), now, &settings, 10));
            begun.elapsed().as_micros().try_into().unwrap_or(u64::MAX)
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
