//! Templates, each version a row.

use crate::table::{Access, all, events, one, schema, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([
        schema("template"),
        one("CREATE TABLE template.templates (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            name text NOT NULL,
            locale text NOT NULL,
            version integer NOT NULL,
            body text NOT NULL,
            document_url text NOT NULL,
            meta jsonb,
            created_at timestamptz NOT NULL,
            UNIQUE (tenant_id, name, locale, version)
        )"),
        tenant_table("template", "templates", Access::Full),
        events("template", "events"),
    ])
}
