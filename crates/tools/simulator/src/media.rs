//! Uploaded media, in memory and bounded.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use axum::body::Bytes;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

const MIB: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Media {
    pub(crate) id: String,
    pub(crate) mime_type: String,
    pub(crate) sha256: String,
    pub(crate) bytes: Bytes,
    /// The number it was uploaded for; only its token may read it.
    pub(crate) phone_number_id: String,
}

#[derive(Default)]
pub(crate) struct MediaStore(Mutex<State>);

#[derive(Default)]
struct State {
    by_id: HashMap<String, Arc<Media>>,
    oldest: VecDeque<String>,
    bytes: usize,
    last: u64,
}

/// Meta's cap for a media type, in bytes; none for types it does not take.
pub(crate) fn cap(mime_type: &str) -> Option<usize> {
    match mime_type.split(';').next().unwrap_or_default().trim() {
        "image/jpeg" | "image/png" => Some(5 * MIB),
        "image/webp" => Some(MIB / 2),
        kind if kind.starts_with("audio/") || kind.starts_with("video/") => Some(16 * MIB),
        kind if kind.starts_with("application/") || kind == "text/plain" => Some(100 * MIB),
        _ => None,
    }
}

impl MediaStore {
    /// Keeps the media; when all together exceed `limit` bytes the oldest go.
    pub(crate) fn add(&self, phone_number_id: &str, mime_type: &str, bytes: Bytes, limit: usize) -> Arc<Media> {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let mut state = self.0.lock();
        state.last += 1;
        let id = (800_000_000_000 + state.last).to_string();
        let media =
            Arc::new(Media { id: id.clone(), mime_type: mime_type.to_owned(), sha256, bytes, phone_number_id: phone_number_id.to_owned() });
        state.bytes += media.bytes.len();
        state.by_id.insert(id.clone(), Arc::clone(&media));
        state.oldest.push_back(id);
        while state.bytes > limit
            && state.oldest.len() > 1
            && let Some(oldest) = state.oldest.pop_front()
        {
            state.forget(&oldest);
        }
        media
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Media>> {
        self.0.lock().by_id.get(id).cloned()
    }

    pub(crate) fn remove(&self, id: &str) {
        let mut state = self.0.lock();
        state.oldest.retain(|kept| kept != id);
        state.forget(id);
    }

    pub(crate) fn clear(&self) {
        let mut state = self.0.lock();
        let last = state.last;
        *state = State { last, ..State::default() };
    }
}

impl State {
    fn forget(&mut self, id: &str) {
        if let Some(media) = self.by_id.remove(id) {
            self.bytes -= media.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_give_way() {
        let store = MediaStore::default();
        let first = store.add("1", "image/png", Bytes::from_static(b"12345"), 8);
        let second = store.add("1", "image/png", Bytes::from_static(b"12345"), 8);
        assert!(store.get(&first.id).is_none());
        assert!(store.get(&second.id).is_some());
        store.remove(&second.id);
        assert!(store.get(&second.id).is_none());
    }
}
