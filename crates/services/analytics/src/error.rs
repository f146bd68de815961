//! What can go wrong, and how callers hear of it.

use barid_proto::fault;
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
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => {
                tracing::error!(%error, "database");
                fault(Code::Unavailable, "STORE_UNAVAILABLE", "the store cannot answer at the moment; try again")
            }
            error => {
                tracing::error!(%error, "unexpected");
                fault(Code::Internal, "INTERNAL", "something went wrong inside; the operators can see what")
            }
        }
    }
}
