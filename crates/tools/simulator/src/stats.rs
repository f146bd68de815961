//! Counters of what happened since the start or the last reset.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn up(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}

macro_rules! counters {
    ($($name:ident)*) => {
        /// See the README for what each of them counts.
        #[derive(Default)]
        pub(crate) struct Stats {
            $(pub(crate) $name: Counter,)*
        }

        impl Stats {
            pub(crate) fn view(&self) -> Value {
                json!({ $(stringify!($name): self.$name.get(),)* })
            }

            pub(crate) fn clear(&self) {
                $(self.$name.clear();)*
            }
        }
    };
}

counters! {
    accepted distinct duplicates repeated rejected sent delivered read failed inbound
    webhooks_sent webhooks_failed webhook_items_sent webhook_items_lost webhook_items_unrouted
    unopened unfetched looked_up
}
