//! Every service of the workspace is there, and with everything that keeps it there.

use super::object::{Labels, Object, Pod, list, selects};
use serde_json::Value;

/// How long a service takes at most to finish what it has: 20 seconds for its jobs, and what it answers before.
const DRAIN: i64 = 30;

/// What an overlay promises beyond the base.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Overlay {
    Development,
    /// Replicas follow the load, and Prometheus looks on.
    Production,
}

/// What is missing around the services of these names.
pub fn problems(objects: &[Object], services: &[String], overlay: Overlay) -> Vec<String> {
    let mut problems: Vec<String> = services.iter().flat_map(|name| judge(objects, name, overlay)).collect();
    problems.extend(order(objects));
    problems
}

fn judge(objects: &[Object], name: &str, overlay: Overlay) -> Vec<String> {
    let deployment = objects.iter().find(|object| object.kind() == "Deployment" && object.name() == name);
    let Some((deployment, pod)) = deployment.and_then(|deployment| Some((deployment, deployment.pod()?))) else {
        return vec![format!("the service {name} of the workspace has no Deployment")];
    };
    let labels = pod.labels();
    let mut problems = Vec::new();
    let mut require = |holds: bool, problem: &str| {
        if !holds {
            problems.push(format!("{}: {problem}", deployment.id()));
        }
    };
    require(
        pod.containers().any(|container| container["args"] == serde_json::json!([name])),
        "does not run `barid` with the service's name",
    );
    require(selects(&deployment.0["spec"]["selector"], &labels), "does not select its own pods");
    require(deployment.number("/spec/template/spec/terminationGracePeriodSeconds") >= DRAIN, "is killed before it can have finished");
    require(spreads(pod), "is not spread over machines: no topologySpreadConstraints on kubernetes.io/hostname");
    require(
        deployment.0["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0,
        "takes an old replica away before a new one is ready",
    );
    require(budget(objects, &labels), "has no PodDisruptionBudget");
    require(told(objects, &labels), "has no Service with the label barid.dev/health and a port `health`");
    if overlay == Overlay::Production {
        require(scaled(objects, name), "has neither a HorizontalPodAutoscaler nor a ScaledObject");
        require(deployment.0["spec"]["replicas"].is_null(), "sets replicas, which every apply would take away from the autoscaler");
    }
    problems
}

fn spreads(pod: Pod) -> bool {
    let labels = pod.labels();
    list(&pod.spec()["topologySpreadConstraints"])
        .iter()
        .any(|constraint| constraint["topologyKey"] == "kubernetes.io/hostname" && selects(&constraint["labelSelector"], &labels))
}

fn budget(objects: &[Object], labels: &Labels) -> bool {
    let budgets = objects.iter().filter(|object| object.kind() == "PodDisruptionBudget");
    budgets.into_iter().any(|budget| selects(&budget.0["spec"]["selector"], labels))
}

fn told(objects: &[Object], pod: &Labels) -> bool {
    objects.iter().filter(|object| object.kind() == "Service").any(|service| {
        let selector = super::object::labels(&service.0["spec"]["selector"]);
        service.labels().contains_key("barid.dev/health")
            && selector.iter().all(|(key, value)| pod.get(key) == Some(value))
            && service.list("/spec/ports").iter().any(|port| port["name"] == "health")
    })
}

fn scaled(objects: &[Object], name: &str) -> bool {
    objects.iter().any(|object| {
        let target = object.text("/spec/scaleTargetRef/name") == name;
        let bounds = match object.kind() {
            "HorizontalPodAutoscaler" => ("/spec/minReplicas", "/spec/maxReplicas"),
            "ScaledObject" => ("/spec/minReplicaCount", "/spec/maxReplicaCount"),
            _ => return false,
        };
        target && object.number(bounds.0) >= 2 && object.number(bounds.1) > object.number(bounds.0)
    })
}

/// The order of a roll-out stands in labels, which k8s/apply.sh goes by, and in the waves of Argo CD: tables, services, gateway.
fn order(objects: &[Object]) -> Vec<String> {
    let mut problems = Vec::new();
    for object in objects.iter().filter(|object| matches!(object.kind(), "Deployment" | "Job")) {
        let expected = match (object.kind(), object.name()) {
            ("Job", _) => ("migration", "1"),
            (_, "gateway") => ("gateway", "3"),
            _ => ("services", "2"),
        };
        let wave = &object.0["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"];
        let in_order = object.labels().get("barid.dev/stage").is_some_and(|stage| stage == expected.0)
            && (wave == expected.1 || *wave == Value::Null && object.name() == "simulator");
        if !in_order {
            problems.push(format!("{}: is not in the stage {} and the wave {}", object.id(), expected.0, expected.1));
        }
    }
    problems
}
