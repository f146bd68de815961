//! Who reaches whom: the policies are played through for every pair and held against the design.

use super::object::{Labels, Object, labels, list, selects};
use serde_json::{Value, json};
use std::fmt;
use std::net::Ipv4Addr;

/// A place that a service may or may not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nats,
    Postgres,
    Redis,
    /// Public addresses over TLS.
    Internet,
}

use Place::{Internet, Nats, Postgres, Redis};

/// What each pod of ours reaches, and nothing else.
const DESIGN: [(&str, &[Place]); 8] = [
    ("gateway", &[Nats, Redis]),
    ("tenant", &[Nats, Postgres]),
    ("template", &[Nats, Postgres]),
    ("queue", &[Nats, Postgres, Internet]),
    ("session-pool", &[Nats, Postgres, Internet]),
    ("analytics", &[Nats, Postgres]),
    ("webhook", &[Nats, Postgres, Internet]),
    ("migrate", &[Postgres]),
];

const PUBLIC: Ipv4Addr = Ipv4Addr::new(157, 240, 0, 1);
/// Other pods, nodes, and where clouds hand out credentials.
const PRIVATE: [Ipv4Addr; 4] =
    [Ipv4Addr::new(10, 96, 0, 1), Ipv4Addr::new(172, 16, 0, 1), Ipv4Addr::new(192, 168, 1, 1), Ipv4Addr::new(169, 254, 169, 254)];

impl Place {
    const ALL: [Self; 4] = [Nats, Postgres, Redis, Internet];

    /// The labels that the operators and charts give to the servers, and the port.
    fn peer(self) -> (Peer, u16) {
        let pod = |key: &str, value: &str| Peer::Pod(Labels::from([(key.to_owned(), value.to_owned())]));
        match self {
            Nats => (pod("app.kubernetes.io/name", "nats"), 4222),
            Postgres => (pod("cnpg.io/cluster", "barid-postgres"), 5432),
            Redis => (pod("app", "barid-redis"), 6379),
            Internet => (Peer::Address(PUBLIC), 443),
        }
    }
}

