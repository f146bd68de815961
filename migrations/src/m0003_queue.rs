//! The ledger. What never changes stands in `messages`, what changes in `message_state`, and what waits in small tables whose rows are
//! deleted when it waits no more.

use crate::table::{Access, all, checkpoints, engine_table, events, one, schema, tenant_keys, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([schema("queue"), tenant_keys("queue"), contacts(), messages(), waiting(), receipts(), events("queue", "message_events")])
}

fn contacts() -> Vec<String> {
    all([
        one("CREATE TABLE queue.contacts (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            names bytea,
            created_at timestamptz NOT NULL
        )"),
        one("CREATE INDEX ON queue.contacts (tenant_id, id)"),
        tenant_table("queue", "contacts", Access::Full),
        one("CREATE TABLE queue.contact_aliases (
            tenant_id uuid NOT NULL,
            kind smallint NOT NULL,
            blind_index bytea NOT NULL,
            contact_id uuid NOT NULL,
            value bytea NOT NULL,
            learnt_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, kind, blind_index)
        )"),
        one("CREATE INDEX ON queue.contact_aliases (contact_id)"),
        tenant_table("queue", "contact_aliases", Access::Full),
        one("CREATE TABLE queue.windows (
            session_id uuid NOT NULL,
            contact_id uuid NOT NULL,
            tenant_id uuid NOT NULL,
            last_inbound_at timestamptz NOT NULL,
            PRIMARY KEY (session_id, contact_id)
        )"),
        one("CREATE INDEX ON queue.windows (contact_id)"),
        tenant_table("queue", "windows", Access::Full),
    ])
}

fn messages() -> Vec<String> {
    all([
        one("CREATE TABLE queue.messages (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            session_id uuid NOT NULL,
            contact_id uuid NOT NULL,
            lane smallint NOT NULL,
            template text NOT NULL,
            template_version integer NOT NULL,
            locale text NOT NULL,
            client_reference text NOT NULL,
            supersede_key text,
            supersede_rank integer NOT NULL,
            content bytea NOT NULL,
            created_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL
        )"),
        one("CREATE INDEX ON queue.messages (tenant_id, id)"),
        one("CREATE INDEX ON queue.messages (contact_id, id)"),
        one("CREATE INDEX ON queue.messages (tenant_id, supersede_key) WHERE supersede_key IS NOT NULL"),
        tenant_table("queue", "messages", Access::Append),
        // Narrow, and without an index on what changes: updates stay on their page.
        one("CREATE TABLE queue.message_state (
            message_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            state smallint NOT NULL,
            attempt integer NOT NULL,
            failures integer NOT NULL,
            dead_letter boolean NOT NULL,
            reason text NOT NULL,
            sent_at timestamptz,
            delivered_at timestamptz,
            read_at timestamptz
        ) WITH (fillfactor = 70)"),
        tenant_table("queue", "message_state", Access::Full),
        one("CREATE TABLE queue.idempotency_keys (
            tenant_id uuid NOT NULL,
            key text NOT NULL,
            digest bytea NOT NULL,
            message_id uuid NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, key)
        )"),
        one("CREATE INDEX ON queue.idempotency_keys (created_at)"),
        tenant_table("queue", "idempotency_keys", Access::Full),
        one("CREATE TABLE queue.quota_usage (
            tenant_id uuid NOT NULL,
            day date NOT NULL,
            used integer NOT NULL,
            PRIMARY KEY (tenant_id, day)
        )"),
        tenant_table("queue", "quota_usage", Access::Full),
        one("CREATE TABLE queue.dead_letters (
            message_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            at timestamptz NOT NULL
        )"),
        one("CREATE INDEX ON queue.dead_letters (tenant_id, message_id)"),
        tenant_table("queue", "dead_letters", Access::Full),
    ])
}

fn waiting() -> Vec<String> {
    all([
        one("CREATE TABLE queue.scheduled (
            message_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            due_at timestamptz NOT NULL
        )"),
        one("CREATE INDEX ON queue.scheduled (due_at)"),
        one("CREATE INDEX ON queue.scheduled (tenant_id)"),
        tenant_table("queue", "scheduled", Access::Full),
        one("CREATE TABLE queue.ready (
            message_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            session_id uuid NOT NULL,
            contact_id uuid NOT NULL,
            lane smallint NOT NULL,
            due_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL
        ) WITH (autovacuum_vacuum_scale_factor = 0.02)"),
        one("CREATE INDEX ON queue.ready (session_id, lane, due_at, message_id)"),
        one("CREATE INDEX ON queue.ready (session_id, contact_id, message_id)"),
        one("CREATE INDEX ON queue.ready (tenant_id, lane)"),
        one("CREATE INDEX ON queue.ready (expires_at)"),
        tenant_table("queue", "ready", Access::Full),
        one("CREATE TABLE queue.in_flight (
            message_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            session_id uuid NOT NULL,
            contact_id uuid NOT NULL,
            claim_id uuid NOT NULL,
            epoch bigint NOT NULL,
            claimed_at timestamptz NOT NULL
        ) WITH (autovacuum_vacuum_scale_factor = 0.02)"),
        one("CREATE INDEX ON queue.in_flight (claim_id)"),
        one("CREATE INDEX ON queue.in_flight (session_id, contact_id)"),
        one("CREATE INDEX ON queue.in_flight (tenant_id)"),
        one("CREATE INDEX ON queue.in_flight (claimed_at)"),
        tenant_table("queue", "in_flight", Access::Full),
        one("CREATE TABLE queue.fences (
            session_id uuid PRIMARY KEY,
            epoch bigint NOT NULL
        )"),
        engine_table("queue", "fences", Access::Full),
        checkpoints("queue"),
    ])
}

fn receipts() -> Vec<String> {
    all([
        one("CREATE TABLE queue.provider_ids (
            session_id uuid NOT NULL,
            provider_id text NOT NULL,
            message_id uuid NOT NULL,
            tenant_id uuid NOT NULL,
            PRIMARY KEY (session_id, provider_id)
        )"),
        tenant_table("queue", "provider_ids", Access::Full),
        one("CREATE TABLE queue.parked_receipts (
            session_id uuid NOT NULL,
            provider_id text NOT NULL,
            kind smallint NOT NULL,
            reason text NOT NULL,
            retry boolean NOT NULL,
            at timestamptz NOT NULL,
            parked_at timestamptz NOT NULL,
            PRIMARY KEY (session_id, provider_id, kind)
        )"),
        one("CREATE INDEX ON queue.parked_receipts (parked_at)"),
        engine_table("queue", "parked_receipts", Access::Full),
    ])
}
