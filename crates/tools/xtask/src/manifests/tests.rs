//! The check is seen to fail: the kept manifests are broken in one way after the other.

use super::*;
use std::fs;

/// A file under k8s/, what is replaced in it and by what, and a part of what is told then.
type Breakage = (&'static str, &'static str, &'static str, &'static str);

/// What Kubernetes itself would refuse.
const REFUSED: [Breakage; 3] = [
    ("base/queue/deployment.yaml", "serviceAccountName: queue", "serviceAcountName: queue", "serviceAcountName"),
    ("base/gateway/service.yaml", "targetPort: public", "targetPort: [public]", "Service/gateway"),
    ("components/ingress/ingress.yaml", "networking.k8s.io/v1", "networking.k8s.io/v1beta1", "no such kind"),
];

const BREAKAGES: [Breakage; 28] = [
    // Pods.
    ("overlays/production/kustomization.yaml", "newTag: 0.1.0", "newTag: latest", "barid:latest, which is not pinned"),
    (
        "base/queue/deployment.yaml",
        "            limits:\n              cpu: \"4\"\n              memory: 1Gi\n",
        "",
        "no resources.limits.memory",
    ),
    ("base/common/service.yaml", "          livenessProbe:", "          livenessProbes:", "has no livenessProbe"),
    (
        "base/common/service.yaml",
        "              path: /readyz\n              port: health",
        "              path: /readyz\n              port: helth",
        "port helth",
    ),
    ("base/common/service.yaml", "        runAsNonRoot: true\n", "", "may run as root"),
    ("base/common/service.yaml", "            readOnlyRootFilesystem: true\n", "", "may write to its image"),
    ("base/migrate/job.yaml", "                - ALL", "                - CHOWN", "Job/migrate: container barid keeps capabilities"),
    (
        "base/tenant/deployment.yaml",
        "              valueFrom:\n                secretKeyRef:\n                  name: barid-platform-key\n                  key: key\n",
        "              value: hunter2-hunter2-hunter2-hunter2\n",
        "has a secret in BARID_TENANT__PLATFORM_KEY",
    ),
    // Services.
    ("base/kustomization.yaml", "  - template\n", "", "the service template of the workspace has no Deployment"),
    ("base/queue/kustomization.yaml", "  - availability.yaml\n", "", "Deployment/queue: has no PodDisruptionBudget"),
    ("base/queue/kustomization.yaml", "  - service.yaml\n", "", "no Service with the label barid.dev/health"),
    ("base/common/service.yaml", "topologyKey: kubernetes.io/hostname", "topologyKey: kubernetes.io/host", "is not spread over machines"),
    (
        "base/common/service.yaml",
        "terminationGracePeriodSeconds: 45",
        "terminationGracePeriodSeconds: 10",
        "killed before it can have finished",
    ),
    ("components/scaling/processor.yaml", "    name: queue\n", "    name: queu\n", "Deployment/queue: has neither"),
    ("base/gateway/deployment.yaml", "barid.dev/stage: gateway", "barid.dev/stage: services", "is not in the stage gateway"),
    // Networks.
    ("base/network/kustomization.yaml", "  - default.yaml\n", "", "no NetworkPolicy denies what no other one allows"),
    ("base/network/kustomization.yaml", "  - postgres.yaml\n", "", "queue cannot reach"),
    ("base/gateway/deployment.yaml", "barid.dev/redis: client", "barid.dev/postgres: client", "gateway can reach"),
    ("base/network/internet.yaml", "              - 169.254.0.0/16\n", "", "can reach 169.254.169.254"),
    // Settings.
    ("base/queue/deployment.yaml", "BARID_QUEUE__NATS__REPLICAS", "BARID_QUEUE__NATS__COPIES", "no configuration knows queue.nats.copies"),
    ("base/barid.toml", "[gateway]\nlisten", "[gateway]\nlisen", "no configuration knows gateway.lisen"),
    // Kinds of operators.
    ("components/scaling/demand.yaml", "FROM queue.ready", "FROM queue.redy", "which no migration makes"),
    ("components/scaling/demand.yaml", "barid_pool_waiting", "barid_pool_wating", "which no service tells"),
    ("components/scaling/demand.yaml", "        name: ledger\n    #", "        name: leger\n    #", "TriggerAuthentication leger"),
    ("components/scaling/processor.yaml", "maxReplicas: 8", "maxReplicas: 80", "1100 connections for services that want"),
    ("components/monitoring/services.yaml", "barid.dev/health: told", "barid.dev/health: tld", "selects no Service"),
    ("overlays/production/postgres/cluster.yaml", "dataDurability: required", "dataDurability: preferred", "confirms what no standby has"),
    (
        "overlays/production/postgres/cluster.yaml",
        "      - name: barid_queue_engine\n",
        "      - name: barid_queue_engin\n",
        "logs in as barid_queue_engine",
    ),
];

#[test]
fn what_is_broken_is_told() -> Result<()> {
    let root = crate::workspace::root();
    let tools = Tools::ensure(&root)?;
    let check = |k8s: &Path, schema| judge(&tools, &root, &tools.render(&k8s.join("overlays/production"))?, schema, Overlay::Production);
    let (objects, problems) = check(&root.join("k8s"), Schema::Kubernetes)?;
    assert_eq!(problems, [""; 0]);
    assert!(objects.len() > 50, "{}", objects.len());
    // The schemas take a second each time.
    let all = REFUSED.map(|breakage| (breakage, Schema::Kubernetes)).into_iter().chain(BREAKAGES.map(|breakage| (breakage, Schema::Plain)));
    for ((file, old, new, told), schema) in all {
        let copy = tempfile::tempdir()?;
        copy_tree(&root.join("k8s"), copy.path())?;
        let path = copy.path().join(file);
        let text = fs::read_to_string(&path)?;
        assert!(text.contains(old), "{file} says no more {old:?}");
        fs::write(&path, text.replacen(old, new, 1))?;
        let (_, problems) = check(copy.path(), schema).with_context(|| format!("{file}: {old:?} as {new:?}"))?;
        assert!(problems.iter().any(|problem| problem.contains(told)), "{file}: {old:?} as {new:?} is told as {problems:#?}");
    }
    Ok(())
}

#[test]
fn a_service_without_manifests_is_told() -> Result<()> {
    let root = crate::workspace::root();
    let tools = Tools::ensure(&root)?;
    let rendered = tools.render(&root.join("k8s/overlays/dev"))?;
    let objects: Vec<Object> = tools.inspect(Schema::Kubernetes, &rendered)?.documents.into_iter().map(Object).collect();
    let problems = services::problems(&objects, &["queue".to_owned(), "billing".to_owned()], Overlay::Development);
    assert_eq!(problems, ["the service billing of the workspace has no Deployment"]);
    Ok(())
}

/// A kustomization that refers to what is not there ends the check.
#[test]
fn a_tree_that_cannot_be_rendered_is_told() -> Result<()> {
    let root = crate::workspace::root();
    let tools = Tools::ensure(&root)?;
    let copy = tempfile::tempdir()?;
    copy_tree(&root.join("k8s"), copy.path())?;
    fs::remove_file(copy.path().join("base/queue/deployment.yaml"))?;
    let told = tools.render(&copy.path().join("overlays/dev")).unwrap_err().to_string();
    assert!(told.contains("cannot be rendered") && told.contains("deployment.yaml"), "{told}");
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
