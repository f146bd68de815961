//! deploy/ and .github/: the compose file, where Prometheus asks, what Grafana is given, the image, the workflows, and the values for NATS' chart.

use super::object::list;
use super::pods::is_pinned;
use super::settings::{self, Known};
use super::tools::{Schema, Tools};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// What is wrong with the files of the workspace at `root`.
pub fn problems(tools: &Tools, root: &Path) -> Result<Vec<String>> {
    let services = super::services_of(root)?;
    let read = |path: &str| std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned());
    let one = |schema: Schema, path: &str| -> Result<(Value, Vec<String>)> {
        let mut inspected = tools.inspect(schema, &read(path)?).with_context(|| path.to_owned())?;
        Ok((inspected.documents.pop().unwrap_or_default(), inspected.problems))
    };
    let mut problems = Vec::new();
    let mut of = |path: &str, found: Vec<String>| problems.extend(found.into_iter().map(|problem| format!("{path}: {problem}")));

    let (compose, found) = one(Schema::Compose, "deploy/compose.yaml")?;
    of("deploy/compose.yaml", found);
    of("deploy/compose.yaml", judge_compose(&compose, &services, &|mounted| root.join("deploy").join(mounted).exists()));
    of("deploy/barid.toml", judge_settings(&read("deploy/barid.toml")?, &settings::known(root)?)?);
    of("deploy/Dockerfile", judge_image(&read("deploy/Dockerfile")?));
    let (prometheus, _) = one(Schema::Plain, "deploy/prometheus/prometheus.yml")?;
    of("deploy/prometheus/prometheus.yml", judge_targets(&prometheus, &services));
    for file in crate::workspace::files(&root.join("deploy/grafana/provisioning"), "yaml")? {
        one(Schema::Plain, &file.strip_prefix(root).unwrap_or(&file).display().to_string())?;
    }
    for file in crate::workspace::files(&root.join(".github/workflows"), "yml")? {
        let path = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        of(&path, judge_workflow(&one(Schema::Plain, &path)?.0));
    }
    let values = "k8s/overlays/production/nats/values.yaml";
    of(values, judge_nats(&one(Schema::Plain, values)?.0, &read("k8s/overlays/production/servers.env")?));
    Ok(problems)
}

fn judge_compose(compose: &Value, services: &[String], there: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    let all = &compose["services"];
    for service in services {
        if all[service]["command"] != serde_json::json!([service]) {
            problems.push(format!("the service {service} of the workspace is not run"));
        }
        if service != "gateway" && all["gateway"]["depends_on"][service]["condition"] != "service_healthy" {
            problems.push(format!("the gateway does not wait for {service}"));
        }
    }
    for (name, service) in all.as_object().into_iter().flatten() {
        let mut refuse = |problem: String| problems.push(format!("{name}: {problem}"));
        let image = service["image"].as_str().unwrap_or_default();
        if !is_pinned(image) {
            refuse(format!("the image {image} is not pinned to a version"));
        }
        for bound in ["mem_limit", "cpus"] {
            if service[bound].is_null() {
                refuse(format!("has no {bound}"));
            }
        }
        if service["read_only"] != Value::Bool(true) || !list(&service["cap_drop"]).iter().any(|dropped| dropped == "ALL") {
            refuse("is not read_only, or keeps capabilities".to_owned());
        }
        // Our own image brings its healthcheck along.
        if service["healthcheck"].is_null() && !image.contains("/barid") {
            refuse("has no healthcheck".to_owned());
        }
        let depends = &service["depends_on"];
        let named = depends.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        for needed in named.chain(list(depends).iter().filter_map(Value::as_str)).filter(|needed| all[needed].is_null()) {
            refuse(format!("waits for {needed}, which is not there"));
        }
        for mount in list(&service["volumes"]).iter().filter_map(Value::as_str) {
            let source = mount.split(':').next().unwrap_or_default();
            match source.strip_prefix("./") {
                // Made by deploy/secrets.sh.
                Some(path) if path.starts_with("secrets/") || there(path) => {}
                Some(path) => refuse(format!("mounts deploy/{path}, which is not there")),
                None if compose["volumes"].get(source).is_none() => refuse(format!("mounts the volume {source}, which is not declared")),
                None => {}
            }
        }
    }
    problems
}

fn judge_settings(file: &str, known: &Known) -> Result<Vec<String>> {
    Ok(settings::unknown(&file.parse()?, known))
}

/// The last stage of a Dockerfile runs as a user without rights and tells its health; nothing is built on what may change.
fn judge_image(dockerfile: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut stages = BTreeSet::from(["scratch"]);
    for line in dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")) {
        let mut words = line.split_whitespace();
        let image = words.next().unwrap_or_default();
        if !stages.contains(image) && !image.contains("${") && !is_pinned(image) {
            problems.push(format!("the image {image} is not pinned to a version"));
        }
        stages.extend(words.nth(1));
    }
    let user = dockerfile.lines().filter_map(|line| line.strip_prefix("USER ")).next_back();
    if user.is_none_or(|user| user.starts_with('0') || user.starts_with("root")) {
        problems.push("runs as root".to_owned());
    }
    if !dockerfile.lines().any(|line| line.starts_with("HEALTHCHECK ")) {
        problems.push("has no HEALTHCHECK".to_owned());
    }
    problems
}

