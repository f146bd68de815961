//! The rules of what a tenant says of a session. Pure.

use barid_domain::{Country, Phone, Secret};
use barid_proto::{
    Violations,
    session_pool::v1::{CloudConnector, Session, session::Connector},
};
use tonic::Status;

/// Meta's limit for a number: 80 messages a second.
const DEFAULT_PACE: u32 = 4800;
/// As far as Meta raises it.
const MOST_PACE: u32 = 60_000;

/// A session as it may be stored.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub display_name: String,
    pub phone: Phone,
    pub app: String,
    pub phone_number_id: String,
    pub business_account_id: String,
    pub portfolio_id: String,
    /// Empty to keep the one that is stored.
    pub access_token: Secret,
    pub messages_per_minute: u32,
}

/// Checks a session of a tenant of this country; a `new` one brings its token.
pub(crate) fn check(session: Session, country: Country, new: bool) -> Result<Registration, Status> {
    let mut violations = Violations::default();
    let phone = Phone::parse(&session.phone_number, country)
        .map_err(|error| violations.add("session.phoneNumber", "invalid_phone_number", error.to_string()))
        .ok();
    let Some(Connector::Cloud(cloud)) = session.connector else {
        violations.add("session.cloud", "required", "is missing; describe the number at Meta's Cloud API");
        return Err(refusal(violations));
    };
    for (field, value) in [("session.cloud.phoneNumberId", &cloud.phone_number_id), ("session.cloud.app", &cloud.app)] {
        if value.is_empty() || value.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            violations.add(field, "required", "is empty or has white space in it; give it as Meta and the gateway's configuration have it");
        }
    }
    if !cloud.phone_number_id.bytes().all(|byte| byte.is_ascii_digit()) {
        violations.add("session.cloud.phoneNumberId", "invalid_id", "is no id of Meta's; give its digits");
    }
    if new && cloud.access_token.is_empty() {
        violations.add("session.cloud.accessToken", "required", "is required; give a token of Meta's that may send from this number");
    } else if !cloud.access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        violations.add(
            "session.cloud.accessToken",
            "invalid_token",
            "has characters that no token has; copy it again, without white space",
        );
    }
    if session.messages_per_minute > MOST_PACE {
        violations.add("session.messagesPerMinute", "out_of_range", format!("give 1 to {MOST_PACE}, or 0 for {DEFAULT_PACE}"));
    }
    match phone {
        Some(phone) if violations.is_empty() => Ok(Registration {
            display_name: session.display_name.trim().to_owned(),
            phone,
            app: cloud.app,
            phone_number_id: cloud.phone_number_id,
            business_account_id: cloud.business_account_id,
            portfolio_id: cloud.portfolio_id,
            access_token: Secret::new(cloud.access_token),
            messages_per_minute: if session.messages_per_minute == 0 { DEFAULT_PACE } else { session.messages_per_minute },
        }),
        _ => Err(refusal(violations)),
    }
}

fn refusal(violations: Violations) -> Status {
    violations.check().err().unwrap_or_else(|| Status::internal("a wrong session was let through"))
}

const FIELDS: [&str; 9] = [
    "display_name",
    "phone_number",
    "messages_per_minute",
    "cloud",
    "cloud.phone_number_id",
    "cloud.business_account_id",
    "cloud.portfolio_id",
    "cloud.app",
    "cloud.access_token",
];

/// A field of a connector.
type Part = fn(&mut CloudConnector) -> &mut String;

