//! What a client asks about its account and its contacts besides keys and messages: settings, block list, tokens.

use wacore_binary::{Node, NodeRef, builder::NodeBuilder};

use crate::web::{
    people::number_of,
    session::Session,
    stanza::{children, error, jid, owned, result, text, value},
};

/// Privacy settings of everybody, as a new account has them.
const PRIVACY: [(&str, &str); 9] = [
    ("last", "all"),
    ("online", "all"),
    ("profile", "all"),
    ("status", "all"),
    ("groupadd", "all"),
    ("readreceipts", "all"),
    ("calladd", "all"),
    ("messages", "all"),
    ("defense", "off"),
];

pub(super) fn answer(session: &Session, request: &NodeRef<'_>, namespace: &str, set: bool, what: &str) -> Option<Node> {
    Some(match (namespace, set, what) {
        ("abt", false, "props") => {
            let props = NodeBuilder::new("props").attr("protocol", "1").attr("hash", "box").attr("refresh", 86_400_u32);
            result(request, [props.attr("refresh_id", "1").build()])
        }
        ("blocklist", false, _) => result(request, [block_list(session)]),
        ("blocklist", true, "item") => {
            block(session, request);
            result(request, [block_list(session)])
        }
        ("privacy", false, "privacy") => {
            let categories =
                PRIVACY.iter().map(|(name, value)| NodeBuilder::new("category").attr("name", *name).attr("value", *value).build());
            result(request, [NodeBuilder::new("privacy").children(categories).build()])
        }
        ("privacy", true, "privacy") => result(request, []),
        ("privacy", true, "tokens") => result(request, [tokens(request)]),
        ("urn:xmpp:whatsapp:dirty", true, "clean") => result(request, []),
        ("disappearing_mode" | "status", true, _) => result(request, []),
        ("w:profile:picture", false, _) => error(request, 404, "item-not-found"),
        ("w:profile:picture", true, _) => result(request, []),
        ("w:biz", false, "business_profile") => result(request, [NodeBuilder::new("business_profile").attr("v", "372").build()]),
        ("w:stats" | "spam", true, _) => result(request, []),
        ("md", true, "remove-companion-device") => {
            session.unlink();
            result(request, [])
        }
        _ => return None,
    })
}

fn block_list(session: &Session) -> Node {
    let person = session.person.lock();
    let items = person
        .blocked
        .iter()
        .map(|number| NodeBuilder::new("item").attr("jid", wacore_binary::Jid::new(number.as_str(), wacore_binary::Server::Pn)).build());
    NodeBuilder::new("list").attr("dhash", "box").children(items).build()
}

fn block(session: &Session, request: &NodeRef<'_>) {
    for item in children(request) {
        let Some(number) = jid(item, "jid").and_then(|jid| number_of(&jid)) else { continue };
        let mut person = session.person.lock();
        match text(item, "action").as_deref() {
            Some("unblock") => person.blocked.remove(&number),
            _ => person.blocked.insert(number),
        };
    }
}

/// A privacy token for each contact that the client wants to trust.
fn tokens(request: &NodeRef<'_>) -> Node {
    let wanted = request.get_optional_child("tokens").map(children).unwrap_or_default();
    let issued = wanted.iter().map(|token| {
        let mut issued = value("token", owned(token, "jid").into_bytes());
        issued.attrs.insert("jid", owned(token, "jid"));
        issued.attrs.insert("t", owned(token, "t"));
        issued.attrs.insert("type", owned(token, "type"));
        issued
    });
    NodeBuilder::new("tokens").children(issued).build()
}
