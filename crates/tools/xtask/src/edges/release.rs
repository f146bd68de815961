use super::Violation;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// What `deploy/Dockerfile` builds `barid` with: the image with WhatsApp Web, and the one without.
const IMAGES: [&[&str]; 2] = [&[], &["--no-default-features"]];

/// Looks for features that believe forged certificates in what goes into an image. The image's build asks the binary about the feature
/// `trust-simulator`; this finds whatever else switches the check of certificates off, and without a build.
pub(super) fn check(root: &Path) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for features in IMAGES {
        let output = Command::new(crate::workspace::cargo())
            .args(["tree", "--package", "barid", "--edges", "no-dev", "--prefix", "none", "--format", "{p}|{f}", "--locked"])
            .args(features)
            .current_dir(root)
            .output()?;
        if !output.status.success() {
            bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        violations.extend(judge(&String::from_utf8_lossy(&output.stdout)));
    }
    violations.sort_by(|one, other| one.what.cmp(&other.what));
    violations.dedup();
    Ok(violations)
}

/// Judges lines of packages and their features, such as `wacore v0.7.0|default,simd`.
fn judge(tree: &str) -> Vec<Violation> {
    let trusts = |feature: &&str| feature.starts_with("danger") || *feature == "trust-simulator";
    let lines = tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|'));
    let features = lines.flat_map(|(package, features)| features.split(',').filter(trusts).map(move |feature| (package, feature)));
    features
        .map(|(package, feature)| Violation {
            place: "deploy/Dockerfile".to_owned(),
            what: format!("the image would have {} with the feature {feature}", package.split(' ').next().unwrap_or_default()),
            remedy: "it believes forged certificates: let only the feature trust-simulator of barid, which no release has, switch it on",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn what_trusts_forged_certificates_is_found_wherever_it_is_switched_on() {
        let tree =
            "barid v0.1.0 (/src/crates/tools/barid)|default,web\nwacore v0.7.0|danger-skip-cert-chain-verify,simd (*)\nserde v1.0.0|\n";
        let found = judge(tree);
        assert_eq!((found.len(), found[0].what.contains("wacore with the feature danger-skip")), (1, true), "{found:?}");
        assert_eq!(judge("barid v0.1.0 (/src)|default,trust-simulator,web\n").len(), 1);
        assert_eq!(judge("barid v0.1.0 (/src)|default,web\n\n"), []);
    }
}
