//! Clients that hand over messages and remember what they were told.

use super::cast::Conversation;
use super::check::{Promise, words};
use super::house::House;
use crate::demo::text;
use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Clients that call at once.
const CLIENTS: usize = 16;

impl House {
    /// Hands over `messages` messages, in turn to each conversation and evenly over at least `lasts`. Every client repeats its call under the
    /// same key until it is answered, and writes to a customer again only when it was.
    pub async fn send(&self, cast: &[Conversation], messages: usize, lasts: Duration) -> Result<Vec<Promise>> {
        let begun = Instant::now();
        let rounds = messages.div_ceil(cast.len()).max(1);
        let mut promises = Vec::with_capacity(messages);
        for place in 0..rounds {
            tokio::time::sleep_until(begun + lasts * u32::try_from(place)? / u32::try_from(rounds)?).await;
            let writing = cast.iter().enumerate().take(messages - place * cast.len());
            let calls = stream::iter(writing).map(|(conversation, with)| self.hand_over(with, conversation, place));
            promises.extend(calls.buffer_unordered(CLIENTS).try_collect::<Vec<Promise>>().await?);
        }
        Ok(promises)
    }

    /// Hands over one message, as often as it takes.
    pub async fn hand_over(&self, with: &Conversation, conversation: usize, place: usize) -> Result<Promise> {
        let message = json!({
            "tenantId": with.business.tenant, "sessionId": with.business.session, "recipient": with.customer, "text": words(conversation, place),
        });
        let answer = self.api.send("/v1/messages:send", &key(conversation, place), &message).await?;
        Ok(Promise { id: text(&answer, "id")?, conversation, place })
    }
}

/// The idempotency key of a message.
pub fn key(conversation: usize, place: usize) -> String {
    format!("chaos-{conversation}-{place}")
}
