//! A mail server that takes everything and delivers nothing: what came is there to be looked at.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::world::World;

/// Letters kept; older ones are forgotten.
const KEPT: usize = 1000;
/// Largest letter, and longest line, in bytes.
const LARGEST: usize = 4 << 20;

/// A letter as it came.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Letter {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
    pub(crate) message_id: String,
    /// Everything, headers included.
    pub(crate) raw: String,
}

/// What came, and how many of the next letters are refused with which status.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<State>);

#[derive(Default)]
struct State {
    letters: VecDeque<Letter>,
    refuse: Option<(u16, u32)>,
}

impl Mailbox {
    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.0.lock().letters.iter().cloned().collect()
    }

    /// Has the next letters refused with a status of SMTP.
    pub(crate) fn refuse(&self, status: u16, times: u32) {
        self.0.lock().refuse = Some((status, times));
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = State::default();
    }

    fn refused(&self) -> Option<u16> {
        let mut state = self.0.lock();
        let (status, left) = state.refuse?;
        state.refuse = (left > 1).then(|| (status, left - 1));
        (left > 0).then_some(status)
    }

    fn put(&self, letter: Letter) {
        let mut state = self.0.lock();
        if state.letters.len() == KEPT {
            state.letters.pop_front();
        }
        state.letters.push_back(letter);
    }
}

/// Serves until the simulator stops.
pub(crate) async fn serve(world: Arc<World>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = world.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (served, stop) = (Arc::clone(&world), world.shutdown.clone());
        world.tasks.spawn(async move {
            if let Some(Err(error)) = stop.run_until_cancelled(talk(&served.mailbox, stream)).await {
                tracing::debug!(%error, "a mail client went away");
            }
        });
    }
}

/// As much of RFC 5321 as a client needs to hand a letter over.
async fn talk(mailbox: &Mailbox, stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut from, mut to) = (String::new(), Vec::new());
    say(&mut stream, "220 simulator").await?;
    while let Some(line) = hear(&mut stream).await? {
        let command = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match command.as_str() {
            "EHLO" | "HELO" | "NOOP" => "250 simulator".to_owned(),
            "RSET" => {
                (from, to) = Default::default();
                "250 forgotten".to_owned()
            }
            "MAIL" => {
                from = address(&line);
                "250 go on".to_owned()
            }
            "RCPT" => match mailbox.refused() {
                Some(status) => format!("{status} refused as it was told to"),
                None => {
                    to.push(address(&line));
                    "250 go on".to_owned()
                }
            },
            "DATA" if to.is_empty() => "503 to whom?".to_owned(),
            "DATA" => {
                say(&mut stream, "354 until a dot alone").await?;
                let Some(raw) = text(&mut stream).await? else { return Ok(()) };
                let (subject, message_id) = (header(&raw, "subject"), header(&raw, "message-id"));
                mailbox.put(Letter { from: std::mem::take(&mut from), to: std::mem::take(&mut to), subject, message_id, raw });
                "250 kept".to_owned()
            }
            "QUIT" => return say(&mut stream, "221 bye").await,
            _ => "502 not here".to_owned(),
        };
        say(&mut stream, &answer).await?;
    }
    Ok(())
}

async fn say(stream: &mut BufReader<TcpStream>, line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// A line without its end; none when the client has gone.
async fn hear(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = tokio::io::AsyncReadExt::take(&mut *stream, LARGEST as u64).read_until(b'\n', &mut line).await?;
    Ok((read > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
}

async fn text(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut raw = String::new();
    while let Some(line) = hear(stream).await? {
        if line == "." {
            return Ok(Some(raw));
        }
        if raw.len() + line.len() > LARGEST {
            return Ok(None);
        }
        raw.push_str(line.strip_prefix('.').unwrap_or(&line));
        raw.push('\n');
    }
    Ok(None)
}

fn address(line: &str) -> String {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or_else(String::new, |(address, _)| address.to_owned())
}

fn header(raw: &str, name: &str) -> String {
    let head = raw.split("\n\n").next().unwrap_or_default();
    let found = head.lines().find_map(|line| line.split_once(':').filter(|(known, _)| known.eq_ignore_ascii_case(name)));
    found.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}
