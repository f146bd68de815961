//! The image's healthcheck: ends with 0 when `/readyz` on this address, `127.0.0.1:9090` by default, answers 200. Compiled by `rustc` alone.

use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9090".to_owned());
    match ask(&address) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => ExitCode::SUCCESS,
        Ok(answer) => {
            // Docker keeps it: what is not ready, and why.
            println!("{}", answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim());
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(address: &str) -> Result<String, Error> {
    let address: SocketAddr = address.parse().map_err(Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
