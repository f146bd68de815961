//! Requests of a logged-in device and their answers, one file per concern.

mod keys;
mod settings;
mod sync;
mod usync;

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use super::{
    session::Session,
    stanza::{children, error, result, text},
};

pub(super) fn answer(session: &Session, request: &NodeRef<'_>) -> Node {
    let namespace = text(request, "xmlns").unwrap_or_default();
    let set = text(request, "type").as_deref() == Some("set");
    let what = children(request).first().map_or("", |child| &*child.tag);
    let answered = match (&*namespace, set, what) {
        ("w:p" | "urn:xmpp:ping", ..) => Some(result(request, [])),
        ("passive", true, "active") => {
            session.activate();
            Some(result(request, []))
        }
        ("passive", true, "passive") => {
            session.with(|device| device.active = false);
            Some(result(request, []))
        }
        ("encrypt", ..) => keys::answer(session, request, set, what),
        ("usync", false, "usync") => Some(usync::answer(session, request)),
        ("w:m", _, "media_conn") => Some(result(request, [media_conn(session)])),
        ("w:sync:app:state", true, "sync") => Some(sync::answer(session, request)),
        _ => settings::answer(session, request, &namespace, set, what),
    };
    answered.unwrap_or_else(|| {
        session.world.web.unknown.count(request);
        error(request, 501, "feature-not-implemented")
    })
}

/// The keys that go with a request to send again.
pub(super) fn retry_keys(bundle: &super::signal::Bundle) -> Node {
    NodeBuilder::new("keys").children(keys::key_nodes(bundle)).build()
}

fn media_conn(session: &Session) -> Node {
    let host = NodeBuilder::new("host").attr("hostname", session.world.media_host.as_str()).attr("type", "primary");
    let ways = [NodeBuilder::new("upload").build(), NodeBuilder::new("download").build()];
    NodeBuilder::new("media_conn")
        .attr("auth", "box")
        .attr("ttl", 3600_u32)
        .attr("auth_ttl", 21_600_u32)
        .attr("max_buckets", 12_u32)
        .children([host.children(ways).build()])
        .build()
}
