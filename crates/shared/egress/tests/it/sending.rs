//! Requests that change something elsewhere: what was not sent is told from what may have arrived.

use axum::{Router, extract::Request, http::StatusCode, routing::post};
use barid_egress::{Error, Outgoing, Refusal, SendError, Sender, Settings};

use crate::server::{FRIEND, Names, STRANGER, Server, settings};

fn to(url: String) -> Outgoing {
    let headers = vec![("Authorization".to_owned(), "Bearer secret".to_owned())];
    Outgoing { method: "POST".into(), url, headers, body: "{}".into() }
}

#[tokio::test]
async fn what_comes_back_is_told_whatever_the_status() {
    let echo = |request: Request| async move {
        let header = request.headers()["authorization"].to_str().expect("text").to_owned();
        (StatusCode::IM_A_TEAPOT, format!("{} {header}", request.method()))
    };
    let server = Server::http(FRIEND, Router::new().route("/a", post(echo))).await;
    let sender = Sender::new(&settings([&server])).expect("a sender");
    let answer = sender.send(to(server.url("/a"))).await.expect("an answer");
    assert_eq!((answer.status, &answer.body[..]), (418, &b"POST Bearer secret"[..]));
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let server = Server::http(FRIEND, Router::new().route("/a", post(|| async { axum::response::Redirect::temporary("/b") }))).await;
    let sender = Sender::new(&settings([&server])).expect("a sender");
    assert_eq!(sender.send(to(server.url("/a"))).await.expect("an answer").status, 307);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_was_not_sent_is_told_from_what_may_have_arrived() {
    let closes = Server::raw("", true).await;
    let silent = Server::raw("", false).await;
    let gone = Server::http(FRIEND, Router::new()).await;
    let patient = Settings {
        total_timeout: std::time::Duration::from_secs(1),
        connect_timeout: std::time::Duration::from_millis(500),
        ..settings([&closes, &silent, &gone])
    };
    let sender = Sender::new(&patient).expect("a sender");
    let nobody = gone.url("/");
    drop(gone);
    tokio::task::yield_now().await;
    for (url, sent) in [(closes.url("/"), true), (silent.url("/"), true)] {
        let error = sender.send(to(url.clone())).await.expect_err("no answer");
        assert_eq!(matches!(error, SendError::Unknown(_)), sent, "{url}: {error}");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("127.0.0.1"), "{error}");
    }
    assert!(matches!(sender.send(to(nobody)).await, Err(SendError::NotSent(_))));
}

#[tokio::test]
async fn what_only_barid_can_reach_is_not_connected_to() {
    let server = Server::http(STRANGER, Router::new()).await;
    let sender = Sender::new(&settings([&server])).expect("a sender");
    assert!(matches!(sender.send(to(server.url("/"))).await, Err(SendError::Malformed(_))));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_sender_is_held_to_the_answer_that_is_connected_to() {
    let friend = Server::http(FRIEND, Router::new().route("/", post(|| async { ([("connection", "close")], "hello") }))).await;
    let stranger = Server::on(STRANGER, friend.address.port(), Router::new()).await;
    let names = Names::default().with("rebinds.example", &[&[FRIEND], &[STRANGER]]);
    let sender = Sender::with_resolver(&settings([&friend]), names).expect("a sender");
    let url = format!("http://rebinds.example:{}/", friend.address.port());
    assert_eq!(sender.judge(&url), Ok(()), "a name shows nothing by itself");
    assert_eq!(sender.send(to(url.clone())).await.expect("an answer").status, 200);
    let error = sender.send(to(url)).await.expect_err("the name has moved");
    assert!(matches!(&error, SendError::NotSent(says) if says.contains("a loopback address")), "{error}");
    assert_eq!(stranger.connections(), 0);
}

#[tokio::test]
async fn urls_are_judged_before_anything_is_sent() {
    let sender = Sender::new(&Settings::default()).expect("a sender");
    assert_eq!(sender.judge("https://example.com/hook?token=a"), Ok(()));
    let mapped = Error::Refused { host: "::ffff:10.0.0.1".to_owned(), refusal: Refusal::Ipv4InIpv6 };
    assert_eq!(sender.judge("https://[::ffff:10.0.0.1]/"), Err(mapped));
    assert_eq!(sender.judge("https://a:b@example.com/"), Err(Error::Credentials));
    assert!(matches!(sender.judge("no url"), Err(Error::Malformed(_))));
}

#[tokio::test]
async fn headers_are_told_and_no_more_of_a_body_than_is_kept() {
    let answer = || async { ([("retry-after", "7"), ("x-what", "a")], "0123456789".repeat(100_000)) };
    let server = Server::http(FRIEND, Router::new().route("/", post(answer))).await;
    let sender = Sender::new(&settings([&server])).expect("a sender").keeping(15);
    let answer = sender.send(to(server.url("/"))).await.expect("an answer");
    assert_eq!(&answer.body[..], b"012345678901234");
    let value = |name: &str| answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((value("retry-after"), value("x-what")), (Some("7"), Some("a")));
}
