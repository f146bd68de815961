//! Makes a ledger that is weeks old out of what a few hundred messages left in it: the same rows again and again, with ids and times of past
//! days, in the partitions of these days.

use super::super::house::House;
use anyhow::Result;
use barid_testkit::eventually;
use std::time::Duration;

/// The tables of which each day has a partition.
const PARTED: [&str; 3] = ["messages", "message_state", "message_events"];
/// Messages to one customer.
const EACH: u32 = 20;
/// Idempotency keys are kept for seven days: those that are about to go are left out.
const KEYS_DAYS: u32 = 6;
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives each of the past days a partition, which a Barid that began today lacks.
pub async fn partition(house: &House, days: u32) -> Result<()> {
    let mut steps = Vec::new();
    for table in PARTED {
        steps.push(format!("ALTER TABLE queue.{table} DETACH PARTITION queue.{table}_before"));
    }
    steps.push(format!("SELECT queue.make_partition((now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(0, {days}) n"));
    for table in PARTED {
        steps.push(format!("INSERT INTO queue.{table} SELECT * FROM queue.{table}_before"));
        steps.push(format!("DROP TABLE queue.{table}_before"));
    }
    // All or nothing; it does not wait for who uses a table just now.
    let all = format!("BEGIN; {}; COMMIT", steps.join("; "));
    eventually(PATIENCE, || async { house.ask(&[&all]).await.map(drop) }).await
}

/// A table of which rows are made, and what is not as it was in the row that is copied. `n` is the new message or customer.
struct Copies {
    table: &'static str,
    /// Where the shape of a row is found.
    of: &'static str,
    changed: &'static [(&'static str, &'static str)],
}

const CUSTOMERS: [Copies; 4] = [
    Copies { table: "contacts", of: "c.id = m.contact_id", changed: &[("id", "n.contact")] },
    Copies {
        table: "contact_aliases",
        of: "c.contact_id = m.contact_id",
        changed: &[("contact_id", "n.contact"), ("blind_index", "decode(md5(n.contact::text) || md5(n.contact || 'b'), 'hex')")],
    },
    Copies {
        table: "acquaintances",
        of: "c.contact_id = m.contact_id AND c.session_id = m.session_id",
        changed: &[("contact_id", "n.contact")],
    },
    Copies { table: "windows", of: "c.contact_id = m.contact_id AND c.session_id = m.session_id", changed: &[("contact_id", "n.contact")] },
];

const MESSAGES: [Copies; 5] = [
    Copies {
        table: "messages",
        of: "c.id = m.id",
        changed: &[
            ("id", "n.id"),
            ("contact_id", "n.contact"),
            ("created_at", "n.at"),
            ("due_at", "n.at"),
            ("expires_at", "n.at + interval '2 days'"),
        ],
    },
    Copies {
        table: "message_state",
        of: "c.message_id = m.id",
        changed: &[
            ("message_id", "n.id"),
            ("state", "7"),
            ("sent_at", "n.at + interval '1 second'"),
            ("delivered_at", "n.at + interval '2 seconds'"),
            ("read_at", "n.at + interval '3 seconds'"),
        ],
    },
    // Of a generation before the first, which was told long ago.
    Copies {
        table: "message_events",
        of: "c.id = (SELECT e.id FROM queue.message_events e WHERE e.entity_id = m.id ORDER BY e.seq LIMIT 1)",
        changed: &[
            ("id", "n.event"),
            ("entity_id", "n.id"),
            ("at", "n.at"),
            ("generation", "0"),
            ("seq", "nextval('queue.message_events_order')"),
        ],
    },
    Copies {
        table: "provider_ids",
        of: "c.message_id = m.id",
        changed: &[("message_id", "n.id"), ("provider_id", "'wamid.' || n.id"), ("recorded_at", "n.at")],
    },
    Copies {
        table: "idempotency_keys",
        of: "c.message_id = m.id",
        changed: &[("message_id", "n.id"), ("key", "'bench-' || n.id"), ("created_at", "n.at")],
    },
];

impl Copies {
    /// Keeps the rows that are copied, each with the number of its shape.
    fn keep(&self) -> String {
        let Self { table, of, .. } = self;
        format!("CREATE TABLE shapes.{table} AS SELECT m.shape, c.* FROM shapes.shapes m JOIN queue.{table} c ON {of}")
    }

