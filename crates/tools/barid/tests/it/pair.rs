//! `barid sessions pair` against a gateway.

use std::{os::unix::fs::PermissionsExt, process::Stdio};

use anyhow::{Context, Result, ensure};
use barid_proto::session_pool::v1::{Pairing, PairingState};
use barid_testkit::eventually;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use crate::{
    command,
    house::{House, PATIENCE, TENANT_KEY},
    pairings::{PICTURE, Pairings, SESSION, pairing, scan},
    shown, text,
};

fn pair(house: &House, options: &[&str]) -> Command {
    let mut command = command(&["sessions", "pair", SESSION]);
    command.args(options).env("BARID_SERVER", &house.url).env("BARID_KEY", TENANT_KEY).env_remove("BARID_TENANT");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, standard output and standard error.
async fn ended(child: Child) -> Result<(Option<i32>, String, String)> {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.context("it does not end")??;
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

async fn called(pairings: &Pairings, call: &str) -> Result<()> {
    eventually(PATIENCE, || async {
        let called = pairings.called();
        ensure!(called.iter().any(|known| known == call), "{called:?}");
        Ok(())
    })
    .await
}

/// What a phone reads off half blocks on a dark background.
fn scanned(drawn: &str) -> Result<String> {
    let rows: Vec<Vec<char>> = drawn.lines().filter(|line| line.starts_with('█')).map(|line| line.chars().collect()).collect();
    let side = 4;
    let shade = |x: usize, y: usize| {
        let row = y / side;
        let filled = matches!((rows[row / 2][x / side], row % 2), ('█', _) | ('▀', 0) | ('▄', 1));
        if filled { 255 } else { 0 }
    };
    let width = rows.first().context("lines of a code")?.len() * side;
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, rows.len() * 2 * side, shade);
    let grids = image.detect_grids();
    Ok(grids.first().with_context(|| format!("no code in\n{drawn}"))?.decode()?.1)
}

#[tokio::test]
async fn every_code_is_drawn_until_the_number_is_linked() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let home = tempfile::tempdir()?;
    let file = home.path().join("code.png");
    pairings.set(scan(1, "the first code"));
    let child = pair(&house, &["--png", &shown(&file)]).spawn()?;
    pairings.asked_times(1).await?;
    pairings.set(scan(2, "the second code"));
    pairings.asked_times(2).await?;
    pairings.set(pairing(3, PairingState::Paired));
    let (code, out, err) = ended(child).await?;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.ends_with(&format!("\n{SESSION} is linked.\n")), "{out}");
    let codes: Vec<&str> = out.split("Scan it with the phone").collect();
    assert_eq!(codes.len(), 3, "{out}");
    assert_eq!((scanned(codes[0])?.as_str(), scanned(codes[1])?.as_str()), ("the first code", "the second code"));
    assert_eq!(pairings.called(), [format!("start {SESSION} by scan")]);
    assert_eq!(pairings.asked()[0].after, 1, "what was shown is not asked for again");
    assert_eq!(std::fs::read(&file)?, [PICTURE, b"600"].concat());
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600, "whoever reads it could link the number");
    assert_eq!(std::fs::read_dir(home.path())?.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_pairing_that_fails_says_why() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let child = pair(&house, &["--by-code"]).spawn()?;
    pairings.asked_times(1).await?;
    pairings.set(Pairing { code: "ABCD-1234".to_owned(), ..pairing(2, PairingState::Type) });
    pairings.asked_times(2).await?;
    let failed = pairing(3, PairingState::Failed);
    pairings.set(Pairing { reason: "wrong_number".to_owned(), reason_text: "another number was linked".to_owned(), ..failed });
    let (code, out, err) = ended(child).await?;
    assert_eq!((code, err.as_str()), (Some(1), "barid: not linked: another number was linked (wrong_number)\n"), "{out}");
    assert!(out.contains("Type this code into the phone of the number: ABCD-1234\n"), "{out}");
    assert_eq!(pairings.called(), [format!("start {SESSION} by code")]);
    Ok(())
}

#[tokio::test]
async fn a_passkey_answers_over_standard_input_or_a_file() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let options = "{\"challenge\":\"c\"}";
    let asks = |revision| Pairing { passkey_options: options.to_owned(), ..pairing(revision, PairingState::Passkey) };
    pairings.set(asks(1));
    let mut child = pair(&house, &[]).spawn()?;
    child.stdin.as_mut().context("its input")?.write_all(b"{\"id\":\n \"typed\"}\n").await?;
    called(&pairings, "passkey {\"id\":\n \"typed\"}").await?;
    pairings.set(pairing(2, PairingState::Paired));
    let (code, out, err) = ended(child).await?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains(&format!("\n{options}\n")), "{out}");

    let home = tempfile::tempdir()?;
    let file = home.path().join("answer.json");
    pairings.set(asks(3));
    let child = pair(&house, &["--passkey-answer", &shown(&file)]).spawn()?;
    let before = pairings.asked().len();
    pairings.asked_times(before + 1).await?;
    std::fs::write(&file, "{\"id\": \"written\"}")?;
    called(&pairings, "passkey {\"id\": \"written\"}").await?;
    pairings.set(pairing(4, PairingState::Paired));
    assert_eq!(ended(child).await?.0, Some(0));

    // An answer that is there before the question is the answer to another.
    let (code, _, err) = ended(pair(&house, &["--passkey-answer", &shown(&file)]).spawn()?).await?;
    assert_eq!(code, Some(1));
    assert!(err.contains("remove it first"), "{err}");
    Ok(())
}

#[tokio::test]
async fn an_interrupt_ends_the_pairing() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let child = pair(&house, &[]).spawn()?;
    pairings.asked_times(1).await?;
    let pid = child.id().context("it runs")?.to_string();
    ensure!(Command::new("kill").args(["-INT", &pid]).status().await?.success(), "it is interrupted");
    let (code, _, err) = ended(child).await?;
    assert_eq!((code, err.as_str()), (Some(1), "barid: not linked: the pairing was ended here\n"));
    assert_eq!(pairings.called(), [format!("start {SESSION} by scan"), "cancel".to_owned()]);
    Ok(())
}
