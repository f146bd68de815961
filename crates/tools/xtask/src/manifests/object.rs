//! An object of Kubernetes as it was rendered, and what is asked of it everywhere.

use serde_json::Value;
use std::collections::BTreeMap;

pub type Labels = BTreeMap<String, String>;

#[derive(Debug)]
pub struct Object(pub Value);

impl Object {
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `Kind/name`, as people call it.
    pub fn id(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    pub fn labels(&self) -> Labels {
        labels(&self.0["metadata"]["labels"])
    }

    /// The text at a JSON pointer; empty when there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn number(&self, pointer: &str) -> i64 {
        self.0.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
    }

    /// The elements at a JSON pointer; none when there is no list.
    pub fn list(&self, pointer: &str) -> &[Value] {
        list(self.0.pointer(pointer).unwrap_or(&Value::Null))
    }

    /// The pods that it makes.
    pub fn pod(&self) -> Option<Pod<'_>> {
        let template = match self.kind() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => &self.0["spec"]["template"],
            "CronJob" => &self.0["spec"]["jobTemplate"]["spec"]["template"],
            _ => return None,
        };
        Some(Pod { owner: self, template })
    }
}

/// The pods of a workload.
#[derive(Clone, Copy)]
pub struct Pod<'a> {
    pub owner: &'a Object,
    template: &'a Value,
}

impl<'a> Pod<'a> {
    pub fn labels(self) -> Labels {
        labels(&self.template["metadata"]["labels"])
    }

    pub fn spec(self) -> &'a Value {
        &self.template["spec"]
    }

    pub fn containers(self) -> impl Iterator<Item = &'a Value> {
        list(&self.spec()["initContainers"]).iter().chain(list(&self.spec()["containers"]))
    }

    /// Whether it runs until it is done.
    pub fn ends(self) -> bool {
        matches!(self.owner.kind(), "Job" | "CronJob")
    }
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether a selector of `matchLabels` selects these labels. An empty one selects everything.
pub fn selects(selector: &Value, labels: &Labels) -> bool {
    self::labels(&selector["matchLabels"]).iter().all(|(key, value)| labels.get(key) == Some(value))
}
