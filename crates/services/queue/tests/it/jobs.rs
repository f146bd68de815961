//! Bulk jobs: watched, paused, resumed and called back together.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use barid_bus::Channel;
use barid_domain::{JobId, SessionId, TenantId};
use barid_proto::{
    queue::v1::{
        Acknowledged, BatchSendMessagesRequest, CancelJobRequest, CreateJobRequest, Failure, GetJobRequest, Job, JobState, ListJobsRequest,
        ListMessagesRequest, Message, MessageState, PauseJobRequest, ResumeJobRequest, SendMessageRequest, batch_outcome,
        job_service_client::JobServiceClient, outcome::Outcome,
    },
    status::reason,
};
use barid_testkit::eventually;
use tonic::Status;

use crate::house::{House, claim_id};

struct Office {
    house: House,
    jobs: JobServiceClient<Channel>,
    tenant: TenantId,
    session: SessionId,
}

impl Office {
    async fn open() -> Result<Self> {
        let house = House::start().await?;
        let (tenant, session) = (house.ids.mint(), house.ids.mint());
        house.fence(session, 1).await?;
        Ok(Self { jobs: JobServiceClient::new(house.bus.channel()), house, tenant, session })
    }

    async fn make(&self) -> Result<String> {
        let request = CreateJobRequest { display_name: "Invoices".into(), ..CreateJobRequest::default() };
        Ok(self.jobs.clone().create_job(House::on_behalf_of(self.tenant, request)).await?.into_inner().id)
    }

    /// Hands messages over for customers of their own; gives back their ids, or why not.
    async fn give(&self, job: &str, customers: std::ops::Range<u32>) -> Result<Vec<Result<String, String>>> {
        let messages = customers.map(|customer| SendMessageRequest {
            recipient: format!("2010000{customer:05}"),
            text: "invoice".into(),
            session_id: self.session.to_string(),
            ..SendMessageRequest::default()
        });
        let call = BatchSendMessagesRequest { messages: messages.collect(), job_id: job.into(), ..BatchSendMessagesRequest::default() };
        let outcomes = self.house.messages().batch_send_messages(House::on_behalf_of(self.tenant, call)).await?.into_inner().outcomes;
        let outcomes = outcomes.into_iter().map(|outcome| match outcome.outcome {
            Some(batch_outcome::Outcome::Accepted(accepted)) => Ok(accepted.id),
            Some(batch_outcome::Outcome::Error(status)) => Err(status.message),
            None => Err(String::new()),
        });
        Ok(outcomes.collect())
    }

    async fn job(&self, id: &str) -> Result<Job, Status> {
        let request = GetJobRequest { id: id.to_owned(), ..GetJobRequest::default() };
        Ok(self.jobs.clone().get_job(House::on_behalf_of(self.tenant, request)).await?.into_inner())
    }

    async fn pause(&self, id: &str) -> Result<Job, Status> {
        let request = PauseJobRequest { id: id.to_owned(), ..PauseJobRequest::default() };
        Ok(self.jobs.clone().pause_job(House::on_behalf_of(self.tenant, request)).await?.into_inner())
    }

    async fn resume(&self, id: &str) -> Result<Job, Status> {
        let request = ResumeJobRequest { id: id.to_owned(), ..ResumeJobRequest::default() };
        Ok(self.jobs.clone().resume_job(House::on_behalf_of(self.tenant, request)).await?.into_inner())
    }

    async fn cancel(&self, id: &str) -> Result<Job, Status> {
        let request = CancelJobRequest { id: id.to_owned(), ..CancelJobRequest::default() };
        Ok(self.jobs.clone().cancel_job(House::on_behalf_of(self.tenant, request)).await?.into_inner())
    }

