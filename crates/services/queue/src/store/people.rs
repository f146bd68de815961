//! Who is who. WhatsApp knows a person by phone number, by a hidden id (LID) and by an id that holds for one business, and tells one, two or
//! all of them as it pleases. Each leads to one contact. When two contacts turn out to be one person, the older one takes everything over
//! and the id of the younger one leads to it from then on.
//!
//! Who joins contacts holds the tenant's lock and the contacts themselves; who writes something for a contact holds it shared, so that
//! nothing is left behind with a contact that has just ended.

use std::collections::{BTreeMap, BTreeSet};

use barid_db::Tx;
use barid_domain::{ContactId, Phone, TenantId};
use barid_proto::queue::v1::AliasKind;
use barid_vault::TenantKey;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{Store, acquaintances, contacts};
use crate::Error;

/// What WhatsApp called a person; what it did not tell is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub phone: Option<Phone>,
    pub lid: Option<String>,
    pub business_scoped: Option<String>,
}

impl Names {
    /// Ids as connectors heard them; an empty one was not told.
    pub(crate) fn new(phone: Option<Phone>, lid: &str, business_scoped: &str) -> Self {
        // `123:4@lid` is device 4 of the person `123`.
        let lid = lid.split(['@', ':']).next().unwrap_or_default();
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self { phone, lid: told(lid), business_scoped: told(business_scoped) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.phone.is_none() && self.lid.is_none() && self.business_scoped.is_none()
    }

    /// In the order of their kinds.
    fn aliases(&self, key: &TenantKey) -> Vec<Alias> {
        let phone = self.phone.as_ref().map(ToString::to_string);
        [(AliasKind::Phone, phone), (AliasKind::Lid, self.lid.clone()), (AliasKind::BusinessScoped, self.business_scoped.clone())]
            .into_iter()
            .filter_map(|(kind, value)| {
                let value = value?;
                Some(Alias { kind: kind as i16, index: contacts::index(key, kind, &value), value })
            })
            .collect()
    }
}

struct Alias {
    kind: i16,
    index: Vec<u8>,
    value: String,
}

impl Store {
    /// Learns that a person goes by these names.
    pub(crate) async fn learn(&self, tenant: TenantId, names: Names, at: DateTime<Utc>) -> Result<ContactId, Error> {
        let (store, key) = (self.clone(), self.vault.tenant(tenant.uuid()).await?);
        self.db.tenant.transaction(tenant, move |tx| async move { resolve(&store, &tx, &key, tenant, &names, at).await }).await
    }
}

/// The contact of a person, made when there is none, joined when there are several, and held until the transaction ends.
pub(super) async fn resolve(
    store: &Store,
    tx: &Tx,
    key: &TenantKey,
    tenant: TenantId,
    names: &Names,
    at: DateTime<Utc>,
) -> Result<ContactId, Error> {
    let aliases = names.aliases(key);
    let known = find(tx, tenant, &aliases).await?;
    let mut contacts = known.values();
    if let Some(first) = contacts.next()
        && known.len() == aliases.len()
        && contacts.all(|contact| contact == first)
    {
        return Ok(hold(tx, *first).await?);
    }
    // Something is new: one at a time for each tenant, before anything else is locked.
    let (_, lock) = tenant.uuid().as_u64_pair();
    tx.run("SELECT pg_advisory_xact_lock($1)", [lock.cast_signed().into()]).await?;
    let known = find(tx, tenant, &aliases).await?;
    let contact = known.values().min().copied().unwrap_or_else(|| store.mint());
    let missing: Vec<&Alias> = aliases.iter().filter(|alias| !known.contains_key(&(alias.kind, alias.index.clone()))).collect();
    insert(tx, key, tenant, contact, &missing, at, store.now()).await?;
    // An accept may have stored the same number meanwhile: what stands now counts.
    let contacts: BTreeSet<ContactId> = find(tx, tenant, &aliases).await?.into_values().collect();
    match contacts.len() {
        0 => Err(Error::not_found("contact", "these names")),
        1 => Ok(hold(tx, contacts.into_iter().next().unwrap_or(contact)).await?),
        _ => join(tx, key, tenant, contacts).await,
    }
}

/// The contact itself or the one that it turned out to be, kept from ending until the transaction ends.
pub(super) async fn hold(tx: &Tx, contact: ContactId) -> Result<ContactId, DbErr> {
    let mut contact = contact;
    loop {
        let sql = "SELECT merged_into FROM queue.contacts WHERE id = $1 FOR KEY SHARE";
        let row = tx.row(sql, [contact.uuid().into()]).await?;
        match row.map(|row| row.try_get_by_index::<Option<Uuid>>(0)).transpose()?.flatten() {
            Some(person) => contact = ContactId::from_uuid(person),
            None => return Ok(contact),
        }
    }
}

async fn find(tx: &Tx, tenant: TenantId, aliases: &[Alias]) -> Result<BTreeMap<(i16, Vec<u8>), ContactId>, DbErr> {
    let rows = tx
        .rows(
            "SELECT a.kind, a.blind_index, a.contact_id FROM queue.contact_aliases a
             JOIN UNNEST($2::smallint[], $3::bytea[]) AS n(kind, blind_index) USING (kind, blind_index) WHERE a.tenant_id = $1",
            [
                tenant.uuid().into(),
                aliases.iter().map(|alias| alias.kind).collect::<Vec<_>>().into(),
                aliases.iter().map(|alias| alias.index.clone()).collect::<Vec<_>>().into(),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(((row.try_get_by_index(0)?, row.try_get_by_index(1)?), ContactId::from_uuid(row.try_get_by_index(2)?))))
        .collect()
}

/// Stores names of a contact, and the contact when it is new and gets one of them.
async fn insert(
    tx: &Tx,
    key: &TenantKey,
    tenant: TenantId,
    contact: ContactId,
    aliases: &[&Alias],
    learnt_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    if aliases.is_empty() {
        return Ok(());
    }
    let place = contacts::alias_place(tenant, contact);
    tx.run(
        "WITH alias AS (
            INSERT INTO queue.contact_aliases (tenant_id, kind, blind_index, contact_id, value, learnt_at)
            SELECT $1, n.kind, n.blind_index, $2, n.value, $6 FROM UNNEST($3::smallint[], $4::bytea[], $5::bytea[]) AS n(kind, blind_index, value)
            ON CONFLICT DO NOTHING RETURNING contact_id
         )
         INSERT INTO queue.contacts (id, tenant_id, created_at) SELECT DISTINCT contact_id, $1::uuid, $7::timestamptz FROM alias
         ON CONFLICT DO NOTHING",
        [
            tenant.uuid().into(),
            contact.uuid().into(),
            aliases.iter().map(|alias| alias.kind).collect::<Vec<_>>().into(),
            aliases.iter().map(|alias| alias.index.clone()).collect::<Vec<_>>().into(),
            aliases.iter().map(|alias| key.seal(place, alias.value.as_bytes())).collect::<Vec<_>>().into(),
            learnt_at.into(),
            now.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Makes one contact of several: the oldest, with everything that was the others'.
async fn join(tx: &Tx, key: &TenantKey, tenant: TenantId, contacts: BTreeSet<ContactId>) -> Result<ContactId, Error> {
    let ids: Vec<Uuid> = contacts.iter().map(|contact| contact.uuid()).collect();
    // Everyone locks contacts in the order of their ids.
    let sql = "SELECT id, names, created_at FROM queue.contacts WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    let mut rows = Vec::new();
    for row in tx.rows(sql, [ids.into()]).await? {
        let contact = ContactId::from_uuid(row.try_get_by_index(0)?);
        let names = contacts::open_names(key, tenant, contact, row.try_get_by_index::<Option<Vec<u8>>>(1)?.as_deref())?;
        rows.push((row.try_get_by_index::<DateTime<Utc>>(2)?, contact, names));
    }
    rows.sort_by_key(|(created_at, contact, _)| (*created_at, *contact));
    let mut rows = rows.into_iter();
    let Some((_, oldest, mut names)) = rows.next() else { return Err(Error::not_found("contact", "these names")) };
    let mut others = Vec::new();
    for (_, contact, more) in rows {
        others.push(contact);
        for (language, name) in more {
            names.entry(language).or_insert(name);
        }
    }
    move_aliases(tx, key, tenant, oldest, &others).await?;
    if !names.is_empty() {
        contacts::write_names(tx, key, tenant, oldest, &names).await?;
    }
    move_rows(tx, oldest, others.iter().map(|contact| contact.uuid()).collect()).await?;
    tracing::info!(%tenant, contact = %oldest, others = others.len(), "contacts turned out to be one person");
    Ok(oldest)
}

/// Values are sealed to their contact: they are opened and sealed again.
async fn move_aliases(tx: &Tx, key: &TenantKey, tenant: TenantId, to: ContactId, from: &[ContactId]) -> Result<(), Error> {
    let ids: Vec<Uuid> = from.iter().map(|contact| contact.uuid()).collect();
    let sql = "SELECT kind, blind_index, value, contact_id FROM queue.contact_aliases WHERE contact_id = ANY($1)";
    let (mut kinds, mut indexes, mut values) = (Vec::<i16>::new(), Vec::<Vec<u8>>::new(), Vec::<Vec<u8>>::new());
    for row in tx.rows(sql, [ids.into()]).await? {
        let owner = ContactId::from_uuid(row.try_get_by_index(3)?);
        let value = key.open(contacts::alias_place(tenant, owner), &row.try_get_by_index::<Vec<u8>>(2)?)?;
        kinds.push(row.try_get_by_index(0)?);
        indexes.push(row.try_get_by_index(1)?);
        values.push(key.seal(contacts::alias_place(tenant, to), &value));
    }
    tx.run(
        "UPDATE queue.contact_aliases a SET contact_id = $2, value = n.value
         FROM UNNEST($3::smallint[], $4::bytea[], $5::bytea[]) AS n(kind, blind_index, value)
         WHERE a.tenant_id = $1 AND a.kind = n.kind AND a.blind_index = n.blind_index",
        [tenant.uuid().into(), to.uuid().into(), kinds.into(), indexes.into(), values.into()],
    )
    .await?;
    Ok(())
}

async fn move_rows(tx: &Tx, to: ContactId, from: Vec<Uuid>) -> Result<(), DbErr> {
    let values = || [to.uuid().into(), from.clone().into()];
    // Whoever moves a message between the tables of what waits holds its state.
    tx.run(
        "SELECT s.message_id FROM queue.message_state s JOIN queue.messages m ON m.id = s.message_id
         WHERE m.contact_id = ANY($1) ORDER BY s.message_id FOR UPDATE OF s",
        [from.clone().into()],
    )
    .await?;
    for table in ["messages", "ready", "in_flight", "inbound_messages"] {
        tx.run(format!("UPDATE queue.{table} SET contact_id = $1 WHERE contact_id = ANY($2)"), values()).await?;
    }
    tx.run(
        "INSERT INTO queue.windows AS w (session_id, contact_id, tenant_id, last_inbound_at)
         SELECT session_id, $1, tenant_id, max(last_inbound_at) FROM queue.windows WHERE contact_id = ANY($2) GROUP BY session_id, tenant_id
         ON CONFLICT (session_id, contact_id) DO UPDATE SET last_inbound_at = greatest(w.last_inbound_at, excluded.last_inbound_at)",
        values(),
    )
    .await?;
    tx.run("DELETE FROM queue.windows WHERE contact_id = ANY($1)", [from.clone().into()]).await?;
    acquaintances::join(tx, to, &from).await?;
    tx.run("UPDATE queue.contacts SET merged_into = $1, names = NULL WHERE id = ANY($2) OR merged_into = ANY($2)", values()).await?;
    Ok(())
}
