//! Contacts and their aliases.

use std::collections::{BTreeMap, HashMap, HashSet};

use barid_db::Tx;
use barid_domain::{ContactId, Phone, TenantId};
use barid_proto::queue::v1::AliasKind;
use barid_vault::{Place, TenantKey};
use chrono::{DateTime, Utc};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::{NewMessage, Store, people};
use crate::Error;

/// A person to write to.
#[derive(Clone, Debug)]
pub(crate) struct Recipient {
    pub contact: ContactId,
    pub names: BTreeMap<String, String>,
    /// What is stored when the contact is new.
    new: Option<NewAlias>,
}

#[derive(Clone, Debug)]
struct NewAlias {
    index: Vec<u8>,
    value: Vec<u8>,
}

/// A contact with everything that is known.
#[derive(Clone, Debug)]
pub(crate) struct ContactRow {
    pub id: ContactId,
    pub names: BTreeMap<String, String>,
    pub aliases: Vec<(AliasKind, String, DateTime<Utc>)>,
    pub last_inbound_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

const PHONE: i16 = AliasKind::Phone as i16;

/// Where a tenant's number is found: the tenant, and the number's blind index.
type Spot = (Uuid, Vec<u8>);

impl Store {
    /// The contacts of tenants' phone numbers, in order; those that there are none of yet are new. What is wrong with one tenant is told to
    /// its callers only.
    pub(super) async fn recipients(&self, wanted: Vec<(TenantId, Phone)>) -> Result<Vec<Result<Recipient, Error>>, Error> {
        let mut aliases = Vec::with_capacity(wanted.len());
        for (tenant, phone) in wanted {
            aliases.push(self.vault.tenant(tenant.uuid()).await.map(|key| {
                let phone = phone.to_string();
                let index = index(&key, AliasKind::Phone, &phone);
                (tenant, key, phone, index)
            }));
        }
        let tenants: Vec<Uuid> = aliases.iter().flatten().map(|(tenant, ..)| tenant.uuid()).collect();
        let indexes: Vec<Vec<u8>> = aliases.iter().flatten().map(|(.., index)| index.clone()).collect();
        let read = move |tx: Tx| async move {
            tx.rows(
                // The bounds of the inner queries have the planner go along their keys, whatever it takes the tables for.
                "SELECT n.tenant_id, n.blind_index, c.id, c.names FROM UNNEST($1::uuid[], $2::bytea[]) AS n(tenant_id, blind_index)
                 CROSS JOIN LATERAL (SELECT a.contact_id FROM queue.contact_aliases a
                    WHERE a.tenant_id = n.tenant_id AND a.kind = $3 AND a.blind_index = n.blind_index LIMIT 1) a
                 CROSS JOIN LATERAL (SELECT c.id, c.names FROM queue.contacts c WHERE c.id = a.contact_id LIMIT 1) c",
                [tenants.into(), indexes.into(), PHONE.into()],
            )
            .await
        };
        let mut found: HashMap<Spot, (ContactId, Option<Vec<u8>>)> = HashMap::new();
        for row in self.db.engine.transaction("recipients", read).await? {
            let contact = ContactId::from_uuid(row.try_get_by_index(2)?);
            found.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?), (contact, row.try_get_by_index(3)?));
        }
        let mut made: HashMap<Spot, Recipient> = HashMap::new();
        let recipients = aliases.into_iter().map(|alias| {
            let (tenant, key, phone, index) = alias?;
            let place = (tenant.uuid(), index);
            if let Some((contact, names)) = found.get(&place) {
                let names = open_names(&key, tenant, *contact, names.as_deref())?;
                return Ok(Recipient { contact: *contact, names, new: None });
            }
            let make = || {
                let contact: ContactId = self.mint();
                let value = key.seal(alias_place(tenant, contact), phone.as_bytes());
                Recipient { contact, names: BTreeMap::new(), new: Some(NewAlias { index: place.1.clone(), value }) }
            };
            Ok(made.entry(place.clone()).or_insert_with(make).clone())
        });
        Ok(recipients.collect())
    }

    /// Creates or changes the contact of a number.
    pub(crate) async fn upsert_contact(
        &self,
        tenant: TenantId,
        phone: Phone,
        names: BTreeMap<String, String>,
    ) -> Result<ContactRow, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let fresh: ContactId = self.mint();
        let index = index(&key, AliasKind::Phone, &phone.to_string());
        let value = key.seal(alias_place(tenant, fresh), phone.to_string().as_bytes());
        let now = self.now();
        let upsert = move |tx: Tx| async move {
            insert(&tx, tenant, fresh, index.clone(), value, now).await?;
            let row = find(&tx, tenant, &index).await?.ok_or_else(|| Error::not_found("contact", "this number"))?;
            let contact = people::hold(&tx, ContactId::from_uuid(row.try_get_by_index(0)?)).await?;
            // Not against accepts, which hold the contact shared.
            let lock = tx.row("SELECT names FROM queue.contacts WHERE id = $1 FOR NO KEY UPDATE", [contact.uuid().into()]).await?;
            let sealed = lock.map(|row| row.try_get_by_index::<Option<Vec<u8>>>(0)).transpose()?.flatten();
            let mut merged = open_names(&key, tenant, contact, sealed.as_deref())?;
            for (language, name) in names {
                if name.is_empty() {
                    merged.remove(&language);
                } else {
                    merged.insert(language, name);
                }
            }
            write_names(&tx, &key, tenant, contact, &merged).await?;
            load(&tx, &key, tenant, contact).await
        };
        self.db.tenant.transaction(tenant, upsert).await
    }

    /// The contact of a number.
    pub(crate) async fn contact(&self, tenant: TenantId, phone: Phone) -> Result<Option<ContactRow>, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let index = index(&key, AliasKind::Phone, &phone.to_string());
        let read = move |tx: Tx| async move {
            match find(&tx, tenant, &index).await? {
                Some(row) => load(&tx, &key, tenant, ContactId::from_uuid(row.try_get_by_index(0)?)).await.map(Some),
                None => Ok(None),
            }
        };
        self.db.tenant.transaction(tenant, read).await
    }

    /// Contacts of a tenant, oldest first.
    pub(crate) async fn contacts(&self, tenant: TenantId, after: Option<ContactId>, limit: u64) -> Result<Vec<ContactRow>, Error> {
        let key = self.vault.tenant(tenant.uuid()).await?;
        let read = move |tx: Tx| async move {
            let after = after.map_or(Uuid::nil(), ContactId::uuid);
            let ids = "SELECT id FROM queue.contacts WHERE tenant_id = $1 AND id > $2 AND merged_into IS NULL ORDER BY id LIMIT $3";
            let rows = tx.rows(ids, [tenant.uuid().into(), after.into(), limit.cast_signed().into()]).await?;
            let mut contacts = Vec::with_capacity(rows.len());
            for row in rows {
                contacts.push(load(&tx, &key, tenant, ContactId::from_uuid(row.try_get_by_index(0)?)).await?);
            }
            Ok(contacts)
        };
        self.db.tenant.transaction(tenant, read).await
    }
}

