//! Who waits for the server's ack of which message.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// What the server said: an error code, or that it took the message.
pub(super) type Answer = Result<(), String>;

#[derive(Default)]
pub(super) struct Acks {
    waiting: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
}

impl Acks {
    /// Waits for the ack of this id until the returned value is dropped; `None` when somebody does already.
    pub fn expect<'a>(&'a self, id: &'a str) -> Option<Expected<'a>> {
        let mut waiting = self.waiting.lock();
        if waiting.contains_key(id) {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        waiting.insert(id.to_owned(), sender);
        Some(Expected { acks: self, id, answer })
    }

    pub fn answered(&self, id: &str, answer: Answer) {
        if let Some(waiting) = self.waiting.lock().remove(id) {
            let _ = waiting.send(answer);
        }
    }

    /// Nobody will be answered any more.
    pub fn give_up(&self) {
        self.waiting.lock().clear();
    }
}

pub(super) struct Expected<'a> {
    acks: &'a Acks,
    id: &'a str,
    answer: oneshot::Receiver<Answer>,
}

impl Expected<'_> {
    /// `None` when the connection ended first.
    pub async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.acks.waiting.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_waits_and_learns_its_own_answer() {
        let acks = Acks::default();
        let mut first = acks.expect("A").unwrap();
        assert!(acks.expect("A").is_none(), "a message is not sent twice at once");
        let mut other = acks.expect("B").unwrap();
        acks.answered("A", Err("463".into()));
        acks.answered("nobody", Ok(()));
        assert_eq!(first.answer().await, Some(Err("463".into())));
        acks.give_up();
        assert_eq!(other.answer().await, None);
        drop(first);
        assert!(acks.expect("A").is_some());
    }
}
