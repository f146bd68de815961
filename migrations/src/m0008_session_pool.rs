//! What a session's owner leaves to the next one.

use crate::table::{all, one};

pub(crate) fn statements() -> Vec<String> {
    all([
        // When an owner with more than its share let the session go, for another to take.
        one("ALTER TABLE session_pool.owners ADD COLUMN offered_at timestamptz"),
        one("CREATE INDEX ON session_pool.owners (offered_at) WHERE offered_at IS NOT NULL"),
        // When the budget for first messages to customers is whole again.
        one("ALTER TABLE session_pool.sessions ADD COLUMN first_contacts_whole_at timestamptz"),
        // Until when WhatsApp is taken not to let the device write first, and how often it did not, one time after the other.
        one("ALTER TABLE session_pool.sessions
            ADD COLUMN reach_out_until timestamptz,
            ADD COLUMN reach_out_locks integer NOT NULL DEFAULT 0"),
    ])
}
