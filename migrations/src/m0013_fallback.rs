//! Other ways than WhatsApp for messages that fail for good.

use crate::table::{Access, all, one, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([
        one("ALTER TABLE tenant.tenants ADD COLUMN fallback jsonb NOT NULL DEFAULT 'null'"),
        // 1 WhatsApp, 2 e-mail, 3 SMS.
        one("ALTER TABLE queue.message_state ADD COLUMN channel smallint NOT NULL DEFAULT 1"),
        // Whether it was decided if another way is taken. Those of before are left as they are.
        one("ALTER TABLE queue.dead_letters ADD COLUMN considered boolean NOT NULL DEFAULT true"),
        one("ALTER TABLE queue.dead_letters ALTER COLUMN considered SET DEFAULT false"),
        one("CREATE INDEX ON queue.dead_letters (at) WHERE NOT considered"),
        // What goes another way, until its outcome is known. `taken_at`: when a replica began to send it.
        one("CREATE TABLE queue.fallbacks (
            message_id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            channel smallint NOT NULL,
            attempt integer NOT NULL,
            tries integer NOT NULL DEFAULT 0,
            due_at timestamptz NOT NULL,
            taken_at timestamptz
        )"),
        one("CREATE INDEX ON queue.fallbacks (due_at) WHERE taken_at IS NULL"),
        one("CREATE INDEX ON queue.fallbacks (taken_at) WHERE taken_at IS NOT NULL"),
        tenant_table("queue", "fallbacks", Access::Full),
    ])
}
