use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use barid_egress::{Error, Fetcher, Refusal, Settings};

use crate::{
    LIMIT, hello,
    server::{FRIEND, Names, STRANGER, Server, settings},
};

fn to(location: String) -> Router {
    Router::new().fallback(move || async move { (StatusCode::FOUND, [(header::LOCATION, location)]) })
}

/// What comes of following a redirect, and how often the stranger was connected to.
async fn follow(location: impl Fn(u16) -> String) -> (Option<Error>, usize) {
    let stranger = Server::http(STRANGER, hello("secret")).await;
    let friend = Server::http(FRIEND, to(location(stranger.address.port()))).await;
    let names = Names::default().with("stranger.example", &[&[STRANGER]]);
    let fetcher = Fetcher::with_resolver(&settings([&friend, &stranger]), names).expect("a fetcher");
    (fetcher.fetch(&friend.url("/"), LIMIT).await.err(), stranger.connections())
}

fn redirect(error: Error) -> Option<Error> {
    Some(Error::Redirect(Box::new(error)))
}

#[tokio::test]
async fn a_redirect_to_a_refused_address_is_not_followed() {
    let loopback = || redirect(Error::Refused { host: "127.0.0.2".to_owned(), refusal: Refusal::Loopback });
    assert_eq!(follow(|port| format!("http://127.0.0.2:{port}/")).await, (loopback(), 0));
    assert_eq!(follow(|port| format!("http://2130706434:{port}/")).await, (loopback(), 0));
    assert_eq!(follow(|port| format!("//0x7f000002:{port}/")).await, (loopback(), 0));
    let mapped = redirect(Error::Refused { host: "::ffff:127.0.0.2".to_owned(), refusal: Refusal::Ipv4InIpv6 });
    assert_eq!(follow(|port| format!("http://[::ffff:127.0.0.2]:{port}/")).await, (mapped, 0));
}

#[tokio::test]
async fn a_redirect_to_a_name_is_judged_when_it_is_resolved() {
    let loopback = Some(Error::Refused { host: "stranger.example".to_owned(), refusal: Refusal::Loopback });
    assert_eq!(follow(|port| format!("http://stranger.example:{port}/")).await, (loopback, 0));
}

#[tokio::test]
async fn a_redirect_may_not_change_to_what_a_url_may_not_name() {
    assert_eq!(follow(|port| format!("http://a:b@127.0.0.1:{port}/")).await, (redirect(Error::Credentials), 0));
    let (port, _) = follow(|_| "http://127.0.0.1:22/".to_owned()).await;
    assert!(matches!(&port, Some(Error::Redirect(inner)) if matches!(**inner, Error::Port { port: 22, .. })), "{port:?}");
    for location in ["ftp://127.0.0.1/a", "file:///etc/passwd", "data:text/plain,a"] {
        let (found, _) = follow(|_| location.to_owned()).await;
        let is_scheme = matches!(&found, Some(Error::Redirect(inner)) if matches!(**inner, Error::Scheme { .. }));
        // What the client cannot make a request of ends with the redirect itself.
        assert!(is_scheme || found == Some(Error::Status(302)), "{location}: {found:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_as_often_as_set_and_tell_nobody_where_from() {
    let step = |Path(left): Path<u32>, headers: HeaderMap| async move {
        assert!(!headers.contains_key(header::REFERER));
        match left {
            0 => (StatusCode::OK, [(header::LOCATION, String::new())]),
            _ => (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/{}?signature=x", left - 1))]),
        }
    };
    let server = Server::http(FRIEND, Router::new().route("/{left}", get(step))).await;
    let fetcher = Fetcher::new(&Settings { max_redirects: 2, ..settings([&server]) }).expect("a fetcher");
    let reached = fetcher.fetch(&server.url("/2"), LIMIT).await.expect("two redirects");
    assert_eq!(reached.filename.as_deref(), Some("0"), "named after the last URL");
    assert_eq!(fetcher.fetch(&server.url("/3"), LIMIT).await.err(), Some(Error::Redirects(2)));
}
