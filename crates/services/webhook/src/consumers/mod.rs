//! Events of every ledger that tenants can hear of, one consumer for each.

mod ledger;

pub(crate) use ledger::{LEDGERS, Ledger};
