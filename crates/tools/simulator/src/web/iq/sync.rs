//! Synchronising an account's settings: a device asks for patches it lacks, and sends its own.

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use crate::web::{
    deliver,
    session::Session,
    stanza::{children, owned, result, text, value},
};

/// WhatsApp's code for a patch onto an old version.
const CONFLICT: u16 = 409;

pub(super) fn answer(session: &Session, request: &NodeRef<'_>) -> Node {
    let asked = request.get_optional_child("sync").map(children).unwrap_or_default();
    let answers: Vec<Node> = asked.iter().map(|collection| one(session, collection)).collect();
    result(request, [NodeBuilder::new("sync").children(answers).build()])
}

fn one(session: &Session, asked: &NodeRef<'_>) -> Node {
    let name = owned(asked, "name");
    let version: u64 = text(asked, "version").and_then(|version| version.parse().ok()).unwrap_or(0);
    let answer = NodeBuilder::new("collection").attr("name", name.as_str());
    let Some(patch) = asked.get_optional_child("patch").and_then(|patch| patch.content_bytes()) else {
        return patches(session, answer, &name, version);
    };
    let pushed = session.person.lock().collections.push(&name, version, patch);
    match pushed {
        Ok(true) => {
            deliver::settings_changed(&session.world, &session.number, &name, Some(session.device));
            answer.attr("type", "result").attr("version", version + 1).build()
        }
        Ok(false) => {
            let error = NodeBuilder::new("error").attr("code", CONFLICT).attr("text", "conflict").build();
            answer.attr("type", "error").attr("has_more_patches", "true").children([error]).build()
        }
        Err(problem) => {
            tracing::warn!(%problem, collection = name, "a patch cannot be read");
            let error = NodeBuilder::new("error").attr("code", 400_u16).attr("text", "bad-request").build();
            answer.attr("type", "error").children([error]).build()
        }
    }
}

fn patches(session: &Session, answer: NodeBuilder, name: &str, version: u64) -> Node {
    let person = session.person.lock();
    let newer: Vec<Node> = person.collections.since(name, version).iter().map(|patch| value("patch", patch.clone())).collect();
    let answer = answer.attr("type", "result").attr("version", person.collections.version(name));
    if newer.is_empty() { answer.build() } else { answer.children([NodeBuilder::new("patches").children(newer).build()]).build() }
}
