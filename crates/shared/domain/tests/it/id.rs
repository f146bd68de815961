use std::sync::Arc;

use barid_domain::{ManualClock, MessageId, Minter, TenantId};
use chrono::DateTime;
use proptest::prelude::*;
use uuid::Uuid;

proptest! {
    #[test]
    fn an_id_reads_back(value: u128) {
        let id = MessageId::from_uuid(Uuid::from_u128(value));
        prop_assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        prop_assert!(id.to_string().parse::<TenantId>().is_err());
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = text.parse::<MessageId>();
        let _ = format!("msg_{text}").parse::<MessageId>();
    }

    #[test]
    fn ids_sort_as_their_texts(a: u128, b: u128) {
        let (a, b) = (MessageId::from_uuid(Uuid::from_u128(a)), MessageId::from_uuid(Uuid::from_u128(b)));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }
}

#[test]
fn ids_rise_while_the_clock_stands() {
    let minter = Minter::new(Arc::new(ManualClock::at(DateTime::from_timestamp(1_700_000_000, 0).expect("a time"))));
    let ids: Vec<MessageId> = (0..10_000).map(|_| minter.mint()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
}

#[test]
fn an_error_names_the_kind_and_the_form() {
    let error = "nonsense".parse::<MessageId>().expect_err("no id");
    assert_eq!(error.to_string(), "not the id of a message: expected `msg_` and 26 characters of 0-9 and a-z");
}
