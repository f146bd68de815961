//! Finds tables that hold tenants' rows without forcing row level security on everyone.

use std::fmt;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use crate::SCHEMAS;

/// A table and what it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprotected {
    pub table: String,
    pub lacks: &'static str,
}

impl fmt::Display for Unprotected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lacks {}", self.table, self.lacks)
    }
}

/// Every table of Barid's schemas that is not protected as it must be: forced row level security on all of them, and on those with a
/// `tenant_id` a policy that fails closed.
pub async fn unprotected_tables(db: &DatabaseConnection) -> Result<Vec<Unprotected>, DbErr> {
    let sql = "
        SELECT n.nspname || '.' || c.relname, c.relrowsecurity, c.relforcerowsecurity,
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped),
               EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid
                       AND pg_get_expr(p.polqual, p.polrelid) LIKE '%tenant_id = ( SELECT%NULLIF(current_setting(''app.current_tenant''%')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY($1)
        ORDER BY 1";
    let schemas: Vec<String> = SCHEMAS.iter().map(ToString::to_string).collect();
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [schemas.into()])).await?;
    let mut found = Vec::new();
    for row in rows {
        let table: String = row.try_get_by_index(0)?;
        let flag = |index: usize| row.try_get_by_index::<bool>(index);
        let lacks = match (flag(1)?, flag(2)?, flag(3)?, flag(4)?) {
            (false, ..) => "ENABLE ROW LEVEL SECURITY",
            (_, false, ..) => "FORCE ROW LEVEL SECURITY",
            (_, _, true, false) => "a policy on app.current_tenant",
            _ => continue,
        };
        found.push(Unprotected { table, lacks });
    }
    Ok(found)
}
