//! Short ways of reading and writing stanzas.

use std::borrow::Cow;

use wacore_binary::{Jid, Node, NodeRef, Server, builder::NodeBuilder};

/// Where all of the server's own stanzas come from.
pub(super) fn server() -> Jid {
    Jid::new("", Server::Pn)
}

pub(super) fn text<'a>(node: &'a NodeRef<'_>, name: &str) -> Option<Cow<'a, str>> {
    node.get_attr(name).map(|value| value.as_str())
}

pub(super) fn owned(node: &NodeRef<'_>, name: &str) -> String {
    text(node, name).unwrap_or_default().into_owned()
}

pub(super) fn jid(node: &NodeRef<'_>, name: &str) -> Option<Jid> {
    node.get_attr(name).and_then(|value| value.to_jid())
}

pub(super) fn children<'n, 'a>(node: &'n NodeRef<'a>) -> &'n [NodeRef<'a>] {
    node.children().unwrap_or_default()
}

/// Bytes of the child of this name.
pub(super) fn bytes<'n>(node: &'n NodeRef<'_>, name: &str) -> Option<&'n [u8]> {
    node.get_optional_child(name).and_then(|child| child.content_bytes())
}

/// A big-endian number in the child of this name.
pub(super) fn uint(node: &NodeRef<'_>, name: &str) -> Option<u32> {
    let bytes = bytes(node, name)?;
    (bytes.len() <= 4).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// The answer to a request.
pub(super) fn result(request: &NodeRef<'_>, children: impl IntoIterator<Item = Node>) -> Node {
    let mut children = children.into_iter().peekable();
    let answer = NodeBuilder::new("iq").attr("from", server()).attr("id", owned(request, "id")).attr("type", "result");
    if children.peek().is_some() { answer.children(children).build() } else { answer.build() }
}

/// The refusal of a request.
pub(super) fn error(request: &NodeRef<'_>, code: u16, text: &'static str) -> Node {
    let error = NodeBuilder::new("error").attr("code", code).attr("text", text).build();
    NodeBuilder::new("iq").attr("from", server()).attr("id", owned(request, "id")).attr("type", "error").children([error]).build()
}

pub(super) fn id(value: u32) -> Node {
    NodeBuilder::new("id").bytes(value.to_be_bytes()[1..].to_vec()).build()
}

pub(super) fn value(name: &'static str, bytes: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(name).bytes(bytes).build()
}
