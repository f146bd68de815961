//! Posting a lane's items: batched, signed, repeated until the callback says 200.

use std::sync::Arc;

use rand::seq::SliceRandom;

use super::{App, Item, payload, sign};
use crate::world::World;

/// Starts the app's lanes; they end with the simulator.
pub(crate) fn run(world: &Arc<World>, app: &Arc<App>) {
    for lane in 0..app.lanes.len() {
        let (world, app) = (Arc::clone(world), Arc::clone(app));
        let stop = world.shutdown.clone();
        world.tasks.clone().spawn(async move {
            let work = async {
                loop {
                    let batch = next(&world, &app, lane).await;
                    post(&world, &app, batch).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }
}

/// Waits for items, then as long as configured for more of them.
async fn next(world: &World, app: &App, lane: usize) -> Vec<Item> {
    let settings = &world.config.webhooks;
    let lane = &app.lanes[lane];
    loop {
        let waiting = lane.waiting.lock().len();
        if waiting == 0 {
            lane.wake.notified().await;
            continue;
        }
        if waiting < settings.batch {
            tokio::time::sleep(settings.batch_wait).await;
        }
        let mut queue = lane.waiting.lock();
        let take = queue.len().min(settings.batch);
        let mut batch: Vec<Item> = queue.drain(..take).collect();
        drop(queue);
        if settings.reorder {
            batch.shuffle(&mut rand::rng());
        }
        if !batch.is_empty() {
            return batch;
        }
    }
}

async fn post(world: &World, app: &App, batch: Vec<Item>) {
    let settings = &world.config.webhooks;
    let mut body = payload::build(&batch).to_string();
    if settings.escape_non_ascii {
        body = sign::escape(&body);
    }
    let body = axum::body::Bytes::from(body);
    let mut wait = settings.first_retry;
    for attempt in 1..=settings.attempts {
        // Read anew each time, so that a callback may be put right while its posts wait.
        let callee = app.settings();
        if callee.callback_url.is_empty() {
            world.stats.webhook_items_unrouted.add(batch.len());
            return;
        }
        let sent = world
            .http
            .post(&callee.callback_url)
            .header("content-type", "application/json")
            .header("user-agent", "facebookexternalua")
            .header("x-hub-signature-256", sign::signature(callee.app_secret.expose(), &body))
            .body(body.clone())
            .send()
            .await;
        match sent {
            Ok(answer) if answer.status() == 200 => {
                world.stats.webhooks_sent.up();
                world.stats.webhook_items_sent.add(batch.len());
                return;
            }
            Ok(answer) => tracing::debug!(app = app.name, status = %answer.status(), attempt, "webhook refused"),
            Err(error) => tracing::debug!(app = app.name, %error, attempt, "webhook not answered"),
        }
        world.stats.webhooks_failed.up();
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(settings.longest_retry);
    }
    tracing::warn!(app = app.name, items = batch.len(), "webhook given up");
    world.stats.webhook_items_lost.add(batch.len());
}
