//! Contacts that become one while something else happens to them, stopped where it hurts most.

use std::time::Duration;

use anyhow::{Result, ensure};
use barid_domain::{SessionId, TenantId};
use barid_proto::queue::v1::{AliasPair, Inbound, ListContactsRequest, ReportAliasesRequest};
use barid_testkit::eventually;

use crate::house::House;

const PHONE: &str = "+201234567890";
const LID: &str = "99887766";
const SCOPED: &str = "bsu.1";

struct Race {
    house: House,
    tenant: TenantId,
    session: SessionId,
}

impl Race {
    async fn begin() -> Result<Self> {
        let house = House::start().await?;
        let (tenant, session) = (house.ids.mint(), house.ids.mint());
        Ok(Self { house, tenant, session })
    }

    /// Hears of a person under these names.
    async fn hear(&self, from: &str, lid: &str, business_scoped_id: &str) -> Result<()> {
        let inbound = Inbound {
            tenant_id: self.tenant.to_string(),
            session_id: self.session.to_string(),
            from: from.into(),
            lid: lid.into(),
            business_scoped_id: business_scoped_id.into(),
            ..Inbound::default()
        };
        Ok(self.house.hear(inbound).await?)
    }

    async fn learn(&self) -> Result<()> {
        let pair = AliasPair { tenant_id: self.tenant.to_string(), phone: PHONE.into(), lid: LID.into(), time: None };
        self.house.ledger.clone().report_aliases(ReportAliasesRequest { aliases: vec![pair] }).await?;
        Ok(())
    }

    /// Runs `first` until it wants to write to `table`, and lets it go on when `second` is done with joining or waits for it.
    async fn stop_at<T>(&self, table: &str, first: impl Future<Output = Result<T>>, second: impl Future<Output = Result<()>>) -> Result<T> {
        let gate = format!(
            "DO $$ BEGIN
                LOCK TABLE queue.{table} IN EXCLUSIVE MODE;
                WHILE NOT EXISTS (SELECT FROM queue.contacts WHERE merged_into IS NOT NULL)
                    AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                        AND wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple', 'advisory'))
                LOOP PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP;
             END $$"
        );
        let there = async |granted: bool| {
            let sql = format!(
                "SELECT count(*) FROM pg_locks
                 WHERE relation = 'queue.{table}'::regclass AND mode LIKE '%Exclusive%' AND granted = {granted}"
            );
            eventually(Duration::from_secs(20), || async {
                ensure!(self.house.database.execute(&[&sql]).await? != "0", "nobody yet: {sql}");
                Ok(())
            })
            .await
        };
        let race = async {
            there(true).await?;
            let second = async {
                there(false).await?;
                second.await
            };
            Ok(tokio::try_join!(first, second)?.0)
        };
        let gates = [gate.as_str()];
        Ok(tokio::try_join!(self.house.database.execute(&gates), race)?.1)
    }

    /// A message is accepted for a contact that becomes an older one meanwhile.
    async fn join_during_accept(&self, table: &str) -> Result<()> {
        let (house, tenant) = (&self.house, self.tenant);
        self.hear("", LID, "").await?;
        let before = house.send(tenant, self.session, PHONE, "before").await?;
        let younger = house.message(tenant, &before).await?.contact_id;
        let during = self.stop_at(table, house.send(tenant, self.session, PHONE, "during"), self.learn()).await?;
        let message = house.message(tenant, &during).await?;
        assert_ne!(message.contact_id, younger, "the message was left behind with a contact that has ended");
        assert_eq!(house.message(tenant, &before).await?.contact_id, message.contact_id);
        let left = "SELECT count(*) FROM (SELECT contact_id FROM queue.messages UNION ALL SELECT contact_id FROM queue.ready) u
                    JOIN queue.contacts c ON c.id = u.contact_id WHERE c.merged_into IS NOT NULL";
        assert_eq!(house.database.execute(&[left]).await?, "0");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_ends_before_its_message_is_written_is_followed() -> Result<()> {
    // The contact is looked up by then, and the message not yet written.
    Race::begin().await?.join_during_accept("quota_usage").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_does_not_end_while_its_message_is_written() -> Result<()> {
    // The message is written by then, and nobody can see it yet.
    Race::begin().await?.join_during_accept("message_events").await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_that_are_joined_two_by_two_one_remains() -> Result<()> {
    let race = Race::begin().await?;
    for (from, lid, scoped) in [("", LID, ""), ("", "", SCOPED), (PHONE, "", "")] {
        race.hear(from, lid, scoped).await?;
    }
    // The one in the middle ends while the other two names are about to be joined to it.
    race.stop_at("windows", race.hear("", LID, SCOPED), race.hear(PHONE, "", SCOPED)).await?;
    let list = House::on_behalf_of(race.tenant, ListContactsRequest::default());
    let contacts = race.house.contacts.clone().list_contacts(list).await?.into_inner().contacts;
    assert!(contacts.len() == 1 && contacts[0].aliases.len() == 3, "{contacts:?}");
    Ok(())
}
