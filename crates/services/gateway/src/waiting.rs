//! How many calls of one caller wait for news at the same time: each of them is held open by a service that serves others, too.

use std::{collections::HashMap, sync::Arc};

use barid_proto::fault;
use parking_lot::Mutex;
use tonic::{Code, Status};

/// The places of every caller. Clone it freely.
#[derive(Clone)]
pub(crate) struct Waiting {
    taken: Arc<Mutex<HashMap<String, usize>>>,
    most: usize,
}

/// One place, given back when it is dropped.
pub(crate) struct Place {
    waiting: Waiting,
    key: String,
}

impl Waiting {
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// A place for the holder of a key; `RESOURCE_EXHAUSTED` when all of them are taken.
    pub(crate) fn enter(&self, key: &str) -> Result<Place, Status> {
        let mut all = self.taken.lock();
        let taken = all.entry(key.to_owned()).or_default();
        if *taken >= self.most {
            let says = format!("more than {} calls of this key wait at the same time; end one of them first", self.most);
            return Err(fault(Code::ResourceExhausted, "TOO_MANY_WAITING", says));
        }
        *taken += 1;
        Ok(Place { waiting: self.clone(), key: key.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.waiting.taken.lock();
        if let Some(taken) = all.get_mut(&self.key) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_takes_its_own_places_only_and_gives_them_back() {
        let waiting = Waiting::new(2);
        let (first, _second) = (waiting.enter("a").expect("free"), waiting.enter("a").expect("free"));
        assert_eq!(waiting.enter("a").map(drop).expect_err("full").code(), Code::ResourceExhausted);
        let other = waiting.enter("b").expect("another's place is no matter");
        drop((first, other));
        assert_eq!(waiting.taken.lock().len(), 1, "who has none is forgotten");
        assert!(waiting.enter("a").is_ok());
    }
}
