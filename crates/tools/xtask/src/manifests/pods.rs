//! What every pod keeps to: a pinned image, bounds, probes, no rights, and no secret that can be read here.

use super::object::{Object, Pod, list};
use serde_json::Value;

/// What is wrong with the pods of these objects.
pub fn problems(objects: &[Object]) -> Vec<String> {
    let mut problems: Vec<String> = objects.iter().filter_map(Object::pod).flat_map(judge).collect();
    for object in objects.iter().filter(|object| object.kind() == "Secret") {
        problems.push(format!("{}: secrets are referred to and never kept here", object.id()));
    }
    problems
}

fn judge(pod: Pod) -> Vec<String> {
    let mut problems = Vec::new();
    let spec = pod.spec();
    if spec["automountServiceAccountToken"] != Value::Bool(false) {
        problems.push("mounts a token of Kubernetes, which no pod here needs".to_owned());
    }
    if spec["securityContext"]["runAsNonRoot"] != Value::Bool(true) {
        problems.push("may run as root: no securityContext.runAsNonRoot".to_owned());
    }
    if spec["securityContext"]["seccompProfile"]["type"] != "RuntimeDefault" {
        problems.push("has no seccompProfile RuntimeDefault".to_owned());
    }
    for container in pod.containers() {
        let name = container["name"].as_str().unwrap_or_default();
        problems.extend(judge_container(container, pod.ends()).into_iter().map(|problem| format!("container {name} {problem}")));
    }
    problems.into_iter().map(|problem| format!("{}: {problem}", pod.owner.id())).collect()
}

fn judge_container(container: &Value, ends: bool) -> Vec<String> {
    let mut problems = Vec::new();
    let image = container["image"].as_str().unwrap_or_default();
    if !is_pinned(image) {
        problems.push(format!("has the image {image}, which is not pinned to a version"));
    }
    for bound in ["requests", "limits"] {
        for resource in ["cpu", "memory"] {
            if container["resources"][bound][resource].is_null() {
                problems.push(format!("has no resources.{bound}.{resource}"));
            }
        }
    }
    if !ends {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            if container[probe].is_null() {
                problems.push(format!("has no {probe}"));
            }
        }
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            if let Some(port) = ["httpGet", "tcpSocket"].iter().find_map(|kind| container[probe][kind]["port"].as_str())
                && !list(&container["ports"]).iter().any(|known| known["name"] == port)
            {
                problems.push(format!("has a {probe} on the port {port}, which it does not name"));
            }
        }
    }
    let security = &container["securityContext"];
    if security["allowPrivilegeEscalation"] != Value::Bool(false) {
        problems.push("may gain privileges: no securityContext.allowPrivilegeEscalation: false".to_owned());
    }
    if security["readOnlyRootFilesystem"] != Value::Bool(true) {
        problems.push("may write to its image: no securityContext.readOnlyRootFilesystem".to_owned());
    }
    if !list(&security["capabilities"]["drop"]).iter().any(|dropped| dropped == "ALL") {
        problems.push("keeps capabilities: no securityContext.capabilities.drop ALL".to_owned());
    }
    for variable in list(&container["env"]) {
        let name = variable["name"].as_str().unwrap_or_default();
        if let Some(value) = variable["value"].as_str()
            && tells_secret(name, value)
        {
            problems.push(format!("has a secret in {name}: refer to a Secret"));
        }
    }
    problems
}

/// Whether an image has a tag that means one version, or a digest.
pub fn is_pinned(image: &str) -> bool {
    if image.contains("@sha256:") {
        return true;
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split_once(':').is_some_and(|(_, tag)| !tag.is_empty() && !tag.starts_with("latest") && tag != "stable")
}

/// Whether a value that can be read here is a secret, by its name or because it is a URL with a password.
fn tells_secret(name: &str, value: &str) -> bool {
    let named = ["PASSWORD", "SECRET", "TOKEN", "_KEY"].iter().any(|kind| name.ends_with(kind));
    let login = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(login, _)| login);
    let password = login.and_then(|login| login.split_once(':')).map(|(_, password)| password);
    (named && !value.starts_with("$(")) || password.is_some_and(|password| !password.starts_with("$("))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_pinned_by_a_version_or_a_digest() {
        for image in ["nats:2.14.2-alpine", "ghcr.io/barid/barid:0.1.0", "host:5000/a:1", "a@sha256:00"] {
            assert!(is_pinned(image), "{image}");
        }
        for image in ["nats", "nats:latest", "host:5000/a", "a:", "redis:latest-alpine", "postgres:stable"] {
            assert!(!is_pinned(image), "{image}");
        }
    }

    #[test]
    fn secrets_are_known_by_name_and_in_urls() {
        assert!(tells_secret("BARID_TENANT__PLATFORM_KEY", "hunter2"));
        assert!(tells_secret("BARID_GATEWAY__REDIS__URL", "redis://:hunter2@barid-redis"));
        assert!(!tells_secret("BARID_GATEWAY__REDIS__URL", "redis://:$(REDIS_PASSWORD)@barid-redis"));
        assert!(!tells_secret("BARID_QUEUE__VAULT__MASTER_KEY_FILE", "/etc/barid/vault/master.key"));
        assert!(!tells_secret("BARID_SESSION_POOL__CLOUD__BASE_URL", "http://simulator:8090"));
    }
}
