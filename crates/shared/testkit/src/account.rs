use anyhow::{Context, Result, anyhow};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The unprivileged account that runs PostgreSQL when we are root, since initdb and postgres refuse root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account to switch to: `None` unless we are root.
    pub(crate) fn for_postgres() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        let account = find(&passwd, "postgres").or_else(|| find(&passwd, "nobody"));
        account.map(Some).ok_or_else(|| anyhow!("PostgreSQL refuses to run as root and there is no account `postgres`: run `useradd --system postgres`, or run as another user"))
    }

    pub(crate) fn apply(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    pub(crate) fn own(self, path: &Path) -> Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("giving {} to the PostgreSQL account", path.display()))
    }

    /// Whether the account can reach `path`, or the deepest part of it that exists. Access lists and group memberships beyond the primary group are not considered.
    pub(crate) fn reaches(self, path: &Path) -> bool {
        path.ancestors().all(|ancestor| match ancestor.metadata() {
            Ok(found) => {
                let bit = match (found.uid() == self.uid, found.gid() == self.gid) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                found.mode() & bit != 0
            }
            Err(_) => true,
        })
    }
}

fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        Some(Account { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_ids_by_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        let account = find(passwd, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(find(passwd, "post").is_none());
    }

    #[test]
    fn a_closed_parent_cannot_be_passed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("open/inner");
        std::fs::create_dir_all(&inner).unwrap();
        let stranger = Account { uid: 54_321, gid: 54_321 };
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(stranger.reaches(&inner));
        assert!(stranger.reaches(&inner.join("not/there/yet")));
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.reaches(&inner));
    }
}
