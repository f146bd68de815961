//! Real messages through a running Barid, over its public REST API, seen on the simulator's phones.

mod api;
mod bulk;
pub mod cast;
mod environment;
mod linked;
mod phones;
mod report;
mod scenes;
mod stage;

use crate::workspace;
use anyhow::Result;
pub use api::{Api, text};
use clap::Args;
pub use environment::Environment;
pub use phones::Phones;
use report::Report;
pub use stage::{Business, Stage};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Args)]
pub struct Options {
    /// Print nothing but one closing line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    size: Size,
}

#[derive(Args, Clone, Debug)]
pub struct Size {
    /// Invoices sent in bulk
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(0..=50_000))]
    messages: u32,
    /// Businesses that send them
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=64))]
    tenants: u32,
    /// No progress
    #[arg(skip)]
    quiet: bool,
}

impl Default for Size {
    fn default() -> Self {
        Self { messages: 2_000, tenants: 50, quiet: false }
    }
}

/// Plays the demo on the Barid of this checkout, or the one that BARID_URL names.
pub async fn run(root: &Path, options: Options) -> Result<ExitCode> {
    let home = workspace::home(root);
    let stage = Stage::set(&home, Environment::current(&home)?).await?;
    let report = perform(&stage, &Size { quiet: options.json, ..options.size }).await?;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    let Some(trouble) = report.trouble() else { return Ok(ExitCode::SUCCESS) };
    eprintln!("The demo failed: {trouble}");
    Ok(ExitCode::FAILURE)
}

/// Sends everything, waits until it is read, and counts it on the phones.
pub async fn perform(stage: &Stage, size: &Size) -> Result<Report> {
    let start = Instant::now();
    let say = |line: String| {
        if !size.quiet {
            println!("{line}");
        }
    };
    // In every idempotency key, so that a run repeats its own calls only.
    let run = format!("demo-{}", barid_testkit::secret());
    let mut report = Report::default();
    let mut sent = Vec::new();

    let (golden, is_golden) = scenes::golden(stage, &run).await?;
    report.golden = is_golden;
    sent.push(golden);
    say(format!(
        "invoice   in Arabic to a customer who wrote first: read, {}",
        if is_golden { "word for word as in seed 000" } else { "but not as in seed 000" }
    ));
    let scenes = [
        (
            "invoice   in Arabic to one who never wrote: read, as Meta's template",
            scenes::outside_the_window(stage, &run).await.map(|message| vec![message]),
        ),
        ("invoice   in English: read", scenes::english(stage, &run).await.map(|message| vec![message])),
        ("order     in Portuguese, paid, preparing, ready: read", scenes::order(stage, &run).await),
    ];
    for (told, outcome) in scenes {
        match outcome {
            Ok(messages) => {
                sent.extend(messages);
                say(told.to_owned());
            }
            Err(error) => report.wrong.push(format!("{error:#}")),
        }
    }

    match linked::invoice(stage, &run).await {
        Ok(linked::Linked { session, is_new }) => {
            let how = if is_new { "linked by scanning its code" } else { "linked already" };
            say(format!("linked    a WhatsApp Web number, {session}, {how}: its invoice is read"));
        }
        Err(error) => report.wrong.push(format!("WhatsApp Web: {error:#}")),
    }

    let (messages, tenants) = (size.messages as usize, size.tenants as usize);
    let businesses = stage.cast((0..tenants).map(cast::extra).collect()).await?;
    let accepting = Instant::now();
    let (bulk, refused) = bulk::send(stage, &businesses, messages, &run).await?;
    say(format!(
        "bulk      {} of {messages} invoices of {tenants} businesses accepted in {:.1} s",
        bulk.len(),
        accepting.elapsed().as_secs_f64()
    ));
    if let Some(reason) = refused.first() {
        report.wrong.push(format!("{} invoices were refused, the first because: {reason}", refused.len()));
    }
    sent.extend(bulk);

    let progress = bulk::until_read(stage, &sent, size.quiet).await?;
    for times in bulk::shown(stage, &sent).await? {
        report.count_shown(times);
    }
    (report.accepted, report.delivered, report.read) = (sent.len(), progress.delivered, progress.read);
    report.seconds = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    Ok(report)
}
