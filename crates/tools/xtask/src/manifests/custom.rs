//! Kinds of operators, which Kubernetes' schemas do not have: their required fields, and that what they refer to is there.

use super::object::{Object, list, selects};
use super::pods::is_pinned;
use anyhow::Result;
use std::path::Path;

/// The texts in which names of tables and figures must be found.
pub struct Sources {
    migrations: String,
    crates: String,
}

impl Sources {
    pub fn read(root: &Path) -> Result<Self> {
        let all = |folder: &str| -> Result<String> {
            let files = crate::workspace::files(&root.join(folder), "rs")?;
            files.iter().map(|file| Ok(std::fs::read_to_string(file)?)).collect()
        };
        Ok(Self { migrations: all("migrations/src")?, crates: all("crates/services")? })
    }
}

/// What is wrong with objects of operators.
pub fn problems(objects: &[Object], sources: &Sources) -> Vec<String> {
    objects
        .iter()
        .flat_map(|object| {
            let mut problems = match object.kind() {
                "ServiceMonitor" => service_monitor(object, objects),
                "PodMonitor" => require(object, &["/spec/selector", "/spec/podMetricsEndpoints/0/port"]),
                "ScaledObject" => scaled_object(object, objects, sources),
                "TriggerAuthentication" => {
                    require(object, &["/spec/secretTargetRef/0/parameter", "/spec/secretTargetRef/0/name", "/spec/secretTargetRef/0/key"])
                }
                "Cluster" => cluster(object),
                "Redis" => redis(object),
                _ => Vec::new(),
            };
            problems.iter_mut().for_each(|problem| *problem = format!("{}: {problem}", object.id()));
            problems
        })
        .collect()
}

fn require(object: &Object, pointers: &[&str]) -> Vec<String> {
    let missing = pointers.iter().filter(|pointer| object.0.pointer(pointer).is_none());
    missing.map(|pointer| format!("has no {}", pointer.trim_start_matches('/').replace('/', "."))).collect()
}

/// Each Service that it selects has the ports it asks, and it selects some.
fn service_monitor(object: &Object, objects: &[Object]) -> Vec<String> {
    let mut problems = require(object, &["/spec/selector", "/spec/endpoints/0/port"]);
    let services: Vec<&Object> =
        objects.iter().filter(|other| other.kind() == "Service" && selects(&object.0["spec"]["selector"], &other.labels())).collect();
    if services.is_empty() {
        problems.push("selects no Service".to_owned());
    }
    for endpoint in object.list("/spec/endpoints") {
        let lacking = services.iter().filter(|service| !service.list("/spec/ports").iter().any(|port| port["name"] == endpoint["port"]));
        problems.extend(lacking.map(|service| format!("asks {} for a port {} that it has not", service.id(), endpoint["port"])));
    }
    problems
}

