use anyhow::Result;

use crate::{barid, shown, text};

#[tokio::test]
async fn help_names_every_command() -> Result<()> {
    let help = text(&barid(&["--help"]).await?.stdout);
    for command in [
        "gateway",
        "tenant",
        "template",
        "queue",
        "session-pool",
        "analytics",
        "webhook",
        "simulator",
        "all",
        "migrate",
        "events",
        "sessions",
        "pool",
        "webhooks",
        "config",
        "nats-config",
        "vault",
    ] {
        assert!(help.contains(&format!("\n  {command}")), "{command} is missing in {help}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_configuration_is_told_key_by_key() -> Result<()> {
    let home = tempfile::tempdir()?;
    let file = home.path().join("barid.toml");
    std::fs::write(&file, "[gateway]\nredis.url = \"redis://127.0.0.1\"\nlisten = \"everywhere\"\n")?;
    let checked = barid(&["config", "check", "--config", &shown(&file)]).await?;
    assert!(!checked.status.success());
    let told = text(&checked.stdout) + &text(&checked.stderr);
    assert!(told.contains("gateway.listen:") && told.contains("BARID_GATEWAY__LISTEN"), "{told}");
    assert!(told.contains("tenant.database.tenant_url: is missing") && told.contains("BARID_TENANT__DATABASE__TENANT_URL"), "{told}");
    assert!(!told.contains("Backtrace") && !told.contains("stack backtrace"), "{told}");

    let unknown = barid(&["config", "check", "quque"]).await?;
    assert!(text(&unknown.stderr).contains("there is no service `quque`; known: tenant"), "{}", text(&unknown.stderr));
    let missing = barid(&["queue", "--config", "/nowhere/barid.toml"]).await?;
    assert!(text(&missing.stderr).contains("/nowhere/barid.toml cannot be read"), "{}", text(&missing.stderr));
    Ok(())
}

#[tokio::test]
async fn variables_go_over_the_file_and_secrets_are_masked() -> Result<()> {
    let mut command = crate::command(&["config", "dump", "gateway"]);
    command.env("BARID_GATEWAY__REDIS__URL", "redis://:hunter2@127.0.0.1").env("BARID_GATEWAY__LIMITS__PER_MINUTE", "77");
    command.env("BARID_GATEWAY__NATS__PASSWORD", "0123456");
    let dumped = command.output().await?;
    let told = text(&dumped.stdout);
    assert!(dumped.status.success(), "{}", text(&dumped.stderr));
    assert!(told.contains("per_minute = 77") && told.contains("url = \"***\""), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("123456"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_new_master_key_is_new() -> Result<()> {
    let (a, b) = (text(&barid(&["vault", "new-key"]).await?.stdout), text(&barid(&["vault", "new-key"]).await?.stdout));
    assert_eq!((a.trim().len(), a == b), (44, false));
    Ok(())
}

#[tokio::test]
async fn the_version_tells_the_features_that_matter() -> Result<()> {
    let told = text(&barid(&["--version"]).await?.stdout);
    assert!(told.starts_with(concat!("barid ", env!("CARGO_PKG_VERSION"), "\nweb: ")), "{told}");
    assert_eq!(told.contains("\nweb: yes (links AGPL-3.0 code"), cfg!(feature = "web"), "{told}");
    assert_eq!(told.contains("\nweb: no"), !cfg!(feature = "web"), "{told}");
    assert_eq!(told.contains("\ntrust-simulator: YES"), cfg!(feature = "trust-simulator"), "{told}");
    assert_eq!(told.contains("\ntrust-simulator: no\n"), !cfg!(feature = "trust-simulator"), "{told}");
    Ok(())
}

/// Whether the check of the image's build lets a binary through that says this of itself.
async fn may_be_released(version: &str, web: &str) -> Result<bool> {
    let home = tempfile::tempdir()?;
    let (binary, told) = (home.path().join("barid"), home.path().join("version"));
    std::fs::write(&told, version)?;
    std::fs::write(&binary, format!("exec cat {}\n", shown(&told)))?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../deploy/check-release.sh");
    // Run by the shell, as a file that was just written may be busy.
    let text = std::fs::read_to_string(script)?.replace("\"$binary\" --version", "sh \"$binary\"");
    let check = tokio::process::Command::new("sh").args(["-c", &text, "check-release", &shown(&binary), web]).output().await?;
    Ok(check.status.success())
}

#[tokio::test]
async fn only_what_says_so_may_be_released() -> Result<()> {
    let own = text(&barid(&["--version"]).await?.stdout);
    let (asked, other) = if cfg!(feature = "web") { ("yes", "no") } else { ("no", "yes") };
    assert_eq!(may_be_released(&own, asked).await?, !cfg!(feature = "trust-simulator"), "{own}");
    assert!(!may_be_released(&own, other).await?, "{own}");
    assert!(!may_be_released(&own.replace("trust-simulator: no", "trust-simulator: YES - LOUD"), asked).await?);
    assert!(!may_be_released(&own.replace("trust-simulator: no", ""), asked).await?, "silence is no proof");
    Ok(())
}

#[tokio::test]
async fn a_key_is_no_argument() -> Result<()> {
    let refused = barid(&["pool", "status", "--key", "secret"]).await?;
    assert_eq!(refused.status.code(), Some(2));
    let help = text(&barid(&["sessions", "pair", "--help"]).await?.stdout);
    for option in ["--by-code", "--png <FILE>", "--passkey-answer <FILE>", "--server <URL>", "--key-file <FILE>", "--tenant <TENANT_ID>"] {
        assert!(help.contains(option), "{option} is missing in {help}");
    }
    assert!(help.contains("BARID_KEY") && help.contains("Exit status"), "{help}");
    Ok(())
}
