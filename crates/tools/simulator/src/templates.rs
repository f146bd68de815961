//! The templates of all business accounts.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

use crate::template::{Status, Template};

#[derive(Default)]
pub(crate) struct Templates {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    by_key: HashMap<String, Arc<Template>>,
    last: u64,
}

fn key(waba: &str, name: &str, language: &str) -> String {
    format!("{waba}/{name}/{language}")
}

impl Templates {
    /// Adds the template, or replaces the one of the same account, name and language under its old id.
    pub(crate) fn put(&self, mut template: Template) -> Arc<Template> {
        let mut state = self.state.write();
        let key = key(&template.waba, &template.name, &template.language);
        template.id = if let Some(old) = state.by_key.get(&key) {
            old.id.clone()
        } else {
            state.last += 1;
            (700_000_000_000 + state.last).to_string()
        };
        let template = Arc::new(template);
        state.by_key.insert(key, Arc::clone(&template));
        template
    }

    pub(crate) fn get(&self, waba: &str, name: &str, language: &str) -> Option<Arc<Template>> {
        self.state.read().by_key.get(&key(waba, name, language)).cloned()
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<Arc<Template>> {
        self.state.read().by_key.values().find(|template| template.id == id).cloned()
    }

    /// Those of one account, or all.
    pub(crate) fn list(&self, waba: Option<&str>) -> Vec<Arc<Template>> {
        let state = self.state.read();
        let mut list: Vec<_> = state.by_key.values().filter(|template| waba.is_none_or(|waba| waba == template.waba)).cloned().collect();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    /// Removes a template in all its languages and tells how many there were.
    pub(crate) fn remove(&self, waba: &str, name: &str) -> usize {
        let mut state = self.state.write();
        let before = state.by_key.len();
        state.by_key.retain(|_, template| !(template.waba == waba && template.name == name));
        before - state.by_key.len()
    }

    /// Ends the review of a template still pending.
    pub(crate) fn approve(&self, id: &str) -> Option<Arc<Template>> {
        let mut state = self.state.write();
        let template = state.by_key.values_mut().find(|template| template.id == id && template.status == Status::Pending)?;
        Arc::make_mut(template).status = Status::Approved;
        Some(Arc::clone(template))
    }

    pub(crate) fn clear(&self) {
        self.state.write().by_key.clear();
    }
}
