//! Organisations, tenants, API keys.

use crate::table::{Access, all, engine_table, events, one, schema, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([
        schema("tenant"),
        one("CREATE TABLE tenant.organisations (
            id uuid PRIMARY KEY,
            name text NOT NULL,
            created_at timestamptz NOT NULL
        )"),
        engine_table("tenant", "organisations", Access::Full),
        one("CREATE TABLE tenant.tenants (
            tenant_id uuid PRIMARY KEY,
            organisation_id uuid NOT NULL REFERENCES tenant.organisations,
            name text NOT NULL,
            locale text NOT NULL,
            country text NOT NULL,
            currency text NOT NULL,
            time_zone text NOT NULL,
            digits smallint NOT NULL,
            daily_quota integer NOT NULL,
            peak_windows jsonb NOT NULL,
            glossary jsonb NOT NULL,
            branding jsonb NOT NULL,
            state smallint NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        )"),
        one("CREATE INDEX ON tenant.tenants (organisation_id, tenant_id)"),
        tenant_table("tenant", "tenants", Access::Full),
        one("CREATE TABLE tenant.api_keys (
            id uuid PRIMARY KEY,
            organisation_id uuid NOT NULL REFERENCES tenant.organisations,
            tenant_id uuid REFERENCES tenant.tenants,
            display_name text NOT NULL,
            secret_sha256 bytea NOT NULL UNIQUE,
            created_at timestamptz NOT NULL,
            revoked_at timestamptz
        )"),
        one("CREATE INDEX ON tenant.api_keys (organisation_id, id)"),
        tenant_table("tenant", "api_keys", Access::Full),
        events("tenant", "events"),
    ])
}