    /// Eight calls, all of which have read what they read when the first one writes.
    async fn at_once<T>(&self, call: impl Fn() -> T) -> Result<Vec<T::Output>>
    where
        T: Future,
    {
        let gate = ["DO $$ BEGIN LOCK TABLE queue.jobs IN SHARE MODE; PERFORM pg_sleep(2); END $$"];
        let closed = "SELECT count(*) FROM pg_locks WHERE relation = 'queue.jobs'::regclass AND mode = 'ShareLock' AND granted";
        let (held, made) = tokio::join!(self.house.database.execute(&gate), async {
            eventually(Duration::from_secs(10), || async {
                ensure!(self.house.database.execute(&[closed]).await? == "1", "the gate is open");
                Ok(())
            })
            .await?;
            anyhow::Ok(futures::future::join_all((0..8).map(|_| call())).await)
        });
        held?;
        made
    }

    async fn claim(&self, max: u32) -> Result<Vec<barid_proto::queue::v1::ClaimedMessage>> {
        Ok(self.house.claim(&claim_id(), &[(self.session, 1, max)]).await?.messages)
    }

    async fn reaches(&self, id: &str, state: MessageState, reason: &str) -> Result<Message> {
        eventually(Duration::from_secs(10), || async {
            let message = self.house.message(self.tenant, id).await?;
            ensure!(message.state() == state && message.reason == reason, "{message:?}");
            Ok(message)
        })
        .await
    }
}

fn progress(job: &Job) -> BTreeMap<&'static str, u32> {
    job.progress.iter().map(|part| (part.state().as_str_name().trim_start_matches("MESSAGE_STATE_"), part.messages)).collect()
}

