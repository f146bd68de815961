mod limits;
mod redirects;
mod sending;
mod server;

use std::net::IpAddr;

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use barid_egress::{BuildError, Error, Fetcher, Refusal, Settings};
use server::{FRIEND, Names, STRANGER, Server, fetcher, settings};

const LIMIT: u64 = 1 << 20;

fn hello(words: &'static str) -> Router {
    Router::new().fallback(move || async move { ([(header::CONNECTION, "close")], words) })
}

fn refused(host: &str, refusal: Refusal) -> Error {
    Error::Refused { host: host.to_owned(), refusal }
}

#[tokio::test]
async fn an_exception_lets_a_server_through_with_what_it_says_of_itself() {
    let headers =
        [(header::CONTENT_TYPE, "Application/PDF; q=1"), (header::CONTENT_DISPOSITION, "attachment; filename=\"../in voice.pdf\"")];
    let server = Server::http(FRIEND, Router::new().route("/a", get(move || async move { (headers, "%PDF-") }))).await;
    let fetched = fetcher(&server).fetch(&server.url("/a"), LIMIT).await.expect("fetched");
    assert_eq!(&fetched.bytes[..], b"%PDF-");
    assert_eq!((fetched.mime.as_str(), fetched.filename.as_deref()), ("application/pdf", Some("in voice.pdf")));
}

