use barid_blob::{Config, Error, Store, Swept};
use barid_domain::Secret;
use chrono::{DateTime, Utc};

use crate::{
    house::{A, B, LIMIT, MIB, content, vault},
    pieces,
    s3_server::{ACCESS_KEY, REGION, SECRET_KEY, Server},
};

fn config(server: &Server) -> Config {
    Config {
        url: "s3://media/barid".to_owned(),
        endpoint: server.endpoint.clone(),
        region: REGION.to_owned(),
        access_key: Secret::new(ACCESS_KEY),
        secret_key: Secret::new(SECRET_KEY),
        allow_http: true,
    }
}

fn store(server: &Server) -> Store {
    Store::open(&config(server), vault()).expect("a store")
}

fn hours(count: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(count * 3600, 0).expect("a time")
}

#[tokio::test]
async fn small_content_is_one_signed_request_to_the_bucket_in_the_path() {
    let server = Server::start().await;
    let store = store(&server);
    store.check().await.expect("reachable");
    let content = content(0, MIB + 7);
    server.kept().calls.clear();
    let digest = store.put(A, content.clone()).await.expect("put");
    let calls = std::mem::take(&mut server.kept().calls);
    let key = server.kept().objects.keys().next().cloned().expect("an object");
    assert_eq!(calls, [format!("PUT {key}")]);
    assert!(key.starts_with("/media/barid/objects/") && !key.contains(&digest.to_string()), "{key}");

    assert!(store.get(A, &digest, LIMIT).await.expect("got").expect("there") == content);
    assert_eq!(store.get(B, &digest, LIMIT).await.expect("asked"), None);
    assert!(store.exists(A, &digest).await.expect("asked"));
    store.delete(A, &digest).await.expect("deleted");
    assert!(!store.exists(A, &digest).await.expect("asked"));
    assert_eq!(server.kept().objects.len(), 0);
}

#[tokio::test]
async fn large_content_goes_in_parts_to_staging_and_is_renamed() {
    let server = Server::start().await;
    let store = store(&server);
    let content = content(0, 9 * MIB);
    let stored = store.put_stream(A, pieces(&content), LIMIT).await.expect("put");
    assert!(store.get(A, &stored.digest, LIMIT).await.expect("got").expect("there") == content);
    assert!(server.kept().objects.keys().all(|key| key.starts_with("/media/barid/objects/")));
    let calls = server.kept().calls.clone();
    assert_eq!(calls.iter().filter(|call| call.contains("?partNumber")).count(), 2, "{calls:?}");

    server.kept().calls.clear();
    assert!(matches!(store.put_stream(A, pieces(&content), (9 << 20) - 1).await, Err(Error::TooLarge { .. })));
    let calls = server.kept().calls.clone();
    assert!(calls.iter().any(|call| call.starts_with("DELETE /media/barid/staging/") && call.ends_with("?uploadId")), "{calls:?}");
}

#[tokio::test]
async fn a_sweep_lists_and_deletes_what_is_old() {
    let server = Server::start().await;
    let store = store(&server);
    server.kept().now = hours(10);
    let old = store.put(A, content(1, 100)).await.expect("put");
    server.kept().now = hours(30);
    let young = store.put(A, content(2, 100)).await.expect("put");
    server.kept().objects.insert("/media/barid/staging/aa".to_owned(), (content(3, 9), hours(10)));
    server.kept().objects.insert("/media/elsewhere/objects/aa".to_owned(), (content(3, 9), hours(10)));
    assert_eq!(store.sweep(hours(20)).await.expect("swept"), Swept { objects: 1, unfinished: 1 });
    assert!(!store.exists(A, &old).await.expect("asked") && store.exists(A, &young).await.expect("asked"));
    assert!(server.kept().objects.contains_key("/media/elsewhere/objects/aa"));
}

#[tokio::test]
async fn what_is_put_again_during_a_sweep_stays() {
    let server = Server::start().await;
    let store = store(&server);
    server.kept().now = hours(30);
    let digest = store.put(A, content(1, 100)).await.expect("put");
    server.kept().listed_as_of = Some(hours(10));
    assert_eq!(store.sweep(hours(20)).await.expect("swept"), Swept::default());
    assert!(store.exists(A, &digest).await.expect("asked"));
}

#[tokio::test]
async fn a_server_that_stumbles_is_asked_again() {
    let server = Server::start().await;
    let store = store(&server);
    server.kept().failures = 2;
    let digest = store.put(A, content(0, 100)).await.expect("put");
    assert_eq!(server.kept().calls.len(), 3);
    server.kept().failures = 1;
    assert!(store.get(A, &digest, LIMIT).await.expect("got").is_some());
}

#[tokio::test]
async fn a_wrong_key_is_an_error_that_does_not_show_it() {
    let server = Server::start().await;
    let wrong = Config { secret_key: Secret::new("not-the-secret"), ..config(&server) };
    let store = Store::open(&wrong, vault()).expect("a store");
    let error = store.put(A, content(0, 100)).await.expect_err("refused");
    assert!(matches!(&error, Error::Backend(_)), "{error:?}");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("SignatureDoesNotMatch") && !shown.contains("not-the-secret"), "{shown}");
    assert!(store.check().await.is_err());
}
