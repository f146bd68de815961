//! Looking people up: are they on WhatsApp, which devices do they have, what is their hidden identity.

use wacore_binary::{Jid, Node, NodeRef, Server, builder::NodeBuilder};

use crate::{
    web::{
        lid,
        people::number_of,
        session::Session,
        stanza::{children, jid, owned, result, value},
    },
    world::World,
};

pub(super) fn answer(session: &Session, request: &NodeRef<'_>) -> Node {
    let Some(usync) = request.get_optional_child("usync") else { return result(request, []) };
    let wanted: Vec<String> =
        usync.get_optional_child("query").map(children).unwrap_or_default().iter().map(|node| node.tag.to_string()).collect();
    let users = usync.get_optional_child("list").map(children).unwrap_or_default();
    let found: Vec<Node> = users.iter().filter_map(|user| look_up(session, user, &wanted)).collect();
    let states = wanted.iter().filter_map(|name| tag(name)).map(|name| NodeBuilder::new(name).build());
    let parts = [NodeBuilder::new("result").children(states).build(), NodeBuilder::new("list").children(found).build()];
    let answer = NodeBuilder::new("usync")
        .attr("sid", owned(usync, "sid"))
        .attr("index", "0")
        .attr("last", "true")
        .attr("mode", owned(usync, "mode"))
        .attr("context", owned(usync, "context"));
    result(request, [answer.children(parts).build()])
}

fn tag(name: &str) -> Option<&'static str> {
    ["contact", "devices", "status", "text_status", "disappearing_mode", "business", "picture", "lid", "username", "bot", "feature"]
        .into_iter()
        .find(|known| *known == name)
}

/// One user as asked: by jid, or by a phone number in `<contact>`.
fn look_up(session: &Session, user: &NodeRef<'_>, wanted: &[String]) -> Option<Node> {
    let world = &session.world;
    let phone = user.get_optional_child("contact").and_then(|contact| contact.content_as_string());
    let asked = jid(user, "jid").or_else(|| jid(user, "pn_jid"));
    let number = match (&asked, &phone) {
        (Some(asked), _) => number_of(asked)?,
        (None, Some(phone)) => phone.trim_start_matches('+').to_owned(),
        (None, None) => return None,
    };
    let there = world.on_whatsapp(&number);
    world.stats.looked_up.up();
    let named = asked.unwrap_or_else(|| Jid::new(number.as_str(), Server::Pn)).to_non_ad();
    let mut answer = NodeBuilder::new("user").attr("jid", named.clone());
    if named.server == Server::Lid {
        answer = answer.attr("pn_jid", Jid::new(number.as_str(), Server::Pn));
    }
    let mut parts = Vec::new();
    for name in wanted {
        match name.as_str() {
            "contact" => {
                let contact = NodeBuilder::new("contact").attr("type", if there { "in" } else { "out" });
                parts.push(contact.string_content(phone.clone().unwrap_or_else(|| format!("+{number}").into())).build());
            }
            "devices" if there => parts.extend(devices(world, &number)),
            "lid" if there => {
                let lid = Jid::new(lid::of(&number)?.as_str(), Server::Lid);
                parts.push(NodeBuilder::new("lid").attr("val", lid).build());
            }
            "business" if there => parts.push(NodeBuilder::new("business").build()),
            "disappearing_mode" if there => {
                parts.push(NodeBuilder::new("disappearing_mode").attr("duration", 0_u32).attr("t", 0_u32).build());
            }
            "status" if there => parts.push(NodeBuilder::new("status").attr("t", 0_u32).build()),
            _ => {}
        }
    }
    Some(answer.children(parts).build())
}

fn devices(world: &World, number: &str) -> Option<Node> {
    let primary = NodeBuilder::new("device").attr("id", 0_u32).build();
    let mut list = vec![primary];
    let mut parts = Vec::new();
    if let Some(person) = world.web.people.find(number) {
        let person = person.lock();
        if !person.devices.is_empty() {
            list.extend(
                person
                    .devices
                    .values()
                    .map(|device| NodeBuilder::new("device").attr("id", device.id).attr("key-index", device.key_index).build()),
            );
            let now = world.now().timestamp();
            match person.key_indexes(now.unsigned_abs()) {
                Ok(signed) => {
                    let mut indexes = value("key-index-list", signed);
                    indexes.attrs.insert("ts", now);
                    parts.push(indexes);
                }
                Err(error) => tracing::warn!(%error, "a list of devices cannot be signed"),
            }
        }
    }
    parts.insert(0, NodeBuilder::new("device-list").children(list).build());
    Some(NodeBuilder::new("devices").children(parts).build())
}
