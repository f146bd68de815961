//! The media host: encrypted blobs under names that clients and phones make up.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wacore::{
    download::{DownloadUtils, MediaType},
    upload::{EncryptedMediaInfo, encrypt_media_streaming},
};

use super::content::Medium;
use crate::world::World;

pub(crate) struct Media {
    blobs: Mutex<Blobs>,
    limit: usize,
}

#[derive(Default)]
struct Blobs {
    by_path: HashMap<String, Bytes>,
    oldest: VecDeque<String>,
    bytes: usize,
}

impl Media {
    pub(super) fn new(limit: usize) -> Self {
        Self { blobs: Mutex::default(), limit }
    }

    /// Keeps a blob; when all together exceed the limit the oldest go.
    fn put(&self, path: &str, blob: Bytes) {
        let mut blobs = self.blobs.lock();
        blobs.bytes += blob.len();
        match blobs.by_path.insert(path.to_owned(), blob) {
            Some(before) => blobs.bytes -= before.len(),
            None => blobs.oldest.push_back(path.to_owned()),
        }
        while blobs.bytes > self.limit
            && blobs.oldest.len() > 1
            && let Some(oldest) = blobs.oldest.pop_front()
        {
            let gone = blobs.by_path.remove(&oldest).map_or(0, |blob| blob.len());
            blobs.bytes -= gone;
        }
    }

    pub(super) fn clear(&self) {
        *self.blobs.lock() = Blobs::default();
    }

    fn get(&self, path: &str) -> Option<Bytes> {
        self.blobs.lock().by_path.get(path).cloned()
    }

    /// Encrypts a medium that a phone sends; where it lies, and how it was encrypted.
    pub(super) fn store(&self, kind: &str, plain: &[u8]) -> Option<(String, EncryptedMediaInfo)> {
        let kind = media_type(kind)?;
        let mut sealed = Vec::new();
        let info = encrypt_media_streaming(plain, &mut sealed, kind).ok()?;
        let path = format!("{}/{}", kind.upload_path(), BASE64_URL_SAFE_NO_PAD.encode(info.file_enc_sha256));
        self.put(&path, sealed.into());
        Some((path, info))
    }

    /// Fetches and decrypts a medium as the phone does that shows it.
    pub(super) fn open(&self, medium: &Medium<'_>) -> Option<Vec<u8>> {
        let sealed = self.get(medium.direct_path.split('?').next()?)?;
        let plain = DownloadUtils::verify_and_decrypt(&sealed, medium.key, media_type(medium.kind)?).ok()?;
        (Sha256::digest(&plain)[..] == *medium.sha256).then_some(plain)
    }
}

fn media_type(kind: &str) -> Option<MediaType> {
    Some(match kind {
        "image" => MediaType::Image,
        "video" => MediaType::Video,
        "audio" => MediaType::Audio,
        "document" => MediaType::Document,
        "sticker" => MediaType::Sticker,
        _ => return None,
    })
}

pub(super) async fn upload(
    State(world): State<Arc<World>>,
    Path((kind, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    blob: Bytes,
) -> Json<Value> {
    let path = format!("/mms/{kind}/{name}");
    let address = json!({"url": format!("https://{}{path}", world.media_host), "direct_path": path});
    if query.is_some_and(|query| query.contains("resume=1")) {
        let there = world.web.media.get(&path).is_some();
        return Json(if there {
            json!({"resume": "complete", "url": address["url"], "direct_path": address["direct_path"]})
        } else {
            json!({"resume": "0"})
        });
    }
    world.web.media.put(&path, blob);
    Json(address)
}

pub(super) async fn download(State(world): State<Arc<World>>, Path((kind, name)): Path<(String, String)>) -> Result<Bytes, StatusCode> {
    world.web.media.get(&format!("/mms/{kind}/{name}")).ok_or(StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_opens_with_its_key_only() {
        let media = Media::new(1 << 20);
        let (path, info) = media.store("document", b"%PDF").unwrap();
        let mut medium = Medium { kind: "document", direct_path: &path, key: &info.media_key, sha256: &info.file_sha256 };
        assert_eq!(media.open(&medium).unwrap(), b"%PDF");
        medium.key = &[0; 32];
        assert!(media.open(&medium).is_none());
    }

    #[test]
    fn the_oldest_give_way() {
        let media = Media::new(10);
        media.put("a", Bytes::from_static(b"1234567"));
        media.put("b", Bytes::from_static(b"1234567"));
        assert!(media.get("a").is_none() && media.get("b").is_some());
    }
}
