//! Streams that are made by repeating a unary method, checked against what their options name.

use prost_reflect::{Kind, MessageDescriptor};

use crate::access::{Method, Polling, Table};

/// How a polled stream is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Path of the unary method.
    pub via: String,
    /// Number of the request field that tells the revision that is known.
    pub after: u32,
    /// Number of the answer's `revision`.
    pub revision: u32,
    /// Number of the answer's `done`.
    pub done: u32,
}

/// An option `(barid.access.v1.polling)` that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method}: (barid.access.v1.polling) {problem}")]
pub struct PollingError {
    method: String,
    problem: String,
}

impl Polled {
    pub(crate) fn new(table: &Table, method: &Method, polling: &Polling) -> Result<Self, PollingError> {
        let wrong = |problem: String| PollingError { method: method.path.clone(), problem };
        let stream = &method.descriptor;
        if !stream.is_server_streaming() || stream.is_client_streaming() {
            return Err(wrong("stands at a method that is no stream to the caller".to_owned()));
        }
        let path = format!("/{}/{}", stream.parent_service().full_name(), polling.via);
        let via = table.get(&path).ok_or_else(|| wrong(format!("names the method `{}`, which the service does not have", polling.via)))?;
        if via.descriptor.is_server_streaming() || via.descriptor.is_client_streaming() {
            return Err(wrong(format!("names `{}`, which is not unary", polling.via)));
        }
        if via.scope != method.scope || via.descriptor.input() != stream.input() || via.descriptor.output() != stream.output() {
            return Err(wrong(format!("names `{}`, whose scope, request or answer is another", polling.via)));
        }
        let number = |message: &MessageDescriptor, name: &str, kind: Kind| {
            let field = message.get_field_by_name(name).filter(|field| field.kind() == kind && !field.is_list());
            let missing = || wrong(format!("needs `{name}` in {}, of the type {kind:?}", message.full_name()));
            field.map(|field| field.number()).ok_or_else(missing)
        };
        let output = stream.output();
        Ok(Self {
            via: path,
            after: number(&stream.input(), &polling.after, Kind::Uint64)?,
            revision: number(&output, "revision", Kind::Uint64)?,
            done: number(&output, "done", Kind::Bool)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor_pool;

    const WATCH: &str = "/barid.session_pool.v1.PairingService/WatchPairing";

    #[test]
    fn a_polled_stream_knows_its_fields() {
        let polled = Table::new(&descriptor_pool()).polled().expect("the protos are sound");
        let watch = &polled[WATCH];
        assert_eq!(watch.via, "/barid.session_pool.v1.PairingService/GetPairing");
        assert_eq!((watch.after, watch.revision, watch.done), (3, 11, 12));
    }

    #[test]
    fn an_option_that_names_what_is_not_there_is_told() {
        let table = Table::new(&descriptor_pool());
        let problem = |path: &str, via: &str, after: &str| {
            let polling = Polling { via: via.to_owned(), after: after.to_owned() };
            Polled::new(&table, table.get(path).expect("a method"), &polling).expect_err("is wrong").to_string()
        };
        assert!(
            problem(WATCH, "GetPairing", "after_revisoin").contains("needs `after_revisoin` in barid.session_pool.v1.GetPairingRequest")
        );
        assert!(problem(WATCH, "GetPairing", "id").contains("needs `id`"), "of another type");
        assert!(problem(WATCH, "GetParing", "after_revision").contains("names the method `GetParing`"));
        assert!(problem(WATCH, "WatchPairing", "after_revision").contains("is not unary"));
        assert!(problem(WATCH, "StartPairing", "after_revision").contains("is another"));
        let unary = "/barid.session_pool.v1.PairingService/GetPairing";
        assert!(problem(unary, "GetPairing", "after_revision").contains("is no stream to the caller"));
        let events = "/barid.queue.v1.EventService/SubscribeEvents";
        assert!(problem(events, "ListEvents", "after").contains("is another"));
    }
}
