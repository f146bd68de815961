//! A subscriber to a tenant's events that comes back where it was cut off.

use super::house::House;
use anyhow::{Result, ensure};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::Duration;

/// How long it waits before it comes back, and how often it looks whether it may go.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Listener<'a> {
    house: &'a House,
    tenant: &'a str,
    after: String,
    /// Ids of the events in the order in which they came.
    heard: RefCell<Vec<String>>,
    pub cuts: Cell<usize>,
}

impl<'a> Listener<'a> {
    /// One who knows everything up to now.
    pub async fn new(house: &'a House, tenant: &'a str) -> Result<Self> {
        let after = house.events(tenant, "").await?.pop().map(|event| event.id).unwrap_or_default();
        ensure!(!after.is_empty(), "{tenant} has no event to begin after");
        Ok(Self { house, tenant, after, heard: RefCell::default(), cuts: Cell::new(0) })
    }

    /// Listens until it is dropped.
    pub async fn listen(&self) {
        loop {
            // However a connection ends, what comes next is asked for by the last id.
            let _ = self.follow().await;
            self.cuts.set(self.cuts.get() + 1);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn follow(&self) -> Result<()> {
        let after = self.heard.borrow().last().cloned().unwrap_or_else(|| self.after.clone());
        let mut answer = self.house.subscribe(self.tenant, &after).await?;
        let mut unread = String::new();
        while let Some(part) = answer.chunk().await? {
            unread.push_str(&String::from_utf8_lossy(&part));
            while let Some((event, rest)) = unread.split_once("\n\n") {
                if let Some(id) = event.lines().find_map(|line| line.strip_prefix("id:")) {
                    self.heard.borrow_mut().push(id.trim().to_owned());
                }
                unread = rest.to_owned();
            }
        }
        Ok(())
    }

    /// How many events it did not hear, and how many not in their turn or again, of those that the ledger lists by now.
    pub async fn compare(&self) -> Result<(usize, usize)> {
        let listed: Vec<String> = self.house.events(self.tenant, &self.after).await?.into_iter().map(|event| event.id).collect();
        Ok(differ(&listed, &self.heard.borrow()))
    }
}

/// How many of `listed` are missing in `heard`, and how many of `heard` stand where they should not.
pub fn differ(listed: &[String], heard: &[String]) -> (usize, usize) {
    let known: HashSet<&String> = heard.iter().collect();
    let missing = listed.iter().filter(|id| !known.contains(id)).count();
    let mut turn = listed.iter();
    let misplaced = heard.iter().filter(|id| !turn.any(|listed| listed == *id)).count();
    (missing, misplaced)
}

#[cfg(test)]
mod tests {
    use super::differ;

    #[test]
    fn gaps_repetitions_and_disorder_are_found() {
        let ids = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        assert_eq!(differ(&ids("abcd"), &ids("abcd")), (0, 0));
        assert_eq!(differ(&ids("abcd"), &ids("abd")), (1, 0));
        assert_eq!(differ(&ids("abcd"), &ids("abcdd")), (0, 1));
        assert_eq!(differ(&ids("abcd"), &ids("abdc")), (0, 1));
        assert_eq!(differ(&ids("abcd"), &ids("abcdx")), (0, 1));
    }
}
