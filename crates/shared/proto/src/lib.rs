//! The API of Barid as Rust types: generated from `proto/` by `cargo xtask proto`, with what its options say about access and limits.

pub mod access;
mod guard;
mod http_body;
pub mod ids;
mod limits;
mod polling;
pub mod status;
pub mod wire;

pub use guard::Guard;
pub use http_body::HttpBody;
pub use status::{Violations, fault};

/// Every descriptor with its annotations and comments, as an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");

/// The descriptors, decoded once by whoever needs them.
pub fn descriptor_pool() -> prost_reflect::DescriptorPool {
    prost_reflect::DescriptorPool::decode(DESCRIPTORS).expect("the descriptors were encoded by `cargo xtask proto`")
}

macro_rules! packages {
    ($($name:ident: $file:literal)*) => {$(
        #[allow(clippy::all, clippy::disallowed_methods, missing_docs, rustdoc::all)]
        pub mod $name {
            pub mod v1 {
                include!(concat!("gen/", $file));
            }
        }
    )*};
}

#[doc(hidden)]
pub mod generated {
    packages! {
        access: "barid.access.v1.rs"
        analytics: "barid.analytics.v1.rs"
        events: "barid.events.v1.rs"
        queue: "barid.queue.v1.rs"
        session_pool: "barid.session_pool.v1.rs"
        template: "barid.template.v1.rs"
        tenant: "barid.tenant.v1.rs"
        webhook: "barid.webhook.v1.rs"
    }
}

pub use generated::{analytics, events, queue, session_pool, template, tenant, webhook};

/// Converts a time to the wire.
pub fn timestamp(time: chrono::DateTime<chrono::Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos().cast_signed() }
}

/// Converts a time from the wire; `None` when it lies outside the calendar.
pub fn time(timestamp: &prost_types::Timestamp) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(timestamp.seconds, u32::try_from(timestamp.nanos).ok()?)
}
