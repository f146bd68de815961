//! Requests that change something elsewhere: what was not sent is told from what may have arrived.

use axum::{Router, extract::Request, http::StatusCode, routing::post};
use barid_egress::{Outgoing, SendError, Sender, Settings};

use crate::server::{FRIEND, STRANGER, Server, settings};

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
