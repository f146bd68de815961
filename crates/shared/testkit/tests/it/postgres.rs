use anyhow::Result;
use barid_testkit::{Durability, Postgres};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn data_survives_stop_and_kill() -> Result<()> {
    let server = Postgres::start(None, None, Durability::Durable).await?;
    server.ensure_database("ledger").await?;
    server.ensure_database("ledger").await?;
    server.restart().await?;
    server.ensure_database("ledger").await?;
    server.kill().await?;
    assert!(server.process().id().is_none());
    server.begin().await?;
    server.ensure_database("ledger").await?;
    let failure = Postgres::start(None, Some(server.port()), Durability::Ephemeral).await.unwrap_err();
    assert!(failure.to_string().to_lowercase().contains("address already in use"), "{failure:#}");
    assert!(server.url("ledger").ends_with(&format!(":{}/ledger", server.port())));
    Ok(())
}

#[tokio::test]
async fn a_directory_is_taken_up_again_and_a_closed_one_replaced() -> Result<()> {
    let closed = tempfile::tempdir()?;
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700))?;
    let dir = closed.path().join("postgres");
    let first = Postgres::start(Some(&dir), None, Durability::Ephemeral).await?;
    let (place, address) = (first.dir().to_path_buf(), first.admin_url());
    first.ensure_database("kept").await?;
    drop(first);
    let again = Postgres::start(Some(&dir), None, Durability::Ephemeral).await?;
    assert_eq!(again.dir(), place);
    let password = |url: &str| url.split(['@', ':']).nth(2).map(str::to_owned);
    assert_eq!(password(&again.admin_url()), password(&address));
    drop(again);
    std::fs::remove_dir_all(place)?;
    Ok(())
}
