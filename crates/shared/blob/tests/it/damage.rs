use std::path::PathBuf;

use barid_blob::{Digest, Error};
use bytes::Bytes;
use futures::StreamExt;

use crate::house::{A, B, House, LIMIT, MIB, content};

const HEAD: usize = 17;
/// A frame that is not the last.
const FRAME: usize = MIB + 45;

async fn put(house: &House, content: Bytes) -> (Digest, PathBuf) {
    let before = house.files();
    let digest = house.store.put(A, content).await.expect("put");
    (digest, house.new_file(&before))
}

async fn is_damaged(house: &House, digest: Digest) -> bool {
    matches!(house.store.get(A, &digest, LIMIT).await, Err(Error::Damaged(found)) if found == digest)
}

#[tokio::test]
async fn a_changed_byte_is_noticed_wherever_it_is() {
    let house = House::new();
    let (digest, file) = put(&house, content(0, 2 * MIB + 100)).await;
    let sound = std::fs::read(&file).expect("a file");
    let places = [0, 1, HEAD - 1, HEAD, HEAD + 1, HEAD + 5, HEAD + 40, HEAD + FRAME - 1, HEAD + FRAME, HEAD + 2 * FRAME, sound.len() - 1];
    for place in places {
        let mut changed = sound.clone();
        changed[place] ^= 1;
        std::fs::write(&file, changed).expect("written");
        assert!(is_damaged(&house, digest).await, "{place}");
    }
    std::fs::write(&file, sound).expect("written");
    assert!(house.store.get(A, &digest, LIMIT).await.expect("sound").is_some());
}

#[tokio::test]
async fn frames_cannot_be_cut_off_left_out_repeated_or_reordered() {
    let house = House::new();
    let (digest, file) = put(&house, content(0, 3 * MIB)).await;
    let sound = std::fs::read(&file).expect("a file");
    let (head, frames) = sound.split_at(HEAD);
    let frame: Vec<&[u8]> = frames.chunks(FRAME).collect();
    assert_eq!(frame.len(), 3);
    let orders: [&[usize]; 8] = [&[], &[0], &[0, 1], &[0, 2], &[1, 2], &[1, 0, 2], &[0, 1, 1, 2], &[0, 1, 2, 2]];
    for order in orders {
        let frames: Vec<u8> = order.iter().flat_map(|&at| frame[at]).copied().collect();
        std::fs::write(&file, [head, &frames].concat()).expect("written");
        assert!(is_damaged(&house, digest).await, "{order:?}");
    }
    for length in [0, 1, HEAD - 1, HEAD + 44, HEAD + 45, sound.len() - 1] {
        std::fs::write(&file, &sound[..length]).expect("written");
        assert!(is_damaged(&house, digest).await, "{length}");
    }
    std::fs::write(&file, [&sound, &[0][..]].concat()).expect("written");
    assert!(is_damaged(&house, digest).await, "longer");
}

#[tokio::test]
async fn objects_of_a_tenant_cannot_stand_for_each_other() {
    let house = House::new();
    for size in [100, 2 * MIB + 100] {
        let (one, first) = put(&house, content(1, size)).await;
        let (two, second) = put(&house, content(2, size)).await;
        let (sound, other) = (std::fs::read(&first).expect("a file"), std::fs::read(&second).expect("a file"));
        std::fs::write(&first, &other).expect("written");
        assert!(is_damaged(&house, one).await, "{size}");
        std::fs::write(&second, &sound).expect("written");
        assert!(is_damaged(&house, two).await, "{size}");
        // A frame of one object under the head of another.
        let at = HEAD + FRAME.min(sound.len() - HEAD);
        std::fs::write(&first, [&sound[..HEAD], &other[HEAD..at], &sound[at..]].concat()).expect("written");
        assert!(is_damaged(&house, one).await, "{size}");
        house.store.delete(A, &one).await.expect("deleted");
        house.store.delete(A, &two).await.expect("deleted");
    }
}

#[tokio::test]
async fn an_object_of_another_tenant_does_not_open() {
    let house = House::new();
    let (digest, file) = put(&house, content(0, 100)).await;
    let before = house.files();
    house.store.put(B, content(0, 100)).await.expect("put");
    std::fs::copy(house.new_file(&before), file).expect("copied");
    assert!(is_damaged(&house, digest).await);
}

#[tokio::test]
async fn a_stream_says_at_its_end_that_something_is_missing() {
    let house = House::new();
    let (digest, file) = put(&house, content(0, 3 * MIB)).await;
    std::fs::File::options().write(true).open(file).expect("a file").set_len((HEAD + 2 * FRAME) as u64).expect("cut");
    let reader = house.store.get_stream(A, &digest, LIMIT).await.expect("begun").expect("there");
    let chunks: Vec<_> = reader.collect().await;
    assert_eq!(chunks.len(), 2);
    assert!(chunks[0].is_ok() && matches!(chunks[1], Err(Error::Damaged(_))));
}
