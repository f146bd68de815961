//! Tells a value that the database will never take from a database that fails.

use sea_orm::{DbErr, RuntimeErr};

/// Whether PostgreSQL refused a value (its error class 22, such as a NUL in a text).
pub fn is_bad_value(error: &DbErr) -> bool {
    let (DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) = error else { return false };
    error.as_database_error().and_then(|refusal| refusal.code()).is_some_and(|code| code.starts_with("22"))
}
