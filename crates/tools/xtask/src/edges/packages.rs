use super::Violation;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package of the workspace and what its Cargo.toml names.
#[derive(Debug)]
pub(super) struct Package {
    name: String,
    /// Relative to the workspace, such as `crates/shared/bus`.
    directory: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `None` for an ordinary dependency, else `dev` or `build`.
    kind: Option<String>,
}

/// Where in the house a package lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Service,
    Shared,
    Whatsapp,
    Tool,
    Migrations,
    Tests,
}

impl Place {
    fn of(directory: &str) -> Option<Self> {
        match directory {
            "crates/whatsapp" => Some(Self::Whatsapp),
            "migrations" => Some(Self::Migrations),
            "tests" => Some(Self::Tests),
            _ if directory.starts_with("crates/services/") => Some(Self::Service),
            _ if directory.starts_with("crates/shared/") => Some(Self::Shared),
            _ if directory.starts_with("crates/tools/") => Some(Self::Tool),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

/// Asks cargo for the packages of the workspace.
pub(super) fn load(root: &Path) -> Result<Vec<Package>> {
    let output =
        Command::new(crate::workspace::cargo()).args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root).output()?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata wrote what is no metadata")?;
    let relative = |package: MetadataPackage| {
        let directory = package.manifest_path.parent().and_then(|parent| parent.strip_prefix(root).ok()).unwrap_or(Path::new(""));
        Package { name: package.name, directory: directory.display().to_string(), dependencies: package.dependencies }
    };
    Ok(metadata.packages.into_iter().map(relative).collect())
}

/// Judges every dependency that is not only for tests.
pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some(place) = Place::of(&package.directory) else {
            violations.push(Violation {
                place: format!("{}/Cargo.toml", package.directory),
                what: format!("{} lives where no package may live", package.name),
                remedy: "move it to crates/services, crates/shared or crates/tools, and say in DESIGN's terms what it is",
            });
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev")) {
            let target = packages.iter().find(|target| target.name == dependency.name).and_then(|target| Place::of(&target.directory));
            let refusal = match target {
                Some(target) => house_rule(&package.name, place, target),
                None => library_rule(&package.name, place, &dependency.name),
            };
            if let Some(remedy) = refusal {
                violations.push(Violation {
                    place: format!("{}/Cargo.toml", package.directory),
                    what: format!("{} must not depend on {}", package.name, dependency.name),
                    remedy,
                });
            }
        }
    }
    violations
}

/// Why a package must not depend on one of the workspace's, if it must not.
fn house_rule(name: &str, from: Place, to: Place) -> Option<&'static str> {
    match (from, to) {
        (Place::Tests, _) => None,
        (_, Place::Tests) => Some("the end-to-end tests know everyone; nobody knows them"),
        (Place::Service, Place::Service) => {
            Some("services speak over the bus: call it through its generated client, or move what both need to crates/shared")
        }
        (Place::Service, Place::Whatsapp) if name == "barid-session-pool" => None,
        (Place::Service | Place::Shared | Place::Migrations, Place::Whatsapp) => {
            Some("only session-pool holds WhatsApp connections: ask it over the bus")
        }
        (Place::Service | Place::Whatsapp | Place::Migrations, Place::Tool) => {
            Some("tools stand above: move what is needed to crates/shared")
        }
        (Place::Shared, Place::Service | Place::Tool | Place::Migrations) => {
            Some("shared libraries know no service and no tool: turn the dependency around, or pass in what is needed")
        }
        (Place::Whatsapp, Place::Service | Place::Migrations) => Some("connectors know no service: pass in what is needed"),
        (Place::Service, Place::Migrations) => Some("services never migrate: `barid migrate` does"),
        (Place::Migrations, Place::Service) => Some("migrations stand on their own: services change, applied migrations do not"),
        _ => None,
    }
}

