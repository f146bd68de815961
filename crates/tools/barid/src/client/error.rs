//! Refusals of the gateway, in the words of someone at a terminal.

use anyhow::{Error, anyhow};
use barid_proto::status::reason;
use tonic::{Code, Status};

/// What went wrong, and what to do about it where the gateway's own sentence does not know the command line.
pub(crate) fn explain(status: &Status) -> Error {
    let message = status.message();
    match remedy(status) {
        Some(remedy) => anyhow!("{message}\n{remedy}"),
        None if message.is_empty() => anyhow!("the gateway answered with {:?} and said nothing", status.code()),
        None => anyhow!("{message}"),
    }
}

fn remedy(status: &Status) -> Option<&'static str> {
    Some(match (status.code(), reason(status).as_deref()) {
        (Code::Unauthenticated, _) => "Put a key that is valid into BARID_KEY, or name a file that holds one with --key-file.",
        (_, Some("PLATFORM_KEY")) => "This command is about one tenant: give the key of that tenant, or of its organisation with --tenant.",
        (_, Some("SCOPE_TOO_NARROW")) => "This command is for the operators of the platform: give the platform's key.",
        (Code::InvalidArgument, _) if status.message().starts_with("tenantId:") => {
            "Name the tenant with --tenant ten_..., or in BARID_TENANT."
        }
        (Code::NotFound, _) => "`barid sessions list` shows what there is.",
        (Code::Unavailable, _) => "A service behind the gateway is away; try again, and look at its /readyz if that goes on.",
        (Code::Unimplemented, _) => "This gateway is older than the command; take the binary of its version.",
        _ => return None,
    })
}
