//! When messages may go out: windows and quiet hours, lives of their own, quotas that are given back, and bulk jobs.

use crate::table::{Access, all, one, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([tenants(), messages(), waiting(), quotas(), jobs()])
}

fn tenants() -> Vec<String> {
    one("ALTER TABLE tenant.tenants
        ADD COLUMN quiet_hours jsonb NOT NULL DEFAULT 'null',
        ADD COLUMN message_ttl_seconds integer NOT NULL DEFAULT 172800")
}

fn messages() -> Vec<String> {
    all([
        // Minutes of the tenant's day.
        one("ALTER TABLE queue.messages
            ADD COLUMN window_start smallint,
            ADD COLUMN window_end smallint,
            ADD COLUMN job_id uuid"),
        one("CREATE INDEX ON queue.messages (job_id, id) WHERE job_id IS NOT NULL"),
        // A message that is sent again on request lives as long again.
        one("ALTER TABLE queue.message_state ADD COLUMN expires_at timestamptz"),
    ])
}

fn waiting() -> Vec<String> {
    all([
        // Held: waits for its job to go on, whatever its time. What is scheduled already is due before it expires.
        one("ALTER TABLE queue.scheduled
            ADD COLUMN expires_at timestamptz NOT NULL DEFAULT 'infinity',
            ADD COLUMN held boolean NOT NULL DEFAULT false"),
        one("ALTER TABLE queue.scheduled ALTER COLUMN expires_at DROP DEFAULT"),
        one("DROP INDEX queue.scheduled_due_at_idx"),
        one("CREATE INDEX ON queue.scheduled (due_at) WHERE NOT held"),
        one("CREATE INDEX ON queue.scheduled (expires_at)"),
        // From `closes_at` on it may not be claimed, and its hours are looked at again; the day it was charged to is given back if it never
        // reaches the wire. Both stay with the message while it is under way.
        one("ALTER TABLE queue.ready ADD COLUMN closes_at timestamptz, ADD COLUMN charged_on date"),
        one("CREATE INDEX ON queue.ready (closes_at) WHERE closes_at IS NOT NULL"),
        one("ALTER TABLE queue.in_flight ADD COLUMN closes_at timestamptz, ADD COLUMN charged_on date"),
    ])
}

/// What is given back has rows of its own: charges lock first and what is given back last, so that nobody waits in a circle.
fn quotas() -> Vec<String> {
    all([
        one("CREATE TABLE queue.quota_returned (
            tenant_id uuid NOT NULL,
            day date NOT NULL,
            returned integer NOT NULL,
            PRIMARY KEY (tenant_id, day)
        )"),
        tenant_table("queue", "quota_returned", Access::Full),
    ])
}

fn jobs() -> Vec<String> {
    all([
        // state: 1 running, 2 paused, 3 cancelled. Settled: every message of the job stands as the state says.
        one("CREATE TABLE queue.jobs (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            display_name text NOT NULL,
            state smallint NOT NULL,
            total integer NOT NULL,
            settled boolean NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        )"),
        one("CREATE INDEX ON queue.jobs (tenant_id, id)"),
        one("CREATE INDEX ON queue.jobs (tenant_id, created_at)"),
        one("CREATE INDEX ON queue.jobs (updated_at) WHERE NOT settled"),
        tenant_table("queue", "jobs", Access::Full),
    ])
}
