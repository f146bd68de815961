mod damage;
mod house;
mod s3;
mod s3_server;
mod sweep;

use barid_blob::{Config, Error, Store};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use house::{A, B, House, LIMIT, MIB, content, vault};

/// Content in pieces of a size that fits no frame.
fn pieces(content: &Bytes) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + use<> {
    let pieces: Vec<Bytes> = content.chunks(300_007).map(Bytes::copy_from_slice).collect();
    stream::iter(pieces.into_iter().map(Ok))
}

#[tokio::test]
async fn what_is_put_comes_back_whatever_its_size() {
    let house = House::new();
    for size in [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 9 * MIB + 3] {
        let content = content(0, size);
        let digest = house.store.put(A, content.clone()).await.expect("put");
        assert!(house.store.get(A, &digest, LIMIT).await.expect("got").expect("there") == content, "{size}");
    }
    for size in [0, MIB, 2 * MIB + 5] {
        let content = content(1, size);
        let digest = house.store.digest(A, &content).await.expect("a digest");
        assert!(!house.store.exists(A, &digest).await.expect("asked") || size == 0);
        let streamed = house.store.put_stream(A, pieces(&content), LIMIT).await.expect("put");
        assert_eq!((streamed.digest, streamed.size), (digest, size as u64));
        assert!(house.store.get(A, &digest, LIMIT).await.expect("got").expect("there") == content, "{size}");
    }
    assert_eq!(house.files().len(), 9, "one for each content, and nothing left in staging");
}

#[tokio::test]
async fn a_reader_tells_the_size_and_gives_small_pieces() {
    let house = House::new();
    let content = content(0, 2 * MIB + 7);
    let digest = house.store.put(A, content.clone()).await.expect("put");
    let reader = house.store.get_stream(A, &digest, LIMIT).await.expect("got").expect("there");
    assert_eq!(reader.size(), content.len() as u64);
    let chunks: Vec<Bytes> = reader.try_collect().await.expect("read");
    assert!(chunks.iter().all(|chunk| chunk.len() <= MIB));
    assert!(chunks.concat() == content);
}

#[tokio::test]
async fn tenants_have_nothing_in_common() {
    let house = House::new();
    let invoice = Bytes::from_static(b"an invoice that two tenants have");
    let ours = house.store.put(A, invoice.clone()).await.expect("put");
    let theirs = house.store.put(B, invoice.clone()).await.expect("put");
    assert_ne!(ours, theirs);
    assert_eq!(house.store.put(A, invoice).await.expect("put"), ours);
    let files = house.files();
    assert_eq!(files.len(), 2);

    assert_eq!(house.store.get(B, &ours, LIMIT).await.expect("asked"), None);
    assert!(!house.store.exists(B, &ours).await.expect("asked"));
    house.store.delete(B, &ours).await.expect("nothing to delete");
    assert!(house.store.exists(A, &ours).await.expect("asked"));
    assert_eq!(house.files(), files);
}

#[tokio::test]
async fn neither_names_nor_files_show_content_tenant_or_digest() {
    let house = House::new();
    let invoice = b"an invoice of 100 pounds to a person with a name";
    let digest = house.store.put(A, Bytes::from_static(invoice)).await.expect("put");
    let file = house.new_file(&[]);
    let name = file.display().to_string();
    assert!(!name.contains(&digest.to_string()) && !name.contains(&A.to_string()) && !name.contains(&A.uuid().simple().to_string()));
    let kept = std::fs::read(file).expect("a file");
    assert!(!kept.windows(16).any(|window| invoice.windows(16).any(|plain| plain == window)));
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_may_be_deleted_again() {
    let house = House::new();
    let digest = house.store.put(A, content(0, 10)).await.expect("put");
    assert!(house.store.exists(A, &digest).await.expect("asked"));
    for _ in 0..2 {
        house.store.delete(A, &digest).await.expect("deleted");
        assert!(!house.store.exists(A, &digest).await.expect("asked"));
        assert_eq!(house.store.get(A, &digest, LIMIT).await.expect("asked"), None);
    }
    assert_eq!(house.files().len(), 0);
}

#[tokio::test]
async fn limits_hold_for_what_comes_in_and_what_goes_out() {
    let house = House::new();
    for size in [1000, 9 * MIB] {
        let content = content(0, size);
        let most = size as u64;
        let refused = house.store.put_stream(A, pieces(&content), most - 1).await;
        assert!(matches!(refused, Err(Error::TooLarge { limit }) if limit == most - 1));
        assert_eq!(house.files().len(), 0, "{size}");
        let stored = house.store.put_stream(A, pieces(&content), most).await.expect("put");
        assert!(matches!(house.store.get(A, &stored.digest, most - 1).await, Err(Error::TooLarge { limit }) if limit == most - 1));
        assert!(house.store.get(A, &stored.digest, most).await.expect("got").is_some());
        house.store.delete(A, &stored.digest).await.expect("deleted");
    }
}

#[tokio::test]
async fn nothing_stays_of_a_source_that_fails() {
    let house = House::new();
    for size in [1000, 9 * MIB] {
        let broken = pieces(&content(0, size)).chain(stream::iter([Err(std::io::Error::other("the line is cut"))]));
        let error = house.store.put_stream(A, broken, LIMIT).await.expect_err("refused");
        assert_eq!(error.to_string(), "the content could not be read to its end: the line is cut");
        assert_eq!(house.files().len(), 0, "{size}");
    }
}

#[tokio::test]
async fn a_store_opens_where_it_may_and_says_why_where_not() {
    let house = House::new();
    house.store.check().await.expect("there");
    std::fs::remove_dir_all(house.media()).expect("removed");
    assert!(matches!(house.store.check().await, Err(Error::Folder(_))));

    let file = house.media().with_extension("file");
    std::fs::write(&file, "").expect("a file");
    assert!(matches!(Store::open(&Config::folder(&file.join("media")), vault()), Err(Error::Folder(_))));
    let wrong = Config { url: "media".to_owned(), ..Config::folder(&file) };
    assert!(matches!(Store::open(&wrong, vault()), Err(Error::Config(problems)) if problems.len() == 1));
}
