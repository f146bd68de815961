use std::{convert::Infallible, io, net::IpAddr, time::Duration};

use axum::{Router, body::Body, routing::get};
use barid_egress::{Error, Fetcher, Resolve, Settings};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use tokio::{sync::mpsc, time::timeout};

use crate::server::{FRIEND, Server, fetcher, settings};

/// Longer than any time-out that a test sets, and shorter than the default.
const GUARD: Duration = Duration::from_secs(4);

/// Sends without end, and says so when its body is let go.
fn endless(gone: mpsc::UnboundedSender<()>) -> Router {
    struct Tells(mpsc::UnboundedSender<()>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let body = move || {
        let tells = Tells(gone.clone());
        let chunk = move || {
            let _held = &tells;
            Ok::<_, Infallible>(Bytes::from_static(&[7; 1024]))
        };
        async move { Body::from_stream(stream::repeat_with(chunk)) }
    };
    Router::new().route("/", get(body))
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let (gone, mut told) = mpsc::unbounded_channel();
    let server = Server::http(FRIEND, endless(gone)).await;
    let found = fetcher(&server).fetch(&server.url("/"), 100_000).await;
    assert_eq!(found.err(), Some(Error::TooLarge { limit: 100_000 }));
    told.recv().await.expect("the server could stop");
}

#[tokio::test]
async fn a_stream_hands_on_no_more_than_the_limit_and_then_ends() {
    let (gone, mut told) = mpsc::unbounded_channel();
    let server = Server::http(FRIEND, endless(gone)).await;
    let mut opened = fetcher(&server).open(&server.url("/"), 10_000).await.expect("opened");
    assert_eq!(opened.length, None);
    let mut handed_on = 0;
    let error = loop {
        match opened.body.next().await.expect("an end with an error") {
            Ok(chunk) => handed_on += chunk.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::TooLarge { limit: 10_000 });
    assert!(handed_on <= 10_000, "{handed_on}");
    assert!(opened.body.next().await.is_none());
    told.recv().await.expect("the server could stop");
}

#[tokio::test]
async fn an_announced_length_beyond_the_limit_is_refused_at_once_and_the_limit_itself_is_not() {
    let server = Server::http(FRIEND, Router::new().route("/", get(|| async { [7; 1000] }))).await;
    let fetcher = fetcher(&server);
    assert_eq!(fetcher.open(&server.url("/"), 999).await.err(), Some(Error::TooLarge { limit: 999 }));
    let opened = fetcher.open(&server.url("/"), 1000).await.expect("opened");
    assert_eq!(opened.length, Some(1000));
    let bytes: Vec<Bytes> = opened.body.try_collect().await.expect("read");
    assert_eq!(bytes.concat(), [7; 1000]);
}

#[tokio::test]
async fn a_server_that_keeps_silent_meets_the_time_out() {
    let patience = Duration::from_millis(300);
    for head in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun"] {
        let server = Server::raw(head, false).await;
        let settings = Settings { connect_timeout: patience, total_timeout: patience, ..settings([&server]) };
        let fetcher = Fetcher::new(&settings).expect("a fetcher");
        let found = timeout(GUARD, fetcher.fetch(&server.url("/"), 1000)).await.expect("the time-out set");
        assert_eq!(found.err(), Some(Error::Timeout(patience)), "{head:?}");
    }
}

#[tokio::test]
async fn a_name_server_that_keeps_silent_meets_the_time_out_for_connecting() {
    struct Silent;
    impl Resolve for Silent {
        fn resolve(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            std::future::pending().boxed()
        }
    }
    let settings = Settings { connect_timeout: Duration::from_millis(300), ..Settings::default() };
    let fetcher = Fetcher::with_resolver(&settings, Silent).expect("a fetcher");
    let found = timeout(GUARD, fetcher.fetch("https://shop.example/", 1000)).await.expect("the time-out set");
    assert!(matches!(found, Err(Error::Unreachable(_))), "{found:?}");
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error() {
    let server = Server::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun", true).await;
    let found = fetcher(&server).fetch(&server.url("/"), 1000).await.expect_err("cut");
    assert!(matches!(found, Error::BrokenOff(_)), "{found:?}");
    assert!(found.is_transient());
}
