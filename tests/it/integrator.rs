//! A point of sale that knows nothing of Barid but its address and a key: Python, grpcio and reflection.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::{SEED_TEXT, Stack};
use tokio::process::Command;

/// A Python with grpcio, made once in the checkout's own directory.
async fn python() -> Result<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/integrator");
    let python = home.join("bin/python");
    if !home.join("complete").exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home)).await.context("python3 with its venv module is needed")?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args([
            "grpcio",
            "grpcio-reflection",
            "googleapis-common-protos",
        ]))
        .await?;
        std::fs::write(home.join("complete"), "")?;
    }
    Ok(python)
}

async fn run(command: &mut Command) -> Result<String> {
    let output = command.output().await?;
    let (out, error) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    ensure!(output.status.success(), "{:?} failed: {out}{error}", command.as_std().get_program());
    Ok(out)
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sends_an_invoice_by_reflection_alone() -> Result<()> {
    let stack = Stack::start().await?;
    let laundry = stack.business("Blue Nile").await?;
    let ahmed = laundry.knows_ahmed().await?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integrator.py");
    let mut command = Command::new(python().await?);
    command.arg(script).args([&stack.gateway, &laundry.api.key, ahmed]);
    let printed = run(&mut command).await?;
    let id = printed.lines().find_map(|line| line.strip_prefix("sent ")).with_context(|| printed.clone())?;
    ensure!(printed.contains("INVALID_ARGUMENT recipient"), "a bad number is explained: {printed}");
    let message = laundry.reaches(id, "READ").await?;
    assert_eq!(message["text"].as_str(), Some(SEED_TEXT.trim_end()));
    Ok(())
}
