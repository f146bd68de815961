//! One contact for one person, whatever WhatsApp calls them.

use anyhow::{Context, Result, ensure};
use barid_domain::{SessionId, TenantId};
use barid_proto::queue::v1::{
    AliasKind, AliasPair, Contact, GetContactRequest, Inbound, InboundContent, InboundMessage, ListContactsRequest,
    ListInboundMessagesRequest, ListMessagesRequest, ReportAliasesRequest, SessionClaim, TextContent, UpsertContactRequest,
    inbound_content::Kind,
};

use crate::house::{House, claim_id};

const PHONE: &str = "+201234567890";
const LID: &str = "99887766@lid";

struct People {
    house: House,
    tenant: TenantId,
    session: SessionId,
}

impl People {
    async fn begin() -> Result<Self> {
        let house = House::start().await?;
        let (tenant, session) = (house.ids.mint(), house.ids.mint());
        house.fence(session, 1).await?;
        Ok(Self { house, tenant, session })
    }

    async fn hear(&self, provider_id: &str, from: &str, lid: &str, business_scoped_id: &str) -> Result<()> {
        let inbound = Inbound {
            tenant_id: self.tenant.to_string(),
            session_id: self.session.to_string(),
            from: from.into(),
            lid: lid.into(),
            business_scoped_id: business_scoped_id.into(),
            provider_id: provider_id.into(),
            content: Some(InboundContent { kind: Some(Kind::Text(TextContent { text: "hello".into() })) }),
            ..Inbound::default()
        };
        Ok(self.house.hear(inbound).await?)
    }

    async fn learn(&self, phone: &str, lid: &str) -> Result<()> {
        let pair = AliasPair { tenant_id: self.tenant.to_string(), phone: phone.into(), lid: lid.into(), time: None };
        self.house.ledger.clone().report_aliases(ReportAliasesRequest { aliases: vec![pair] }).await?;
        Ok(())
    }

    async fn contacts(&self) -> Result<Vec<Contact>> {
        let request = House::on_behalf_of(self.tenant, ListContactsRequest::default());
        Ok(self.house.contacts.clone().list_contacts(request).await?.into_inner().contacts)
    }

    async fn only(&self) -> Result<Contact> {
        let mut contacts = self.contacts().await?;
        ensure!(contacts.len() == 1, "{contacts:?}");
        contacts.pop().context("a contact")
    }

    async fn inbound(&self) -> Result<Vec<InboundMessage>> {
        let request = House::on_behalf_of(self.tenant, ListInboundMessagesRequest::default());
        Ok(self.house.inbound.clone().list_inbound_messages(request).await?.into_inner().messages)
    }

    async fn name(&self, phone: &str, language: &str, name: &str) -> Result<Contact> {
        let names = [(language.to_owned(), name.to_owned())].into();
        let request = UpsertContactRequest { phone: phone.into(), names, ..Default::default() };
        Ok(self.house.contacts.clone().upsert_contact(House::on_behalf_of(self.tenant, request)).await?.into_inner())
    }
}

