use anyhow::Result;
use barid_testkit::{database, database_with};
use std::sync::atomic::{AtomicU32, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_prepared_once_and_copied() -> Result<()> {
    let key = format!("once-{}", barid_testkit::secret());
    let prepared = AtomicU32::new(0);
    // Held so that the process keeps one server throughout.
    let _cluster = barid_testkit::postgres().await?;
    let copy = || {
        database_with(&key, |admin_url| {
            prepared.fetch_add(1, Ordering::Relaxed);
            async move {
                let status = tokio::process::Command::new(barid_testkit::install::postgres()?.bin.join("psql"))
                    .args([&admin_url, "--quiet", "--command", "CREATE TABLE stamps (value integer)"])
                    .status()
                    .await?;
                anyhow::ensure!(status.success(), "psql failed");
                Ok(())
            }
        })
    };
    let (one, two) = tokio::try_join!(copy(), copy())?;
    assert_eq!(prepared.load(Ordering::Relaxed), 1);
    one.execute(&["INSERT INTO stamps VALUES (7)"]).await?;
    assert_eq!(one.execute(&["SELECT value FROM stamps"]).await?, "7");
    assert_eq!(two.execute(&["SELECT value FROM stamps"]).await?, "");
    Ok(())
}

#[tokio::test]
async fn a_failed_preparation_is_done_again() -> Result<()> {
    let key = format!("again-{}", barid_testkit::secret());
    let _cluster = barid_testkit::postgres().await?;
    let failed = database_with(&key, |_| async { anyhow::bail!("the migration is wrong") }).await;
    assert!(format!("{:#}", failed.unwrap_err()).contains("the migration is wrong"));
    database_with(&key, |_| async { Ok(()) }).await?;
    Ok(())
}

#[tokio::test]
async fn other_logins_reach_the_database() -> Result<()> {
    let database = database().await?;
    let (role, password) = (format!("role_{}", barid_testkit::secret()), barid_testkit::secret());
    database.execute(&[&format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'")]).await?;
    let output = tokio::process::Command::new(barid_testkit::install::postgres()?.bin.join("psql"))
        .args([&database.url_for(&role, &password), "--tuples-only", "--no-align", "--command", "SELECT current_user"])
        .output()
        .await?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), role);
    assert!(database.admin_url().ends_with(database.name()));
    database.execute(&[&format!("DROP ROLE {role}")]).await?;
    Ok(())
}
