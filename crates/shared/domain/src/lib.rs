//! What every part of Barid means by an id, a phone number and the time. No I/O.

pub mod clock;
pub mod id;
pub mod phone;
mod secret;

pub use clock::{Clock, ManualClock, SteadyClock, SystemClock};
pub use id::{
    ApiKeyId, ContactId, DeliveryId, EndpointId, EventId, Id, InboundId, JobId, MessageId, Minter, OrganisationId, SessionId, TemplateId,
    TenantId,
};
pub use phone::{Country, Phone};
pub use secret::Secret;