fn judge_targets(prometheus: &Value, services: &[String]) -> Vec<String> {
    let targets: Vec<&str> = list(&prometheus["scrape_configs"])
        .iter()
        .flat_map(|job| list(&job["static_configs"]))
        .flat_map(|group| list(&group["targets"]))
        .filter_map(Value::as_str)
        .collect();
    let missing = services.iter().filter(|service| !targets.contains(&format!("{service}:9090").as_str()));
    missing.map(|service| format!("does not ask {service}")).collect()
}

fn judge_workflow(workflow: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    if workflow["permissions"].is_null() {
        problems.push("does not say which permissions it needs".to_owned());
    }
    for (name, job) in workflow["jobs"].as_object().into_iter().flatten() {
        // A called workflow bounds its own jobs.
        if job["uses"].is_null() && job["timeout-minutes"].is_null() {
            problems.push(format!("the job {name} has no timeout-minutes"));
        }
        let steps = list(&job["steps"]).iter().chain([job]);
        for action in steps.filter_map(|step| step["uses"].as_str()).filter(|action| !action.starts_with("./")) {
            let version = action.split_once('@').map_or("", |(_, version)| version);
            let digits = version.trim_start_matches('v');
            let exact = version.len() == 40 || digits.starts_with(|c: char| c.is_ascii_digit());
            if !exact {
                problems.push(format!("the job {name} uses {action}, which is not pinned to a version"));
            }
        }
    }
    problems
}

/// As many servers as streams have replicas, each with a pinned image and the users of `barid nats-config`.
fn judge_nats(values: &Value, servers: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let replicas = servers.lines().find_map(|line| line.strip_prefix("nats-replicas=")).and_then(|value| value.parse::<u64>().ok());
    let cluster = &values["config"]["cluster"];
    if cluster["enabled"] != Value::Bool(true) || replicas.is_none() || cluster["replicas"].as_u64() != replicas {
        problems.push("has another number of servers than servers.env wants replicas of streams".to_owned());
    }
    if !is_pinned(&format!("nats:{}", values["container"]["image"]["tag"].as_str().unwrap_or_default())) {
        problems.push("has an image that is not pinned to a version".to_owned());
    }
    if values["config"]["jetstream"]["enabled"] != Value::Bool(true) {
        problems.push("has no JetStream".to_owned());
    }
    if values["config"]["merge"]["$include"].is_null() || values["container"]["resources"]["limits"]["memory"].is_null() {
        problems.push("lacks the users of the bus, or limits".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_compose_file_runs_every_service_within_bounds() {
        let service = |command: &str| json!({"image": "ghcr.io/barid/barid:1", "command": [command], "mem_limit": "1g", "cpus": 1.0, "read_only": true, "cap_drop": ["ALL"]});
        let mut compose = json!({"services": {"queue": service("queue"), "gateway": service("gateway")}, "volumes": {"data": {}}});
        compose["services"]["gateway"]["depends_on"] = json!({"queue": {"condition": "service_healthy"}});
        let services = ["gateway".to_owned(), "queue".to_owned()];
        let judge = |compose: &Value| judge_compose(compose, &services, &|_| false);
        assert_eq!(judge(&compose), [""; 0]);
        let broken: [(&str, Value, &str); 7] = [
            ("/services/queue/image", json!("barid/barid:latest"), "not pinned"),
            ("/services/queue/mem_limit", Value::Null, "has no mem_limit"),
            ("/services/queue/read_only", json!(false), "not read_only"),
            ("/services/queue/command", json!(["queu"]), "the service queue of the workspace is not run"),
            ("/services/gateway/depends_on", json!(["queue", "nobody"]), "waits for nobody"),
            ("/services/queue/volumes", json!(["nowhere:/x"]), "the volume nowhere"),
            ("/services/queue/volumes", json!(["./gone.toml:/x:ro"]), "deploy/gone.toml"),
        ];
        for (pointer, value, told) in broken {
            let mut compose = compose.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            compose.pointer_mut(parent).unwrap()[key] = value;
            assert!(judge(&compose).iter().any(|problem| problem.contains(told)), "{pointer}: {:?}", judge(&compose));
        }
    }

    #[test]
    fn an_image_is_pinned_has_a_user_and_a_healthcheck() {
        let good =
            "FROM rust:1.95 AS build\nFROM scratch AS base\nUSER 10001\nHEALTHCHECK CMD [\"x\"]\nFROM base AS web-yes\nFROM web-${WEB}\n";
        assert_eq!(judge_image(good), [""; 0]);
        assert_eq!(judge_image(&good.replace("rust:1.95", "rust")), ["the image rust is not pinned to a version"]);
        assert_eq!(judge_image(&good.replace("USER 10001", "USER root")), ["runs as root"]);
        assert_eq!(judge_image(&good.replace("HEALTHCHECK", "CMD")), ["has no HEALTHCHECK"]);
    }

    #[test]
    fn workflows_are_bounded_and_use_versions() {
        let good = json!({"permissions": {}, "jobs": {"a": {"timeout-minutes": 5, "steps": [{"uses": "actions/checkout@v4"}]}, "b": {"uses": "./x.yml"}}});
        assert_eq!(judge_workflow(&good), [""; 0]);
        let mut branch = good.clone();
        branch["jobs"]["a"]["steps"][0]["uses"] = json!("actions/checkout@main");
        assert_eq!(judge_workflow(&branch), ["the job a uses actions/checkout@main, which is not pinned to a version"]);
    }

    #[test]
    fn prometheus_asks_every_service() {
        let config = json!({"scrape_configs": [{"static_configs": [{"targets": ["queue:9090"]}]}]});
        assert_eq!(judge_targets(&config, &["gateway".to_owned(), "queue".to_owned()]), ["does not ask gateway"]);
    }
}