#[tokio::test]
async fn an_address_without_exception_is_not_connected_to() {
    let server = Server::http(STRANGER, hello("secret")).await;
    let fetcher = fetcher(&server);
    assert_eq!(fetcher.fetch(&server.url("/"), LIMIT).await.err(), Some(refused("127.0.0.2", Refusal::Loopback)));
    let port = server.address.port();
    for host in ["2130706434", "0x7f.0.0.2", "127.2"] {
        let found = fetcher.fetch(&format!("http://{host}:{port}/"), LIMIT).await.err();
        assert_eq!(found, Some(refused("127.0.0.2", Refusal::Loopback)), "{host}");
    }
    let mapped = fetcher.fetch(&format!("http://[::ffff:127.0.0.2]:{port}/"), LIMIT).await.err();
    assert_eq!(mapped, Some(refused("::ffff:127.0.0.2", Refusal::Ipv4InIpv6)));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_that_resolves_to_a_refused_address_is_not_connected_to() {
    let server = Server::http(STRANGER, hello("secret")).await;
    let fetcher = Fetcher::with_resolver(&settings([&server]), Names::default().with("shop.example", &[&[STRANGER]])).expect("a fetcher");
    let url = format!("http://shop.example:{}/", server.address.port());
    assert_eq!(fetcher.fetch(&url, LIMIT).await.err(), Some(refused("shop.example", Refusal::Loopback)));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_name_localhost_is_refused_by_the_machines_resolver_too() {
    let server = Server::http(FRIEND, hello("secret")).await;
    let fetcher = Fetcher::new(&Settings { allow: Vec::new(), ..settings([&server]) }).expect("a fetcher");
    let url = format!("http://localhost:{}/", server.address.port());
    assert_eq!(fetcher.fetch(&url, LIMIT).await.err(), Some(refused("localhost", Refusal::Loopback)));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_is_judged_by_the_answer_that_is_connected_to() {
    let friend = Server::http(FRIEND, hello("hello")).await;
    let stranger = Server::on(STRANGER, friend.address.port(), hello("secret")).await;
    // The second answer would be taken unjudged by whoever resolves once to check and once more to connect.
    let names = Names::default().with("rebinds.example", &[&[FRIEND], &[STRANGER]]).with("both.example", &[&[STRANGER, FRIEND]]);
    let fetcher = Fetcher::with_resolver(&settings([&friend]), names).expect("a fetcher");
    let url = |name: &str| format!("http://{name}:{}/", friend.address.port());
    assert_eq!(fetcher.fetch(&url("rebinds.example"), LIMIT).await.expect("fetched").bytes, "hello");
    assert_eq!(fetcher.fetch(&url("rebinds.example"), LIMIT).await.err(), Some(refused("rebinds.example", Refusal::Loopback)));
    assert_eq!(fetcher.fetch(&url("both.example"), LIMIT).await.expect("fetched").bytes, "hello");
    assert_eq!((friend.connections(), stranger.connections()), (2, 0));
}

#[tokio::test]
async fn a_name_nobody_knows_is_told_as_such() {
    let server = Server::http(FRIEND, hello("hello")).await;
    let fetcher = Fetcher::with_resolver(&settings([&server]), Names::default()).expect("a fetcher");
    let found = fetcher.fetch(&format!("http://typo.example:{}/", server.address.port()), LIMIT).await.expect_err("no such name");
    assert_eq!(found.to_string(), "url: the name typo.example has no address (no such name); check how it is written");
    assert!(found.is_transient());
}

#[tokio::test]
async fn answers_that_are_no_answer_are_told_by_their_status() {
    let server = Server::http(FRIEND, Router::new().route("/busy", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))).await;
    let fetcher = fetcher(&server);
    let missing = fetcher.fetch(&server.url("/missing"), LIMIT).await.expect_err("404");
    assert_eq!((&missing, missing.is_transient()), (&Error::Status(404), false));
    let busy = fetcher.fetch(&server.url("/busy"), LIMIT).await.expect_err("503");
    assert_eq!((&busy, busy.is_transient()), (&Error::Status(503), true));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    // Bound but not listening, so that nobody else can take the port meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind((FRIEND, 0).into()).expect("a port");
    let address = socket.local_addr().expect("an address");
    let fetcher = Fetcher::new(&Settings { ports: vec![address.port()], ..settings([]) }).expect("a fetcher");
    let found = fetcher.fetch(&format!("http://{address}/"), LIMIT).await.expect_err("nobody there");
    assert!(matches!(found, Error::Unreachable(_)), "{found:?}");
    assert!(found.is_transient());
}

#[tokio::test]
async fn compression_is_neither_asked_for_nor_taken() {
    let answer = |headers: HeaderMap| async move {
        let asked = headers.get(header::ACCEPT_ENCODING).map(|value| value.to_str().unwrap_or_default().to_owned());
        assert_eq!(asked.as_deref(), Some("identity"));
        ([(header::CONTENT_ENCODING, "gzip")], "\x1f\x08bomb")
    };
    let server = Server::http(FRIEND, Router::new().fallback(answer)).await;
    assert_eq!(fetcher(&server).fetch(&server.url("/"), LIMIT).await.err(), Some(Error::Encoded("gzip".to_owned())));
}

/// The environment of a process cannot be changed safely while it runs, so that the test runs itself again in another one.
#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    const CHILD: &str = "BARID_EGRESS_TEST_CHILD";
    let proxy = Server::http(FRIEND, hello("from the proxy")).await;
    if std::env::var_os(CHILD).is_some() {
        let server = Server::http(FRIEND, hello("from the server")).await;
        assert_eq!(fetcher(&server).fetch(&server.url("/"), LIMIT).await.expect("fetched").bytes, "from the server");
        return;
    }
    let mut child = tokio::process::Command::new(std::env::current_exe().expect("this binary"));
    child.args(["--exact", "proxies_of_the_environment_are_not_used"]).env(CHILD, "1").env_remove("NO_PROXY").env_remove("no_proxy");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        child.env(name, proxy.url(""));
    }
    let output = child.output().await.expect("ran");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn wrong_settings_make_no_fetcher() {
    let settings = Settings { allow: vec!["somewhere".to_owned()], ports: Vec::new(), ..Settings::default() };
    let Err(BuildError::Settings(problems)) = Fetcher::new(&settings) else { panic!("built") };
    assert_eq!(problems.len(), 2);
    assert!(barid_egress::is_public(IpAddr::from(FRIEND)).is_err());
}
