//! Messages and events by days: made ahead, never in the way, and dropped as a whole when all in them is over and old.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use barid_domain::{Clock, ManualClock, SessionId, SystemClock, TenantId};
use barid_proto::{
    queue::v1::{Acknowledged, CancelMessageRequest, ListMessagesRequest, MessageState, ReceiptKind, SendMessageRequest, outcome::Outcome},
    timestamp,
};
use barid_testkit::eventually;
use chrono::{DateTime, TimeDelta, Utc};

use crate::house::{House, claim_id};

/// As if the tables had been made a hundred days ago.
const LONG_AGO: &str = "DO $$ DECLARE t text; past uuid := queue.first_id(date_trunc('day', now(), 'UTC') - interval '100 days');
    BEGIN
        FOREACH t IN ARRAY ARRAY['messages', 'message_state', 'message_events'] LOOP
            EXECUTE format('ALTER TABLE queue.%1$s DETACH PARTITION queue.%1$s_before', t);
            EXECUTE format('ALTER TABLE queue.%1$s ATTACH PARTITION queue.%1$s_before FOR VALUES FROM (MINVALUE) TO (%2$L)', t, past);
        END LOOP;
        PERFORM queue.make_partition((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(-30, 0) n;
    END $$";

struct Past {
    house: House,
    clock: Arc<ManualClock>,
    tenant: TenantId,
    session: SessionId,
}

impl Past {
    async fn begin(days: i64) -> Result<Self> {
        let clock = Arc::new(ManualClock::at(SystemClock.now() - TimeDelta::days(days)));
        let house = House::start_in("retention = \"14d\"", clock.clone(), &[LONG_AGO]).await?;
        let (tenant, session) = (house.ids.mint(), house.ids.mint());
        house.fence(session, 1).await?;
        Ok(Self { house, clock, tenant, session })
    }

    /// Sends something to an end; gives back its id.
    async fn sent(&self) -> Result<String> {
        let id = self.house.send(self.tenant, self.session, "201000000001", "invoice").await?;
        let claimed = self.house.claim(&claim_id(), &[(self.session, 1, 1)]).await?.messages.remove(0);
        ensure!(claimed.message_id == id, "another message");
        self.house.report(&claimed, Outcome::Acknowledged(Acknowledged { provider_id: format!("wamid.{id}") })).await?;
        Ok(id)
    }

    /// The day of now, as partitions are named.
    fn day(&self) -> String {
        self.clock.now().format("%Y%m%d").to_string()
    }

    async fn is_there(&self, table: &str, day: &str) -> Result<bool> {
        Ok(self.house.database.execute(&[&format!("SELECT to_regclass('queue.{table}_{day}') IS NOT NULL")]).await? == "t")
    }

    async fn is_gone(&self, table: &str, day: &str) -> Result<()> {
        eventually(Duration::from_secs(10), || async {
            ensure!(!self.is_there(table, day).await?, "{table}_{day} is there");
            Ok(())
        })
        .await
    }

    async fn told(&self) -> Result<()> {
        eventually(Duration::from_secs(10), || async {
            self.house.database.settle().await?;
            ensure!(self.house.figure("barid_relay_lag_seconds{entity=\"message\"}")? == 0.0, "events wait to be told");
            Ok(())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_weeks_are_made_ahead_at_start() -> Result<()> {
    let lost = "DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT p.name FROM queue.partitions p WHERE p.first > queue.first_id(now() + interval '5 days')
        LOOP EXECUTE format('DROP TABLE queue.%I', name); END LOOP; END $$";
    let house = House::start_in("", Arc::new(SystemClock), &[lost]).await?;
    let missing = "SELECT count(*) FROM generate_series(0, 14) n, (VALUES ('messages'), ('message_state'), ('message_events')) t(parent)
        WHERE NOT EXISTS (SELECT FROM queue.partitions p WHERE p.parent = t.parent
            AND coalesce(p.first, '00000000-0000-0000-0000-000000000000') <= queue.first_id(now() + n * interval '1 day')
            AND p.past > queue.first_id(now() + n * interval '1 day'))";
    eventually(Duration::from_secs(10), || async {
        let missing = house.database.execute(&[missing]).await?;
        ensure!(missing == "0", "{missing} are missing");
        Ok(())
    })
    .await?;
    assert_eq!(barid_migrations::check(&house.database.admin_url()).await?, [], "protected as their parents");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clock_far_ahead_writes_is_kept_and_finds_its_day() -> Result<()> {
    let soon = SystemClock.now() + TimeDelta::days(20);
    for (at, is_made) in [(soon, true), (SystemClock.now() + TimeDelta::days(4000), false)] {
        let house = House::start_on("", Arc::new(ManualClock::at(at))).await?;
        let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
        house.fence(session, 1).await?;
        let id = house.send(tenant, session, "201000000001", "invoice").await?;
        let rest = "SELECT (SELECT count(*) FROM queue.messages_rest), (SELECT count(*) FROM queue.message_state_rest),
                    (SELECT count(*) > 0 FROM queue.message_events_rest)";
        assert_eq!(house.database.execute(&[rest]).await?, "1|1|t");
        let claimed = house.claim(&claim_id(), &[(session, 1, 1)]).await?.messages.remove(0);
        house.report(&claimed, Outcome::Acknowledged(Acknowledged { provider_id: "wamid.1".into() })).await?;
        if is_made {
            house.database.execute(&[&format!("SELECT queue.make_partition('{}')", at.date_naive())]).await?;
            assert_eq!(house.database.execute(&[rest]).await?, "0|0|f");
        }
        let message = house.message(tenant, &id).await?;
        assert_eq!((message.state(), message.history.len()), (MessageState::Sent, 3), "{message:?}");
        assert_eq!(house.list_events(tenant, "").await?.len(), 3);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_and_old_goes_and_what_is_not_stays() -> Result<()> {
    let past = Past::begin(20).await?;
    let (first, id) = (past.day(), past.sent().await?);
    let jobs = "INSERT INTO queue.jobs SELECT gen_random_uuid(), tenant_id, name, 1, 0, true, created_at, created_at FROM queue.messages,
        (VALUES ('empty'), ('full')) AS j(name)";
    past.house.database.execute(&[jobs]).await?;
    let unknown = past.house.receipt(past.session, &format!("wamid.{id}"), "", ReceiptKind::Delivered).await?;
    assert_eq!((unknown.applied, unknown.parked), (1, 0));
    past.clock.advance(TimeDelta::days(1));
    let second = past.day();
    past.sent().await?;
    // Seventy days from now.
    let schedule_time = Some(timestamp(past.clock.now() + TimeDelta::days(89)));
    let waiting = SendMessageRequest { schedule_time, recipient: "201000000002".into(), text: "later".into(), ..Default::default() };
    let waiting = past.house.send_request(past.tenant, past.session, waiting).await?;
    past.told().await?;
    let joined = "UPDATE queue.messages SET job_id = (SELECT id FROM queue.jobs WHERE display_name = 'full')
        WHERE id = (SELECT message_id FROM queue.scheduled)";
    past.house.database.execute(&[joined]).await?;

    past.clock.advance(TimeDelta::days(19));
    past.house.replica(past.clock.clone()).await?;
    past.is_gone("messages", &first).await?;
    past.is_gone("message_events", &first).await?;
    assert!(!past.is_there("message_state", &first).await? && !past.is_there("messages", "before").await?);
    let refused = past.house.message(past.tenant, &id).await.expect_err("it is gone");
    assert!(refused.to_string().contains("there is no message"), "{refused}");
    assert_eq!(past.house.database.execute(&["SELECT count(*) FROM queue.provider_ids"]).await?, "1", "of the other one");
    eventually(Duration::from_secs(10), || async {
        let jobs = past.house.database.execute(&["SELECT string_agg(display_name, ' ' ORDER BY display_name) FROM queue.jobs"]).await?;
        ensure!(jobs == "full", "{jobs}");
        Ok(())
    })
    .await?;
    // A receipt for it belongs to nothing any more.
    let late = past.house.receipt(past.session, &format!("wamid.{id}"), "", ReceiptKind::Read).await?;
    assert_eq!((late.applied, late.parked), (0, 1));
    let message = past.house.message(past.tenant, &waiting).await?;
    assert_eq!((message.state(), message.history.len()), (MessageState::Scheduled, 1));
    assert!(past.is_there("messages", &second).await? && past.is_there("message_events", &second).await?);
    let known = past.house.send(past.tenant, past.session, "201000000001", "again").await?;
    let again = past.house.claim(&claim_id(), &[(past.session, 1, 1)]).await?.messages.remove(0);
    assert!(again.message_id == known && again.known_contact, "whom we wrote to is known for good");

    let cancel = CancelMessageRequest { id: waiting.clone(), ..CancelMessageRequest::default() };
    past.house.messages().cancel_message(House::on_behalf_of(past.tenant, cancel)).await?;
    past.told().await?;
    past.house.replica(past.clock.clone()).await?;
    past.is_gone("messages", &second).await?;
    past.is_gone("message_events", &second).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_that_is_young_untold_or_referred_to() -> Result<()> {
    let past = Past::begin(20).await?;
    let (day, id) = (past.day(), past.sent().await?);
    let database = &past.house.database;
    let drop = async |statement: &str| -> Result<String> { database.execute(&[statement]).await };
    let messages = |before: &str| format!("SELECT queue.drop_messages('{day}', now() - interval '{before}')");
    assert_eq!(drop("SELECT queue.drop_messages('20010101', now())").await?, "unknown");
    assert_eq!(drop("SELECT queue.drop_messages('rest', now())").await?, "unknown");
    assert_eq!(drop(&messages("30 days")).await?, "young");
    let today = SystemClock.now().format("%Y%m%d");
    assert_eq!(drop(&format!("SELECT queue.drop_messages('{today}', now() + interval '1 year')")).await?, "young", "whoever asks for it");
    assert_eq!(drop(&messages("14 days")).await?, "referred");
    database.execute(&["DELETE FROM queue.provider_ids"]).await?;
    for (state, says) in [(1, "unsent"), (2, "unsent"), (3, "unsent"), (4, "unsent")] {
        database.execute(&[&format!("UPDATE queue.message_state SET state = {state}")]).await?;
        assert_eq!(drop(&messages("14 days")).await?, says, "{state}");
    }
    database.execute(&["UPDATE queue.message_state SET state = 5"]).await?;
    let uuid = "(SELECT id FROM queue.messages)";
    for (refer, says) in [
        (format!("INSERT INTO queue.scheduled VALUES ({uuid}, gen_random_uuid(), now(), now())"), "waiting"),
        (
            format!("INSERT INTO queue.ready VALUES ({uuid}, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, now(), now())"),
            "waiting",
        ),
        (
            format!(
                "INSERT INTO queue.in_flight VALUES ({uuid}, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, now())"
            ),
            "waiting",
        ),
        (format!("INSERT INTO queue.dead_letters VALUES ({uuid}, gen_random_uuid(), now())"), "referred"),
        (format!("INSERT INTO queue.idempotency_keys VALUES (gen_random_uuid(), 'k', '', {uuid}, now() - interval '20 days')"), "referred"),
    ] {
        database.execute(&[&refer]).await?;
        assert_eq!(drop(&messages("14 days")).await?, says, "{refer}");
        let table = refer.split_whitespace().nth(2).expect("a table");
        database.execute(&[&format!("DELETE FROM {table}")]).await?;
    }
    let events = |position: &str| format!("SELECT queue.drop_events('{day}', now() - interval '14 days', {position})");
    let last = database
        .execute(&["SELECT generation || ', ''' || xid || ''', ' || seq FROM queue.message_events ORDER BY xid DESC, seq DESC LIMIT 1"])
        .await?;
    assert_eq!(drop(&events(&last)).await?, "messages", "whose history it is");
    let earlier = "SELECT queue.drop_messages(suffix, now() - interval '14 days') FROM queue.partitions WHERE parent = 'messages'
        AND past < (SELECT first FROM queue.partitions WHERE name = 'messages_%') ORDER BY past";
    drop(&earlier.replace('%', &day).replace("past <", "past <=")).await?;
    assert!(past.is_there("messages", &day).await?);
    assert_eq!(past.house.message(past.tenant, &id).await?.state(), MessageState::Sent);
    assert_eq!(drop(&messages("14 days")).await?, "dropped");
    assert_eq!(drop(&events("1, '3', 0")).await?, "untold");
    assert_eq!(drop(&events(&last)).await?, "dropped");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_while_a_partition_is_dropped() -> Result<()> {
    let past = Past::begin(20).await?;
    let (day, _) = (past.day(), past.sent().await?);
    past.clock.advance(TimeDelta::days(20));
    past.house.database.execute(&["DELETE FROM queue.provider_ids"]).await?;
    let drop = format!("SELECT queue.drop_messages('{day}', now() - interval '14 days')");
    // Somebody reads all messages, and takes their time.
    let slow = "DO $$ BEGIN PERFORM count(*) FROM queue.messages JOIN queue.message_state ON message_id = id; PERFORM pg_sleep(4); END $$";
    let slow = [slow];
    let begun = Instant::now();
    let (read, outcomes, slowest) = tokio::join!(
        past.house.database.execute(&slow),
        async {
            let mut outcomes = Vec::new();
            while begun.elapsed() < Duration::from_secs(3) {
                tokio::time::sleep(Duration::from_millis(200)).await;
                outcomes.push(past.house.database.execute(&[&drop]).await?);
            }
            Ok::<_, anyhow::Error>(outcomes)
        },
        async {
            let mut slowest = Duration::ZERO;
            while begun.elapsed() < Duration::from_secs(3) {
                let sent = Instant::now();
                past.sent().await?;
                slowest = slowest.max(sent.elapsed());
            }
            Ok::<_, anyhow::Error>(slowest)
        },
    );
    read?;
    let (outcomes, slowest) = (outcomes?, slowest?);
    assert!(outcomes.len() > 3 && outcomes.iter().all(|outcome| outcome == "busy"), "{outcomes:?}");
    assert!(slowest < Duration::from_millis(1500), "three commits took {slowest:?}");
    eventually(Duration::from_secs(10), || async {
        let outcome = past.house.database.execute(&[&drop]).await?;
        ensure!(outcome == "dropped", "{outcome}");
        Ok(())
    })
    .await
}

/// Scans of partitions of messages and their states that begin after today.
const ELSEWHERE: &str = "SELECT coalesce(string_agg(relname || ': ' || n, ', '), '') FROM (
        SELECT relname, seq_scan + coalesce(idx_scan, 0) AS n FROM pg_stat_user_tables
        WHERE schemaname = 'queue' AND relname ~ '^(messages|message_state)_(2|rest)'
    ) s WHERE n > 0";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_looked_for_in_its_own_day() -> Result<()> {
    let house = House::start().await?;
    let (tenant, session): (TenantId, SessionId) = (house.ids.mint(), house.ids.mint());
    house.fence(session, 1).await?;
    // Its own looks around at start are over when its days are there.
    tokio::time::sleep(Duration::from_secs(2)).await;
    house.database.execute(&["SELECT pg_stat_reset()"]).await?;
    // More often than a plan is made anew.
    for number in 0..12 {
        let request = SendMessageRequest {
            recipient: "201000000001".into(),
            text: "invoice".into(),
            idempotency_key: format!("request-{number}"),
            ..SendMessageRequest::default()
        };
        let id = house.send_request(tenant, session, request.clone()).await?;
        ensure!(house.send_request(tenant, session, request).await? == id, "another message");
        let claim = claim_id();
        let claimed = house.claim(&claim, &[(session, 1, 1)]).await?.messages.remove(0);
        ensure!(house.claim(&claim, &[(session, 1, 1)]).await?.messages.len() == 1, "the same again");
        house.report(&claimed, Outcome::Acknowledged(Acknowledged { provider_id: format!("wamid.{number}") })).await?;
        house.receipt(session, &format!("wamid.{number}"), "", ReceiptKind::Read).await?;
        ensure!(house.message(tenant, &id).await?.state() == MessageState::Read, "not read");
        let page = ListMessagesRequest { page_token: id, page_size: 10, ..ListMessagesRequest::default() };
        house.messages().list_messages(House::on_behalf_of(tenant, page)).await?;
    }
    let looked = "SELECT sum(idx_scan) > 100 FROM pg_stat_user_tables WHERE relname ~ '^message(s|_state)_before$'";
    eventually(Duration::from_secs(10), || async {
        ensure!(house.database.execute(&[looked]).await? == "t", "not counted yet");
        Ok(())
    })
    .await?;
    assert_eq!(house.database.execute(&[ELSEWHERE]).await?, "");
    Ok(())
}

/// Times that the database and this machine tell agree, which the tests above rely on.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_tells_its_time_to_the_database_as_well() -> Result<()> {
    let house = House::start().await?;
    let id: barid_domain::MessageId = house.ids.mint();
    let told = house.database.execute(&[&format!("SELECT to_json(queue.id_time('{}'))#>>'{{}}'", id.uuid())]).await?;
    let told: DateTime<Utc> = told.parse()?;
    assert_eq!(barid_db::id_time(id.uuid()), Some(told));
    let first = house.database.execute(&[&format!("SELECT queue.first_id('{}')", told.to_rfc3339())]).await?;
    assert_eq!(first, barid_db::first_id(told).to_string());
    for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let (tenant, at): (TenantId, _) = (house.ids.mint(), Some(timestamp(time)));
        let filter = ListMessagesRequest { after: at, before: at, ..ListMessagesRequest::default() };
        let listed = house.messages().list_messages(House::on_behalf_of(tenant, filter)).await;
        assert!(
            listed
                .as_ref()
                .map_or_else(|status| status.code() == tonic::Code::InvalidArgument, |listed| listed.get_ref().messages.is_empty()),
            "{listed:?}"
        );
    }
    Ok(())
}