fn sent(id: &str) -> Outcome {
    Outcome::Acknowledged(Acknowledged { provider_id: format!("wamid.{id}") })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_tells_how_far_it_is() -> Result<()> {
    let office = Office::open().await?;
    let (job, other) = (office.make().await?, office.make().await?);
    office.give(&job, 0..5).await?;
    office.give(&job, 5..8).await?;
    office.give("", 8..9).await?;
    for claimed in office.claim(2).await? {
        office.house.report(&claimed, sent(&claimed.message_id)).await?;
    }
    office.claim(1).await?;
    let told = office.job(&job).await?;
    assert_eq!((told.total, told.state(), told.reconciling), (8, JobState::Running, false));
    assert_eq!(progress(&told), BTreeMap::from([("QUEUED", 5), ("SENDING", 1), ("SENT", 2)]));
    let list = ListMessagesRequest { job_id: job.clone(), states: vec![MessageState::Sent.into()], ..ListMessagesRequest::default() };
    let messages = office.house.messages().list_messages(House::on_behalf_of(office.tenant, list)).await?.into_inner().messages;
    assert!(messages.len() == 2 && messages.iter().all(|message| message.job_id == job));

    let page = |page_token: String| ListJobsRequest { page_size: 1, page_token, ..ListJobsRequest::default() };
    let first = office.jobs.clone().list_jobs(House::on_behalf_of(office.tenant, page(String::new()))).await?.into_inner();
    let second = office.jobs.clone().list_jobs(House::on_behalf_of(office.tenant, page(first.next_page_token))).await?.into_inner();
    assert_eq!((&first.jobs[0].id, &second.jobs[0].id, second.jobs[0].total), (&other, &job, 8), "newest first");
    assert_eq!(second.next_page_token, "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_sends_nothing_until_it_is_resumed() -> Result<()> {
    let office = Office::open().await?;
    let job = office.make().await?;
    let ids: Vec<String> = office.give(&job, 0..4).await?.into_iter().flatten().collect();
    let under_way = office.claim(1).await?.remove(0);
    let paused = office.pause(&job).await?;
    assert_eq!((paused.state(), paused.reconciling), (JobState::Paused, false));
    assert_eq!(progress(&paused), BTreeMap::from([("SCHEDULED", 3), ("SENDING", 1)]), "what is under way is no more held");
    let more = office.give(&job, 4..5).await?.remove(0).map_err(anyhow::Error::msg)?;
    office.reaches(&more, MessageState::Scheduled, "job_paused").await?;
    assert!(office.claim(10).await?.is_empty());
    // What comes back does not slip through.
    office.house.report(&under_way, Outcome::Returned(Failure { reason: "meta_unavailable".into(), not_before: None })).await?;
    assert!(office.claim(10).await?.is_empty());
    let message = office.reaches(&under_way.message_id, MessageState::Scheduled, "job_paused").await?;
    assert_eq!(message.history.last().context("a step")?.reason, "job_paused");
    assert_eq!(office.pause(&job).await?.state(), JobState::Paused, "once more changes nothing");

    office.resume(&job).await?;
    for id in ids.iter().chain([&more]) {
        office.reaches(id, MessageState::Queued, "").await?;
    }
    assert_eq!(office.claim(10).await?.len(), 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scheduled_keeps_its_time_through_a_pause() -> Result<()> {
    let office = Office::open().await?;
    let job = office.make().await?;
    let soon = office.give(&job, 0..1).await?.remove(0).map_err(anyhow::Error::msg)?;
    let now = office.house.message(office.tenant, &soon).await?.create_time.context("a time")?;
    let at = Some(prost_types::Timestamp { seconds: now.seconds + 3600, nanos: 0 });
    let request = SendMessageRequest {
        recipient: "201234567890".into(),
        text: "later".into(),
        schedule_time: at,
        job_id: job.clone(),
        ..Default::default()
    };
    let later = office.house.send_request(office.tenant, office.session, request).await?;
    office.pause(&job).await?;
    assert_eq!(office.reaches(&later, MessageState::Scheduled, "job_paused").await?.due_time, at);
    office.resume(&job).await?;
    assert_eq!(office.reaches(&later, MessageState::Scheduled, "").await?.due_time, at);
    office.reaches(&soon, MessageState::Queued, "").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_calls_back_what_is_not_under_way() -> Result<()> {
    let office = Office::open().await?;
    let job = office.make().await?;
    let ids: Vec<String> = office.give(&job, 0..4).await?.into_iter().flatten().collect();
    let mut under_way = office.claim(2).await?;
    let cancelled = office.cancel(&job).await?;
    assert_eq!((cancelled.state(), cancelled.reconciling), (JobState::Cancelled, false));
    assert_eq!(progress(&cancelled), BTreeMap::from([("CANCELLED", 2), ("SENDING", 2)]));
    let (back, out) = (under_way.remove(0), under_way.remove(0));
    office.house.report(&out, sent("1")).await?;
    office.house.report(&back, Outcome::Retry(Failure { reason: "rejected".into(), not_before: None })).await?;
    assert_eq!(office.house.message(office.tenant, &out.message_id).await?.state(), MessageState::Sent);
    office.reaches(&back.message_id, MessageState::Cancelled, "job_cancelled").await?;
    assert_eq!(progress(&office.job(&job).await?), BTreeMap::from([("CANCELLED", 3), ("SENT", 1)]));
    assert_eq!(ids.len(), 4);

    let refused = office.give(&job, 4..5).await?.remove(0).expect_err("takes no more");
    assert!(refused.starts_with("the job is cancelled"), "{refused}");
    for refused in [office.pause(&job).await, office.resume(&job).await] {
        assert_eq!(reason(&refused.expect_err("for good")).as_deref(), Some("WRONG_STATE"));
    }
    assert_eq!(office.job(&job).await?.total, 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_while_a_job_is_paused_is_held_or_found() -> Result<()> {
    let office = Office::open().await?;
    let job = office.make().await?;
    let given = async {
        for round in 0..10 {
            office.give(&job, round * 10..round * 10 + 10).await?;
        }
        anyhow::Ok(())
    };
    let paused = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        Ok(office.pause(&job).await?)
    };
    tokio::try_join!(given, paused)?;
    assert!(office.claim(200).await?.is_empty(), "a paused job let something through");
    assert_eq!(progress(&office.job(&job).await?), BTreeMap::from([("SCHEDULED", 100)]));
    let resumed = tokio::try_join!(async { Ok::<_, anyhow::Error>(office.resume(&job).await?) }, async {
        office.give(&job, 100..110).await.map(drop)
    })?;
    assert_eq!(resumed.0.state(), JobState::Running);
    eventually(Duration::from_secs(10), || async {
        let job = office.job(&job).await?;
        ensure!(progress(&job) == BTreeMap::from([("QUEUED", 110)]), "{:?}", progress(&job));
        Ok(())
    })
    .await?;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(office.house.database.execute(&[deadlocks]).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_belongs_to_its_tenant_and_has_its_limits() -> Result<()> {
    let office = Office::open().await?;
    let job = office.make().await?;
    let stranger = House::on_behalf_of(office.house.ids.mint(), GetJobRequest { id: job.clone(), ..GetJobRequest::default() });
    assert_eq!(office.jobs.clone().get_job(stranger).await.expect_err("another's").code(), tonic::Code::NotFound);
    let nobodys: JobId = office.house.ids.mint();
    let refused = office.give(&nobodys.to_string(), 0..1).await?.remove(0).expect_err("there is none");
    assert!(refused.starts_with("there is no job"), "{refused}");
    assert!(office.give("invoices", 0..1).await?.remove(0).expect_err("no id").starts_with("jobId: is no job"));

    office.house.database.execute(&["UPDATE queue.jobs SET total = 99998"]).await?;
    let outcomes = office.give(&job, 0..3).await?;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2);
    assert!(outcomes.into_iter().filter_map(Result::err).all(|says| says.starts_with("the job has 100000 messages")));
    let thousand = "INSERT INTO queue.jobs SELECT gen_random_uuid(), tenant_id, 'x', 1, 0, true, created_at, updated_at FROM queue.jobs, generate_series(2, 1000)";
    office.house.database.execute(&[thousand]).await?;
    let request = CreateJobRequest { display_name: "one more".into(), ..CreateJobRequest::default() };
    let refused = office.jobs.clone().create_job(House::on_behalf_of(office.tenant, request)).await.expect_err("too many");
    assert_eq!(reason(&refused).as_deref(), Some("TOO_MANY_JOBS"));
    let empty = House::on_behalf_of(office.tenant, CreateJobRequest { display_name: " ".into(), ..CreateJobRequest::default() });
    assert!(office.jobs.clone().create_job(empty).await.expect_err("no name").message().starts_with("displayName: "));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_repeated_makes_one_job() -> Result<()> {
    let office = Office::open().await?;
    let make = |name: &str, key: &str| {
        let (mut jobs, request) =
            (office.jobs.clone(), CreateJobRequest { display_name: name.into(), idempotency_key: key.into(), ..Default::default() });
        async move { jobs.create_job(House::on_behalf_of(office.tenant, request)).await.map(|job| job.into_inner().id) }
    };
    let ids = office.at_once(|| make("Invoices", "january")).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(reason(&make("Reminders", "january").await.expect_err("another name")).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
    assert_ne!(make("Invoices", "february").await?, ids[0]);
    assert_ne!(make("Invoices", "").await?, make("Invoices", "").await?);
    let stranger = House::on_behalf_of(
        office.house.ids.mint(),
        CreateJobRequest { display_name: "Invoices".into(), idempotency_key: "january".into(), ..Default::default() },
    );
    assert_ne!(office.jobs.clone().create_job(stranger).await?.into_inner().id, ids[0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_limit_one_of_many_calls_makes_a_job() -> Result<()> {
    let office = Office::open().await?;
    office.make().await?;
    let more = "INSERT INTO queue.jobs SELECT gen_random_uuid(), tenant_id, 'x', 1, 0, true, created_at, updated_at FROM queue.jobs, generate_series(2, 999)";
    office.house.database.execute(&[more]).await?;
    let made = office.at_once(|| office.make()).await?.into_iter().filter(Result::is_ok).count();
    assert_eq!((made, office.house.database.execute(&["SELECT count(*) FROM queue.jobs"]).await?.as_str()), (1, "1000"));
    Ok(())
}

/// More messages than a commit takes, of a job that has one. Given to the store, where calls would take their time.
async fn crowd(office: &Office, job: &str) -> Result<()> {
    let id = office.give(job, 0..1).await?.remove(0).map_err(anyhow::Error::msg)?;
    // Ids of the same moment, above and below.
    let copies = |table: &str, column: &str| {
        format!(
            "INSERT INTO queue.{table} SELECT (jsonb_populate_record(t, jsonb_build_object('{column}',
                overlay(t.{column}::text placing lpad(to_hex(n), 12, '0') from 25)::uuid))).* FROM queue.{table} t, generate_series(1, 2300) n"
        )
    };
    let statements = [copies("messages", "id"), copies("message_state", "message_id"), copies("ready", "message_id")];
    let [messages, states, ready] = &statements;
    office.house.database.execute(&[messages, states, ready, "UPDATE queue.jobs SET total = 2301"]).await?;
    assert_eq!(progress(&office.job(job).await?), BTreeMap::from([("QUEUED", 2301)]), "{id}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_thousands_follows_as_a_whole() -> Result<()> {
    let office = Office::open().await?;
    let job = office.make().await?;
    crowd(&office, &job).await?;
    let waiting = "SELECT (SELECT count(*) FROM queue.ready), (SELECT count(*) FROM queue.scheduled), (SELECT count(*) FROM queue.scheduled WHERE held)";
    for (told, state, rows) in [
        (office.pause(&job).await?, ("SCHEDULED", JobState::Paused), "0|2301|2301"),
        (office.pause(&job).await?, ("SCHEDULED", JobState::Paused), "0|2301|2301"),
    ] {
        assert_eq!((progress(&told), told.state(), told.reconciling), (BTreeMap::from([(state.0, 2301)]), state.1, false));
        assert_eq!(office.house.database.execute(&[waiting]).await?, rows);
    }
    let steps = "SELECT count(*), count(DISTINCT entity_id) FROM queue.message_events WHERE kind = 'scheduled'";
    assert_eq!(office.house.database.execute(&[steps]).await?, "2301|2301", "each was told once");

    assert_eq!(office.resume(&job).await?.state(), JobState::Running);
    eventually(Duration::from_secs(30), || async {
        let rows = office.house.database.execute(&[waiting]).await?;
        ensure!(rows == "2301|0|0", "{rows}");
        Ok(())
    })
    .await?;

    let cancelled = office.cancel(&job).await?;
    assert_eq!((progress(&cancelled), cancelled.reconciling), (BTreeMap::from([("CANCELLED", 2301)]), false));
    assert_eq!(office.house.database.execute(&[waiting]).await?, "0|0|0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_is_overtaken_by_another_change_begins_anew() -> Result<()> {
    let office = Office::open().await?;
    let job = office.make().await?;
    crowd(&office, &job).await?;
    // All ways at once: whoever comes last is right for every message.
    let calls = (0..6).map(async |round| if round % 2 == 0 { office.pause(&job).await } else { office.resume(&job).await });
    futures::future::try_join_all(calls).await?;
    let last = office.pause(&job).await?;
    assert_eq!(last.state(), JobState::Paused);
    eventually(Duration::from_secs(30), || async {
        let told = office.job(&job).await?;
        ensure!(!told.reconciling && progress(&told) == BTreeMap::from([("SCHEDULED", 2301)]), "{told:?}");
        Ok(())
    })
    .await?;
    assert_eq!(office.house.database.execute(&["SELECT count(*) FROM queue.scheduled WHERE NOT held"]).await?, "0");
    Ok(())
}
