//! What the service answers, one file per proto service.

mod renderer;
mod templates;

use std::{collections::BTreeMap, sync::Arc};

use barid_bus::Bus;
use barid_proto::template::v1::Rendering;
use serde_json::{Map, Value};

use crate::{
    catalog::{Catalog, Entry},
    convert,
    render::{self, Context, Engine, Locale, Tenant},
    store::Store,
    tenants::Tenants,
};

#[derive(Clone)]
pub(crate) struct State {
    pub bus: Bus,
    pub catalog: Catalog,
    pub tenants: Tenants,
    pub engine: Arc<Engine>,
    pub store: Store,
}

/// Fills a template. `wanted` is the locale that was asked for, by whose regional formats a template of its language is filled.
fn fill(
    entry: &Entry,
    tenant: &Arc<Tenant>,
    wanted: &Locale,
    contact_names: BTreeMap<String, String>,
    variables: Map<String, Value>,
) -> Result<Rendering, render::Error> {
    let compiled = entry.compiled.as_ref().map_err(Clone::clone)?;
    let locale = if wanted.language() == entry.locale.language() { wanted } else { &entry.locale };
    let context = Context { tenant: tenant.clone(), locale: locale.clone(), contact_names, variables };
    let rendering = compiled.render(&context)?;
    Ok(Rendering {
        text: rendering.text,
        document_url: rendering.document_url,
        meta: rendering.meta.map(convert::meta_call),
        locale: entry.template.locale.clone(),
        version: entry.template.version,
    })
}