/// Stores the contacts of messages that are new. Where another call stored the same number first, the message takes that contact.
pub(super) async fn settle(tx: &Tx, messages: impl Iterator<Item = &mut NewMessage>) -> Result<(), DbErr> {
    // In the order of the index, so that two commits cannot wait for each other.
    let mut new: BTreeMap<(Uuid, Vec<u8>), Vec<&mut NewMessage>> = BTreeMap::new();
    for message in messages {
        if let Some(alias) = &message.recipient.new {
            new.entry((message.tenant.uuid(), alias.index.clone())).or_default().push(message);
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let (mut tenants, mut indexes, mut contacts, mut values, mut times) = (vec![], vec![], vec![], vec![], vec![]);
    for ((tenant, index), messages) in &new {
        let Some(first) = messages.first() else { continue };
        tenants.push(*tenant);
        indexes.push(index.clone());
        contacts.push(first.recipient.contact.uuid());
        values.push(first.recipient.new.as_ref().map(|alias| alias.value.clone()).unwrap_or_default());
        times.push(first.created_at);
    }
    let inserted = tx
        .rows(
            "WITH alias AS (
                INSERT INTO queue.contact_aliases (tenant_id, kind, blind_index, contact_id, value, learnt_at)
                SELECT n.tenant_id, $6, n.blind_index, n.contact_id, n.value, n.at
                FROM UNNEST($1::uuid[], $2::bytea[], $3::uuid[], $4::bytea[], $5::timestamptz[])
                     WITH ORDINALITY AS n(tenant_id, blind_index, contact_id, value, at, place) ORDER BY n.place
                ON CONFLICT DO NOTHING RETURNING contact_id, tenant_id, learnt_at
             ), contact AS (
                INSERT INTO queue.contacts (id, tenant_id, created_at) SELECT contact_id, tenant_id, learnt_at FROM alias
             )
             SELECT contact_id FROM alias",
            [tenants.into(), indexes.into(), contacts.into(), values.into(), times.into(), PHONE.into()],
        )
        .await?;
    let inserted = inserted.iter().map(|row| row.try_get_by_index(0)).collect::<Result<HashSet<Uuid>, _>>()?;
    for ((tenant, index), messages) in new {
        let Some(mut contact) = messages.first().map(|message| message.recipient.contact) else { continue };
        if !inserted.contains(&contact.uuid())
            && let Some(row) = find(tx, TenantId::from_uuid(tenant), &index).await?
        {
            contact = ContactId::from_uuid(row.try_get_by_index(0)?);
        }
        for message in messages {
            message.recipient.contact = contact;
        }
    }
    Ok(())
}

/// Stores a contact with its number; `false` when the number has one.
async fn insert(tx: &Tx, tenant: TenantId, contact: ContactId, index: Vec<u8>, value: Vec<u8>, now: DateTime<Utc>) -> Result<bool, DbErr> {
    let inserted = tx
        .run(
            "WITH alias AS (
                INSERT INTO queue.contact_aliases (tenant_id, kind, blind_index, contact_id, value, learnt_at)
                VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING contact_id
             )
             INSERT INTO queue.contacts (id, tenant_id, created_at) SELECT contact_id, $1, $6 FROM alias",
            [tenant.uuid().into(), PHONE.into(), index.into(), contact.uuid().into(), value.into(), now.into()],
        )
        .await?;
    Ok(inserted == 1)
}

