//! Clients that hand over messages and remember what they were told.

use super::cast::Conversation;
use super::check::{Promise, words};
use super::house::House;
use crate::demo::text;
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Fewest clients that call at once.
const CLIENTS: usize = 16;
/// How long a call may take for the messages to come as fast as they should.
const CALL: Duration = Duration::from_millis(120);
/// Fewest and most messages in one call of many.
const BATCH: (usize, usize) = (500, 5_000);
/// Calls with many messages, where there are enough of them.
const BATCHES: usize = 100;

impl House {
    /// Hands over `messages` messages, in turn to each conversation and evenly over at least `lasts`. Every client repeats its call under the
    /// same key until it is answered, and writes to a customer again only when it was.
    pub async fn send(&self, cast: &[Conversation], messages: usize, lasts: Duration) -> Result<Vec<Promise>> {
        self.send_from(cast, messages, lasts, 0).await
    }

    /// The same for conversations that have so many messages already.
    pub async fn send_from(&self, cast: &[Conversation], messages: usize, lasts: Duration, first: usize) -> Result<Vec<Promise>> {
        let begun = Instant::now();
        let clients = (messages as f64 / lasts.as_secs_f64().max(1.0) * CALL.as_secs_f64()) as usize;
        let rounds = messages.div_ceil(cast.len()).max(1);
        let mut promises = Vec::with_capacity(messages);
        for round in 0..rounds {
            tokio::time::sleep_until(begun + lasts * u32::try_from(round)? / u32::try_from(rounds)?).await;
            let writing = cast.iter().enumerate().take(messages - round * cast.len());
            let calls = stream::iter(writing).map(|(conversation, with)| self.hand_over(with, conversation, first + round));
            promises.extend(calls.buffer_unordered(clients.max(CLIENTS)).try_collect::<Vec<Promise>>().await?);
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

impl House {
    /// Hands over many messages of one business in few calls, in turn to each conversation from `first` on.
    pub async fn hand_over_many(&self, cast: &[Conversation], first: usize, messages: usize) -> Result<Vec<Promise>> {
        let (count, tenant) = (cast.len() - first, &cast[first].business.tenant);
        let places: Vec<(usize, usize)> = (0..messages).map(|index| (first + index % count, index / count)).collect();
        let mut promises = Vec::with_capacity(messages);
        for (batch, places) in places.chunks((messages / BATCHES).clamp(BATCH.0, BATCH.1)).enumerate() {
            let message = |(conversation, place): &(usize, usize)| {
                let with = &cast[*conversation];
                json!({"sessionId": with.business.session, "recipient": with.customer, "text": words(*conversation, *place)})
            };
            let messages: Vec<Value> = places.iter().map(message).collect();
            let call = json!({"tenantId": tenant, "messages": messages});
            let answer = self.api.send("/v1/messages:batchSend", &format!("chaos-batch-{batch}"), &call).await?;
            let outcomes = answer["outcomes"].as_array().context("a batch has outcomes")?;
            for ((conversation, place), outcome) in places.iter().zip(outcomes) {
                promises.push(Promise { id: text(&outcome["accepted"], "id")?, conversation: *conversation, place: *place });
            }
        }
        Ok(promises)
    }
}

/// The idempotency key of a message.
fn key(conversation: usize, place: usize) -> String {
    format!("chaos-{conversation}-{place}")
}
