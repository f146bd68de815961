use super::Violation;
use anyhow::{Context, Result};
use std::path::Path;

/// Reads the sources of the services and returns how many files there were.
pub(super) fn check(root: &Path, violations: &mut Vec<Violation>) -> Result<usize> {
    let mut files = 0;
    for path in crate::workspace::files(&root.join("crates/services"), "rs")? {
        let relative = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        // A service's tests may look at its tables.
        if relative.contains("/src/") {
            files += 1;
            let text = std::fs::read_to_string(&path).with_context(|| relative.clone())?;
            violations.extend(judge(&relative, &text));
        }
    }
    Ok(files)
}

const SEA_ORM: &str = "queries live in src/store: move this there and call it from here";
const ENGINE: &str = "engine transactions see every tenant and live in src/store: give store/ a function for it";

/// Judges one file of a service, up to its unit tests.
fn judge(path: &str, text: &str) -> Vec<Violation> {
    if path.contains("/src/store/") || path.ends_with("/src/store.rs") {
        return Vec::new();
    }
    let mut violations = Vec::new();
    let mut imports_db = false;
    let lines: Vec<&str> = text.lines().take_while(|line| *line != "#[cfg(test)]").collect();
    for (index, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let mut refuse =
            |what: &str, remedy| violations.push(Violation { place: format!("{path}:{}", index + 1), what: what.to_owned(), remedy });
        if words(code).any(|word| matches!(word, "sea_orm" | "sea_query" | "sqlx")) {
            refuse("names sea-orm outside of src/store", SEA_ORM);
        }
        imports_db |= code.trim_start().starts_with("use barid_db::");
        let names_type = code.contains("db::Engine") || (imports_db && words(code).any(|word| word == "Engine"));
        let follows = lines.get(index + 1).copied().unwrap_or_default();
        if names_type || begins_transaction(code, follows) {
            refuse("uses an engine transaction outside of src/store", ENGINE);
        }
        imports_db &= !code.contains(';');
    }
    violations
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Whether `code`, perhaps going on in the next line, begins a transaction of an engine.
fn begins_transaction(code: &str, follows: &str) -> bool {
    let ends_in_engine = code.trim_end().ends_with("engine") || code.trim_end().ends_with("engine()");
    code.contains("engine.transaction")
        || code.contains("engine().transaction")
        || (ends_in_engine && follows.trim_start().starts_with(".transaction"))
}

#[cfg(test)]
mod tests {
    use super::judge;

    const API: &str = "crates/services/queue/src/api/messages.rs";

    #[test]
    fn sea_orm_is_named_in_store_only() {
        let text = "use sea_orm::EntityTrait;\n";
        assert_eq!(judge(API, text)[0].place, format!("{API}:1"));
        assert_eq!(judge("crates/services/queue/src/store/messages.rs", text), []);
        assert_eq!(judge(API, "// sea_orm is not named here\n"), []);
    }

    #[test]
    fn engine_transactions_are_begun_in_store_only() {
        let refused = [
            "self.db.engine.transaction(\"relay\", work).await",
            "db.engine().transaction(job, work)",
            "let engine = db.engine.clone();\nengine.transaction(job, work)",
            "self.db.engine\n    .transaction(job, work)",
            "use barid_db::Engine;",
            "use barid_db::{\n    Engine, Tenant,\n};",
            "fn run(engine: &barid_db::Engine) {}",
        ];
        for text in refused {
            assert_eq!(judge(API, text).len(), 1, "{text}");
            assert_eq!(judge("crates/services/queue/src/store/claims.rs", text), [], "{text}");
        }
    }

    #[test]
    fn other_engines_are_no_engines() {
        for text in [
            "Outbox::new(db.engine, store::EVENTS)",
            "self.engine.render(template)",
            "config.database.engine_url",
            "use base64::Engine;",
            "base64::engine::general_purpose::STANDARD",
            "use barid_db::Tenant;\nuse base64::Engine;",
        ] {
            assert_eq!(judge(API, text), [], "{text}");
        }
    }

    #[test]
    fn unit_tests_are_exempt() {
        assert_eq!(judge(API, "fn rule() {}\n\n#[cfg(test)]\nmod tests {\n    use sea_orm::MockDatabase;\n}\n"), []);
    }
}
