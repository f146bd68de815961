//! Under which key something is stored.

use wacore_binary::Jid;

use crate::web::cells::Kind;

/// Who the account is. What is stored about its own devices has a kind of its own, which a login loads.
#[derive(Default)]
pub(super) struct Own {
    pub phone: Option<String>,
    pub lid: Option<String>,
}

impl Own {
    pub fn of(device: &wacore::store::Device) -> Self {
        let user = |jid: &Option<Jid>| jid.as_ref().map(|jid| jid.user.to_string()).filter(|user| !user.is_empty());
        Self { phone: user(&device.pn), lid: user(&device.lid) }
    }

    pub const fn is_known(&self) -> bool {
        self.phone.is_some()
    }

    fn is(&self, user: &str) -> bool {
        self.phone.as_deref() == Some(user) || self.lid.as_deref() == Some(user)
    }

    /// Where something about a user is stored, `kind` unless the user is the account itself.
    pub fn place(&self, kind: Kind, user: &str, key: &str) -> (Kind, String) {
        if self.is(user) { (Kind::Own, format!("{}/{key}", kind.number())) } else { (kind, key.to_owned()) }
    }
}

/// The user part of a Signal address, which is `user@server` or `user:device@server`, with a suffix since Signal counts devices itself.
pub(super) fn user_of(address: &str) -> &str {
    address.split([':', '@', '.', '_']).next().unwrap_or(address)
}

/// One key of several parts. Parts never hold the separator: they are addresses and message ids.
pub(super) fn joined(parts: &[&str]) -> String {
    parts.join("\u{1f}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_own_devices_are_stored_apart() {
        let own = Own { phone: Some("201000000001".into()), lid: Some("77".into()) };
        assert_eq!(own.place(Kind::Session, user_of("77:3@lid.0"), "77:3@lid.0"), (Kind::Own, "5/77:3@lid.0".into()));
        assert_eq!(own.place(Kind::Session, user_of("778@lid.0"), "778@lid.0"), (Kind::Session, "778@lid.0".into()));
        assert_eq!(Own::default().place(Kind::Devices, "77", "77"), (Kind::Devices, "77".into()));
    }
}
