//! Migrations on a real server: applied once, and never leaving a tenant's table unprotected.

use anyhow::Result;
use barid_domain::Secret;
use barid_migrations::{Config, Error, Report, check, migrate, migrate_up_to};
use barid_testkit::{Database, database};

/// Role passwords belong to the whole cluster: every test gives the same one.
const PASSWORD: &str = "barid-test";

fn config(database: &Database) -> Config {
    Config { database_url: Secret::new(database.admin_url()), role_password: Secret::new(PASSWORD) }
}

/// What the check has against the database.
async fn named(database: &Database) -> Result<Vec<String>> {
    Ok(check(&database.admin_url()).await?.iter().map(ToString::to_string).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_changes_nothing() -> Result<()> {
    let database = database().await?;
    let first = migrate(&config(&database)).await?;
    assert!(first.applied > 0 && first.applied == first.total, "{first:?}");
    let tables = "SELECT n.nspname, c.relname, c.relacl, c.relrowsecurity, c.relforcerowsecurity FROM pg_class c
                  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_|information_schema' ORDER BY 1, 2";
    let before = database.execute(&[tables]).await?;
    assert_eq!(migrate(&config(&database)).await?, Report { applied: 0, total: first.total });
    assert_eq!(database.execute(&[tables]).await?, before);
    assert_eq!(named(&database).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_applies() -> Result<()> {
    let database = database().await?;
    let config = config(&database);
    let (one, other) = tokio::try_join!(migrate(&config), migrate(&config))?;
    assert_eq!(one.total, other.total);
    assert_eq!(one.applied + other.applied, one.total, "{one:?} {other:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_own_nothing_and_bypass_nothing() -> Result<()> {
    let database = database().await?;
    migrate(&config(&database)).await?;
    let powers = "SELECT count(*) FILTER (WHERE rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR NOT rolcanlogin), count(*)
                  FROM pg_roles WHERE rolname ~ '^barid_.*_(tenant|engine)$'";
    assert_eq!(database.execute(&[powers]).await?, "0|12");
    let owned = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname ~ '^barid_'";
    assert_eq!(database.execute(&[owned]).await?, "0");
    let members = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname ~ '^barid_'";
    assert_eq!(database.execute(&[members]).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unprotected_table_is_named_with_what_it_lacks() -> Result<()> {
    let database = database().await?;
    migrate(&config(&database)).await?;
    database.execute(&["CREATE TABLE queue.naked (tenant_id uuid, id int)"]).await?;
    for (remedy, lacks) in [
        ("SELECT 1", "queue.naked lacks ENABLE ROW LEVEL SECURITY"),
        ("ALTER TABLE queue.naked ENABLE ROW LEVEL SECURITY", "queue.naked lacks FORCE ROW LEVEL SECURITY"),
        ("ALTER TABLE queue.naked FORCE ROW LEVEL SECURITY", "queue.naked lacks a policy on app.current_tenant"),
        ("CREATE POLICY engine ON queue.naked TO barid_queue_engine USING (true)", "queue.naked lacks a policy on app.current_tenant"),
        // Without `nullif` the setting of a transaction that ended makes every query fail.
        (
            "CREATE POLICY hasty ON queue.naked TO barid_queue_tenant USING (tenant_id = current_setting('app.current_tenant')::uuid)",
            "queue.naked lacks a policy on app.current_tenant",
        ),
    ] {
        database.execute(&[remedy]).await?;
        assert_eq!(named(&database).await?, [lacks], "after {remedy}");
        let refused = migrate(&config(&database)).await.expect_err(lacks);
        assert!(matches!(&refused, Error::Unprotected(tables) if tables.len() == 1) && refused.to_string().contains(lacks), "{refused}");
    }
    let policy = "CREATE POLICY tenant ON queue.naked TO barid_queue_tenant
                  USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant', true), '')::uuid))";
    database.execute(&[policy]).await?;
    assert_eq!(named(&database).await?, Vec::<String>::new());
    migrate(&config(&database)).await?;

    // Protection that is taken away later is missed, too.
    database.execute(&["ALTER TABLE queue.messages NO FORCE ROW LEVEL SECURITY", "DROP POLICY tenant ON tenant.tenants"]).await?;
    let both = ["queue.messages lacks FORCE ROW LEVEL SECURITY", "tenant.tenants lacks a policy on app.current_tenant"];
    assert_eq!(named(&database).await?, both);
    Ok(())
}

/// A message of before the partitions, by the time of its id, with its state and an event.
fn message(number: u32, at: &str) -> String {
    format!(
        "DO $$ DECLARE
            id uuid := (lpad(to_hex(floor(extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7000800000000000' || lpad('{number}', 4, '0'))::uuid;
            someone uuid := lpad('{number}', 32, '0')::uuid;
         BEGIN
            INSERT INTO queue.messages VALUES (id, someone, someone, someone, 1, '', 0, 'en', '', NULL, 0, '', now(), now(), now());
            INSERT INTO queue.message_state VALUES (id, someone, 5, 1, 0, false, '', now());
            INSERT INTO queue.message_events (id, tenant_id, entity_id, kind, at, payload) VALUES (id, someone, id, 'sent', now(), '');
         END $$"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_there_were_partitions_is_there_afterwards() -> Result<()> {
    let database = database().await?;
    let config = config(&database);
    migrate_up_to(&config, "m0009_scheduling").await?;
    let old = [message(1, "now() - interval '300 days'"), message(2, "now()"), message(3, "now() + interval '300 days'")];
    database.execute(&[&old[0], &old[1], &old[2]]).await?;
    let rows = "SELECT m.*, s.* FROM queue.messages m JOIN queue.message_state s ON s.message_id = m.id ORDER BY m.id";
    let events = "SELECT * FROM queue.message_events ORDER BY id";
    let before = (database.execute(&[rows]).await?, database.execute(&[events]).await?);
    migrate_up_to(&config, "m0010_partitions").await?;
    assert_eq!((database.execute(&[rows]).await?, database.execute(&[events]).await?), before);
    for table in ["messages", "message_state", "message_events"] {
        let places =
            format!("SELECT string_agg(DISTINCT tableoid::regclass::text, ' ' ORDER BY tableoid::regclass::text) FROM queue.{table}");
        assert_eq!(database.execute(&[&places]).await?, format!("queue.{table}_before queue.{table}_rest"));
    }
    assert_eq!(database.execute(&["SELECT count(*) FROM queue.acquaintances"]).await?, "3");
    let more = "WITH new AS (INSERT INTO queue.message_events (id, tenant_id, entity_id, kind, at, payload)
        SELECT gen_random_uuid(), tenant_id, entity_id, kind, at, payload FROM queue.message_events RETURNING seq) SELECT min(seq) > 3 FROM new";
    assert_eq!(database.execute(&[more]).await?, "t", "the order goes on");
    let names = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'queue' AND c.relkind = 'I' AND c.relname IN ('messages_pkey', 'messages_tenant_id_id_idx', 'messages_job_id_id_idx',
            'message_state_pkey', 'message_events_generation_xid_seq_idx', 'message_events_at_idx')";
    assert_eq!(database.execute(&[names]).await?, "6", "indexes have their names");
    Ok(())
}

/// What a replica of before m0009 writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_before_may_schedule() -> Result<()> {
    let database = database().await?;
    migrate(&config(&database)).await?;
    let insert = "INSERT INTO queue.scheduled (message_id, tenant_id, due_at) VALUES (gen_random_uuid(), gen_random_uuid(), now()) RETURNING expires_at, held";
    assert_eq!(database.execute(&[insert]).await?.lines().next(), Some("infinity|f"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_protected_as_its_parent() -> Result<()> {
    let database = database().await?;
    migrate(&config(&database)).await?;
    let day = "to_char(now() + interval '3 days', 'YYYYMMDD')";
    let naked = format!("DO $$ BEGIN EXECUTE format('DROP POLICY tenant ON queue.messages_%s', {day}); END $$");
    let name = database.execute(&[&format!("SELECT {day}")]).await?;
    for role in ["tenant", "engine"] {
        let granted = format!(
            "SELECT count(*) FROM queue.partitions p WHERE has_table_privilege('barid_queue_{role}', 'queue.' || p.name, 'SELECT, INSERT, UPDATE, DELETE')"
        );
        assert_eq!(database.execute(&[&granted]).await?, "0", "everyone goes through the parent");
    }
    assert_eq!(named(&database).await?, Vec::<String>::new());
    database.execute(&[&naked]).await?;
    assert_eq!(named(&database).await?, [format!("queue.messages_{name} lacks a policy on app.current_tenant")]);
    let force = format!("ALTER TABLE queue.message_events_{name} NO FORCE ROW LEVEL SECURITY");
    database.execute(&[&force]).await?;
    assert_eq!(named(&database).await?.len(), 2);
    Ok(())
}

/// Owners of tables are subject to forced row level security, unless they are superusers: what they do not see, they must not drop.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_without_powers_makes_and_drops_partitions_and_sees_what_is_in_them() -> Result<()> {
    let database = database().await?;
    // The roles belong to the cluster, and who may grant them nothing is not asked to.
    migrate(&config(&barid_testkit::database().await?)).await?;
    let owner = format!("owner_{}", &barid_testkit::secret()[..12]);
    let create = format!("CREATE ROLE {owner} LOGIN PASSWORD '{PASSWORD}' CREATEROLE");
    let give = format!("ALTER DATABASE \"{}\" OWNER TO {owner}", database.name());
    let public = format!("ALTER SCHEMA public OWNER TO {owner}");
    database.execute(&[&create, &give, &public]).await?;
    let config = Config { database_url: Secret::new(database.url_for(&owner, PASSWORD)), role_password: Secret::default() };
    migrate_up_to(&config, "m0009_scheduling").await?;
    let (unsent, ahead) = (message(1, "now() - interval '300 days'"), message(2, "now() + interval '300 days'"));
    database.execute(&[&unsent, &ahead, "UPDATE queue.message_state SET state = 8"]).await?;
    migrate(&config).await?;
    assert_eq!(database.execute(&["SELECT count(*) FROM queue.messages_rest"]).await?, "1", "it was seen");
    // As if the tables had been made long ago.
    let age = "DO $$ DECLARE t text; BEGIN
        FOREACH t IN ARRAY ARRAY['messages', 'message_state'] LOOP
            EXECUTE format('ALTER TABLE queue.%1$s DETACH PARTITION queue.%1$s_before', t);
            EXECUTE format('ALTER TABLE queue.%1$s ATTACH PARTITION queue.%1$s_before FOR VALUES FROM (MINVALUE) TO (%2$L)', t,
                queue.first_id(now() - interval '100 days'));
        END LOOP; END $$";
    let drop = "SELECT queue.drop_messages('before', now())";
    assert_eq!(database.execute(&[age, "UPDATE queue.message_state SET state = 2", drop]).await?, "unsent");
    let hidden = "DROP POLICY keeper ON queue.message_state_before";
    let refused =
        database.execute(&[hidden, "UPDATE queue.message_state SET state = 8", drop]).await.expect_err("it could not see").to_string();
    assert!(refused.contains("rows of queue.message_state_before may be hidden"), "{refused}");
    let seen = format!("CREATE POLICY keeper ON queue.message_state_before TO {owner} USING (true)");
    assert_eq!(database.execute(&[&seen, drop]).await?, "dropped");
    database.execute(&[&format!("REASSIGN OWNED BY {owner} TO CURRENT_USER")]).await?;
    Ok(())
}
