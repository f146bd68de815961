//! Webhook endpoints, what waits for them, and the log of what was delivered.

use crate::table::{Access, all, checkpoints, events, one, schema, tenant_keys, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([
        schema("webhook"),
        checkpoints("webhook"),
        tenant_keys("webhook"),
        // `state`: 1 enabled, 2 disabled. Address and secrets are ciphertext.
        one("CREATE TABLE webhook.endpoints (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            display_name text NOT NULL,
            url bytea NOT NULL,
            event_types text[] NOT NULL,
            secret bytea NOT NULL,
            old_secret bytea,
            old_secret_until timestamptz,
            state smallint NOT NULL,
            state_reason text NOT NULL,
            failing_since timestamptz,
            last_failed_at timestamptz,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        )"),
        one("CREATE INDEX ON webhook.endpoints (tenant_id, id)"),
        tenant_table("webhook", "endpoints", Access::Full),
        // `state`: 1 pending, 2 delivered, 3 failed, 4 skipped. `seq` is the order within an entity.
        one("CREATE TABLE webhook.deliveries (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            endpoint_id uuid NOT NULL,
            event_id uuid NOT NULL,
            event_type text NOT NULL,
            entity_id text NOT NULL,
            body text NOT NULL,
            state smallint NOT NULL,
            attempts integer NOT NULL DEFAULT 0,
            status integer NOT NULL DEFAULT 0,
            error text NOT NULL DEFAULT '',
            due_at timestamptz,
            created_at timestamptz NOT NULL,
            ended_at timestamptz,
            seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY
        )"),
        one("CREATE INDEX ON webhook.deliveries (endpoint_id, entity_id, seq) WHERE state = 1"),
        one("CREATE INDEX ON webhook.deliveries (tenant_id, id)"),
        one("CREATE INDEX ON webhook.deliveries (tenant_id, entity_id, id)"),
        one("CREATE INDEX ON webhook.deliveries (endpoint_id, id)"),
        tenant_table("webhook", "deliveries", Access::Full),
        // What an entity has pending at an endpoint: one row, which is what a replica takes. `due_at` is when it may be taken next, also
        // while a lease holds it.
        one("CREATE TABLE webhook.lines (
            endpoint_id uuid NOT NULL,
            entity_id text NOT NULL,
            tenant_id uuid NOT NULL,
            due_at timestamptz NOT NULL,
            lease uuid,
            PRIMARY KEY (endpoint_id, entity_id)
        )"),
        one("CREATE INDEX ON webhook.lines (endpoint_id, due_at)"),
        one("CREATE INDEX ON webhook.lines (endpoint_id) WHERE lease IS NOT NULL"),
        tenant_table("webhook", "lines", Access::Full),
        // `exchange` is ciphertext: address, headers and the answer.
        one("CREATE TABLE webhook.attempts (
            delivery_id uuid NOT NULL,
            number integer NOT NULL,
            tenant_id uuid NOT NULL,
            at timestamptz NOT NULL,
            latency_ms integer NOT NULL,
            status integer NOT NULL,
            error text NOT NULL,
            exchange bytea NOT NULL,
            PRIMARY KEY (delivery_id, number)
        )"),
        tenant_table("webhook", "attempts", Access::Full),
        events("webhook", "events"),
    ])
}