/// An end of a connection.
enum Peer {
    /// In the same namespace.
    Pod(Labels),
    /// In the namespace of this name.
    Foreign(&'static str, Labels),
    Address(Ipv4Addr),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(labels) => write!(f, "the pods {labels:?}"),
            Self::Foreign(namespace, _) => write!(f, "the namespace {namespace}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// What the policies allow and should not, and the other way round.
pub fn problems(objects: &[Object]) -> Vec<String> {
    let policies: Vec<&Object> = objects.iter().filter(|object| object.kind() == "NetworkPolicy").collect();
    let mut problems = Vec::new();
    if !policies.iter().any(|policy| denies_everything(policy)) {
        problems.push("no NetworkPolicy denies what no other one allows".to_owned());
    }
    for policy in policies.iter().filter(|policy| policy.0.to_string().contains("matchExpressions")) {
        problems.push(format!("{}: use matchLabels, which this check can play through", policy.id()));
    }
    let ours: Vec<(String, Labels)> = objects
        .iter()
        .filter_map(Object::pod)
        .map(|pod| (pod.owner.name().to_owned(), pod.labels()))
        .filter(|(_, labels)| labels.get("app.kubernetes.io/part-of").is_some_and(|part| part == "barid"))
        .collect();
    for (name, labels) in &ours {
        let Some((_, reaches)) = DESIGN.iter().find(|(known, _)| known == name) else {
            problems.push(format!("{name}: nobody has said yet what it may reach: add it to the design in the check of the manifests"));
            continue;
        };
        let mut expect = |peer: &Peer, port: u16, wanted: bool| {
            if connects(&policies, labels, peer, port) != wanted {
                let verdict = if wanted { "cannot reach" } else { "can reach" };
                problems.push(format!("{name} {verdict} {peer} on port {port}, {} the design", if wanted { "against" } else { "beyond" }));
            }
        };
        for place in Place::ALL {
            let (peer, port) = place.peer();
            expect(&peer, port, reaches.contains(&place));
        }
        let dns = Labels::from([("k8s-app".to_owned(), "kube-dns".to_owned())]);
        expect(&Peer::Foreign("kube-system", dns), 53, true);
        for address in PRIVATE {
            for port in [80, 443, 5432, 6443] {
                expect(&Peer::Address(address), port, false);
            }
        }
        // They call each other over NATS only.
        for (_, labels) in ours.iter().filter(|(other, _)| other != name) {
            for port in [8080, 9090] {
                expect(&Peer::Pod(labels.clone()), port, false);
            }
        }
    }
    problems
}

fn denies_everything(policy: &Object) -> bool {
    let spec = &policy.0["spec"];
    let types = list(&spec["policyTypes"]);
    labels(&spec["podSelector"]["matchLabels"]).is_empty()
        && types.contains(&json!("Ingress"))
        && types.contains(&json!("Egress"))
        && spec["ingress"].is_null()
        && spec["egress"].is_null()
}

/// Whether pods with these labels may open a connection.
fn connects(policies: &[&Object], from: &Labels, to: &Peer, port: u16) -> bool {
    let out = allows(policies, "Egress", from, to, port);
    match to {
        Peer::Pod(labels) => out && allows(policies, "Ingress", labels, &Peer::Pod(from.clone()), port),
        Peer::Foreign(..) | Peer::Address(_) => out,
    }
}

/// Whether the policies of these pods allow a connection with `peer`, in one direction.
fn allows(policies: &[&Object], direction: &str, of: &Labels, peer: &Peer, port: u16) -> bool {
    let (rules, peers) = if direction == "Egress" { ("egress", "to") } else { ("ingress", "from") };
    let mut mine = policies
        .iter()
        .map(|policy| &policy.0["spec"])
        .filter(|spec| list(&spec["policyTypes"]).contains(&json!(direction)) && selects(&spec["podSelector"], of))
        .peekable();
    if mine.peek().is_none() {
        return true;
    }
    mine.any(|spec| {
        list(&spec[rules]).iter().any(|rule| {
            let to_port = rule["ports"].is_null() || list(&rule["ports"]).iter().any(|allowed| allowed["port"] == port);
            to_port && (rule[peers].is_null() || list(&rule[peers]).iter().any(|allowed| is(allowed, peer)))
        })
    })
}

/// Whether a peer of a policy means this one.
fn is(allowed: &Value, peer: &Peer) -> bool {
    match peer {
        Peer::Pod(labels) => {
            allowed["ipBlock"].is_null() && allowed["namespaceSelector"].is_null() && selects(&allowed["podSelector"], labels)
        }
        Peer::Foreign(namespace, labels) => {
            let own = Labels::from([("kubernetes.io/metadata.name".to_owned(), (*namespace).to_owned())]);
            !allowed["namespaceSelector"].is_null()
                && selects(&allowed["namespaceSelector"], &own)
                && selects(&allowed["podSelector"], labels)
        }
        Peer::Address(address) => {
            let block = &allowed["ipBlock"];
            let within = |cidr: &Value| cidr.as_str().is_some_and(|cidr| contains(cidr, *address));
            within(&block["cidr"]) && !list(&block["except"]).iter().any(within)
        }
    }
}

fn contains(cidr: &str, address: Ipv4Addr) -> bool {
    let Some((network, bits)) = cidr.split_once('/') else { return false };
    let (Ok(network), Ok(bits)) = (network.parse::<Ipv4Addr>(), bits.parse::<u32>()) else { return false };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    network.to_bits() & mask == address.to_bits() & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_contain_their_addresses() {
        assert!(contains("0.0.0.0/0", PUBLIC));
        assert!(contains("10.0.0.0/8", Ipv4Addr::new(10, 96, 0, 1)));
        assert!(!contains("10.0.0.0/8", PUBLIC));
        assert!(!contains("2000::/3", PUBLIC));
        assert!(contains("169.254.0.0/16", Ipv4Addr::new(169, 254, 169, 254)));
    }

    #[test]
    fn without_policies_everything_connects_and_a_denial_ends_that() {
        let labels = Labels::new();
        let (nats, port) = Nats.peer();
        assert!(connects(&[], &labels, &nats, port));
        let denial = Object(json!({"kind": "NetworkPolicy", "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}));
        assert!(denies_everything(&denial));
        assert!(!connects(&[&denial], &labels, &nats, port));
    }
}
