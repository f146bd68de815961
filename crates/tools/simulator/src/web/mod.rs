//! The WhatsApp Web multi-device protocol: a server that linked devices connect to, and the phones behind it.

mod accounts;
mod acts;
mod adv;
mod connection;
mod content;
mod deliver;
mod disturb;
mod done;
mod error;
mod incoming;
mod iq;
mod journal;
mod keys;
mod lid;
mod link;
mod link_code;
mod login;
mod mailbox;
mod media;
mod noise;
mod pairing;
mod passkey;
mod people;
mod person;
mod picture;
mod provision;
mod queue;
mod receipts;
mod screen;
mod serve;
mod session;
mod settings;
mod signal;
mod stanza;
mod stored;
mod unknown;
mod uptime;
mod write;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

pub(crate) use accounts::Settings;
pub(crate) use acts::{Act, act};
pub(crate) use deliver::write_name;
pub(crate) use disturb::now as strike_now;
pub(crate) use done::Outcome;
pub(crate) use error::Result;
pub(crate) use journal::{load, run as save};
pub(crate) use pairing::{Linked, enter, scan};
pub(crate) use picture::read as read_picture;
pub(crate) use provision::provision;
pub(crate) use receipts::told;
pub(crate) use serve::router;
pub(crate) use write::{Draft, write};

use crate::config;

/// The server's side of the protocol.
pub(crate) struct Web {
    pub(crate) keys: keys::ServerKeys,
    people: people::People,
    pairings: pairing::Pairings,
    pub(crate) unknown: unknown::Unknown,
    pub(crate) uptime: uptime::Uptime,
    pub(crate) media: media::Media,
    connections: AtomicU64,
    /// Whether more has changed than the journal can add.
    rewrite: AtomicBool,
}

impl Web {
    pub(crate) fn new(settings: &config::Web) -> Result<Self> {
        let directory = (!settings.state_dir.as_os_str().is_empty()).then_some(settings.state_dir.as_path());
        Ok(Self {
            keys: keys::ServerKeys::load(directory)?,
            people: people::People::default(),
            pairings: pairing::Pairings::default(),
            unknown: unknown::Unknown::default(),
            uptime: uptime::Uptime::default(),
            media: media::Media::new(settings.media_bytes),
            connections: AtomicU64::new(0),
            rewrite: AtomicBool::new(false),
        })
    }

    /// Forgets media and what was not understood; with `all`, everybody with their devices, whose connections end.
    pub(crate) fn reset(&self, all: bool) {
        self.unknown.clear();
        self.media.clear();
        if all {
            self.people.clear();
            self.uptime.restart(std::time::Duration::ZERO);
        }
        self.rewrite.store(true, Relaxed);
    }

    /// A number for a connection or request that no other has.
    fn next(&self) -> u64 {
        self.connections.fetch_add(1, Relaxed) + 1
    }
}
