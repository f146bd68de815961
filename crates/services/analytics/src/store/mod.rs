//! Tables of this service.

mod counts;
mod reports;

use barid_db::Db;

pub(crate) use reports::Width;
pub use sea_orm::DbErr;

/// Schema of the tables.
const SCHEMA: &str = "analytics";

#[derive(Clone)]
pub(crate) struct Store {
    db: Db,
}

impl Store {
    pub(crate) fn new(db: Db) -> Self {
        Self { db }
    }
}
