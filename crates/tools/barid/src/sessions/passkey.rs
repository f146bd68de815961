//! The answer of a passkey, which a browser or a security key makes somewhere else.

use std::{
    io::BufRead,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::sync::oneshot;

/// How often the file is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Where the answer comes from.
#[derive(Clone)]
pub(super) enum Source {
    Input,
    File(PathBuf),
}

impl Source {
    /// A file must not be there yet: an answer belongs to the question that is asked now.
    pub(super) fn new(file: Option<PathBuf>) -> Result<Self> {
        let Some(file) = file else { return Ok(Self::Input) };
        ensure!(!file.exists(), "{} is there already, and holds the answer to something else; remove it first", file.display());
        Ok(Self::File(file))
    }

    /// What to tell the person about it.
    pub(super) fn says(&self) -> String {
        let what = "Let the account's passkey answer these options (WebAuthn's `navigator.credentials.get`)";
        match self {
            Self::Input => format!("{what} and paste its AuthenticationResponseJSON here:"),
            Self::File(file) => format!("{what} and write its AuthenticationResponseJSON to {}:", file.display()),
        }
    }

    /// Waits for a whole JSON object.
    pub(super) async fn answer(self) -> Result<String> {
        match self {
            Self::Input => {
                let (sender, answer) = oneshot::channel();
                // A thread of its own: reading the input cannot be given up, and must not keep the process from ending.
                std::thread::spawn(move || sender.send(read(std::io::stdin().lock())));
                answer.await.context("nobody reads standard input any more")?
            }
            Self::File(file) => from_file(&file).await,
        }
    }
}

async fn from_file(file: &Path) -> Result<String> {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        match tokio::fs::read_to_string(file).await {
            Ok(text) if is_whole(&text) => return Ok(text.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        }
    }
}

fn read(input: impl BufRead) -> Result<String> {
    let mut text = String::new();
    for line in input.lines() {
        text.push_str(&line?);
        if is_whole(&text) {
            return Ok(text.trim().to_owned());
        }
        text.push('\n');
    }
    bail!("the input ended before the passkey's answer, a JSON object, was whole")
}

fn is_whole(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Value::Object(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_have_lines() {
        assert_eq!(read("\n{\"id\":\n \"x\"}\nmore".as_bytes()).expect("whole"), "{\"id\":\n \"x\"}");
        assert!(read("{\"id\":".as_bytes()).is_err());
        assert!(read("7\n".as_bytes()).is_err(), "a number is no answer");
    }
}