    /// Makes a row for each of those of `shapes.<new>` of its shape.
    async fn make(&self, house: &House, new: &str) -> Result<String> {
        let Self { table, changed, .. } = self;
        let columns =
            format!("SELECT attname FROM pg_attribute WHERE attrelid = 'queue.{table}'::regclass AND attnum > 0 AND NOT attisdropped");
        let columns = house.ask(&[&columns]).await?;
        let value = |column: &str| {
            let changed = changed.iter().find(|(name, _)| *name == column);
            changed.map_or_else(|| format!("c.{column}"), |(_, value)| (*value).to_owned())
        };
        let values: Vec<String> = columns.lines().map(value).collect();
        let columns = columns.lines().collect::<Vec<_>>().join(", ");
        Ok(format!(
            "INSERT INTO queue.{table} ({columns}) SELECT {} FROM shapes.{table} c JOIN shapes.{new} n USING (shape) ON CONFLICT DO NOTHING",
            values.join(", ")
        ))
    }
}

/// Fills the tables up to so many rows, and gathers statistics as the autovacuum would.
pub async fn fill(house: &House, rows: u32, days: u32) -> Result<()> {
    let shapes =
        "CREATE TABLE shapes.shapes AS SELECT row_number() OVER () - 1 AS shape, m.id, m.contact_id, m.session_id FROM queue.messages m
        JOIN queue.message_state s ON s.message_id = m.id WHERE s.state BETWEEN 5 AND 7";
    let mut keep = vec!["CREATE SCHEMA shapes".to_owned(), shapes.to_owned()];
    keep.extend(CUSTOMERS.iter().chain(&MESSAGES).map(Copies::keep));
    keep.push("SELECT count(*) FROM shapes.shapes".to_owned());
    let shapes: u32 = run(house, &keep).await?.trim().parse()?;
    let customers = (rows / EACH / shapes).max(1);
    let mut make = vec![format!(
        "CREATE TABLE shapes.customers AS SELECT shape, md5(shape || '.' || k)::uuid AS contact
         FROM generate_series(0, {shapes} - 1) shape CROSS JOIN generate_series(0, {customers} - 1) k"
    )];
    for copies in &CUSTOMERS {
        make.push(copies.make(house, "customers").await?);
    }
    run(house, &make).await?;
    let mut of_a_day = Vec::new();
    for copies in &MESSAGES {
        of_a_day.push((copies.table, copies.make(house, "messages_of_a_day").await?));
    }
    for ago in (0..=days).rev() {
        let mut make =
            vec!["DROP TABLE IF EXISTS shapes.messages_of_a_day".to_owned(), messages_of_a_day(ago, rows / (days + 1), shapes, customers)];
        make.extend(of_a_day.iter().filter(|(table, _)| ago < KEYS_DAYS || *table != "idempotency_keys").map(|(_, make)| make.clone()));
        run(house, &make).await?;
        if ago % 7 == 0 {
            eprintln!("  up to {ago} days ago");
        }
    }
    run(house, &["DROP SCHEMA shapes CASCADE".to_owned(), "VACUUM (ANALYZE)".to_owned()]).await.map(drop)
}

/// New messages of one day, up to now, with their ids: 48 bits of milliseconds first, as the ledger mints them.
fn messages_of_a_day(ago: u32, count: u32, shapes: u32, customers: u32) -> String {
    let id = |salt: &str| {
        let random = format!("md5(n || '{ago}{salt}')");
        format!(
            "(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || left({random}, 3) || '8' || right({random}, 15))::uuid"
        )
    };
    format!(
        "CREATE TABLE shapes.messages_of_a_day AS SELECT n % {shapes} AS shape, at, {} AS id, {} AS event,
            md5(n % {shapes} || '.' || (n / {shapes}) % {customers})::uuid AS contact
         FROM generate_series(1, {count}) n CROSS JOIN LATERAL (
            SELECT day + least(interval '1 day', now() - interval '1 minute' - day) * (n / {count}.0) AS at
            FROM date_trunc('day', now() - interval '{ago} days', 'UTC') AS day) t",
        id("m"),
        id("e")
    )
}

async fn run(house: &House, statements: &[String]) -> Result<String> {
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    house.ask(&statements).await
}
