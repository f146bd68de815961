//! WhatsApp Web: sessions that are linked devices, their keys, and how they are linked.

use crate::table::{Access, all, one, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([sessions(), cells(), pairings(), errands()])
}

fn sessions() -> Vec<String> {
    all([
        // connector: 1 Meta's Cloud API, 2 WhatsApp Web.
        one("ALTER TABLE session_pool.sessions
            ADD COLUMN connector smallint NOT NULL DEFAULT 1,
            ADD COLUMN device_name text NOT NULL DEFAULT '',
            ADD COLUMN presence boolean NOT NULL DEFAULT false,
            ADD COLUMN pinned boolean NOT NULL DEFAULT false,
            ADD COLUMN history_days integer NOT NULL DEFAULT 0,
            ADD COLUMN number_checks_per_day integer NOT NULL DEFAULT 0,
            ADD COLUMN linked_at timestamptz,
            ADD COLUMN visited_at timestamptz"),
        one("DROP INDEX session_pool.sessions_phone_number_id_idx"),
        one("CREATE UNIQUE INDEX ON session_pool.sessions (phone_number_id) WHERE deleted_at IS NULL AND connector = 1"),
        one("CREATE INDEX ON session_pool.sessions (visited_at NULLS FIRST) WHERE deleted_at IS NULL AND connector = 2"),
        one("ALTER TABLE session_pool.replicas ADD COLUMN status bytea NOT NULL DEFAULT ''"),
    ])
}

/// What a linked device remembers: one row for each value of its Signal state, sealed, under a key that tells nothing.
fn cells() -> Vec<String> {
    all([
        one("CREATE TABLE session_pool.web_cells (
            session_id uuid NOT NULL,
            kind smallint NOT NULL,
            key bytea NOT NULL,
            tenant_id uuid NOT NULL,
            expires_at bigint NOT NULL,
            value bytea NOT NULL,
            PRIMARY KEY (session_id, kind, key)
        ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)"),
        one("CREATE INDEX ON session_pool.web_cells (tenant_id)"),
        one("CREATE INDEX ON session_pool.web_cells (expires_at) WHERE expires_at > 0"),
        tenant_table("session_pool", "web_cells", Access::Full),
    ])
}

fn pairings() -> Vec<String> {
    all([
        one("CREATE TABLE session_pool.pairings (
            session_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            replica_id uuid NOT NULL,
            attempt uuid NOT NULL,
            state smallint NOT NULL,
            codes bytea NOT NULL,
            reason text NOT NULL,
            reason_text text NOT NULL,
            code_expires_at timestamptz,
            started_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            revision bigint NOT NULL,
            done boolean NOT NULL,
            cancelled boolean NOT NULL,
            passkey_answer bytea,
            starts timestamptz[] NOT NULL
        )"),
        one("CREATE INDEX ON session_pool.pairings (tenant_id)"),
        tenant_table("session_pool", "pairings", Access::Full),
    ])
}

/// What the connection of a session is asked to do besides sending; whoever owns the session does it.
fn errands() -> Vec<String> {
    all([
        one("CREATE TABLE session_pool.errands (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            session_id uuid NOT NULL,
            kind smallint NOT NULL,
            request bytea NOT NULL,
            answer bytea,
            failure text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL,
            done_at timestamptz
        )"),
        one("CREATE INDEX ON session_pool.errands (session_id) WHERE done_at IS NULL"),
        one("CREATE INDEX ON session_pool.errands (created_at)"),
        tenant_table("session_pool", "errands", Access::Full),
        one("CREATE TABLE session_pool.kept_media (
            tenant_id uuid NOT NULL,
            pointer bytea NOT NULL,
            digest bytea NOT NULL,
            kept_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, pointer)
        )"),
        tenant_table("session_pool", "kept_media", Access::Full),
        one("CREATE TABLE session_pool.number_checks (
            tenant_id uuid NOT NULL,
            blind_index bytea NOT NULL,
            registered boolean NOT NULL,
            checked_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, blind_index)
        )"),
        one("CREATE INDEX ON session_pool.number_checks (checked_at)"),
        tenant_table("session_pool", "number_checks", Access::Full),
        one("CREATE TABLE session_pool.number_check_usage (
            session_id uuid NOT NULL,
            day date NOT NULL,
            tenant_id uuid NOT NULL,
            used integer NOT NULL,
            PRIMARY KEY (session_id, day)
        )"),
        one("CREATE INDEX ON session_pool.number_check_usage (tenant_id)"),
        tenant_table("session_pool", "number_check_usage", Access::Full),
    ])
}
