//! The rules of what a tenant says of a session. Pure.

use barid_domain::{Country, Phone, Secret};
use barid_proto::{
    Violations,
    session_pool::v1::{CloudConnector, Session, WebConnector, session::Connector},
};
use tonic::Status;

/// Meta's limit for a number: 80 messages a second.
const DEFAULT_PACE: u32 = 4800;
/// What a person with a busy shop might type on WhatsApp Web; nobody outside WhatsApp knows its limits.
const DEFAULT_WEB_PACE: u32 = 20;
/// As far as Meta raises it.
const MOST_PACE: u32 = 60_000;
const DEFAULT_NUMBER_CHECKS: u32 = 200;

/// A session as it may be stored.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub display_name: String,
    pub phone: Phone,
    pub messages_per_minute: u32,
    pub connector: Line,
}

/// How a session reaches WhatsApp.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    Cloud(CloudLine),
    Web(WebLine),
}

#[derive(Clone, Debug)]
pub(crate) struct CloudLine {
    pub app: String,
    pub phone_number_id: String,
    pub business_account_id: String,
    pub portfolio_id: String,
    /// Empty to keep the one that is stored.
    pub access_token: Secret,
}

#[derive(Clone, Debug)]
pub(crate) struct WebLine {
    pub device_name: String,
    pub presence: bool,
    pub pinned: bool,
    pub history_days: u32,
    pub number_checks_per_day: u32,
}

/// Checks a session of a tenant of this country; a `new` one brings its token.
pub(crate) fn check(session: Session, country: Country, new: bool) -> Result<Registration, Status> {
    let mut violations = Violations::default();
    let phone = Phone::parse(&session.phone_number, country)
        .map_err(|error| violations.add("session.phoneNumber", "invalid_phone_number", error.to_string()))
        .ok();
    if session.messages_per_minute > MOST_PACE {
        violations.add("session.messagesPerMinute", "out_of_range", format!("give 1 to {MOST_PACE}, or 0 for the connector's usual pace"));
    }
    let (connector, usual) = match session.connector {
        Some(Connector::Cloud(cloud)) => (Some(Line::Cloud(check_cloud(cloud, new, &mut violations))), DEFAULT_PACE),
        Some(Connector::Web(web)) => (check_web(web, &mut violations).map(Line::Web), DEFAULT_WEB_PACE),
        None => {
            let remedy = "is missing; describe the number at Meta's Cloud API, or give `web` to link a WhatsApp number as a device";
            violations.add("session.cloud", "required", remedy);
            (None, DEFAULT_PACE)
        }
    };
    match (phone, connector) {
        (Some(phone), Some(connector)) if violations.is_empty() => Ok(Registration {
            display_name: session.display_name.trim().to_owned(),
            phone,
            messages_per_minute: if session.messages_per_minute == 0 { usual } else { session.messages_per_minute },
            connector,
        }),
        _ => Err(refusal(violations)),
    }
}

fn check_cloud(cloud: CloudConnector, new: bool, violations: &mut Violations) -> CloudLine {
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
    CloudLine {
        app: cloud.app,
        phone_number_id: cloud.phone_number_id,
        business_account_id: cloud.business_account_id,
        portfolio_id: cloud.portfolio_id,
        access_token: Secret::new(cloud.access_token),
    }
}

/// `None` when this build cannot link devices.
fn check_web(web: WebConnector, violations: &mut Violations) -> Option<WebLine> {
    if !cfg!(feature = "web") {
        let remedy = "this installation was built without WhatsApp Web; use Meta's Cloud API, or ask its operator for the image with it";
        violations.add("session.web", "not_supported", remedy);
        return None;
    }
    if web.device_name.chars().any(char::is_control) {
        violations.add("session.web.deviceName", "invalid_name", "has control characters in it; give plain text");
    }
    Some(WebLine {
        device_name: web.device_name.trim().to_owned(),
        presence: web.presence,
        pinned: web.pinned,
        history_days: web.history_days,
        number_checks_per_day: if web.number_checks_per_day == 0 { DEFAULT_NUMBER_CHECKS } else { web.number_checks_per_day },
    })
}

