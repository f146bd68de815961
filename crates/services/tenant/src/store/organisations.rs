//! Table `organisations`.

use barid_domain::OrganisationId;
use barid_proto::{tenant::v1::Organisation, timestamp};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};

use super::{Store, entity::organisation, page};
use crate::Error;

impl Store {
    pub(crate) async fn create_organisation(&self, name: String) -> Result<Organisation, Error> {
        let row = organisation::Model { id: self.ids.mint::<barid_domain::id::Organisation>().uuid(), name, created_at: self.clock.now() };
        self.db
            .engine
            .transaction("create organisation", move |tx| async move { Ok(row.into_active_model().insert(&*tx).await?) })
            .await
            .map(to_proto)
    }

    pub(crate) async fn organisation(&self, id: OrganisationId) -> Result<Organisation, Error> {
        let find = move |tx: barid_db::Tx| async move { organisation::Entity::find_by_id(id.uuid()).one(&*tx).await };
        let row = self.db.engine.transaction("read organisation", find).await?;
        row.map(to_proto).ok_or_else(|| Error::not_found("organisation", id))
    }

    pub(crate) async fn organisations(&self, after: Option<OrganisationId>, size: u64) -> Result<(Vec<Organisation>, String), Error> {
        let find = move |tx: barid_db::Tx| async move {
            let mut query = organisation::Entity::find().order_by_asc(organisation::Column::Id).limit(size + 1);
            if let Some(after) = after {
                query = query.filter(organisation::Column::Id.gt(after.uuid()));
            }
            query.all(&*tx).await
        };
        let rows = self.db.engine.transaction("list organisations", find).await?;
        Ok(page(rows.into_iter().map(to_proto).collect(), size, |organisation: &Organisation| organisation.id.clone()))
    }
}

fn to_proto(row: organisation::Model) -> Organisation {
    Organisation { id: OrganisationId::from_uuid(row.id).to_string(), name: row.name, create_time: Some(timestamp(row.created_at)) }
}
