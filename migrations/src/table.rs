//! The shapes that tables share: protection, event tables, checkpoints.

use sea_orm_migration::prelude::*;

/// A migration that is a list of statements.
pub(crate) struct Sql {
    pub name: &'static str,
    pub statements: fn() -> Vec<String>,
}

impl MigrationName for Sql {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Sql {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in (self.statements)() {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}

/// What a role may do with a table.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    /// Read, insert, change, delete.
    Full,
    /// Read and insert: what is written stays.
    Append,
}

impl Access {
    fn grants(self) -> &'static str {
        match self {
            Self::Full => "SELECT, INSERT, UPDATE, DELETE",
            Self::Append => "SELECT, INSERT",
        }
    }
}

/// A schema that its two roles can see.
pub(crate) fn schema(name: &str) -> Vec<String> {
    vec![format!("CREATE SCHEMA {name}"), format!("GRANT USAGE ON SCHEMA {name} TO barid_{name}_tenant, barid_{name}_engine")]
}

/// Protects a table with a `tenant_id`: the tenant role sees the current tenant's rows, the engine role all.
pub(crate) fn tenant_table(schema: &str, table: &str, access: Access) -> Vec<String> {
    let current = "tenant_id = (SELECT nullif(current_setting('app.current_tenant', true), '')::uuid)";
    let mut statements = engine_table(schema, table, access);
    statements.push(format!("CREATE POLICY tenant ON {schema}.{table} TO barid_{schema}_tenant USING ({current}) WITH CHECK ({current})"));
    statements.push(format!("GRANT {} ON {schema}.{table} TO barid_{schema}_tenant", access.grants()));
    statements
}

/// Protects a table that no tenant sees.
pub(crate) fn engine_table(schema: &str, table: &str, access: Access) -> Vec<String> {
    vec![
        format!("ALTER TABLE {schema}.{table} ENABLE ROW LEVEL SECURITY"),
        format!("ALTER TABLE {schema}.{table} FORCE ROW LEVEL SECURITY"),
        format!("CREATE POLICY engine ON {schema}.{table} TO barid_{schema}_engine USING (true) WITH CHECK (true)"),
        format!("GRANT {} ON {schema}.{table} TO barid_{schema}_engine", access.grants()),
    ]
}

/// An append-only event table, told by a relay in the order of (generation, xid, seq).
pub(crate) fn events(schema: &str, table: &str) -> Vec<String> {
    let mut statements = vec![
        format!(
            "CREATE TABLE {schema}.{table} (
                id uuid PRIMARY KEY,
                tenant_id uuid NOT NULL,
                entity_id uuid NOT NULL,
                kind text NOT NULL,
                at timestamptz NOT NULL,
                payload bytea NOT NULL,
                generation integer NOT NULL DEFAULT 1,
                xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
                seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY
            )"
        ),
        format!("CREATE INDEX ON {schema}.{table} (generation, xid, seq)"),
        format!("CREATE INDEX ON {schema}.{table} (tenant_id, generation, xid, seq)"),
        format!("CREATE INDEX ON {schema}.{table} (entity_id, seq)"),
        format!("CREATE INDEX ON {schema}.{table} (at)"),
    ];
    statements.extend(tenant_table(schema, table, Access::Append));
    statements
}

/// Wrapped keys of tenants.
pub(crate) fn tenant_keys(schema: &str) -> Vec<String> {
    let mut statements = vec![format!(
        "CREATE TABLE {schema}.tenant_keys (
            tenant_id uuid PRIMARY KEY,
            wrapped bytea NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )"
    )];
    statements.extend(tenant_table(schema, "tenant_keys", Access::Full));
    statements
}

/// How far the consumers of a service have come.
pub(crate) fn checkpoints(schema: &str) -> Vec<String> {
    let mut statements = vec![format!(
        "CREATE TABLE {schema}.consumer_checkpoints (
            consumer text PRIMARY KEY,
            generation integer NOT NULL,
            transaction bigint NOT NULL,
            sequence bigint NOT NULL,
            stream_created bigint NOT NULL,
            stream_sequence bigint NOT NULL
        )"
    )];
    statements.extend(engine_table(schema, "consumer_checkpoints", Access::Full));
    statements
}

/// A list of statements from parts.
pub(crate) fn all(parts: impl IntoIterator<Item = Vec<String>>) -> Vec<String> {
    parts.into_iter().flatten().collect()
}

/// A single statement.
pub(crate) fn one(statement: &str) -> Vec<String> {
    vec![statement.to_owned()]
}
