use std::{collections::BTreeMap, sync::Arc};

use chrono_tz::Tz;
use minijinja::{
    State, Value,
    value::{Enumerator, Object},
};
use serde_json::{Map, Value as Json};

use super::{Digits, Locale, values};

/// What rendering needs to know of a tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The language of its glossary.
    pub locale: Locale,
    /// ISO 4217, such as `EGP`; amounts are in it unless a variable `currency` says otherwise.
    pub currency: String,
    pub time_zone: Tz,
    pub digits: Digits,
    /// Words of the point of sale, and currencies, in the tenant's language.
    pub glossary: BTreeMap<String, String>,
    pub business: Business,
}

/// How a business shows itself.
#[derive(Clone, Debug, Default)]
pub struct Business {
    pub name: String,
    pub phone: String,
    pub emoji: String,
}

/// What a template is filled with.
pub struct Context {
    pub tenant: Arc<Tenant>,
    /// The locale of the template: its formats are used.
    pub locale: Locale,
    /// The customer's name by language or locale.
    pub contact_names: BTreeMap<String, String>,
    pub variables: Map<String, Json>,
}

/// What filters see of the context. Templates cannot name it, and so neither read nor replace it.
#[derive(Debug)]
pub(super) struct Scope {
    pub tenant: Arc<Tenant>,
    pub locale: Locale,
}

const SCOPE: &str = "(scope)";

impl Scope {
    pub(super) fn of(state: &State<'_, '_>) -> Result<Arc<Self>, minijinja::Error> {
        state
            .lookup(SCOPE)
            .and_then(|value| value.downcast_object::<Self>())
            .ok_or_else(|| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "filters of Barid work in its own templates only"))
    }

    /// The locale that ICU formats by.
    pub(super) fn formats(&self) -> icu::locale::Locale {
        self.locale.with(self.tenant.digits)
    }

    /// The tenant's word for `word`; only in templates of the tenant's language, which is the glossary's.
    pub(super) fn translation(&self, word: &str) -> Option<&str> {
        if self.locale.language() != self.tenant.locale.language() {
            return None;
        }
        self.tenant.glossary.get(word).map(String::as_str)
    }
}

impl Object for Scope {
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

/// The names at the top level of a template.
#[derive(Debug)]
pub(super) struct Root {
    scope: Value,
    business: Value,
    contact: Value,
    variables: Value,
}

impl Root {
    pub(super) fn new(context: &Context) -> Self {
        let business = &context.tenant.business;
        Self {
            scope: Value::from_object(Scope { tenant: context.tenant.clone(), locale: context.locale.clone() }),
            business: Value::from_pairs([("name", &business.name), ("phone", &business.phone), ("emoji", &business.emoji)]),
            contact: Value::from_pairs([("name", contact_name(context))]),
            variables: values::map_of(&context.variables),
        }
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            SCOPE => Some(self.scope.clone()),
            "business" => Some(self.business.clone()),
            "contact" => Some(self.contact.clone()),
            name => self.variables.get_attr(name).ok().filter(|value| !value.is_undefined()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

fn contact_name(context: &Context) -> &str {
    let names = &context.contact_names;
    let localised = names.get(&context.locale.to_string()).or_else(|| names.get(context.locale.language()));
    let name = localised.map(String::as_str).filter(|name| !name.is_empty());
    name.or_else(|| context.variables.get("customerName").and_then(Json::as_str)).unwrap_or_default()
}
