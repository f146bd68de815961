//! Between the wire and the renderer.

use std::collections::BTreeMap;

use barid_proto::{
    template::v1::{MetaTemplate, MetaTemplateCall, Template},
    tenant::v1::{Digits as WireDigits, Tenant as WireTenant},
};
use prost_types::{Struct, Value, value::Kind};
use serde_json::{Map, Number, Value as Json};

use crate::{
    render::{Business, Digits, Locale, Meta, Source, Tenant},
    starters::Starter,
};

/// A locale that was checked before it was stored; the tenant service checks a little less than we can use.
pub(crate) fn locale(text: &str) -> Locale {
    let language = text.split('-').next().unwrap_or_default();
    text.parse().or_else(|_| language.parse()).unwrap_or_else(|_| Locale::english())
}

pub(crate) fn tenant(tenant: WireTenant) -> Tenant {
    let digits = if tenant.digits() == WireDigits::Native { Digits::Native } else { Digits::Western };
    let branding = tenant.branding.unwrap_or_default();
    Tenant {
        locale: locale(&tenant.locale),
        currency: tenant.currency,
        time_zone: tenant.time_zone.parse().unwrap_or(chrono_tz::UTC),
        digits,
        glossary: tenant.glossary,
        business: Business {
            name: if branding.business_name.is_empty() { tenant.name } else { branding.business_name },
            phone: branding.phone,
            emoji: branding.emoji,
        },
    }
}

pub(crate) fn starter(starter: &Starter) -> Template {
    Template {
        name: starter.name.to_owned(),
        locale: starter.locale.to_owned(),
        body: starter.body.to_owned(),
        meta: Some(wire_meta(starter.meta())),
        starter: true,
        ..Template::default()
    }
}

pub(crate) fn source(template: &Template) -> Source<'_> {
    Source { body: &template.body, document_url: &template.document_url, meta: template.meta.clone().map(meta) }
}

pub(crate) fn meta(meta: MetaTemplate) -> Meta {
    Meta { name: meta.name, language: meta.language, parameters: meta.parameters, document_header: meta.document_header }
}

pub(crate) fn wire_meta(meta: Meta) -> MetaTemplate {
    MetaTemplate { name: meta.name, language: meta.language, parameters: meta.parameters, document_header: meta.document_header }
}

pub(crate) fn meta_call(meta: Meta) -> MetaTemplateCall {
    MetaTemplateCall { name: meta.name, language: meta.language, parameters: meta.parameters, document_header: meta.document_header }
}

pub(crate) fn variables(variables: Option<Struct>) -> Map<String, Json> {
    object(variables.unwrap_or_default().fields)
}

fn object(fields: BTreeMap<String, Value>) -> Map<String, Json> {
    fields.into_iter().map(|(name, value)| (name, json(value))).collect()
}

fn json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(value),
        // JSON has no infinities; as `null` they are missing, which is what is said of them then.
        Some(Kind::NumberValue(number)) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(json).collect()),
        Some(Kind::StructValue(fields)) => Json::Object(object(fields.fields)),
    }
}
