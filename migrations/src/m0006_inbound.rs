//! What customers write, contacts that turn out to be one person, and messages that may be sent again under the same id.

use crate::table::{Access, all, one, tenant_table};

pub(crate) fn statements() -> Vec<String> {
    all([people(), repeats(), inbound()])
}

fn people() -> Vec<String> {
    all([
        // The contact that this one turned out to be. Its row stays, so that its id still leads to the person.
        one("ALTER TABLE queue.contacts ADD COLUMN merged_into uuid"),
        one("CREATE INDEX ON queue.contacts (merged_into) WHERE merged_into IS NOT NULL"),
        // A message stays as it was written; only whom it was for may turn out to be somebody known already.
        one("GRANT UPDATE (contact_id) ON queue.messages TO barid_queue_tenant, barid_queue_engine"),
    ])
}

fn repeats() -> Vec<String> {
    all([
        one("ALTER TABLE queue.message_state ADD COLUMN played_at timestamptz"),
        // Whether the message went out under an id of ours, so that sending it again shows once.
        one("ALTER TABLE queue.in_flight ADD COLUMN repeatable boolean NOT NULL DEFAULT false"),
        // Whether the message went out before with an unknown outcome: only a session that sends under the same id may take it.
        one("ALTER TABLE queue.ready ADD COLUMN repeat boolean NOT NULL DEFAULT false"),
        one("CREATE INDEX ON queue.ready (session_id, contact_id) WHERE repeat"),
        // Of several ids, one for each attempt, the latest is what customers have.
        one("ALTER TABLE queue.provider_ids ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT now()"),
        one("CREATE INDEX ON queue.provider_ids (message_id)"),
    ])
}

fn inbound() -> Vec<String> {
    all([
        one("CREATE TABLE queue.inbound_messages (
            id uuid PRIMARY KEY,
            tenant_id uuid NOT NULL,
            session_id uuid NOT NULL,
            contact_id uuid NOT NULL,
            provider_id text NOT NULL,
            context_provider_id text,
            about_provider_id text,
            applied boolean NOT NULL,
            kind text NOT NULL,
            content bytea NOT NULL,
            sent_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            edited_at timestamptz,
            deleted_at timestamptz,
            UNIQUE (session_id, provider_id)
        )"),
        one("CREATE INDEX ON queue.inbound_messages (tenant_id, id) WHERE NOT applied"),
        one("CREATE INDEX ON queue.inbound_messages (contact_id, id)"),
        tenant_table("queue", "inbound_messages", Access::Full),
    ])
}
