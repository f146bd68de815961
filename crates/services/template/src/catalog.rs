//! The templates of every tenant, compiled and remembered, with the starters behind them.

use std::{sync::Arc, time::Duration};

use barid_domain::TenantId;
use barid_proto::template::v1::Template;
use moka::future::Cache;

use crate::{
    Error, convert,
    nearest::distance,
    render::{self, Compiled, Engine, Locale},
    starters,
    store::Store,
};

/// Names of templates remembered over all tenants; each is some kilobytes for every locale.
const REMEMBERED: u64 = 10_000;

/// A template that can be rendered.
pub(crate) struct Entry {
    pub template: Template,
    pub locale: Locale,
    /// Was checked when it was stored; a rule that came later may refuse it all the same.
    pub compiled: Result<Compiled, render::Error>,
}

/// A tenant's templates of one name, the newest of each locale.
type Family = Arc<Vec<Arc<Entry>>>;

/// Clone it freely.
#[derive(Clone)]
pub(crate) struct Catalog {
    store: Store,
    engine: Arc<Engine>,
    families: Cache<(TenantId, String), Family>,
    starters: Family,
}

impl Catalog {
    pub(crate) fn new(store: Store, engine: Arc<Engine>, ttl: Duration) -> Result<Self, Error> {
        let starter = |starter: &starters::Starter| {
            let failed = |source| Error::Starter { name: starter.name, locale: starter.locale, source };
            let template = convert::starter(starter);
            let compiled = engine.compile(&starter.source()).map_err(failed)?;
            Ok(Arc::new(Entry { locale: convert::locale(&template.locale), template, compiled: Ok(compiled) }))
        };
        let starters: Vec<Arc<Entry>> = starters::all().iter().map(starter).collect::<Result<_, Error>>()?;
        let families = Cache::builder().max_capacity(REMEMBERED).time_to_live(ttl).build();
        Ok(Self { store, engine, families, starters: Arc::new(starters) })
    }

    /// What a tenant's message of this name is rendered with: its own template in the nearest locale of the language, else the starter.
    pub(crate) async fn find(&self, tenant: TenantId, name: &str, wanted: &Locale) -> Result<Option<Arc<Entry>>, Error> {
        let family = self.family(tenant, name).await?;
        Ok(nearest(&family, wanted).or_else(|| self.starter(name, wanted)))
    }

    /// The newest of each name and locale, and the starters in whose place none of them stands; by name and locale.
    pub(crate) async fn list(&self, tenant: TenantId) -> Result<Vec<Template>, Error> {
        let mut templates = self.store.templates(tenant).await?;
        let replaced = |starter: &Entry| {
            let own =
                |own: &Template| own.name == starter.template.name && distance(&starter.locale, &convert::locale(&own.locale)).is_some();
            templates.iter().any(own)
        };
        let starters: Vec<Template> =
            self.starters.iter().filter(|starter| !replaced(starter)).map(|starter| starter.template.clone()).collect();
        templates.extend(starters);
        templates.sort_by(|a, b| (&a.name, &a.locale).cmp(&(&b.name, &b.locale)));
        Ok(templates)
    }

    /// To be looked up again when next asked for.
    pub(crate) async fn forget(&self, tenant: TenantId, name: &str) {
        self.families.invalidate(&(tenant, name.to_owned())).await;
    }

    async fn family(&self, tenant: TenantId, name: &str) -> Result<Family, Error> {
        let key = (tenant, name.to_owned());
        if let Some(family) = self.families.get(&key).await {
            return Ok(family);
        }
        let templates = self.store.newest(tenant, name).await?;
        let entry = |template: Template| {
            let compiled = self.engine.compile(&convert::source(&template));
            Arc::new(Entry { locale: convert::locale(&template.locale), template, compiled })
        };
        let family = Arc::new(templates.into_iter().map(entry).collect::<Vec<_>>());
        self.families.insert(key, family.clone()).await;
        Ok(family)
    }

    fn starter(&self, name: &str, wanted: &Locale) -> Option<Arc<Entry>> {
        let starter = starters::find(name, wanted)?;
        self.starters.iter().find(|entry| entry.template.name == starter.name && entry.template.locale == starter.locale).cloned()
    }
}

fn nearest(family: &[Arc<Entry>], wanted: &Locale) -> Option<Arc<Entry>> {
    let distances = family.iter().filter_map(|entry| Some((distance(wanted, &entry.locale)?, entry)));
    distances.min_by_key(|(distance, _)| *distance).map(|(_, entry)| entry.clone())
}