fn aliases(contact: &Contact) -> Vec<(AliasKind, &str)> {
    let mut aliases: Vec<_> = contact.aliases.iter().map(|alias| (alias.kind(), alias.value.as_str())).collect();
    aliases.sort();
    aliases
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hides_the_number_is_a_contact_all_the_same() -> Result<()> {
    let people = People::begin().await?;
    people.hear("wamid.1", "", LID, "").await?;
    people.hear("wamid.2", "", "99887766:3@lid", "bsu.1").await?;
    let contact = people.only().await?;
    assert_eq!((contact.phone.as_str(), aliases(&contact)), ("", vec![(AliasKind::Lid, "99887766"), (AliasKind::BusinessScoped, "bsu.1")]));
    assert!(contact.last_inbound_time.is_some() && contact.aliases.iter().all(|alias| alias.learn_time.is_some()));
    let inbound = people.inbound().await?;
    assert!(inbound.len() == 2 && inbound.iter().all(|message| message.contact_id == contact.id && message.from.is_empty()));
    // And when the number is told, it is the same person.
    people.hear("wamid.3", PHONE, "", "bsu.1").await?;
    assert_eq!((people.only().await?.id, people.only().await?.phone.as_str()), (contact.id, PHONE));
    assert!(people.inbound().await?.iter().all(|message| message.from == PHONE));
    let nameless = people.hear("wamid.4", "", "", "").await.expect_err("nobody");
    assert!(nameless.to_string().contains("from: is missing"), "{nameless}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_contacts_that_are_one_person_become_the_older_one() -> Result<()> {
    let people = People::begin().await?;
    let other: SessionId = people.house.ids.mint();
    let older = people.name(PHONE, "en", "Mona").await?;
    let message = people.house.send(people.tenant, people.session, PHONE, "free text").await?;
    people.hear("wamid.1", "", LID, "bsu.1").await?;
    let sent = people.house.send(people.tenant, other, "201234567899", "hello").await?;
    assert_eq!(people.contacts().await?.len(), 3);
    let windowed = SessionClaim { windowed: true, ..SessionClaim::default() };
    people.learn(PHONE, LID).await?;

    let contacts = people.contacts().await?;
    assert_eq!(contacts.len(), 2);
    let contact = &contacts[0];
    assert_eq!((&contact.id, contact.names.get("en").map(String::as_str)), (&older.id, Some("Mona")));
    let expected = vec![(AliasKind::Phone, PHONE), (AliasKind::Lid, "99887766"), (AliasKind::BusinessScoped, "bsu.1")];
    assert_eq!(aliases(contact), expected);
    assert!(contact.last_inbound_time.is_some(), "the window came along");
    assert_eq!(people.inbound().await?[0].contact_id, older.id);
    assert_ne!(people.house.message(people.tenant, &sent).await?.contact_id, older.id, "who is somebody else stays so");
    // What waited outside the window goes out inside it.
    let claimed = people.house.claim_as(&claim_id(), &[(people.session, 1, 10)], &windowed).await?.messages;
    assert_eq!(claimed.iter().map(|claimed| &claimed.message_id).collect::<Vec<_>>(), [&message]);
    assert!(claimed[0].known_contact && claimed[0].contact_id == older.id);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_younger_one_gives_everything_even_where_it_had_more() -> Result<()> {
    let people = People::begin().await?;
    people.hear("wamid.1", "", LID, "").await?;
    let older = people.only().await?;
    people.name(PHONE, "ar", "\u{645}\u{646}\u{649}").await?;
    let mut messages = Vec::new();
    for index in 0..4 {
        messages.push(people.house.send(people.tenant, people.session, PHONE, &format!("part {index}")).await?);
    }
    let first = people.house.claim(&claim_id(), &[(people.session, 1, 10)]).await?.messages;
    assert_eq!(first.len(), 1);
    people.learn(PHONE, LID).await?;
    let contact = people.only().await?;
    assert_eq!((&contact.id, contact.phone.as_str(), contact.names.len()), (&older.id, PHONE, 1));
    let get = GetContactRequest { phone: PHONE.into(), ..Default::default() };
    let found = people.house.contacts.clone().get_contact(House::on_behalf_of(people.tenant, get)).await?.into_inner();
    assert_eq!(found, contact);
    for id in &messages {
        assert_eq!(people.house.message(people.tenant, id).await?.contact_id, older.id);
    }
    // What is under way still holds the conversation, whose name changed.
    assert!(people.house.claim(&claim_id(), &[(people.session, 1, 10)]).await?.messages.is_empty());
    // The id of the younger one leads to the person.
    let ended = "SELECT count(*) FROM queue.contacts c JOIN queue.contacts p ON p.id = c.merged_into WHERE p.merged_into IS NULL";
    assert_eq!(people.house.database.execute(&[ended]).await?, "1");
    let left = "SELECT count(*) FROM (SELECT contact_id FROM queue.messages UNION ALL SELECT contact_id FROM queue.ready
                UNION ALL SELECT contact_id FROM queue.in_flight UNION ALL SELECT contact_id FROM queue.windows
                UNION ALL SELECT contact_id FROM queue.inbound_messages UNION ALL SELECT contact_id FROM queue.contact_aliases) u
                JOIN queue.contacts c ON c.id = u.contact_id WHERE c.merged_into IS NOT NULL";
    assert_eq!(people.house.database.execute(&[left]).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_at_once_ends_with_one_contact_and_nothing_left_behind() -> Result<()> {
    let people = People::begin().await?;
    for round in 0..6 {
        let phone = format!("+20123456780{round}");
        let lid = format!("5550{round}");
        let scoped = format!("bsu.{round}");
        // Three names, each of them a contact of its own at first or not, as it comes.
        let mut work = tokio::task::JoinSet::new();
        let people = &people;
        let (house, tenant, session) = (&people.house, people.tenant, people.session);
        for copy in 0..4 {
            let (messages, mut ledger) = (house.messages(), house.ledger.clone());
            let (to, lid, scoped) = (phone.clone(), lid.clone(), scoped.clone());
            work.spawn(async move {
                let request = barid_proto::queue::v1::SendMessageRequest {
                    recipient: to.clone(),
                    text: "hello".into(),
                    session_id: session.to_string(),
                    ..Default::default()
                };
                messages.clone().send_message(House::on_behalf_of(tenant, request)).await?;
                let inbound = |id: &str, from: &str, lid: &str, scoped: &str| Inbound {
                    tenant_id: tenant.to_string(),
                    session_id: session.to_string(),
                    from: from.into(),
                    lid: lid.into(),
                    business_scoped_id: scoped.into(),
                    provider_id: format!("{id}.{round}.{copy}"),
                    ..Inbound::default()
                };
                let heard = match copy {
                    0 => vec![inbound("a", "", &lid, "")],
                    1 => vec![inbound("b", "", "", &scoped), inbound("c", "", &lid, &scoped)],
                    2 => vec![inbound("d", &to, "", &scoped)],
                    _ => vec![inbound("e", &to, "", "")],
                };
                ledger.report_inbound(barid_proto::queue::v1::ReportInboundRequest { inbound: heard }).await?;
                let pair = AliasPair { tenant_id: tenant.to_string(), phone: to, lid, time: None };
                ledger.report_aliases(ReportAliasesRequest { aliases: vec![pair] }).await.map(drop)
            });
        }
        while let Some(done) = work.join_next().await {
            done??;
        }
        people.learn(&phone, &lid).await?;
    }
    let contacts = people.contacts().await?;
    assert_eq!(contacts.len(), 6, "{contacts:?}");
    assert!(contacts.iter().all(|contact| contact.aliases.len() == 3), "{contacts:?}");
    let list = House::on_behalf_of(people.tenant, ListMessagesRequest::default());
    let messages = people.house.messages().list_messages(list).await?.into_inner().messages;
    assert_eq!(messages.len(), 24);
    for contact in &contacts {
        assert_eq!(messages.iter().filter(|message| message.contact_id == contact.id).count(), 4);
        assert_eq!(people.inbound().await?.iter().filter(|message| message.contact_id == contact.id).count(), 5);
    }
    let left = "SELECT count(*) FROM (SELECT contact_id FROM queue.messages UNION ALL SELECT contact_id FROM queue.ready
                UNION ALL SELECT contact_id FROM queue.windows UNION ALL SELECT contact_id FROM queue.contact_aliases) u
                LEFT JOIN queue.contacts c ON c.id = u.contact_id WHERE c.merged_into IS NOT NULL OR c.id IS NULL";
    assert_eq!(people.house.database.execute(&[left]).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_the_number_stays_who_they_are() -> Result<()> {
    let people = People::begin().await?;
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    for (phone, at) in [(PHONE, time(1_790_000_000)), ("+201234567899", time(1_790_100_000))] {
        let pair = AliasPair { tenant_id: people.tenant.to_string(), phone: phone.into(), lid: LID.into(), time: at };
        people.house.ledger.clone().report_aliases(ReportAliasesRequest { aliases: vec![pair] }).await?;
    }
    let contact = people.only().await?;
    assert_eq!((contact.phone.as_str(), contact.aliases.len()), ("+201234567899", 3));
    let alias = |value: &str| contact.aliases.iter().find(|alias| alias.value == value).and_then(|alias| alias.learn_time);
    assert_eq!((alias(PHONE), alias("+201234567899")), (time(1_790_000_000), time(1_790_100_000)));
    Ok(())
}
