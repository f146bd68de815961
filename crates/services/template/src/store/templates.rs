//! Table `templates`.

use barid_db::{NewEvent, Tx};
use barid_domain::{TemplateId, TenantId};
use barid_proto::{
    Violations,
    events::v1::{TemplatePayload, event::Payload},
    template::v1::{MetaTemplate, Template},
    timestamp,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};
use serde::{Deserialize, Serialize};

use super::{
    EVENTS, Store,
    entity::template::{Column, Entity, Model},
};
use crate::Error;

/// Names times locales of a tenant.
const MOST_TEMPLATES: i64 = 1_000;
/// Of the newest versions of a tenant together, so that they can be listed in one answer over the bus.
const MOST_BYTES: i64 = 700_000;

/// A Meta template as JSON.
#[derive(Deserialize, Serialize)]
struct Meta {
    name: String,
    language: String,
    parameters: Vec<String>,
    document_header: bool,
}

impl Store {
    /// The newest version of each locale of a name.
    pub(crate) async fn newest(&self, tenant: TenantId, name: &str) -> Result<Vec<Template>, Error> {
        let name = name.to_owned();
        let find = move |tx: Tx| async move {
            let query = Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::Name.eq(name));
            query.distinct_on([Column::Locale]).order_by_asc(Column::Locale).order_by_desc(Column::Version).all(&*tx).await
        };
        let rows = self.db.tenant.transaction(tenant, find).await?;
        Ok(rows.into_iter().map(to_proto).collect())
    }

    /// The newest version of each name and locale.
    pub(crate) async fn templates(&self, tenant: TenantId) -> Result<Vec<Template>, Error> {
        let find = move |tx: Tx| async move {
            let query = Entity::find().filter(Column::TenantId.eq(tenant.uuid())).distinct_on([Column::Name, Column::Locale]);
            query.order_by_asc(Column::Name).order_by_asc(Column::Locale).order_by_desc(Column::Version).all(&*tx).await
        };
        let rows = self.db.tenant.transaction(tenant, find).await?;
        Ok(rows.into_iter().map(to_proto).collect())
    }

    /// One version of a template.
    pub(crate) async fn version(&self, tenant: TenantId, name: &str, locale: &str, version: u32) -> Result<Option<Template>, Error> {
        let (name, locale) = (name.to_owned(), locale.to_owned());
        let find = move |tx: Tx| async move {
            let query = Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::Name.eq(name));
            query.filter(Column::Locale.eq(locale)).filter(Column::Version.eq(version)).one(&*tx).await
        };
        let row = self.db.tenant.transaction(tenant, find).await?;
        Ok(row.map(to_proto))
    }

    /// Stores a template as the next version of its name and locale.
    pub(crate) async fn create(&self, tenant: TenantId, template: Template) -> Result<Template, Error> {
        let id: TemplateId = self.ids.mint();
        let store = self.clone();
        let insert = move |tx: Tx| async move {
            one_at_a_time(&tx, tenant).await?;
            let query = Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::Name.eq(&template.name));
            let last = query.filter(Column::Locale.eq(&template.locale)).order_by_desc(Column::Version).one(&*tx).await?;
            let row = Model {
                id: id.uuid(),
                tenant_id: tenant.uuid(),
                name: template.name,
                locale: template.locale,
                version: last.map_or(1, |last| last.version + 1),
                body: template.body,
                document_url: template.document_url,
                meta: template.meta.map(meta_json),
                created_at: store.clock.now(),
            };
            let row = row.into_active_model().insert(&*tx).await?;
            within_limits(&tx, tenant).await?;
            barid_db::append(&tx, EVENTS, vec![store.event("created", &row)]).await?;
            Ok::<_, Error>(row)
        };
        let row = self.db.tenant.transaction(tenant, insert).await?;
        self.told.notify_one();
        Ok(to_proto(row))
    }

    /// Deletes every version of a template; whether there was one.
    pub(crate) async fn delete(&self, tenant: TenantId, name: &str, locale: &str) -> Result<bool, Error> {
        let (name, locale, store) = (name.to_owned(), locale.to_owned(), self.clone());
        let delete = move |tx: Tx| async move {
            one_at_a_time(&tx, tenant).await?;
            let of = Condition::all().add(Column::TenantId.eq(tenant.uuid())).add(Column::Name.eq(name)).add(Column::Locale.eq(locale));
            let Some(last) = Entity::find().filter(of.clone()).order_by_desc(Column::Version).one(&*tx).await? else { return Ok(false) };
            Entity::delete_many().filter(of).exec(&*tx).await?;
            barid_db::append(&tx, EVENTS, vec![store.event("deleted", &last)]).await?;
            Ok::<_, Error>(true)
        };
        let found = self.db.tenant.transaction(tenant, delete).await?;
        self.told.notify_one();
        Ok(found)
    }

    fn event(&self, kind: &'static str, row: &Model) -> NewEvent {
        NewEvent {
            id: self.ids.mint(),
            tenant: TenantId::from_uuid(row.tenant_id),
            entity: row.id,
            kind,
            at: self.clock.now(),
            payload: Payload::Template(TemplatePayload {
                name: row.name.clone(),
                locale: row.locale.clone(),
                version: row.version.cast_unsigned(),
            }),
        }
    }
}

/// Until the end of the transaction; two at once would give the same version.
async fn one_at_a_time(tx: &Tx, tenant: TenantId) -> Result<(), DbErr> {
    let sql = "SELECT pg_advisory_xact_lock(hashtext('template.templates'), hashtext($1))";
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, [tenant.to_string().into()])).await.map(drop)
}

async fn within_limits(tx: &Tx, tenant: TenantId) -> Result<(), Error> {
    let sql = "
        SELECT count(*), coalesce(sum(octet_length(body) + octet_length(document_url) + coalesce(octet_length(meta::text), 0)), 0)::bigint
        FROM (SELECT DISTINCT ON (name, locale) * FROM template.templates WHERE tenant_id = $1 ORDER BY name, locale, version DESC) newest";
    let found = tx.query_one_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, [tenant.uuid().into()])).await?;
    let row = found.ok_or_else(|| DbErr::RecordNotFound("a count".to_owned()))?;
    let (count, bytes): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    if count > MOST_TEMPLATES {
        let problem = format!("there are {MOST_TEMPLATES} templates already; delete some that are not used");
        return Err(Violations::one("template", "too_many", problem).into());
    }
    if bytes > MOST_BYTES {
        let problem = format!("all templates together would have {bytes} bytes of at most {MOST_BYTES}; delete some that are not used");
        return Err(Violations::one("template", "too_many", problem).into());
    }
    Ok(())
}

fn meta_json(meta: MetaTemplate) -> serde_json::Value {
    let MetaTemplate { name, language, parameters, document_header } = meta;
    serde_json::json!(Meta { name, language, parameters, document_header })
}

fn to_proto(row: Model) -> Template {
    let meta = row.meta.and_then(|meta| serde_json::from_value::<Meta>(meta).ok());
    Template {
        id: TemplateId::from_uuid(row.id).to_string(),
        name: row.name,
        locale: row.locale,
        version: row.version.cast_unsigned(),
        body: row.body,
        document_url: row.document_url,
        meta: meta.map(|Meta { name, language, parameters, document_header }| MetaTemplate { name, language, parameters, document_header }),
        starter: false,
        create_time: Some(timestamp(row.created_at)),
    }
}
