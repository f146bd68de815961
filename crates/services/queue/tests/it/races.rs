//! Contacts that become one while a message to one of them is being accepted, stopped where it hurts most.

use std::time::Duration;

use anyhow::{Result, ensure};
use barid_domain::{SessionId, TenantId};
use barid_proto::queue::v1::{AliasPair, Inbound, ReportAliasesRequest};
use barid_testkit::eventually;

use crate::house::House;

const PHONE: &str = "+201234567890";
const LID: &str = "99887766";

/// Sends to a contact while it becomes another, older one. The accept is stopped where it reaches `table`, and goes on when the joining is
/// done or waits for it. Every trace of the message must be the older contact's.
async fn join_during_accept(table: &str) -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    let hidden = Inbound { tenant_id: tenant.to_string(), session_id: session.to_string(), lid: LID.into(), ..Inbound::default() };
    house.hear(hidden).await?;
    let before = house.send(tenant, session, PHONE, "before").await?;
    let younger = house.message(tenant, &before).await?.contact_id;

    let gate = format!(
        "DO $$ BEGIN
            LOCK TABLE queue.{table} IN EXCLUSIVE MODE;
            WHILE NOT EXISTS (SELECT FROM queue.contacts WHERE merged_into IS NOT NULL)
                AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple')
                    AND datname = current_database())
            LOOP PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP;
         END $$"
    );
    let locks = |granted: bool| {
        format!(
            "SELECT count(*) FROM pg_locks WHERE relation = 'queue.{table}'::regclass AND mode LIKE '%Exclusive%' AND granted = {granted}"
        )
    };
    let waits_for = async |sql: String| {
        eventually(Duration::from_secs(20), || async {
            ensure!(house.database.execute(&[&sql]).await? != "0", "nobody yet: {sql}");
            Ok(())
        })
        .await
    };
    let during = async {
        waits_for(locks(true)).await?;
        let sending = house.send(tenant, session, PHONE, "during");
        let joining = async {
            waits_for(locks(false)).await?;
            let pair = AliasPair { tenant_id: tenant.to_string(), phone: PHONE.into(), lid: LID.into(), time: None };
            house.ledger.clone().report_aliases(ReportAliasesRequest { aliases: vec![pair] }).await?;
            Ok(())
        };
        Ok(tokio::try_join!(sending, joining)?.0)
    };
    let gates = [gate.as_str()];
    let (_, during) = tokio::try_join!(house.database.execute(&gates), during)?;

    let message = house.message(tenant, &during).await?;
    assert_ne!(message.contact_id, younger, "the message was left behind with a contact that has ended");
    assert_eq!(house.message(tenant, &before).await?.contact_id, message.contact_id);
    let left = "SELECT count(*) FROM (SELECT contact_id FROM queue.messages UNION ALL SELECT contact_id FROM queue.ready) u
                JOIN queue.contacts c ON c.id = u.contact_id WHERE c.merged_into IS NOT NULL";
    assert_eq!(house.database.execute(&[left]).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_ends_before_its_message_is_written_is_followed() -> Result<()> {
    // The contact is looked up by then, and the message not yet written.
    join_during_accept("quota_usage").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_does_not_end_while_its_message_is_written() -> Result<()> {
    // The message is written by then, and nobody can see it yet.
    join_during_accept("message_events").await
}
