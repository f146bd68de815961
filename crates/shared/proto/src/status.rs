//! Errors as callers see them: a code, a plain sentence, a machine-readable reason, and the fields at fault.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Domain of every `ErrorInfo` of Barid.
pub const DOMAIN: &str = "barid.dev";

/// An error with a machine-readable reason in capitals, such as `QUOTA_EXCEEDED`.
pub fn fault(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new()))
}

/// An error that passes: the caller may try again after `delay`.
pub fn fault_after(code: Code, reason: &str, message: impl Into<String>, delay: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    details.set_retry_info(Some(delay));
    Status::with_error_details(code, message, details)
}

/// The one answer for what does not exist and for what belongs to somebody else.
pub fn not_found(kind: &str, name: &str) -> Status {
    let message = format!("there is no {kind} `{}`", name.chars().take(64).collect::<String>());
    let mut details = ErrorDetails::with_error_info("NOT_FOUND", DOMAIN, HashMap::new());
    details.set_resource_info(kind, name, "", "");
    Status::with_error_details(Code::NotFound, message, details)
}

/// Fields at fault, gathered so that a caller hears of all of them at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field as in JSON.
    pub field: String,
    /// The rule it breaks, such as `required`.
    pub reason: &'static str,
    /// What is wrong and what would be right.
    pub description: String,
}

impl Violations {
    pub fn add(&mut self, field: impl Into<String>, reason: &'static str, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), reason, description: description.into() });
    }

    /// The status of a single violation.
    pub fn one(field: impl Into<String>, reason: &'static str, description: impl Into<String>) -> Status {
        let mut all = Self::default();
        all.add(field, reason, description);
        all.status()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Err` with every violation, or `Ok` without any.
    pub fn check(self) -> Result<(), Status> {
        if self.0.is_empty() { Ok(()) } else { Err(self.status()) }
    }

    fn status(&self) -> Status {
        let message =
            self.0.iter().map(|violation| format!("{}: {}", violation.field, violation.description)).collect::<Vec<_>>().join("; ");
        let mut details = ErrorDetails::with_error_info("INVALID_ARGUMENT", DOMAIN, HashMap::new());
        for violation in &self.0 {
            details.add_bad_request_violation(&violation.field, format!("{} ({})", violation.description, violation.reason));
        }
        Status::with_error_details(Code::InvalidArgument, message, details)
    }
}

/// The machine-readable reason of an error, when it carries one.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// A status as it stands inside an answer.
pub fn to_rpc_status(status: &Status) -> tonic_types::Status {
    // The details of a status are an encoded google.rpc.Status already.
    prost::Message::decode(status.details())
        .ok()
        .filter(|decoded: &tonic_types::Status| decoded.code != 0)
        .unwrap_or_else(|| tonic_types::Status { code: status.code().into(), message: status.message().to_owned(), details: Vec::new() })
}

/// A status that stood inside an answer.
pub fn from_rpc_status(status: tonic_types::Status) -> Status {
    let details = prost::Message::encode_to_vec(&status);
    Status::with_details(Code::from_i32(status.code), status.message, details.into())
}
