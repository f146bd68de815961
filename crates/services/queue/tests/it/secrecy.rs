use anyhow::{Result, ensure};
use barid_domain::{SessionId, TenantId};

use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_the_ledger_shows_no_number_and_no_text() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.send(tenant, session, "201234567890", "a word that nobody else would write: xyzzy").await?;
    let tables = house
        .database
        .execute(&["SELECT string_agg(format('%I.%I', schemaname, tablename), ' ') FROM pg_tables WHERE schemaname = 'queue'"])
        .await?;
    let mut dump = String::new();
    for table in tables.split_whitespace() {
        dump += &house.database.execute(&[&format!("SELECT t::text, encode(t::text::bytea, 'escape') FROM {table} t")]).await?;
        // Bytes show as hexadecimal in a dump: look at them as text, too.
        dump += &house.database.execute(&[&format!("SELECT regexp_replace(t::text, '\\\\x', '', 'g') FROM {table} t")]).await?;
    }
    ensure!(dump.contains(&session.uuid().to_string()), "the dump holds the message's row");
    for secret in ["1234567890", "xyzzy", &hex("1234567890"), &hex("xyzzy")] {
        ensure!(!dump.contains(secret), "{secret} stands in the dump");
    }
    Ok(())
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
