//! The program that was built together with these tests could run with what the manifests set.

use anyhow::{Result, anyhow, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program beside the chores; built now where these tests were built alone.
fn barid() -> Result<PathBuf> {
    let there = PathBuf::from(env!("CARGO_BIN_EXE_xtask")).with_file_name("barid");
    if !there.is_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let built = Command::new(env!("CARGO")).args(["build", "--package", "barid"]).current_dir(root).status()?;
        ensure!(built.success() && there.is_file(), "barid cannot be built");
    }
    Ok(there)
}

#[test]
fn barid_knows_every_setting_and_the_scripts_make_every_secret() -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("manifests").arg("--barid").arg(barid()?).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The image's healthcheck, as its build compiles it.
#[test]
fn the_healthcheck_believes_what_readyz_answers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("healthcheck");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/healthcheck.rs");
    ensure!(Command::new("rustc").arg("-o").arg(&program).arg(source).status()?.success(), "it does not compile");
    for (status, body, healthy) in [("200 OK", "ok\n", true), ("503 Service Unavailable", "not ready: nats\n", false)] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let asked = std::thread::spawn(move || -> Result<String> {
            let (mut stream, _) = listener.accept()?;
            let mut request = String::new();
            let mut lines = BufReader::new(stream.try_clone()?);
            while lines.read_line(&mut request)? > 2 {}
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
            Ok(request)
        });
        let output = Command::new(&program).arg(address.to_string()).output()?;
        let request = asked.join().map_err(|_| anyhow!("the server ended"))??;
        ensure!(request.starts_with("GET /readyz HTTP/1.1\r\n"), "{request}");
        ensure!(output.status.success() == healthy, "{status}: {:?}", output.status);
        ensure!(healthy || String::from_utf8_lossy(&output.stdout) == body, "{:?}", output.stdout);
    }
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    ensure!(!Command::new(&program).arg(nobody.to_string()).status()?.success(), "nobody listens, and that is healthy");
    Ok(())
}
