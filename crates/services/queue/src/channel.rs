//! The ways that a message can go.

/// The numbers are those of the API and of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Channel {
    #[default]
    Whatsapp = 1,
    Email = 2,
    Sms = 3,
}

impl Channel {
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        [Self::Whatsapp, Self::Email, Self::Sms].into_iter().find(|channel| *channel as i16 == number)
    }

    /// The word for it in events; none for WhatsApp.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Whatsapp => "",
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }

    /// From the word of an event.
    pub(crate) fn from_name(name: &str) -> Self {
        [Self::Email, Self::Sms].into_iter().find(|channel| channel.name() == name).unwrap_or_default()
    }
}
