use std::time::Duration;

use barid_simulator::{Error, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::swift;

#[tokio::test]
async fn it_ends_when_told_even_with_connections_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(swift(), listener, stop.clone()));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(http.get(format!("http://{address}/sim/health")).send().await.unwrap().status(), 200);
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), served).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn it_does_not_start_with_an_invalid_configuration() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = swift();
    config.webhooks.lanes = 0;
    let refused = serve(config, listener, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&refused, Error::Config(invalid) if invalid.key == "webhooks.lanes"), "{refused}");
}
