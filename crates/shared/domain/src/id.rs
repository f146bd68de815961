//! Typed public ids: a prefix that names the kind, and a UUIDv7 in 26 characters of Crockford's base 32, such as
//! `msg_01h455vb4pex5vsknk084sn02q`. They sort by the time they were made.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::{ContextV7, Timestamp, Uuid};

use crate::Clock;

/// What an id names.
pub trait Kind: Send + Sync + 'static {
    /// The prefix of its ids, without the underscore.
    const PREFIX: &'static str;
    /// The word for it in error messages.
    const NAME: &'static str;
}

macro_rules! kinds {
    ($($kind:ident $alias:ident $prefix:literal $name:literal)*) => {$(
        #[doc = concat!("Kind of the ids of ", $name, "s.")]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = $name;
        }
        #[doc = concat!("`", $prefix, "_...`")]
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    Organisation OrganisationId "org" "organisation"
    Tenant TenantId "ten" "tenant"
    ApiKey ApiKeyId "key" "API key"
    Session SessionId "ses" "session"
    Contact ContactId "con" "contact"
    Message MessageId "msg" "message"
    Inbound InboundId "inb" "inbound message"
    Event EventId "evt" "event"
    Template TemplateId "tpl" "template"
    Job JobId "job" "job"
    Endpoint EndpointId "whe" "webhook endpoint"
    Delivery DeliveryId "dlv" "webhook delivery"
}

/// An id of one kind.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

/// A text that is not an id of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a {kind}: expected `{prefix}_` and 26 characters of 0-9 and a-z")]
pub struct Error {
    kind: &'static str,
    prefix: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

impl<K> Id<K> {
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; LENGTH];
        let mut rest = self.0.as_u128();
        for place in text.iter_mut().rev() {
            *place = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        write!(f, "{}_{}", K::PREFIX, std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error = Error { kind: K::NAME, prefix: K::PREFIX };
        let Some(digits) = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')) else { return Err(error) };
        // 26 digits of 5 bits are 130: the first one has room for 3.
        if digits.len() != LENGTH || digits.as_bytes()[0] > b'7' {
            return Err(error);
        }
        let mut value = 0u128;
        for digit in digits.bytes() {
            let Some(bits) = ALPHABET.iter().position(|&known| known == digit) else { return Err(error) };
            value = value << 5 | bits as u128;
        }
        Ok(Self::from_uuid(Uuid::from_u128(value)))
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> From<Id<K>> for Uuid {
    fn from(id: Id<K>) -> Self {
        id.0
    }
}

/// Makes ids that rise even within a millisecond.
pub struct Minter {
    clock: Arc<dyn Clock>,
    context: Mutex<ContextV7>,
}

impl Minter {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, context: Mutex::new(ContextV7::new()) }
    }

    pub fn mint<K>(&self) -> Id<K> {
        let now = self.clock.now();
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        Id::from_uuid(Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos())))
    }
}
