//! What the business's app is told, and how it reaches the app.

mod deliver;
mod payload;
mod sign;

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::Notify;

pub(crate) use deliver::run;
pub(crate) use sign::{Handshake, handshake};

use crate::{config, directory::Number, faults::Subject, phone::Wire};

/// One status, message or account event on its way to an app.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) number: Arc<Number>,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Status {
        wire: Arc<Wire>,
        subject: Subject,
        at: DateTime<Utc>,
        error: Option<Error>,
    },
    Inbound {
        wa_id: String,
        contact: Value,
        message: Value,
    },
    /// An event of the business account, under its own field.
    Account {
        field: &'static str,
        value: Value,
    },
}

/// Why a message failed after it was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    pub(crate) code: u32,
    pub(crate) details: String,
}

impl Item {
    /// What faults match on; none for account events, which no fault strikes.
    pub(crate) fn subject(&self) -> Option<Subject> {
        match &self.what {
            What::Status { subject, .. } => Some(*subject),
            What::Inbound { .. } => Some(Subject::Inbound),
            What::Account { .. } => None,
        }
    }

    pub(crate) fn wa_id(&self) -> &str {
        match &self.what {
            What::Status { wire, .. } => &wire.wa_id,
            What::Inbound { wa_id, .. } => wa_id,
            What::Account { .. } => "",
        }
    }
}

/// A Meta app with what waits to be posted to it.
pub(crate) struct App {
    pub(crate) name: String,
    settings: RwLock<config::App>,
    lanes: Vec<Lane>,
}

/// A queue posted in order, one post at a time.
#[derive(Default)]
struct Lane {
    waiting: Mutex<VecDeque<Item>>,
    wake: Notify,
}

impl App {
    pub(crate) fn new(name: &str, settings: config::App, lanes: usize) -> Self {
        Self { name: name.to_owned(), settings: RwLock::new(settings), lanes: std::iter::repeat_with(Lane::default).take(lanes).collect() }
    }

    pub(crate) fn settings(&self) -> config::App {
        self.settings.read().clone()
    }

    pub(crate) fn set(&self, settings: config::App) {
        *self.settings.write() = settings;
    }

    /// Queues the item unless its lane already holds its share of `limit`; false when it was dropped for that.
    ///
    /// All of one phone goes through one lane, so that its order holds.
    pub(crate) fn push(&self, item: Item, limit: usize) -> bool {
        let mut hasher = DefaultHasher::new();
        item.wa_id().hash(&mut hasher);
        let lane = &self.lanes[(hasher.finish() % self.lanes.len() as u64) as usize];
        let mut waiting = lane.waiting.lock();
        if waiting.len() >= limit / self.lanes.len() {
            return false;
        }
        waiting.push_back(item);
        drop(waiting);
        lane.wake.notify_one();
        true
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.lock().len()).sum()
    }

    pub(crate) fn clear(&self) {
        for lane in &self.lanes {
            lane.waiting.lock().clear();
        }
    }
}
