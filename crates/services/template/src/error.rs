//! What can go wrong, and how callers hear of it.

use barid_proto::{fault, status::not_found};
use tonic::{Code, Status};

use crate::{render, store::DbErr};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Bus(#[from] barid_bus::ConnectError),
    #[error("cannot listen for changes: {0}")]
    Listen(barid_bus::BoxError),
    #[error(transparent)]
    Serve(#[from] barid_bus::ServeError),
    #[error(transparent)]
    Connect(#[from] barid_db::Error),
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
    #[error("the starter {name} in {locale} does not compile: {source}")]
    Starter { name: &'static str, locale: &'static str, source: render::Error },
    #[error("there is no template {0}")]
    NotFound(String),
    /// Already worded for the caller.
    #[error("{0}")]
    Refused(Box<Status>),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(name) => not_found("template", &name),
            Error::Refused(status) => *status,
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
