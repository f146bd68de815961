//! What tenants' hours were when what waits was judged by them, charges that stand, and jobs that are made once.

use crate::table::{Access, all, one, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([
        // Replicas of before m0009 schedule without it. What is scheduled is due before it expires.
        one("ALTER TABLE queue.scheduled ALTER COLUMN expires_at SET DEFAULT 'infinity'"),
        // Whether it was charged to a day already, for an attempt that was made, and is not charged again.
        one("ALTER TABLE queue.scheduled ADD COLUMN charged boolean NOT NULL DEFAULT false"),
        // The hours by which what waits was judged last, and when that is to be looked at once more.
        one("CREATE TABLE queue.hours (
            tenant_id uuid PRIMARY KEY,
            hours text NOT NULL,
            again_at timestamptz
        )"),
        one("CREATE INDEX ON queue.hours (again_at) WHERE again_at IS NOT NULL"),
        tenant_table("queue", "hours", Access::Full),
        one("ALTER TABLE queue.jobs ADD COLUMN idempotency_key text"),
        one("CREATE UNIQUE INDEX ON queue.jobs (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL"),
        one("CREATE INDEX ON queue.jobs (created_at)"),
    ])
}
