//! Why there is no connection, what to do about it, and how to tell the tenant.

use std::time::Duration;

/// Why a connection ended or could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// We closed it.
    Asked,
    /// The lease is not ours any more: the store refused a write.
    Stale,
    /// Another connection with the same login took its place.
    Replaced,
    /// This device was removed on the phone, or by WhatsApp.
    LoggedOut,
    /// WhatsApp locked the account.
    Locked,
    TemporaryBan {
        code: i32,
        lasts: Duration,
    },
    /// [`Settings::version`](super::Settings::version) is too old.
    Outdated,
    RateLimited,
    /// WhatsApp restarts the stream (515) or is unavailable (503, 500).
    Restart {
        code: i32,
    },
    /// WhatsApp refused the login for another reason.
    Refused {
        code: i32,
    },
    /// No connection, or it broke.
    Network {
        detail: String,
    },
    /// The socket was open but neither an ack nor a pong came.
    Silent,
    /// WhatsApp did not say within [`Settings::login_timeout`](super::Settings::login_timeout) that the login succeeded.
    LoginTimedOut,
    /// The server cannot prove with a certificate that it is WhatsApp.
    Untrusted {
        detail: String,
    },
    /// There is no login in the store: pair first.
    NotPaired,
    /// The store did not answer, or has something that cannot be read.
    Store {
        detail: String,
    },
}

/// What whoever owns the session does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it was closed on purpose.
    Rest,
    /// Let go of the session without touching it again: it is somebody else's.
    LetGo,
    /// Connect again, at first at once.
    Reconnect,
    /// Connect again, later and later.
    BackOff,
    /// Leave it alone for this long, and alert: it is about to be lost.
    Pause(Duration),
    /// The number must be linked again.
    PairAgain,
    /// A person of ours must look.
    Alarm,
}

/// How long to leave a session alone that WhatsApp calls too fast.
const RATE_PAUSE: Duration = Duration::from_secs(15 * 60);

impl Closed {
    #[must_use]
    pub const fn next(&self) -> Next {
        match self {
            Self::Asked => Next::Rest,
            Self::Stale => Next::LetGo,
            Self::Replaced | Self::Outdated | Self::Untrusted { .. } | Self::Refused { .. } => Next::Alarm,
            Self::LoggedOut | Self::NotPaired | Self::Locked => Next::PairAgain,
            Self::TemporaryBan { lasts, .. } => Next::Pause(*lasts),
            Self::RateLimited => Next::Pause(RATE_PAUSE),
            Self::Restart { .. } => Next::Reconnect,
            Self::Network { .. } | Self::Silent | Self::LoginTimedOut | Self::Store { .. } => Next::BackOff,
        }
    }

    /// A stable code in snake case.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Asked => "closed",
            Self::Stale => "owner_changed",
            Self::Replaced => "replaced",
            Self::LoggedOut => "logged_out",
            Self::Locked => "account_locked",
            Self::TemporaryBan { .. } => "temporary_ban",
            Self::Outdated => "client_outdated",
            Self::RateLimited => "rate_limited",
            Self::Restart { .. } => "whatsapp_restarts",
            Self::Refused { .. } => "login_refused",
            Self::Network { .. } => "connection_lost",
            Self::Silent => "connection_silent",
            Self::LoginTimedOut => "login_timed_out",
            Self::Untrusted { .. } => "certificate_untrusted",
            Self::NotPaired => "not_paired",
            Self::Store { .. } => "store_unavailable",
        }
    }
}

/// One sentence that a tenant understands.
impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked => f.write_str("The connection was closed."),
            Self::Stale => f.write_str("Another server took over this number."),
            Self::Replaced => f.write_str("WhatsApp says that this login is connected from somewhere else."),
            Self::LoggedOut => f.write_str("This number is no longer linked: it was removed on the phone or by WhatsApp; link it again."),
            Self::Locked => f.write_str("WhatsApp locked this account; unlock it on the phone, then link the number again."),
            Self::TemporaryBan { code, lasts } => {
                let hours = lasts.as_secs().div_ceil(3600);
                write!(f, "WhatsApp banned this number for about {hours} hours ({}); it is paused until then.", ban(*code))
            }
            Self::Outdated => f.write_str("WhatsApp no longer accepts this version of the connection; we are told and will update it."),
            Self::RateLimited => f.write_str("WhatsApp says that this number does too much at once; it rests for a while."),
            Self::Restart { .. } => f.write_str("WhatsApp restarted the connection; it comes back by itself."),
            Self::Refused { code } => write!(f, "WhatsApp refused the login with code {code}; we are told."),
            Self::Network { .. } => f.write_str("The connection to WhatsApp broke; it comes back by itself."),
            Self::Silent => f.write_str("WhatsApp stopped answering; the connection is made again."),
            Self::LoginTimedOut => f.write_str("WhatsApp did not answer the login in time; it is tried again."),
            Self::Untrusted { .. } => f.write_str("The server could not prove that it is WhatsApp; nothing was sent to it."),
            Self::NotPaired => f.write_str("This number is not linked yet."),
            Self::Store { .. } => f.write_str("The login of this number could not be read or saved; it is tried again."),
        }
    }
}

impl std::error::Error for Closed {}

fn ban(code: i32) -> &'static str {
    match code {
        101 => "too many messages to people who do not have it in their contacts",
        102 => "too many people blocked it",
        103 => "too many groups with people who do not have it in their contacts",
        104 => "the same message to too many people",
        106 => "too many messages to broadcast lists",
        _ => "it may have broken the terms of service",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_a_code_and_a_sentence() {
        let detail = String::new;
        let all = [
            Closed::Asked,
            Closed::Stale,
            Closed::Replaced,
            Closed::LoggedOut,
            Closed::Locked,
            Closed::TemporaryBan { code: 101, lasts: Duration::from_secs(5000) },
            Closed::Outdated,
            Closed::RateLimited,
            Closed::Restart { code: 515 },
            Closed::Refused { code: 409 },
            Closed::Network { detail: detail() },
            Closed::Silent,
            Closed::LoginTimedOut,
            Closed::Untrusted { detail: detail() },
            Closed::NotPaired,
            Closed::Store { detail: detail() },
        ];
        let mut reasons = std::collections::HashSet::new();
        for closed in all {
            assert!(closed.reason().chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'));
            assert!(reasons.insert(closed.reason()), "{closed:?}");
            let sentence = closed.to_string();
            assert!(sentence.ends_with('.') && sentence.starts_with(char::is_uppercase), "{sentence}");
        }
        let ban = Closed::TemporaryBan { code: 101, lasts: Duration::from_secs(5000) };
        assert!(ban.to_string().contains("2 hours"), "{ban}");
    }
}
