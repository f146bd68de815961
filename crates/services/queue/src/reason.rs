//! The codes that tell why a message stands where it stands, and a plain sentence for each.

/// Whether an attempt that failed with this code never reached the wire.
pub(crate) fn before_the_wire(code: &str) -> bool {
    matches!(code, "content_unreadable" | "media_unreachable" | "media_not_uploaded")
}

/// The sentence for a code.
pub(crate) fn sentence(code: &str) -> &'static str {
    match code {
        "" => "",
        "window_closed" => {
            "The customer has not written in the last 24 hours, and free text reaches them only then; map the template to one of Meta's."
        }
        "session_deleted" => "The session that was to send it was deleted.",
        "quota_exceeded" => "The daily quota of the tenant was used up when it was due.",
        "quiet_hours" => "It waits for the end of the tenant's quiet hours.",
        "outside_window" => "It waits for its window to open.",
        "job_paused" => "Its job is paused; it goes on when the job is resumed.",
        "job_cancelled" => "Its job was cancelled.",
        "superseded" => "A later stage of the same thing was handed over first.",
        "expired" => "It could not be sent before its expiry.",
        "outcome_unknown" => "It was written to WhatsApp, and no answer came in time; it may have arrived. It is not sent twice by itself.",
        "owner_lost" => "The replica that was sending it went away before it told the outcome.",
        "target_not_sent" => "The message it reacts to was never sent.",
        "content_unreadable" => "Its stored content cannot be read; see the service's log.",
        "rate_limited" => "WhatsApp asked to send more slowly.",
        "pair_rate_limited" => "Too many messages went to this customer in a short time.",
        "undeliverable" => "WhatsApp cannot deliver to this number: it may not be on WhatsApp.",
        "recipient_not_allowed" | "recipient_opted_out" => "The customer does not take messages from this business.",
        "token_invalid" => "Meta refuses the session's access token.",
        "meta_unavailable" => "Meta had a passing fault.",
        "template_mismatch" => "Meta's template does not exist in this language, or takes other parameters.",
        "fallback_failed" => "WhatsApp did not reach the customer, and the fallback failed as well; the service's log says why.",
        "cancelled" => "It was called back.",
        _ => "WhatsApp refused it; the code tells why.",
    }
}
