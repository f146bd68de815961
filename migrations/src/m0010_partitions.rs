//! Messages, their states and events by days: partitions of ranges of ids, whose first 48 bits are the time at which they were minted.
//!
//! What was there stays as the partition of everything before the day after; what a clock far ahead writes is kept by the default partition
//! until its day is made. Days are made and dropped by functions of the tables' owner, since the services' roles own nothing.

use crate::table::{Access, all, one, tenant_table};

/// Tables, the column with the id, and how their partitions are stored.
const TABLES: [(&str, &str, &str); 3] =
    [("messages", "id", ""), ("message_state", "message_id", "WITH (fillfactor = 70)"), ("message_events", "id", "")];
/// Tables whose rows refer to messages, which the owner looks at before it drops any.
const REFERRING: [&str; 6] = ["ready", "scheduled", "in_flight", "idempotency_keys", "provider_ids", "dead_letters"];

pub(crate) fn statements() -> Vec<String> {
    all([
        ids(),
        one(PARTITIONS),
        one(PROTECT),
        one(SEES),
        REFERRING
            .map(|table| format!("CREATE POLICY keeper ON queue.{table} FOR SELECT TO CURRENT_USER USING (true)"))
            .into_iter()
            .collect(),
        TABLES.into_iter().flat_map(|(table, column, storage)| convert(table, column, storage)).collect(),
        one("GRANT UPDATE (contact_id) ON queue.messages TO barid_queue_tenant, barid_queue_engine"),
        one(MAKE),
        one(DROP_MESSAGES),
        one(DROP_EVENTS),
        functions(),
        one("SELECT queue.make_partition((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(0, 14) n"),
        acquaintances(),
    ])
}

/// Between times and ids.
fn ids() -> Vec<String> {
    all([
        one("CREATE FUNCTION queue.first_id(at timestamptz) RETURNS uuid LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog
            AS $$ SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid $$"),
        one("CREATE FUNCTION queue.id_time(id uuid) RETURNS timestamptz LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog
            AS $$ SELECT to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) $$"),
    ])
}

/// The partitions with their bounds: from `first`, without `past`. The first has no `first`, the default partition neither.
const PARTITIONS: &str = "
    CREATE VIEW queue.partitions AS
    SELECT p.relname::text AS parent, c.relname::text AS name, substr(c.relname, length(p.relname) + 2)::text AS suffix,
           (regexp_match(b.bound, 'FROM \\(''([^'']+)''\\)'))[1]::uuid AS first, (regexp_match(b.bound, 'TO \\(''([^'']+)''\\)'))[1]::uuid AS past
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
    JOIN pg_namespace n ON n.oid = p.relnamespace AND n.nspname = 'queue'
    CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) b
    WHERE p.relkind = 'p' AND c.relkind = 'r'";

