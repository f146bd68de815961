//! Servers that refuse, hang up, or speak nonsense.

use barid_whatsapp::{Action, Failure, cloud::Client};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{number, settings, text, within};

/// Sends to a server that reads a whole request, answers with `answer` as it is, and hangs up.
async fn send_to(answer: &'static str) -> Failure {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.ends_with(b"}") {
            let read = stream.read(&mut buffer).await.unwrap();
            request.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let failure = within(Client::new(&settings(&url)).unwrap().send(&number(), &text("msg_1", "x"))).await.unwrap_err();
    server.await.unwrap();
    failure
}

#[tokio::test]
async fn nobody_listening_is_known_not_to_have_been_sent() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let failure = Client::new(&settings(&url)).unwrap().send(&number(), &text("msg_1", "x")).await.unwrap_err();
    assert_eq!((failure.action, failure.reason), (Action::ReturnAndBackOff, "meta_unreachable"), "{failure}");
}

#[tokio::test]
async fn a_connection_lost_after_writing_is_uncertain() {
    let failure = send_to("").await;
    assert_eq!((failure.action, failure.reason), (Action::Uncertain, "connection_lost"), "{failure}");
    let failure = send_to("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"messages\":[{\"id\":\"wam").await;
    assert_eq!((failure.action, failure.reason), (Action::Uncertain, "unexpected_answer"), "{failure}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let failure = send_to("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!((failure.action, failure.reason), (Action::Uncertain, "unexpected_answer"), "{failure}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_safe_to_try_again() {
    let failure = send_to("HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\n<html>").await;
    assert_eq!((failure.action, failure.reason), (Action::ReturnAndBackOff, "unexpected_answer"), "{failure}");
}

#[test]
fn an_address_that_is_none_is_refused() {
    for address in ["", "graph.facebook.com", "ftp://x", "mailto:x"] {
        assert!(Client::new(&settings(address)).is_err(), "{address}");
    }
}
