//! While a version rolls out, the one before works on tables that are migrated already. So migrations add, and take nothing away from it.

use anyhow::{Context, Result};
use std::path::Path;

/// Those before it made the tables of the first release.
const FIRST: &str = "m0014";
/// What a statement says beside, where both versions survive it all the same, with the reason.
const SURVIVED: &str = "both versions survive";

/// What breaks the version before, in SQL without case.
const BREAKS: [(&str, &str); 8] = [
    ("drop column", "takes a column away"),
    ("drop table", "takes a table away"),
    ("drop schema", "takes a schema away"),
    ("drop function", "takes a function away"),
    ("rename", "gives something another name"),
    ("set not null", "refuses rows that the version before writes"),
    ("set data type", "changes a type"),
    ("revoke", "takes a right away"),
];

/// Statements of migrations that the version before does not survive.
pub(super) fn broken(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in crate::workspace::files(&root.join("migrations/src"), "rs")? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('m') && *name >= *FIRST {
            let text = std::fs::read_to_string(&file).with_context(|| name.to_string())?;
            problems.extend(judge(&text).into_iter().map(|(line, what)| format!("migrations/src/{name}:{line}: {what}")));
        }
    }
    Ok(problems)
}

fn judge(text: &str) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    let mut before = "";
    for (index, line) in text.lines().enumerate() {
        let (sql, excused) = (line.to_lowercase(), line.contains(SURVIVED) || before.contains(SURVIVED));
        let told = BREAKS.iter().find(|(statement, _)| sql.contains(statement)).map(|(_, what)| (*what).to_owned());
        // Whoever does not know the column leaves it out.
        let fills = sql.contains("add column") && sql.contains("not null") && !sql.contains("default") && !sql.contains("generated");
        let told = told.or_else(|| fills.then(|| "adds a column that must be filled and has no default".to_owned()));
        if let Some(what) = told.filter(|_| !excused && !sql.trim_start().starts_with("//")) {
            problems.push((
                index + 1,
                format!("{what}, which the version that still runs does not survive; add beside it, or say why {SURVIVED}"),
            ));
        }
        before = line;
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn what_the_version_before_does_not_survive_is_told() {
        for statement in [
            "ALTER TABLE queue.ready DROP COLUMN lane",
            "DROP TABLE queue.ready",
            "ALTER TABLE queue.ready RENAME TO waiting",
            "ALTER TABLE queue.ready ALTER COLUMN lane SET NOT NULL",
            "ALTER TABLE queue.ready ALTER COLUMN lane SET DATA TYPE text",
            "ALTER TABLE queue.ready ADD COLUMN weight int NOT NULL",
            "REVOKE UPDATE ON queue.ready FROM barid_queue_tenant",
        ] {
            assert_eq!(judge(&format!("one(\n\"{statement}\"\n)")).len(), 1, "{statement}");
            assert_eq!(judge(&format!("// Nobody reads it since 0.1: both versions survive.\none(\"{statement}\")")), [], "{statement}");
        }
    }

    #[test]
    fn what_is_added_is_survived() {
        for statement in [
            "CREATE TABLE queue.more (id uuid NOT NULL)",
            "ALTER TABLE queue.ready ADD COLUMN weight int NOT NULL DEFAULT 0",
            "ALTER TABLE queue.ready ADD COLUMN weight int",
            "DROP INDEX queue.ready_lane_idx",
            "ALTER TABLE queue.ready ALTER COLUMN lane DROP NOT NULL",
        ] {
            assert_eq!(judge(&format!("one(\"{statement}\")")), [], "{statement}");
        }
        assert_eq!(judge("// What we would rename one day.\n"), []);
    }
}