async fn find(tx: &Tx, tenant: TenantId, index: &[u8]) -> Result<Option<QueryResult>, DbErr> {
    let sql = "SELECT contact_id FROM queue.contact_aliases WHERE tenant_id = $1 AND kind = $2 AND blind_index = $3";
    tx.row(sql, [tenant.uuid().into(), PHONE.into(), index.to_vec().into()]).await
}

async fn load(tx: &Tx, key: &TenantKey, tenant: TenantId, contact: ContactId) -> Result<ContactRow, Error> {
    let sql = "SELECT names, created_at, (SELECT max(last_inbound_at) FROM queue.windows w WHERE w.contact_id = c.id)
               FROM queue.contacts c WHERE id = $1";
    let row = tx.row(sql, [contact.uuid().into()]).await?.ok_or_else(|| Error::not_found("contact", contact))?;
    let aliases = "SELECT kind, value, learnt_at FROM queue.contact_aliases WHERE contact_id = $1 ORDER BY learnt_at, kind";
    let mut known = Vec::new();
    for row in tx.rows(aliases, [contact.uuid().into()]).await? {
        let kind = AliasKind::try_from(i32::from(row.try_get_by_index::<i16>(0)?)).unwrap_or(AliasKind::Unspecified);
        let value = key.open(alias_place(tenant, contact), &row.try_get_by_index::<Vec<u8>>(1)?)?;
        known.push((kind, String::from_utf8_lossy(&value).into_owned(), row.try_get_by_index(2)?));
    }
    Ok(ContactRow {
        id: contact,
        names: open_names(key, tenant, contact, row.try_get_by_index::<Option<Vec<u8>>>(0)?.as_deref())?,
        aliases: known,
        last_inbound_at: row.try_get_by_index(2)?,
        created_at: row.try_get_by_index(1)?,
    })
}

/// Where an alias is found.
pub(super) fn index(key: &TenantKey, kind: AliasKind, value: &str) -> Vec<u8> {
    let kind = match kind {
        AliasKind::Unspecified => "",
        AliasKind::Phone => "phone",
        AliasKind::Lid => "lid",
        AliasKind::BusinessScoped => "business_scoped",
    };
    key.blind_index(kind, value).to_vec()
}

pub(super) async fn write_names(
    tx: &Tx,
    key: &TenantKey,
    tenant: TenantId,
    contact: ContactId,
    names: &BTreeMap<String, String>,
) -> Result<(), DbErr> {
    let json = serde_json::to_vec(names).unwrap_or_default();
    let sealed = key.seal(names_place(tenant, contact), &json);
    tx.run("UPDATE queue.contacts SET names = $2 WHERE id = $1", [contact.uuid().into(), sealed.into()]).await?;
    Ok(())
}

pub(super) fn open_names(
    key: &TenantKey,
    tenant: TenantId,
    contact: ContactId,
    sealed: Option<&[u8]>,
) -> Result<BTreeMap<String, String>, Error> {
    let Some(sealed) = sealed else { return Ok(BTreeMap::new()) };
    let json = key.open(names_place(tenant, contact), sealed)?;
    serde_json::from_slice(&json).map_err(|_| barid_vault::Error::Sealed.into())
}

pub(super) fn alias_place(tenant: TenantId, contact: ContactId) -> Place {
    Place { tenant: tenant.uuid(), column: "queue.contact_aliases.value", row: contact.uuid() }
}

fn names_place(tenant: TenantId, contact: ContactId) -> Place {
    Place { tenant: tenant.uuid(), column: "queue.contacts.names", row: contact.uuid() }
}
