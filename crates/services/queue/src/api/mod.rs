//! What the service answers, one file per proto service.

mod accept;
mod contacts;
mod events;
mod inbound;
mod jobs;
mod ledger;
mod messages;
mod overview;
mod references;

use std::sync::Arc;

use barid_domain::{Id, id::Kind};
use barid_proto::{Guard, Violations};
use prost_reflect::MessageDescriptor;
use tonic::Status;

use crate::{
    clients::{Directory, Renderer, Sessions},
    store::{AddressBook, Committer, Store},
};

#[derive(Clone)]
pub(crate) struct State {
    pub store: Store,
    pub committer: Committer,
    pub address_book: AddressBook,
    pub directory: Directory,
    pub renderer: Renderer,
    pub sessions: Sessions,
    pub guard: Arc<Guard>,
    /// Descriptor of `SendMessageRequest`, whose limits are checked item by item in a batch.
    pub item: MessageDescriptor,
}

/// Where a page begins.
fn page_start<K: Kind>(token: &str) -> Result<Option<Id<K>>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = |_| Violations::one("pageToken", "invalid_page_token", "is no token of this list; give the `nextPageToken` of a page");
    token.parse().map(Some).map_err(wrong)
}

/// Size of a page, or what is usual.
fn page_size(size: i32, usual: u64) -> u64 {
    u64::try_from(size).ok().filter(|size| *size > 0).unwrap_or(usual)
}
