//! Stands before every service: lets in whom the access rules name, and only requests within their limits.

use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::{Code, Status};

use crate::{
    Violations,
    access::{Scope, Table},
    fault,
    limits::Limits,
};

/// The rules of every method, read once.
#[derive(Clone, Debug)]
pub struct Guard {
    table: Table,
    limits: Limits,
}

impl Guard {
    pub fn new() -> Self {
        let pool = crate::descriptor_pool();
        Self { table: Table::new(&pool), limits: Limits::new(&pool) }
    }

    /// Whether `caller` (a service, as its subject proves) may call `path` with this encoded request. Limits bind callers from outside only.
    pub fn check(&self, caller: &str, path: &str, request: &[u8]) -> Result<(), Status> {
        let Some(method) = self.table.get(path) else {
            return Err(fault(Code::Unimplemented, "UNKNOWN_METHOD", format!("there is no method {path}")));
        };
        let from_outside = caller == "gateway" && method.scope != Scope::Internal;
        if !from_outside && !method.callers.iter().any(|known| known == caller) {
            return Err(fault(Code::PermissionDenied, "CALLER_NOT_ALLOWED", format!("{caller} may not call {path}")));
        }
        if from_outside {
            let request = DynamicMessage::decode(method.descriptor.input(), request)
                .map_err(|error| fault(Code::InvalidArgument, "INVALID_ARGUMENT", format!("the request does not decode: {error}")))?;
            self.check_limits(&request)?;
        }
        Ok(())
    }

    /// Whether a message keeps to its limits. For items of a batch, which are judged one by one.
    pub fn check_item<M: Message>(&self, descriptor: &MessageDescriptor, item: &M) -> Result<(), Status> {
        let mut message = DynamicMessage::new(descriptor.clone());
        message
            .transcode_from(item)
            .map_err(|error| fault(Code::InvalidArgument, "INVALID_ARGUMENT", format!("the request does not decode: {error}")))?;
        self.check_limits(&message)
    }

    /// The descriptor of a method's request.
    pub fn input(&self, path: &str) -> Option<MessageDescriptor> {
        self.table.get(path).map(|method| method.descriptor.input())
    }

    fn check_limits(&self, message: &DynamicMessage) -> Result<(), Status> {
        let mut violations = Violations::default();
        self.limits.check(message, &mut violations);
        violations.check()
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}
