//! Which differences break a caller: on the wire, in JSON, in generated code, or on a REST path. Pure.

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    ServiceDescriptor, Value,
};
use std::collections::BTreeSet;

/// Every change from `old` to `new` in our own packages that breaks somebody.
pub(super) fn broken(old: &DescriptorPool, new: &DescriptorPool) -> Vec<String> {
    let mut problems = Vec::new();
    let ours = |package: &str| package.split('.').next().is_some_and(|root| matches!(root, "barid" | "transcode"));
    for message in old.all_messages().filter(|message| ours(message.package_name()) && !message.is_map_entry()) {
        match new.get_message_by_name(message.full_name()) {
            Some(now) => compare_messages(&message, &now, &mut problems),
            None => problems.push(format!("the message {} is gone", message.full_name())),
        }
    }
    for kept in old.all_enums().filter(|kept| ours(kept.package_name())) {
        match new.get_enum_by_name(kept.full_name()) {
            Some(now) => compare_enums(&kept, &now, &mut problems),
            None => problems.push(format!("the enum {} is gone", kept.full_name())),
        }
    }
    for service in old.services().filter(|service| ours(service.package_name())) {
        match new.get_service_by_name(service.full_name()) {
            Some(now) => compare_services(&service, &now, &mut problems),
            None => problems.push(format!("the service {} is gone", service.full_name())),
        }
    }
    problems
}

fn compare_messages(old: &MessageDescriptor, new: &MessageDescriptor, problems: &mut Vec<String>) {
    for field in old.fields() {
        match new.get_field(field.number()) {
            Some(now) => compare_fields(&field, &now, problems),
            None => problems.push(format!("{} is gone; mark it as deprecated instead", field.full_name())),
        }
    }
    for field in new.fields() {
        let number = field.number();
        let is_new = old.get_field(number).is_none();
        if is_new && old.reserved_ranges().any(|range| range.contains(&number)) {
            problems
                .push(format!("{} takes the number {number}, which was reserved because it once meant something else", field.full_name()));
        }
        if is_new && old.reserved_names().any(|name| name == field.name()) {
            problems.push(format!("{} takes a name that was reserved because it once meant something else", field.full_name()));
        }
        if is_new && is_required(&field) {
            problems.push(format!("{} is new and required, which no caller of the last release can know", field.full_name()));
        }
    }
}

fn compare_fields(old: &FieldDescriptor, new: &FieldDescriptor, problems: &mut Vec<String>) {
    let name = old.full_name();
    if old.name() != new.name() {
        problems.push(format!("{name} is now called {}: JSON and generated code know the name", new.name()));
    }
    if old.json_name() != new.json_name() {
        problems.push(format!("{name} is now called {} in JSON, and was {}", new.json_name(), old.json_name()));
    }
    let (before, after) = (kind(old), kind(new));
    if before != after {
        problems.push(format!("{name} is now {after}, and was {before}"));
    }
    let group =
        |field: &FieldDescriptor| field.containing_oneof().filter(|group| !group.is_synthetic()).map(|group| group.name().to_owned());
    if group(old) != group(new) {
        problems.push(format!("{name} moved into or out of a oneof"));
    }
    if !is_required(old) && is_required(new) {
        problems.push(format!("{name} is required now, and was not"));
    }
}

/// What a field holds, as a proto would say it.
fn kind(field: &FieldDescriptor) -> String {
    let one = match field.kind() {
        Kind::Message(message) if message.is_map_entry() => {
            let part = |number: u32| message.get_field(number).map_or_else(String::new, |field| kind(&field));
            return format!("map<{}, {}>", part(1), part(2));
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kept) => kept.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    match field.cardinality() {
        Cardinality::Repeated => format!("repeated {one}"),
        _ if field.containing_oneof().is_some_and(|group| group.is_synthetic()) => format!("optional {one}"),
        _ => one,
    }
}

/// Whether `google.api.field_behavior` says so, which is enforced before a service sees a request.
fn is_required(field: &FieldDescriptor) -> bool {
    const REQUIRED: i32 = 2;
    let options = field.options();
    let Some(extension) = field.parent_pool().get_extension_by_name("google.api.field_behavior") else { return false };
    let behaviours = options.get_extension(&extension);
    behaviours.as_list().is_some_and(|list| list.iter().any(|value| value.as_enum_number() == Some(REQUIRED)))
}

fn compare_enums(old: &EnumDescriptor, new: &EnumDescriptor, problems: &mut Vec<String>) {
    for value in old.values() {
        match new.get_value(value.number()) {
            None => problems.push(format!("{} is gone; mark it as deprecated instead", value.full_name())),
            Some(_) if new.values().any(|now| now.number() == value.number() && now.name() == value.name()) => {}
            Some(now) => problems.push(format!("{} is now called {}: JSON knows the name", value.full_name(), now.name())),
        }
    }
}

fn compare_services(old: &ServiceDescriptor, new: &ServiceDescriptor, problems: &mut Vec<String>) {
    for method in old.methods() {
        match new.methods().find(|now| now.name() == method.name()) {
            Some(now) => compare_methods(&method, &now, problems),
            None => problems.push(format!("the method {} is gone; mark it as deprecated instead", method.full_name())),
        }
    }
}

fn compare_methods(old: &MethodDescriptor, new: &MethodDescriptor, problems: &mut Vec<String>) {
    let name = old.full_name();
    for (what, before, after) in [("takes", old.input(), new.input()), ("answers", old.output(), new.output())] {
        if before.full_name() != after.full_name() {
            problems.push(format!("{name} {what} {} now, and did {}", after.full_name(), before.full_name()));
        }
    }
    if (old.is_client_streaming(), old.is_server_streaming()) != (new.is_client_streaming(), new.is_server_streaming()) {
        problems.push(format!("{name} streams otherwise than it did"));
    }
    for gone in paths(old).difference(&paths(new)) {
        problems.push(format!("{name} is not at {gone} any more"));
    }
}

/// The REST paths of a method with their verbs and bodies, such as `POST /v1/messages (body *)`.
fn paths(method: &MethodDescriptor) -> BTreeSet<String> {
    let Some(extension) = method.parent_pool().get_extension_by_name("google.api.http") else { return BTreeSet::new() };
    let options = method.options();
    if !options.has_extension(&extension) {
        return BTreeSet::new();
    }
    options.get_extension(&extension).as_message().map(rule_paths).unwrap_or_default()
}

fn rule_paths(rule: &DynamicMessage) -> BTreeSet<String> {
    let text = |name: &str| rule.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let mut found = BTreeSet::new();
    for verb in ["get", "put", "post", "delete", "patch"] {
        let path = text(verb);
        if !path.is_empty() {
            let body = text("body");
            let body = if body.is_empty() { String::new() } else { format!(" (body {body})") };
            found.insert(format!("{} {path}{body}", verb.to_uppercase()));
        }
    }
    if let Some(more) = rule.get_field_by_name("additional_bindings") {
        found.extend(more.as_list().unwrap_or_default().iter().filter_map(Value::as_message).flat_map(rule_paths));
    }
    found
}
