//! Sessions, who owns them, and what Meta told.

use crate::table::{Access, all, engine_table, events, one, schema, tenant_keys, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([
        schema("session_pool"),
        tenant_keys("session_pool"),
        one("CREATE TABLE session_pool.sessions (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            display_name text NOT NULL,
            phone bytea NOT NULL,
            app text NOT NULL,
            phone_number_id text NOT NULL,
            business_account_id text NOT NULL,
            portfolio_id text NOT NULL,
            credentials bytea NOT NULL,
            state smallint NOT NULL,
            state_reason text NOT NULL,
            resume_at timestamptz,
            messages_per_minute integer NOT NULL,
            last_used_at timestamptz,
            created_at timestamptz NOT NULL,
            deleted_at timestamptz
        )"),
        one("CREATE INDEX ON session_pool.sessions (tenant_id, id)"),
        one("CREATE UNIQUE INDEX ON session_pool.sessions (phone_number_id) WHERE deleted_at IS NULL"),
        tenant_table("session_pool", "sessions", Access::Full),
        one("CREATE TABLE session_pool.replicas (
            id uuid PRIMARY KEY,
            heartbeat_at timestamptz NOT NULL
        )"),
        engine_table("session_pool", "replicas", Access::Full),
        one("CREATE TABLE session_pool.owners (
            session_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            replica_id uuid NOT NULL,
            epoch bigint NOT NULL
        )"),
        one("CREATE INDEX ON session_pool.owners (replica_id)"),
        tenant_table("session_pool", "owners", Access::Full),
        one("CREATE TABLE session_pool.webhook_inbox (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            session_id uuid NOT NULL,
            body bytea NOT NULL,
            received_at timestamptz NOT NULL,
            tries integer NOT NULL DEFAULT 0,
            due_at timestamptz NOT NULL
        )"),
        one("CREATE INDEX ON session_pool.webhook_inbox (due_at)"),
        one("CREATE INDEX ON session_pool.webhook_inbox (session_id, id)"),
        tenant_table("session_pool", "webhook_inbox", Access::Full),
        events("session_pool", "events"),
    ])
}