fn refusal(violations: Violations) -> Status {
    violations.check().err().unwrap_or_else(|| Status::internal("a wrong session was let through"))
}

const FIELDS: [&str; 15] = [
    "display_name",
    "phone_number",
    "messages_per_minute",
    "cloud",
    "cloud.phone_number_id",
    "cloud.business_account_id",
    "cloud.portfolio_id",
    "cloud.app",
    "cloud.access_token",
    "web",
    "web.device_name",
    "web.presence",
    "web.pinned",
    "web.history_days",
    "web.number_checks_per_day",
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
        let linked = matches!(&session.connector, Some(Connector::Web(web)) if web.link_time.is_some());
        if linked && session.phone_number != changes.phone_number {
            let remedy = "cannot be changed while a device is linked; log the session out first";
            return Err(Violations::one("session.phoneNumber", "linked", remedy));
        }
        session.phone_number = changes.phone_number;
    }
    if chosen("messages_per_minute", changes.messages_per_minute != 0) {
        session.messages_per_minute = changes.messages_per_minute;
    }
    let (wanted, cloud) = match (changes.connector, &mut session.connector) {
        (None, _) => return Ok(()),
        (Some(Connector::Cloud(wanted)), Some(Connector::Cloud(cloud))) => (wanted, cloud),
        (Some(Connector::Web(wanted)), Some(Connector::Web(web))) => {
            merge_web(web, wanted, named("web"), chosen);
            return Ok(());
        }
        _ => {
            let remedy = "a session keeps its connector; register another one for the other way to WhatsApp";
            return Err(Violations::one("session.connector", "fixed", remedy));
        }
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

fn merge_web(web: &mut WebConnector, wanted: WebConnector, whole: bool, chosen: impl Fn(&str, bool) -> bool) {
    if whole || chosen("web.device_name", !wanted.device_name.is_empty()) {
        web.device_name = wanted.device_name;
    }
    if whole || chosen("web.presence", wanted.presence) {
        web.presence = wanted.presence;
    }
    if whole || chosen("web.pinned", wanted.pinned) {
        web.pinned = wanted.pinned;
    }
    if whole || chosen("web.history_days", wanted.history_days != 0) {
        web.history_days = wanted.history_days;
    }
    if whole || chosen("web.number_checks_per_day", wanted.number_checks_per_day != 0) {
        web.number_checks_per_day = wanted.number_checks_per_day;
    }
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
        let Line::Cloud(checked) = check(known.clone(), egypt(), false).expect("fine").connector else { panic!("cloud") };
        assert!(checked.access_token.is_empty());
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

    fn web() -> Session {
        Session { connector: Some(Connector::Web(WebConnector::default())), ..session() }
    }

    #[test]
    fn a_linked_number_sends_as_a_person_would_unless_told_otherwise() {
        let checked = check(web(), egypt(), true).expect("fine");
        assert_eq!(checked.messages_per_minute, 20);
        let Line::Web(line) = checked.connector else { panic!("web") };
        assert_eq!((line.number_checks_per_day, line.presence, line.pinned), (200, false, false));
    }

    #[test]
    fn a_session_keeps_its_connector_and_while_linked_its_number() {
        let mut known = web();
        let to_cloud = merge(&mut known, Session { connector: session().connector, ..Session::default() }, &[]);
        assert!(to_cloud.expect_err("refused").message().contains("session.connector"));
        let Some(Connector::Web(line)) = &mut known.connector else { panic!("web") };
        line.link_time = Some(prost_types::Timestamp::default());
        let moved = merge(&mut known, Session { phone_number: "01009999999".into(), ..Session::default() }, &[]);
        assert!(moved.expect_err("refused").message().contains("log the session out"));
        let pinned = WebConnector { pinned: true, ..WebConnector::default() };
        let changes = Session { connector: Some(Connector::Web(pinned)), ..Session::default() };
        merge(&mut known, changes, &["web.pinned".into()]).expect("merged");
        assert!(matches!(&known.connector, Some(Connector::Web(web)) if web.pinned && web.link_time.is_some()));
    }
}
