//! Counts by quarter of an hour, which every time zone's hours and days are made of.

use crate::table::{Access, all, checkpoints, one, schema, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([
        schema("analytics"),
        checkpoints("analytics"),
        one("CREATE TABLE analytics.counts (
            tenant_id uuid NOT NULL,
            quarter timestamptz NOT NULL,
            state text NOT NULL,
            template text NOT NULL,
            messages bigint NOT NULL,
            PRIMARY KEY (tenant_id, quarter, state, template)
        )"),
        tenant_table("analytics", "counts", Access::Full),
        one("CREATE TABLE analytics.freshness (
            tenant_id uuid PRIMARY KEY,
            as_of timestamptz NOT NULL
        )"),
        tenant_table("analytics", "freshness", Access::Full),
    ])
}
