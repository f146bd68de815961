//! Errands: what connections are asked to do besides sending.

use std::{collections::HashMap, time::Duration};

use barid_domain::{SessionId, TenantId};

use super::{News, Pump};
use crate::Error;

/// Errands looked at in one turn.
const MOST: u32 = 200;

impl Pump {
    /// Runs the errands of sessions that are connected; the others wish for a slot.
    pub(super) async fn look_for_errands(&mut self, now: Duration) -> Result<(), Error> {
        let mut waiting: HashMap<SessionId, (TenantId, u64)> = HashMap::new();
        for errand in self.parts.store.open_errands(MOST).await? {
            if self.slots.running.contains(&errand.id) {
                continue;
            }
            if let Some(link) = self.board.link(errand.session) {
                self.slots.running.insert(errand.id);
                let (store, news) = (self.parts.store.clone(), self.parts.news.0.clone());
                tokio::spawn(async move {
                    let outcome = link.run(&errand).await;
                    if let Err(error) = store.done(&errand, outcome).await {
                        tracing::warn!(errand = %errand.id, session = %errand.session, %error, "an errand's end is not written");
                    }
                    if news.send(News::Ran { errand: errand.id }).await.is_err() {
                        tracing::debug!(errand = %errand.id, "the pump is gone");
                    }
                });
            } else if self.board.is_barred(errand.session) {
                self.parts.store.done(&errand, Err("not_connected")).await?;
            } else {
                waiting.entry(errand.session).or_insert((errand.tenant, 0)).1 += 1;
            }
        }
        let waiting: Vec<_> = waiting.into_iter().map(|(session, (tenant, count))| (session, tenant, count)).collect();
        self.board.set_errands(&waiting, now, self.parts.clock.now());
        Ok(())
    }
}
