//! `barid migrate`.

use std::path::Path;

use anyhow::{Result, bail};
use barid_migrations::Config;
use barid_runtime::config;

/// What `[migrate]` holds when nothing is set.
const DEFAULTS: &str = "";

pub(crate) async fn migrate(file: Option<&Path>, check: bool) -> Result<()> {
    let config: Config = config::read("migrate", DEFAULTS, file)?;
    if check {
        let unprotected = barid_migrations::check(config.database_url.expose()).await?;
        for table in &unprotected {
            println!("{table}");
        }
        if !unprotected.is_empty() {
            bail!("{} tables are not protected", unprotected.len());
        }
        println!("every table is protected");
        return Ok(());
    }
    let report = barid_migrations::migrate(&config).await?;
    println!("{} migrations applied, {} in all", report.applied, report.total);
    Ok(())
}
