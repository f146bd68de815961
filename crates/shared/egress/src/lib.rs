//! Fetches what tenants name by URL, and nothing that only Barid can reach.
//!
//! Whoever may name a URL may try to make Barid call its own network: a metadata service, a database, a neighbour's pod. So an address
//! is judged where the connection is made. Names are resolved by a resolver that hands on public addresses only, which leaves no moment
//! between the check and the use; addresses that stand in a URL never reach a resolver and are judged with the URL; and every redirect
//! is judged like the first URL. Neither proxies from the environment nor cookies, referrers or compression are used, and the limit on
//! size holds for what arrives, whatever was announced.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let fetcher = barid_egress::Fetcher::new(&barid_egress::Settings::default())?;
//! let invoice = fetcher.fetch("https://example.com/invoice.pdf", 5 << 20).await?;
//! println!("{} bytes of {}", invoice.bytes.len(), invoice.mime);
//! # Ok(())
//! # }
//! ```
//!
//! A [`Sender`] sends requests where an operator or a tenant said, by the same judgement, and tells what was not sent from what may have arrived.
//!
//! A section of a service's configuration; every key has the default that stands here:
//!
//! ```toml
//! [egress]
//! # Networks that are fetched from although they are not public, such as ["10.20.0.0/16", "127.0.0.1"].
//! allow = []
//! # Whether http: is fetched beside https:.
//! allow_http = false
//! # Ports that a URL may name.
//! ports = [80, 443]
//! # How long resolving, connecting and the TLS handshake may take together.
//! connect_timeout = "5s"
//! # How long everything may take, redirects and the whole body included.
//! total_timeout = "60s"
//! # How many redirects are followed.
//! max_redirects = 5
//! ```
//!
//! An operator whose network translates IPv4 with a NAT64 prefix of its own must block that prefix's private part outside of Barid:
//! only the well-known prefixes can be told from other public addresses.

mod address;
mod client;
mod describe;
mod error;
mod fetch;
mod guard;
mod resolve;
mod send;
mod settings;

pub use address::{Refusal, is_public};
pub use error::{BuildError, Error};
pub use fetch::{Body, Fetched, Fetcher, Opened};
pub use resolve::{Resolve, System};
pub use send::{Answer, Outgoing, SendError, Sender};
pub use settings::Settings;
