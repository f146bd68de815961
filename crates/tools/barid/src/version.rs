//! What `barid --version` says: the features decide under which licence the binary stands and whom it believes.

/// The version and a line for each feature. The image's build reads it.
pub(crate) const LONG: &str = match (cfg!(feature = "web"), cfg!(feature = "trust-simulator")) {
    (_, true) => concat!(
        env!("CARGO_PKG_VERSION"),
        "\nweb: yes (links AGPL-3.0 code: whoever passes the binary on, or serves others with a changed one, owes them its source)",
        "\ntrust-simulator: YES - BELIEVES FORGED WHATSAPP CERTIFICATES; FOR TESTS, NEVER FOR A RELEASE"
    ),
    (true, false) => concat!(
        env!("CARGO_PKG_VERSION"),
        "\nweb: yes (links AGPL-3.0 code: whoever passes the binary on, or serves others with a changed one, owes them its source)",
        "\ntrust-simulator: no"
    ),
    (false, false) => {
        concat!(env!("CARGO_PKG_VERSION"), "\nweb: no (sessions of the Cloud API only; no AGPL code inside)", "\ntrust-simulator: no")
    }
};
