//! Every subject of Barid, built here and nowhere else.

use barid_domain::TenantId;

use crate::Service;

/// The subject of a call: `rpc.<caller>.<service>.<version>.<Service>.<Method>`. `path` is gRPC's `/barid.<service>.<version>.<Service>/<Method>`;
/// `None` when it is not of this form.
pub fn call(caller: Service, path: &str) -> Option<String> {
    let (service, method) = path.strip_prefix("/barid.")?.split_once('/')?;
    let fits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
    (fits(service) && fits(method) && !method.contains('.')).then(|| format!("rpc.{}.{service}.{method}", caller.name()))
}

/// Where one connection of a caller awaits the answers of a service; one more token names the call. Only the service may publish there, and
/// only the caller may listen.
pub(crate) fn inbox(caller: Service, service: &str, connection: &str) -> String {
    format!("inbox.{}.{service}.{connection}", caller.name())
}

/// The service that a gRPC path is about.
pub(crate) fn service(path: &str) -> Option<&str> {
    Some(path.strip_prefix("/barid.")?.split_once('.')?.0)
}

/// Where one proto service (`barid.<service>.<version>.<Service>`) listens for calls from anyone.
pub(crate) fn endpoint(proto_service: &str) -> String {
    format!("rpc.*.{}.*", proto_service.trim_start_matches("barid."))
}

/// Caller and gRPC path of a call's subject.
pub(crate) fn parse_call(subject: &str) -> Option<(&str, String)> {
    let (caller, rest) = subject.strip_prefix("rpc.")?.split_once('.')?;
    let (service, method) = rest.rsplit_once('.')?;
    Some((caller, format!("/barid.{service}/{method}")))
}

/// The subject of an event.
pub fn event(tenant: &str, entity: &str, kind: &str) -> String {
    format!("events.{tenant}.{entity}.{kind}")
}

/// Every event of one entity kind.
pub fn events_of(entity: &str) -> String {
    format!("events.*.{entity}.>")
}

/// Every event of one tenant.
pub fn events_of_tenant(tenant: TenantId) -> String {
    format!("events.{tenant}.>")
}

/// Entities whose events stand in the ledger of another one and are told with it, in one order: who follows a customer's conversation gets
/// what was sent and what was written as it happened, and one event id is enough to go on from.
const TOLD_WITH: [(&str, &str); 1] = [("inbound", "message")];

/// The stream that keeps the events of an entity kind. Each ledger has a stream of its own, so that its one publisher can insist on the
/// sequence.
pub fn stream(entity: &str) -> String {
    format!("EVENTS-{}", ledger(entity))
}

/// Every subject of the stream of an entity.
pub(crate) fn subjects_of_stream(entity: &str) -> Vec<String> {
    let ledger = ledger(entity);
    let others = TOLD_WITH.into_iter().filter(|(_, with)| *with == ledger).map(|(entity, _)| entity);
    std::iter::once(ledger).chain(others).map(events_of).collect()
}

/// The entity in whose ledger the events of an entity stand.
fn ledger(entity: &str) -> &str {
    TOLD_WITH.into_iter().find(|(told, _)| *told == entity).map_or(entity, |(_, with)| with)
}

/// Where nobody ever listens: the broker answers at once that nobody is there.
pub(crate) fn probe(service: Service) -> String {
    format!("rpc.{0}.{0}.probe", service.name())
}

/// A broadcast of a service on a topic. It may be lost; who hears it only wakes up earlier.
pub fn notice(from: Service, topic: &str) -> String {
    format!("notice.{}.{topic}", from.name())
}
