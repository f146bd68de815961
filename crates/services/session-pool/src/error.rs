//! What can go wrong, and how callers hear of it.

use barid_proto::{fault, status::not_found};
use tonic::{Code, Status};

use crate::store::DbErr;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Bus(#[from] barid_bus::ConnectError),
    #[error(transparent)]
    Serve(#[from] barid_bus::ServeError),
    #[error("cannot listen on the bus: {0}")]
    Listen(barid_bus::BoxError),
    #[error(transparent)]
    Connect(#[from] barid_db::Error),
    #[error("the database failed: {0}")]
    Database(DbErr),
    #[error(transparent)]
    Vault(#[from] barid_vault::Error),
    #[error("cloud.{0}")]
    Cloud(#[from] barid_whatsapp::cloud::Error),
    #[cfg(feature = "web")]
    #[error("web: {0}")]
    Web(#[from] barid_whatsapp::web::Error),
    #[error("media: {0}")]
    Media(#[from] barid_blob::Error),
    #[error("egress: {0}")]
    Egress(#[from] barid_egress::BuildError),
    #[error("there is no {kind} {name}")]
    NotFound { kind: &'static str, name: String },
    #[error("the number is registered already")]
    NumberTaken,
    /// Already worded for the caller.
    #[error("{0}")]
    Refused(Box<Status>),
}

impl Error {
    pub(crate) fn not_found(kind: &'static str, name: impl ToString) -> Self {
        Self::NotFound { kind, name: name.to_string() }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { kind, name } => not_found(kind, &name),
            // Says nothing of who has it: that may be another tenant.
            Error::NumberTaken => fault(
                Code::AlreadyExists,
                "NUMBER_TAKEN",
                "cloud.phoneNumberId: a session with this phone number id is registered already; delete that one first, or give another id",
            ),
            Error::Refused(status) => *status,
            Error::Database(error) => {
                tracing::error!(%error, "database");
                fault(Code::Unavailable, "STORE_UNAVAILABLE", "the store cannot answer at the moment; try again")
            }
            Error::Vault(barid_vault::Error::Store(error)) => {
                tracing::error!(%error, "tenant keys");
                fault(Code::Unavailable, "STORE_UNAVAILABLE", "the store cannot answer at the moment; try again")
            }
            error => {
                tracing::error!(%error, "unexpected");
                fault(Code::Internal, "INTERNAL", "something went wrong inside; the operators can see what")
            }
        }
    }
}
