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
    #[error(transparent)]
    Connect(#[from] barid_db::Error),
    #[error(transparent)]
    Vault(#[from] barid_vault::Error),
    #[error("egress: {0}")]
    Egress(#[from] barid_egress::BuildError),
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
    #[error("there is no {kind} {name}")]
    NotFound { kind: &'static str, name: String },
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
            Error::Refused(status) => *status,
            Error::Database(error) => {
                tracing::error!(%error, "database");
                fault(Code::Unavailable, "STORE_UNAVAILABLE", "the store cannot answer at the moment; try again")
            }
            Error::Vault(error @ barid_vault::Error::Store(_)) => {
                tracing::error!(%error, "keys");
                fault(Code::Unavailable, "STORE_UNAVAILABLE", "the store cannot answer at the moment; try again")
            }
            error => {
                tracing::error!(%error, "unexpected");
                fault(Code::Internal, "INTERNAL", "something went wrong inside; the operators can see what")
            }
        }
    }
}
