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
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
    #[error(transparent)]
    Fallback(#[from] crate::outlets::Invalid),
    #[error(transparent)]
    Vault(#[from] barid_vault::Error),
    #[error("there is no {kind} {name}")]
    NotFound { kind: &'static str, name: String },
    #[error("the idempotency key was used for another content")]
    KeyReused,
    #[error("the daily quota of {limit} messages is used up")]
    QuotaExceeded { limit: u32 },
    #[error("{limit} jobs were made in 24 hours")]
    TooManyJobs { limit: i64 },
    #[error("the job is cancelled")]
    JobCancelled,
    #[error("the job has {limit} messages")]
    JobFull { limit: u32 },
    #[error("the store works on too much already")]
    Busy,
    /// Already worded for the caller.
    #[error("{0}")]
    Refused(Box<Status>),
}

impl Error {
    /// Whether the database refuses a value, rather than failing: trying again would not help.
    pub(crate) fn is_bad_value(&self) -> bool {
        matches!(self, Self::Database(error) if barid_db::is_bad_value(error))
    }

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
            Error::KeyReused => fault(
                Code::AlreadyExists,
                "IDEMPOTENCY_KEY_REUSED",
                "this idempotency key was used for another content in the last 7 days; use a new key for a new message",
            ),
            Error::QuotaExceeded { limit } => fault(
                Code::ResourceExhausted,
                "QUOTA_EXCEEDED",
                format!("the tenant's daily quota of {limit} messages is used up; raise it or send tomorrow"),
            ),
            Error::TooManyJobs { limit } => fault(
                Code::ResourceExhausted,
                "TOO_MANY_JOBS",
                format!("the tenant has made {limit} jobs in 24 hours; put more messages into each, or make the next one later"),
            ),
            Error::JobCancelled => fault(
                Code::FailedPrecondition,
                "JOB_CANCELLED",
                "the job is cancelled and takes no more messages; make a new job, or leave it out",
            ),
            Error::JobFull { limit } => fault(
                Code::ResourceExhausted,
                "JOB_FULL",
                format!("the job has {limit} messages, which is the most; make a new job for the rest"),
            ),
            Error::Refused(status) => *status,
            error @ Error::Database(_) if error.is_bad_value() => fault(
                Code::InvalidArgument,
                "INVALID_ARGUMENT",
                "the call has a value that cannot be stored; see its texts for control characters",
            ),
            Error::Database(error) => {
                tracing::error!(%error, "database");
                fault(Code::Unavailable, "STORE_UNAVAILABLE", "the ledger cannot answer at the moment; try again")
            }
            Error::Busy => fault(Code::Unavailable, "BUSY", "the ledger has more work than it can take; try again in a moment"),
            error => {
                tracing::error!(%error, "unexpected");
                fault(Code::Internal, "INTERNAL", "something went wrong inside; the operators can see what")
            }
        }
    }
}
