//! Requests that the simulator does not understand, counted by name: a test that leaves any behind has a hole.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use wacore_binary::NodeRef;

use super::stanza::{children, text};

/// Names remembered; a client cannot fill the memory with inventions.
const NAMES: usize = 1000;

#[derive(Default)]
pub(crate) struct Unknown(Mutex<BTreeMap<String, u64>>);

impl Unknown {
    /// Counts a stanza under its tag, namespace, type and first child.
    pub(super) fn count(&self, node: &NodeRef<'_>) {
        let mut name = node.tag.to_string();
        for attribute in ["xmlns", "type", "class"] {
            if let Some(value) = text(node, attribute) {
                name = format!("{name} {attribute}={value}");
            }
        }
        if let Some(child) = children(node).first() {
            name = format!("{name} <{}>", &*child.tag);
        }
        tracing::warn!(stanza = %name, "not understood");
        let mut names = self.0.lock();
        if names.len() < NAMES || names.contains_key(&name) {
            *names.entry(name).or_default() += 1;
        }
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}
