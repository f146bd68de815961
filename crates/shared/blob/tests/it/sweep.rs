use std::{
    fs::File,
    path::Path,
    time::{Duration, SystemTime},
};

use barid_blob::Swept;
use chrono::{DateTime, Utc};

use crate::house::{A, House, content};

fn hours(count: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(count * 3600)
}

fn write(file: &Path, at: SystemTime) {
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    File::options().create(true).append(true).open(file).and_then(|file| file.set_modified(at)).expect("written");
}

async fn sweep(house: &House, before: u64) -> Swept {
    house.store.sweep(DateTime::<Utc>::from(hours(before))).await.expect("swept")
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_young_stays() {
    let house = House::new();
    let mut digests = Vec::new();
    for (seed, age) in [(1, 10), (2, 20), (3, 30)] {
        let before = house.files();
        digests.push(house.store.put(A, content(seed, 100)).await.expect("put"));
        write(&house.new_file(&before), hours(age));
    }
    assert_eq!(sweep(&house, 10).await, Swept::default(), "exactly as old is not older");
    assert_eq!(sweep(&house, 21).await, Swept { objects: 2, unfinished: 0 });
    for (digest, stays) in digests.iter().zip([false, false, true]) {
        assert_eq!(house.store.exists(A, digest).await.expect("asked"), stays);
    }
}

#[tokio::test]
async fn what_is_put_again_is_new_again() {
    let house = House::new();
    let digest = house.store.put(A, content(1, 100)).await.expect("put");
    write(&house.new_file(&[]), hours(10));
    house.store.put(A, content(1, 100)).await.expect("put");
    assert_eq!(sweep(&house, 20).await, Swept::default());
    assert!(house.store.exists(A, &digest).await.expect("asked"));
}

#[tokio::test]
async fn what_was_never_finished_goes_as_well() {
    let house = House::new();
    for (name, age) in [("staging/aa", 10), ("staging/bb#1", 10), ("objects/ab/abcd#2", 10), ("objects/ab/young#1", 30)] {
        write(&house.media().join(name), hours(age));
    }
    assert_eq!(sweep(&house, 20).await, Swept { objects: 0, unfinished: 3 });
    assert_eq!(house.files(), [house.media().join("objects/ab/young#1")]);
}