/// Puts the fields that `mask` names (without names: those that are set) from `changes` into `session`. A token is never emptied: it is
/// not given back, so who returns what was read has none.
pub(crate) fn merge(session: &mut Session, changes: Session, mask: &[String]) -> Result<(), Status> {
    for path in mask {
        if !FIELDS.contains(&path.as_str()) {
            let known = FIELDS.join(", ");
            return Err(Violations::one("updateMask", "unknown_field", format!("`{path}` cannot be changed; known: {known}")));
        }
    }
    let named = |field: &str| mask.iter().any(|path| path == field);
    let chosen = |field: &str, is_set: bool| if mask.is_empty() { is_set } else { named(field) };
    if chosen("display_name", !changes.display_name.is_empty()) {
        session.display_name = changes.display_name;
    }
    if chosen("phone_number", !changes.phone_number.is_empty()) {
        session.phone_number = changes.phone_number;
    }
    if chosen("messages_per_minute", changes.messages_per_minute != 0) {
        session.messages_per_minute = changes.messages_per_minute;
    }
    let Some(Connector::Cloud(wanted)) = changes.connector else { return Ok(()) };
    let Some(Connector::Cloud(cloud)) = &mut session.connector else {
        session.connector = Some(Connector::Cloud(wanted));
        return Ok(());
    };
    let whole = named("cloud");
    let parts: [(&str, Part); 5] = [
        ("cloud.phone_number_id", |cloud| &mut cloud.phone_number_id),
        ("cloud.business_account_id", |cloud| &mut cloud.business_account_id),
        ("cloud.portfolio_id", |cloud| &mut cloud.portfolio_id),
        ("cloud.app", |cloud| &mut cloud.app),
        ("cloud.access_token", |cloud| &mut cloud.access_token),
    ];
    let mut wanted = wanted;
    for (field, part) in parts {
        let value = std::mem::take(part(&mut wanted));
        if whole || chosen(field, !value.is_empty()) {
            *part(cloud) = value;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let cloud = CloudConnector {
            phone_number_id: "100001".into(),
            app: "barid".into(),
            access_token: "EAAG".into(),
            ..CloudConnector::default()
        };
        Session { phone_number: "01001234567".into(), connector: Some(Connector::Cloud(cloud)), ..Session::default() }
    }

    fn egypt() -> Country {
        "EG".parse().expect("a country")
    }

    #[test]
    fn a_number_is_read_as_the_tenants_country_writes_it() {
        let checked = check(session(), egypt(), true).expect("fine");
        assert_eq!((checked.phone.to_string().as_str(), checked.messages_per_minute), ("+201001234567", 4800));
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let cloud = CloudConnector { access_token: "two words".into(), ..CloudConnector::default() };
        let wrong =
            Session { phone_number: "12".into(), messages_per_minute: 60_001, connector: Some(Connector::Cloud(cloud)), ..session() };
        let message = check(wrong, egypt(), true).expect_err("wrong").message().to_owned();
        for field in ["phoneNumber", "cloud.phoneNumberId", "cloud.app", "cloud.accessToken", "messagesPerMinute"] {
            assert!(message.contains(&format!("session.{field}: ")), "{field} in {message}");
        }
        let bare = check(Session { connector: None, ..session() }, egypt(), true).expect_err("wrong");
        assert!(bare.message().contains("session.cloud"));
    }

    #[test]
    fn only_a_new_session_must_bring_its_token() {
        let mut known = session();
        let Some(Connector::Cloud(cloud)) = &mut known.connector else { panic!("cloud") };
        cloud.access_token.clear();
        assert!(check(known.clone(), egypt(), false).expect("fine").access_token.is_empty());
        assert!(check(known, egypt(), true).is_err());
    }

    #[test]
    fn a_mask_empties_and_its_absence_keeps() {
        let mut known = session();
        merge(&mut known, Session { display_name: "Front desk".into(), ..Session::default() }, &[]).expect("merged");
        assert_eq!((known.display_name.as_str(), known.phone_number.as_str()), ("Front desk", "01001234567"));
        merge(&mut known, Session::default(), &["display_name".into()]).expect("merged");
        assert_eq!(known.display_name, "");
        let portfolio = CloudConnector { portfolio_id: "7".into(), app: "other".into(), ..CloudConnector::default() };
        let changes = Session { connector: Some(Connector::Cloud(portfolio)), ..Session::default() };
        merge(&mut known, changes, &["cloud.portfolio_id".into()]).expect("merged");
        let Some(Connector::Cloud(cloud)) = &known.connector else { panic!("cloud") };
        assert_eq!((cloud.portfolio_id.as_str(), cloud.app.as_str(), cloud.phone_number_id.as_str()), ("7", "barid", "100001"));
        assert!(merge(&mut known, Session::default(), &["state".into()]).is_err());
    }
}
