//! The business side: numbers with their tokens, and the apps that are called back for them.

use std::{collections::HashMap, sync::Arc};

use barid_domain::Secret;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::webhook::App;

/// A registered business number.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Number {
    #[serde(skip_deserializing)]
    pub(crate) phone_number_id: String,
    pub(crate) display_phone_number: String,
    #[serde(default)]
    pub(crate) verified_name: String,
    pub(crate) token: Secret,
    /// The app called back for this number; when left out, the only app there is.
    #[serde(default)]
    pub(crate) app: String,
    /// The WhatsApp business account; when left out, one of its own.
    #[serde(default)]
    pub(crate) waba_id: String,
    #[serde(default = "green")]
    pub(crate) quality_rating: String,
}

fn green() -> String {
    "GREEN".into()
}

#[derive(Default)]
pub(crate) struct Directory {
    numbers: RwLock<HashMap<String, Arc<Number>>>,
    apps: RwLock<HashMap<String, Arc<App>>>,
}

impl Directory {
    /// Registers the number or replaces it. Fails with a sentence for the caller when its app is not known.
    pub(crate) fn put_number(&self, phone_number_id: &str, mut number: Number) -> Result<Arc<Number>, String> {
        if number.token.is_empty() {
            return Err("token must not be empty".into());
        }
        if phone_number_id.is_empty() || !phone_number_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("a phone number id consists of digits".into());
        }
        let apps = self.apps.read();
        if number.app.is_empty() && apps.len() == 1 {
            number.app.clone_from(apps.keys().next().expect("there is one"));
        }
        if !number.app.is_empty() && !apps.contains_key(&number.app) {
            return Err(format!("there is no app {:?}; put it under /sim/apps/ first", number.app));
        }
        number.phone_number_id = phone_number_id.to_owned();
        if number.waba_id.is_empty() {
            number.waba_id = format!("9{phone_number_id}");
        }
        if number.verified_name.is_empty() {
            number.verified_name.clone_from(&number.display_phone_number);
        }
        let number = Arc::new(number);
        self.numbers.write().insert(phone_number_id.to_owned(), Arc::clone(&number));
        Ok(number)
    }

    pub(crate) fn number(&self, phone_number_id: &str) -> Option<Arc<Number>> {
        self.numbers.read().get(phone_number_id).cloned()
    }

    pub(crate) fn numbers(&self) -> Vec<Arc<Number>> {
        let mut numbers: Vec<_> = self.numbers.read().values().cloned().collect();
        numbers.sort_by(|a, b| a.phone_number_id.cmp(&b.phone_number_id));
        numbers
    }

    pub(crate) fn remove_number(&self, phone_number_id: &str) -> bool {
        self.numbers.write().remove(phone_number_id).is_some()
    }

    /// Whether the token belongs to some number, and to some number of this business account if one is named.
    pub(crate) fn token_known(&self, token: &str, waba: Option<&str>) -> bool {
        let numbers = self.numbers.read();
        numbers.values().any(|number| number.token.expose() == token && waba.is_none_or(|waba| waba == number.waba_id))
    }

    pub(crate) fn waba_known(&self, waba: &str) -> bool {
        self.numbers.read().values().any(|number| number.waba_id == waba)
    }

    pub(crate) fn app(&self, name: &str) -> Option<Arc<App>> {
        self.apps.read().get(name).cloned()
    }

    pub(crate) fn apps(&self) -> Vec<Arc<App>> {
        let mut apps: Vec<_> = self.apps.read().values().cloned().collect();
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        apps
    }

    /// The app of this name, made by `make` if there is none yet; true when it was made.
    pub(crate) fn app_or(&self, name: &str, make: impl FnOnce() -> App) -> (Arc<App>, bool) {
        let mut apps = self.apps.write();
        if let Some(app) = apps.get(name) {
            return (Arc::clone(app), false);
        }
        let app = Arc::new(make());
        apps.insert(name.to_owned(), Arc::clone(&app));
        (app, true)
    }

    pub(crate) fn clear_numbers(&self) {
        self.numbers.write().clear();
    }
}