/// Why a package must not depend on a library from outside, if it must not.
fn library_rule(name: &str, place: Place, library: &str) -> Option<&'static str> {
    match library {
        "async-nats" if name != "barid-bus" => Some("only barid-bus names async-nats: use, or add to, what it offers"),
        "deadpool-redis" | "redis" if name != "barid-cache" => Some("only barid-cache names Redis: use, or add to, what it offers"),
        "sea-orm" | "sea-orm-migration" | "sqlx" if name != "barid-db" && !matches!(place, Place::Service | Place::Migrations) => {
            Some("only barid-db, the services' src/store and migrations name sea-orm")
        }
        "object_store" if name != "barid-blob" => Some("only barid-blob names object_store: use, or add to, what it offers"),
        // Inside a network, a client of one's own is a way around what barid-egress refuses.
        "reqwest" if place == Place::Service || (place == Place::Shared && !matches!(name, "barid-blob" | "barid-egress")) => {
            Some("services fetch through barid-egress, and speak to WhatsApp through its connectors")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, directory: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) };
        Package { name: name.to_owned(), directory: directory.to_owned(), dependencies: dependencies.iter().map(dependency).collect() }
    }

    /// One package in every place, and one more that depends on `dependency`.
    fn refused(name: &str, directory: &str, dependency: &str, kind: Option<&str>) -> bool {
        let mut packages = vec![
            package("barid-queue", "crates/services/queue", &[]),
            package("barid-db", "crates/shared/db", &[]),
            package("barid-whatsapp", "crates/whatsapp", &[]),
            package("barid-simulator", "crates/tools/simulator", &[]),
            package("barid-migrations", "migrations", &[]),
            package("e2e", "tests", &[]),
        ];
        packages.retain(|other| other.name != name);
        packages.push(package(name, directory, &[(dependency, kind)]));
        !check(&packages).is_empty()
    }

    #[test]
    fn services_stand_apart() {
        assert!(refused("barid-tenant", "crates/services/tenant", "barid-queue", None));
        assert!(refused("barid-tenant", "crates/services/tenant", "barid-queue", Some("build")));
        assert!(refused("barid-tenant", "crates/services/tenant", "barid-migrations", None));
        assert!(refused("barid-tenant", "crates/services/tenant", "barid-simulator", None));
        assert!(!refused("barid-tenant", "crates/services/tenant", "barid-queue", Some("dev")));
        assert!(!refused("barid-tenant", "crates/services/tenant", "barid-db", None));
    }

    #[test]
    fn only_the_session_pool_knows_whatsapp() {
        assert!(refused("barid-tenant", "crates/services/tenant", "barid-whatsapp", None));
        assert!(refused("barid-bus", "crates/shared/bus", "barid-whatsapp", None));
        assert!(!refused("barid-session-pool", "crates/services/session-pool", "barid-whatsapp", None));
    }

    #[test]
    fn shared_libraries_know_nobody_above() {
        for above in ["barid-queue", "barid-simulator", "barid-migrations", "e2e"] {
            assert!(refused("barid-bus", "crates/shared/bus", above, None), "{above}");
        }
        assert!(refused("barid-whatsapp", "crates/whatsapp", "barid-queue", None));
        assert!(!refused("barid-bus", "crates/shared/bus", "barid-db", None));
    }

    #[test]
    fn tools_and_tests_may_know_services() {
        assert!(!refused("barid", "crates/tools/barid", "barid-queue", None));
        assert!(!refused("e2e", "tests", "barid-queue", None));
    }

    #[test]
    fn each_server_has_one_library_that_names_its_client() {
        assert!(refused("barid-queue", "crates/services/queue", "async-nats", None));
        assert!(!refused("barid-bus", "crates/shared/bus", "async-nats", None));
        assert!(refused("barid-gateway", "crates/services/gateway", "deadpool-redis", None));
        assert!(!refused("barid-cache", "crates/shared/cache", "deadpool-redis", None));
        assert!(refused("barid-vault", "crates/shared/vault", "sea-orm", None));
        assert!(refused("barid", "crates/tools/barid", "sqlx", None));
        assert!(!refused("barid-db", "crates/shared/db", "sea-orm", None));
        assert!(!refused("barid-queue", "crates/services/queue", "sea-orm", None));
        assert!(!refused("barid-migrations", "migrations", "sea-orm-migration", None));
    }

    #[test]
    fn files_and_requests_go_through_the_libraries_that_guard_them() {
        assert!(refused("barid-session-pool", "crates/services/session-pool", "object_store", None));
        assert!(!refused("barid-blob", "crates/shared/blob", "object_store", None));
        assert!(refused("barid-session-pool", "crates/services/session-pool", "reqwest", None));
        assert!(!refused("barid-session-pool", "crates/services/session-pool", "reqwest", Some("dev")));
        assert!(refused("barid-bus", "crates/shared/bus", "reqwest", None));
        for (name, directory) in
            [("barid-egress", "crates/shared/egress"), ("barid-blob", "crates/shared/blob"), ("barid-whatsapp", "crates/whatsapp")]
        {
            assert!(!refused(name, directory, "reqwest", None), "{name}");
        }
    }

    #[test]
    fn a_package_without_a_place_is_told() {
        assert!(refused("barid-common", "crates/common", "serde", None));
    }

    #[test]
    fn the_message_names_file_and_remedy() {
        let packages = [package("barid-queue", "crates/services/queue", &[("async-nats", None)])];
        let told = check(&packages)[0].to_string();
        assert!(told.starts_with("crates/services/queue/Cargo.toml: barid-queue must not depend on async-nats\n"), "{told}");
    }
}
