//! Runs the simulator by itself with its defaults: `cargo run -p barid-simulator --example serve [address]`.

use barid_simulator::Config;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::default();
    let address = std::env::args().nth(1).unwrap_or_else(|| config.listen.clone());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let serve = barid_simulator::serve(config, listener, stop.clone());
    tokio::pin!(serve);
    tokio::select! {
        served = &mut serve => return Ok(served?),
        signal = tokio::signal::ctrl_c() => signal?,
    }
    stop.cancel();
    Ok(serve.await?)
}
