//! Two login roles per service, which own nothing and bypass nothing.

use barid_domain::Secret;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use crate::SCHEMAS;

/// Makes the roles that are missing and sets their password when one is given.
pub(crate) async fn ensure(db: &DatabaseConnection, password: &Secret) -> Result<(), DbErr> {
    for schema in SCHEMAS {
        for kind in ["tenant", "engine"] {
            let role = format!("barid_{schema}_{kind}");
            // Roles belong to the whole cluster: another database may make the same one at this moment.
            db.execute_unprepared(&format!(
                "DO $$ BEGIN CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            ))
            .await?;
            if !password.is_empty() {
                db.execute_unprepared(&format!("ALTER ROLE {role} PASSWORD '{}'", password.expose().replace('\'', "''"))).await?;
            }
        }
    }
    Ok(())
}
