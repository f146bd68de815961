use std::fmt;
use std::path::Path;
use std::process::Command;

/// Major and minor release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What `<program> --version` says.
pub(super) fn of(program: &Path) -> Option<Version> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// The first number of a version line, with its minor: `postgres (PostgreSQL) 15.18 (Debian ..)`, `nats-server: v2.15.1`, `Redis server v=7.0.15 sha=..`.
fn parse(line: &str) -> Option<Version> {
    let number = line.split(|c: char| !c.is_ascii_digit() && c != '.').find(|part| part.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut parts = number.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0);
    Some(Version(major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_servers_say() {
        assert_eq!(parse("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(Version(15, 18)));
        assert_eq!(parse("postgres (PostgreSQL) 18beta1"), Some(Version(18, 0)));
        assert_eq!(parse("nats-server: v2.9.10"), Some(Version(2, 9)));
        assert_eq!(parse("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"), Some(Version(7, 0)));
        assert_eq!(parse("command not found"), None);
        assert!(Version(2, 9) < Version(2, 12));
    }
}
