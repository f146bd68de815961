use super::phones::Shown;
use super::stage::Business;
use serde::Serialize;
use std::fmt;

/// A message that Barid accepted.
#[derive(Clone, Debug)]
pub struct Sent {
    pub id: String,
    pub tenant_id: String,
    pub phone_number_id: String,
    pub customer: String,
}

impl Sent {
    pub fn new(id: String, business: &Business, customer: &str) -> Self {
        Self {
            id,
            tenant_id: business.tenant_id.clone(),
            phone_number_id: business.role.phone_number_id.clone(),
            customer: customer.to_owned(),
        }
    }

    pub fn is_shown_by(&self, shown: &Shown) -> bool {
        shown.message_id.as_deref() == Some(&self.id)
    }
}

/// What became of the demo's own messages. The names are those of the line that `--json` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    pub accepted: usize,
    /// By Barid's history; what is read was delivered.
    pub delivered: usize,
    pub read: usize,
    /// Accepted, and on no phone at the end.
    pub lost: usize,
    /// Shown beyond the first time.
    pub duplicates: usize,
    /// Whether the phone shows the text of seed 000, character for character.
    pub golden: bool,
    pub seconds: f64,
    /// What else went wrong, a sentence each.
    #[serde(skip)]
    pub wrong: Vec<String>,
}

impl Report {
    /// Counts a message by how often its phone shows it.
    pub fn count_shown(&mut self, times: usize) {
        self.lost += usize::from(times == 0);
        self.duplicates += times.saturating_sub(1);
    }

    /// Why the demo failed, if it did.
    pub fn trouble(&self) -> Option<String> {
        let mut trouble = self.wrong.clone();
        if self.lost > 0 {
            trouble.push(format!("{} messages are on no phone", self.lost));
        }
        if self.duplicates > 0 {
            trouble.push(format!("phones show {} messages twice", self.duplicates));
        }
        if !self.golden {
            trouble.push("the invoice of seed 000 does not read as the seed says".to_owned());
        }
        (!trouble.is_empty()).then(|| trouble.join("; "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, read, lost, duplicates, golden, seconds, .. } = self;
        let golden = if *golden { "as the seed says" } else { "NOT as the seed says" };
        write!(
            f,
            "{accepted} accepted, {delivered} delivered, {read} read, {lost} lost, {duplicates} duplicates in {seconds:.1} s; the invoice of seed 000 reads {golden}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_has_its_keys_in_order() {
        let report =
            Report { accepted: 2, delivered: 2, read: 1, golden: true, seconds: 1.5, wrong: vec!["x".into()], ..Report::default() };
        let line = r#"{"accepted":2,"delivered":2,"read":1,"lost":0,"duplicates":0,"golden":true,"seconds":1.5}"#;
        assert_eq!(serde_json::to_string(&report).unwrap(), line);
    }

    #[test]
    fn lost_doubled_and_wrong_texts_are_trouble() {
        let good = Report { golden: true, ..Report::default() };
        assert_eq!(good.trouble(), None);
        let (mut lost, mut doubled) = (good.clone(), good.clone());
        lost.count_shown(0);
        doubled.count_shown(3);
        assert_eq!((lost.lost, doubled.duplicates), (1, 2));
        assert!(lost.trouble().is_some() && doubled.trouble().is_some());
        assert!(Report::default().trouble().is_some());
        assert!(Report { wrong: vec!["refused".into()], ..good }.trouble().is_some());
    }
}