/// Protects a partition as its parent is. Nobody but the owner is granted anything: tenants and engine go through the parent.
const PROTECT: &str = "
    CREATE FUNCTION queue.protect_partition(name text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        EXECUTE format('ALTER TABLE queue.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE queue.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('REVOKE ALL ON queue.%I FROM barid_queue_tenant, barid_queue_engine', name);
        IF NOT EXISTS (SELECT FROM pg_policies p WHERE p.schemaname = 'queue' AND p.tablename = name AND p.policyname = 'tenant') THEN
            EXECUTE format('CREATE POLICY tenant ON queue.%1$I TO barid_queue_tenant USING (%2$s) WITH CHECK (%2$s)', name,
                'tenant_id = (SELECT nullif(current_setting(''app.current_tenant'', true), '''')::uuid)');
            EXECUTE format('CREATE POLICY engine ON queue.%I TO barid_queue_engine USING (true) WITH CHECK (true)', name);
        END IF;
        EXECUTE format('CREATE POLICY keeper ON queue.%I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
    END $$";

/// Refuses to go on where row level security could hide rows from the owner: what is not seen must not be taken for what is not there.
const SEES: &str = "
    CREATE FUNCTION queue.sees(tables text[]) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    DECLARE name text;
    BEGIN
        FOREACH name IN ARRAY tables LOOP
            IF row_security_active(format('queue.%I', name)) AND NOT EXISTS (
                SELECT FROM pg_policies p WHERE p.schemaname = 'queue' AND p.tablename = name AND p.policyname = 'keeper'
                AND current_user = ANY(p.roles) AND p.qual = 'true')
            THEN
                RAISE EXCEPTION 'rows of queue.% may be hidden from %', name, current_user;
            END IF;
        END LOOP;
    END $$";

/// Makes a table a partition of one of its name, with everything that was minted before tomorrow.
fn convert(table: &str, column: &str, storage: &str) -> Vec<String> {
    let access = if table == "message_state" { Access::Full } else { Access::Append };
    let before = format!("{table}_before");
    let mut statements = vec![
        format!("ALTER TABLE queue.{table} RENAME TO {before}"),
        // Otherwise its owner would see nothing of it.
        format!("ALTER TABLE queue.{before} NO FORCE ROW LEVEL SECURITY"),
    ];
    if table == "message_events" {
        // An identity cannot be shared by partitions on every release of PostgreSQL; a sequence can.
        statements.extend([
            "CREATE SEQUENCE queue.message_events_order".to_owned(),
            format!("SELECT setval('queue.message_events_order', greatest(1, nextval(pg_get_serial_sequence('queue.{before}', 'seq'))))"),
            format!("ALTER TABLE queue.{before} ALTER COLUMN seq DROP IDENTITY"),
            format!("ALTER TABLE queue.{before} ALTER COLUMN seq SET DEFAULT nextval('queue.message_events_order')"),
            "GRANT USAGE ON SEQUENCE queue.message_events_order TO barid_queue_tenant, barid_queue_engine".to_owned(),
        ]);
    }
    statements.extend([
        format!("CREATE TABLE queue.{table} (LIKE queue.{before} INCLUDING DEFAULTS INCLUDING STORAGE) PARTITION BY RANGE ({column})"),
        // The same indexes under the same names, so that those of the old table become partitions of them.
        format!(
            "DO $$ DECLARE i record;
             BEGIN
                FOR i IN SELECT c.relname, x.indisprimary, pg_get_indexdef(x.indexrelid) AS def FROM pg_index x
                    JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indrelid = 'queue.{before}'::regclass
                LOOP
                    EXECUTE format('ALTER INDEX queue.%I RENAME TO %I', i.relname, replace(i.relname, '{table}', '{before}'));
                    IF i.indisprimary THEN
                        EXECUTE 'ALTER TABLE queue.{table} ADD PRIMARY KEY ({column})';
                    ELSE
                        EXECUTE replace(i.def, '{before}', '{table}');
                    END IF;
                END LOOP;
             END $$"
        ),
    ]);
    statements.extend(tenant_table("queue", table, access));
    statements.extend([
        format!("CREATE TABLE queue.{table}_rest PARTITION OF queue.{table} DEFAULT {storage}"),
        format!("SELECT queue.protect_partition('{table}_rest')"),
        format!(
            "DO $$ DECLARE past uuid := queue.first_id(date_trunc('day', now(), 'UTC') + interval '1 day');
             BEGIN
                WITH ahead AS (DELETE FROM queue.{before} WHERE {column} >= past RETURNING *) INSERT INTO queue.{table}_rest SELECT * FROM ahead;
                EXECUTE format('ALTER TABLE queue.{table} ATTACH PARTITION queue.{before} FOR VALUES FROM (MINVALUE) TO (%L)', past);
             END $$"
        ),
        format!("SELECT queue.protect_partition('{before}')"),
    ]);
    statements
}

/// Makes a day's partitions where they are missing, and moves into them what the default partitions keep of that day; says how many. Locks no
/// table that others write to, and gives up with an error rather than wait for long.
const MAKE: &str = "
    CREATE FUNCTION queue.make_partition(day date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    SET lock_timeout = '100ms' AS $$
    DECLARE
        lower uuid := queue.first_id(day::timestamp AT TIME ZONE 'UTC');
        upper uuid := queue.first_id((day + 1)::timestamp AT TIME ZONE 'UTC');
        t record;
        name text;
        made integer := 0;
    BEGIN
        IF day > now() + interval '60 days' THEN
            RAISE EXCEPTION '% is too far ahead', day;
        END IF;
        -- One at a time: others come to the same partitions.
        PERFORM pg_advisory_xact_lock(1650553189);
        FOR t IN SELECT * FROM (VALUES ('messages', 'id', ''), ('message_state', 'message_id', 'WITH (fillfactor = 70)'),
            ('message_events', 'id', '')) AS t(parent, id, storage)
        LOOP
            CONTINUE WHEN EXISTS (SELECT FROM queue.partitions p WHERE p.parent = t.parent AND p.past > lower
                AND (p.first IS NULL OR p.first < upper));
            name := t.parent || to_char(day, '_YYYYMMDD');
            PERFORM queue.sees(ARRAY[t.parent || '_rest']);
            EXECUTE format('CREATE TABLE queue.%I (LIKE queue.%I INCLUDING DEFAULTS INCLUDING STORAGE) %s', name, t.parent, t.storage);
            PERFORM queue.protect_partition(name);
            EXECUTE format('LOCK TABLE queue.%I IN ACCESS EXCLUSIVE MODE', t.parent || '_rest');
            EXECUTE format('WITH early AS (DELETE FROM queue.%1$I WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING *)
                INSERT INTO queue.%5$I SELECT * FROM early', t.parent || '_rest', t.id, lower, upper, name);
            EXECUTE format('ALTER TABLE queue.%I ATTACH PARTITION queue.%I FOR VALUES FROM (%L) TO (%L)', t.parent, name, lower, upper);
            made := made + 1;
        END LOOP;
        RETURN made;
    END $$";

/// Drops the messages of a partition with their states. Says 'dropped' or why not: 'unknown', 'young', 'unsent', 'waiting', 'referred', or
/// 'busy' when others used a table and it did not wait for them.
///
/// What may take long, looking at every state, holds nobody up but who writes to these old rows; the tables as a whole are locked for the
/// change of the catalogue alone.
const DROP_MESSAGES: &str = "
    CREATE FUNCTION queue.drop_messages(suffix text, before timestamptz) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog SET lock_timeout = '2s' AS $$
    DECLARE
        messages text := 'messages_' || suffix;
        states text := 'message_state_' || suffix;
        lower uuid;
        upper uuid;
        found boolean;
    BEGIN
        PERFORM pg_advisory_xact_lock(1650553189);
        SELECT coalesce(p.first, '00000000-0000-0000-0000-000000000000'), p.past INTO lower, upper
        FROM queue.partitions p JOIN queue.partitions s ON s.parent = 'message_state' AND s.name = states AND s.past = p.past
        WHERE p.parent = 'messages' AND p.name = messages;
        IF upper IS NULL THEN
            RETURN 'unknown';
        ELSIF upper > queue.first_id(least(before, now() - interval '7 days')) THEN
            RETURN 'young';
        END IF;
        PERFORM queue.sees(ARRAY[messages, states, 'ready', 'scheduled', 'in_flight', 'idempotency_keys', 'provider_ids', 'dead_letters']);
        EXECUTE format('LOCK TABLE queue.%I, queue.%I IN EXCLUSIVE MODE', states, messages);
        EXECUTE format('SELECT EXISTS (SELECT FROM queue.%I WHERE state < 5)', states) INTO found;
        IF found THEN
            RETURN 'unsent';
        END IF;
        IF EXISTS (SELECT FROM queue.ready r WHERE r.message_id >= lower AND r.message_id < upper)
            OR EXISTS (SELECT FROM queue.scheduled r WHERE r.message_id >= lower AND r.message_id < upper)
            OR EXISTS (SELECT FROM queue.in_flight r WHERE r.message_id >= lower AND r.message_id < upper)
        THEN
            RETURN 'waiting';
        END IF;
        -- A key is as old as its message.
        IF EXISTS (SELECT FROM queue.idempotency_keys k WHERE k.created_at < queue.id_time(upper) + interval '1 hour')
            OR EXISTS (SELECT FROM queue.provider_ids r WHERE r.message_id >= lower AND r.message_id < upper)
            OR EXISTS (SELECT FROM queue.dead_letters r WHERE r.message_id >= lower AND r.message_id < upper)
        THEN
            RETURN 'referred';
        END IF;
        PERFORM set_config('lock_timeout', '50ms', true);
        LOCK TABLE ONLY queue.message_state, ONLY queue.messages IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('ALTER TABLE queue.message_state DETACH PARTITION queue.%I', states);
        EXECUTE format('ALTER TABLE queue.messages DETACH PARTITION queue.%I', messages);
        EXECUTE format('DROP TABLE queue.%I, queue.%I', states, messages);
        RETURN 'dropped';
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        RETURN 'busy';
    END $$";

/// Drops a partition of events, up to the position that is told. Says 'dropped' or why not: as `drop_messages`, 'messages' while messages of
/// that time are kept, whose history it is, or 'untold'.
const DROP_EVENTS: &str = "
    CREATE FUNCTION queue.drop_events(suffix text, before timestamptz, generation integer, transaction xid8, sequence bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '2s' AS $$
    DECLARE
        events text := 'message_events_' || suffix;
        lower uuid;
        upper uuid;
        found boolean;
    BEGIN
        PERFORM pg_advisory_xact_lock(1650553189);
        SELECT coalesce(p.first, '00000000-0000-0000-0000-000000000000'), p.past INTO lower, upper
        FROM queue.partitions p WHERE p.parent = 'message_events' AND p.name = events;
        IF upper IS NULL THEN
            RETURN 'unknown';
        ELSIF upper > queue.first_id(least(before, now() - interval '7 days')) THEN
            RETURN 'young';
        ELSIF EXISTS (SELECT FROM queue.partitions p WHERE p.parent = 'messages' AND p.past IS NOT NULL
            AND (p.first IS NULL OR p.first < upper))
        THEN
            RETURN 'messages';
        END IF;
        PERFORM queue.sees(ARRAY[events]);
        EXECUTE format('LOCK TABLE queue.%I IN EXCLUSIVE MODE', events);
        EXECUTE format('SELECT EXISTS (SELECT FROM queue.%I e WHERE (e.generation, e.xid, e.seq) > ($1, $2, $3))', events) INTO found
            USING generation, transaction, sequence;
        IF found THEN
            RETURN 'untold';
        END IF;
        PERFORM set_config('lock_timeout', '50ms', true);
        LOCK TABLE ONLY queue.message_events IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('ALTER TABLE queue.message_events DETACH PARTITION queue.%I', events);
        EXECUTE format('DROP TABLE queue.%I', events);
        RETURN 'dropped';
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        RETURN 'busy';
    END $$";

fn functions() -> Vec<String> {
    let mut statements = vec!["GRANT SELECT ON queue.partitions TO barid_queue_engine".to_owned()];
    for function in [
        "protect_partition(text)",
        "sees(text[])",
        "make_partition(date)",
        "drop_messages(text, timestamptz)",
        "drop_events(text, timestamptz, integer, xid8, bigint)",
    ] {
        statements.push(format!("REVOKE ALL ON FUNCTION queue.{function} FROM PUBLIC"));
        if !function.starts_with("protect") && !function.starts_with("sees") {
            statements.push(format!("GRANT EXECUTE ON FUNCTION queue.{function} TO barid_queue_engine"));
        }
    }
    statements
}

/// Whom a session has sent something: asked at every claim, which would otherwise look for it in every partition.
fn acquaintances() -> Vec<String> {
    all([
        one("CREATE TABLE queue.acquaintances (
            session_id uuid NOT NULL,
            contact_id uuid NOT NULL,
            tenant_id uuid NOT NULL,
            PRIMARY KEY (session_id, contact_id)
        )"),
        one("CREATE INDEX ON queue.acquaintances (contact_id)"),
        ["before", "rest"]
            .map(|suffix| {
                format!(
                    "INSERT INTO queue.acquaintances SELECT DISTINCT m.session_id, m.contact_id, m.tenant_id FROM queue.messages_{suffix} m
                     JOIN queue.message_state_{suffix} s ON s.message_id = m.id WHERE s.sent_at IS NOT NULL ON CONFLICT DO NOTHING"
                )
            })
            .to_vec(),
        tenant_table("queue", "acquaintances", Access::Full),
    ])
}
