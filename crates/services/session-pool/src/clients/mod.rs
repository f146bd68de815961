//! What the pool asks of other services.

mod directory;
pub(crate) mod repeat;

pub(crate) use directory::Directory;

/// The ledger, where messages wait.
pub(crate) type Ledger = barid_proto::queue::v1::ledger_service_client::LedgerServiceClient<barid_bus::Channel>;
