//! What replicas know of each other's troubles.

use crate::table::{all, one};

pub(crate) fn statements() -> Vec<String> {
    all([
        // Whether the replica can log sessions in, as far as it saw.
        one("ALTER TABLE session_pool.replicas ADD COLUMN takes boolean NOT NULL DEFAULT true"),
        // Which replica brings it to the ledger; its end ends the reservation.
        one("ALTER TABLE session_pool.webhook_inbox ADD COLUMN taken_by uuid"),
        one("CREATE INDEX ON session_pool.webhook_inbox (taken_by) WHERE taken_by IS NOT NULL"),
    ])
}