fn scaled_object(object: &Object, objects: &[Object], sources: &Sources) -> Vec<String> {
    let mut problems = require(object, &["/spec/scaleTargetRef/name", "/spec/triggers/0/type", "/spec/fallback/replicas"]);
    let there = |kind: &str, name: &str| objects.iter().any(|other| other.kind() == kind && other.name() == name);
    let target = object.text("/spec/scaleTargetRef/name");
    if !there("Deployment", target) {
        problems.push(format!("scales {target}, which is not there"));
    }
    if there("HorizontalPodAutoscaler", target) {
        problems.push(format!("and a HorizontalPodAutoscaler both scale {target}"));
    }
    for trigger in object.list("/spec/triggers") {
        if let Some(name) = trigger["authenticationRef"]["name"].as_str()
            && !there("TriggerAuthentication", name)
        {
            problems.push(format!("refers to the TriggerAuthentication {name}, which is not there"));
        }
        let query = trigger["metadata"]["query"].as_str().unwrap_or_default();
        match trigger["type"].as_str() {
            Some("postgresql") => {
                let table = query.split(" FROM ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
                if !sources.migrations.contains(&format!("CREATE TABLE {table} (")) {
                    problems.push(format!("counts the table {table:?}, which no migration makes"));
                }
            }
            Some("prometheus") => {
                let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let unknown = words.filter(|word| word.starts_with("barid_") && !sources.crates.contains(&format!("\"{word}\"")));
                problems.extend(unknown.map(|name| format!("asks for the figure {name}, which no service tells")));
            }
            other => problems.push(format!("has a trigger {other:?}, which this check does not know")),
        }
    }
    problems
}

/// PostgreSQL whose commits stand on a second machine, with a login for each role of the services.
fn cluster(object: &Object) -> Vec<String> {
    let mut problems = require(object, &["/spec/storage/size", "/spec/bootstrap/initdb/secret/name", "/spec/resources/limits/memory"]);
    if object.number("/spec/instances") < 3 {
        problems.push("has fewer than 3 instances".to_owned());
    }
    let synchronous = &object.0["spec"]["postgresql"]["synchronous"];
    if synchronous["number"].as_i64() < Some(1) || synchronous["dataDurability"] != "required" {
        problems.push("confirms what no standby has: spec.postgresql.synchronous wants number and dataDurability: required".to_owned());
    }
    if !is_pinned(object.text("/spec/imageName")) {
        problems.push("has an image that is not pinned to a version".to_owned());
    }
    for role in object.list("/spec/managed/roles") {
        let name = role["name"].as_str().unwrap_or_default();
        let expected = format!("barid-db-{}", name.trim_start_matches("barid_").replace('_', "-"));
        if name != "barid" && role["passwordSecret"]["name"] != expected {
            problems.push(format!("the role {name} has its password not from {expected}"));
        }
    }
    problems
}

fn redis(object: &Object) -> Vec<String> {
    let mut problems = require(object, &["/spec/kubernetesConfig/redisSecret/name", "/spec/kubernetesConfig/resources/limits/memory"]);
    if !is_pinned(object.text("/spec/kubernetesConfig/image")) {
        problems.push("has an image that is not pinned to a version".to_owned());
    }
    problems
}

/// Every role that a service logs in as is one that the cluster manages.
pub fn roles(objects: &[Object]) -> Vec<String> {
    let Some(cluster) = objects.iter().find(|object| object.kind() == "Cluster") else { return Vec::new() };
    let managed: Vec<&str> = cluster.list("/spec/managed/roles").iter().filter_map(|role| role["name"].as_str()).collect();
    let mut problems = Vec::new();
    for pod in objects.iter().filter_map(Object::pod) {
        for variable in pod.containers().flat_map(|container| list(&container["env"])) {
            let url = variable["value"].as_str().unwrap_or_default();
            if let Some(role) = url.strip_prefix("postgres://").and_then(|rest| rest.split(':').next())
                && !managed.contains(&role)
            {
                problems.push(format!("{}: logs in as {role}, which {} does not manage", pod.owner.id(), cluster.id()));
            }
        }
    }
    problems
}

/// Connections of a replica of a service: two pools of `database.max_connections`, which no manifest sets otherwise.
const OF_A_REPLICA: i64 = 16;

/// The cluster has a connection for every replica that an autoscaler may want, and one more of each service while it is replaced.
pub fn connections(objects: &[Object]) -> Vec<String> {
    let Some(cluster) = objects.iter().find(|object| object.kind() == "Cluster") else { return Vec::new() };
    let most = |deployment: &Object| {
        let mut scaling = objects.iter().filter(|object| object.text("/spec/scaleTargetRef/name") == deployment.name());
        scaling.find_map(|object| object.0["spec"]["maxReplicas"].as_i64().or(object.0["spec"]["maxReplicaCount"].as_i64())).unwrap_or(1)
    };
    let clients = objects
        .iter()
        .filter(|object| object.kind() == "Deployment" && object.pod().is_some_and(|pod| pod.labels().contains_key("barid.dev/postgres")));
    let wanted: i64 = clients.map(|deployment| (most(deployment) + 1) * OF_A_REPLICA).sum();
    let given = cluster.text("/spec/postgresql/parameters/max_connections").parse().unwrap_or(0);
    // Some are for the operator, KEDA and whoever looks.
    if wanted + 20 <= given { Vec::new() } else { vec![format!("{}: {given} connections for services that want {wanted}", cluster.id())] }
}
