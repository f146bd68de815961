//! A tenant's transactions are about that tenant, and about nobody when none is named.

use anyhow::Result;
use sea_orm::DbErr;

use crate::house::{Bare, database, db, seen, tenant, write};

const ONE: &str = "00000000-0000-0000-0000-000000000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_cannot_see_or_touch_another() -> Result<()> {
    let database = database().await?;
    // A single connection, so that what one leaves behind would meet the other.
    let db = db(&database, "analytics", 1).await?;
    let (one, two) = (tenant(1), tenant(2));
    for id in [one, two] {
        db.tenant.transaction(id, move |tx| async move { write(&tx, id).await }).await?;
        assert_eq!(db.tenant.transaction(id, |tx| async move { seen(&tx).await }).await?, [id]);
    }
    let touched = db
        .tenant
        .transaction(two, move |tx| async move {
            let update = tx.run("UPDATE analytics.freshness SET as_of = now() WHERE tenant_id = $1", [one.uuid().into()]).await?;
            let delete = tx.run("DELETE FROM analytics.freshness WHERE tenant_id = $1", [one.uuid().into()]).await?;
            Ok::<_, DbErr>((update, delete))
        })
        .await?;
    assert_eq!(touched, (0, 0));
    let foreign = db.tenant.transaction(two, |tx| async move { write(&tx, tenant(3)).await }).await.expect_err("not theirs");
    assert!(foreign.to_string().contains("row-level security"), "{foreign}");
    let given = db
        .tenant
        .transaction(two, |tx| async move { tx.run("UPDATE analytics.freshness SET tenant_id = $1", [tenant(3).uuid().into()]).await })
        .await
        .expect_err("not to be given away");
    assert!(given.to_string().contains("row-level security"), "{given}");
    assert_eq!(db.engine.transaction("test", |tx| async move { seen(&tx).await }).await?, [one, two]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tenant_there_is_nothing() -> Result<()> {
    let database = database().await?;
    let db = db(&database, "analytics", 2).await?;
    db.tenant.transaction(tenant(1), |tx| async move { write(&tx, tenant(1)).await }).await?;

    let bare = Bare::connect(&database, "barid_analytics_tenant").await?;
    let count = "SELECT count(*) FROM analytics.freshness";
    let insert = "INSERT INTO analytics.freshness VALUES ('00000000-0000-0000-0000-000000000009', now())";
    let nothing = async |when: &str| {
        assert_eq!(bare.count(count).await?, 0, "{when}");
        assert_eq!(bare.run("UPDATE analytics.freshness SET as_of = now()").await?, 0, "{when}");
        assert_eq!(bare.run("DELETE FROM analytics.freshness").await?, 0, "{when}");
        let refused = bare.run(insert).await.expect_err(when);
        assert!(refused.to_string().contains("row-level security"), "{when}: {refused}");
        anyhow::Ok(())
    };
    nothing("never set").await?;
    bare.run("BEGIN").await?;
    bare.run(&format!("SELECT set_config('app.current_tenant', '{ONE}', true)")).await?;
    assert_eq!(bare.count(count).await?, 1, "as the tenant");
    bare.run("COMMIT").await?;
    nothing("after a transaction, when the setting is an empty text").await?;

    bare.run("SET app.current_tenant = 'everyone'").await?;
    assert!(bare.count(count).await.is_err(), "no id of a tenant");
    bare.run("RESET app.current_tenant").await?;
    bare.run("SET row_security = off").await?;
    assert!(bare.count(count).await.is_err(), "security that is switched off refuses instead of showing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_named_for_its_transaction_only() -> Result<()> {
    let database = database().await?;
    let db = db(&database, "analytics", 1).await?;
    db.tenant.transaction(tenant(1), |tx| async move { write(&tx, tenant(1)).await }).await?;
    // The next one on this connection ends its transaction by itself, and what was set for it with it.
    let left = db
        .tenant
        .transaction(tenant(2), |tx| async move {
            tx.run("ROLLBACK", []).await?;
            seen(&tx).await
        })
        .await?;
    assert_eq!(left, []);
    Ok(())
}
