use anyhow::Result;

use crate::{barid, shown, text};

#[tokio::test]
async fn migrate_does_its_work_once_and_the_check_finds_an_unprotected_table() -> Result<()> {
    let database = barid_testkit::database().await?;
    let home = tempfile::tempdir()?;
    let file = home.path().join("barid.toml");
    std::fs::write(&file, format!("[migrate]\ndatabase_url = {:?}\nrole_password = \"barid-test\"\n", database.admin_url()))?;
    let file = shown(&file);
    let first = text(&barid(&["migrate", "--config", &file]).await?.stdout);
    let all: u32 = first.split(' ').next().unwrap_or_default().parse()?;
    assert!(all >= 7 && first.starts_with(&format!("{all} migrations applied, {all} in all")), "{first}");
    let second = text(&barid(&["migrate", "--config", &file]).await?.stdout);
    assert!(second.starts_with(&format!("0 migrations applied, {all} in all")), "{second}");
    assert!(barid(&["migrate", "--check", "--config", &file]).await?.status.success());

    database.execute(&["CREATE TABLE queue.notes (id uuid PRIMARY KEY, tenant_id uuid NOT NULL)"]).await?;
    let unprotected = barid(&["migrate", "--check", "--config", &file]).await?;
    assert!(!unprotected.status.success());
    assert!(text(&unprotected.stdout).contains("queue.notes lacks ENABLE ROW LEVEL SECURITY"), "{}", text(&unprotected.stdout));
    let refused = barid(&["migrate", "--config", &file]).await?;
    assert!(text(&refused.stderr).contains("queue.notes"), "{}", text(&refused.stderr));
    Ok(())
}
