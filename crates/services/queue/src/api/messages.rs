//! `MessageService`.

use std::collections::HashMap;

use barid_bus::tenant;
use barid_domain::{MessageId, TenantId};
use barid_proto::{
    Violations, fault, ids,
    queue::v1::{
        AcceptedMessage, BatchOutcome, BatchSendMessagesRequest, BatchSendMessagesResponse, CancelMessageRequest, GetMessageRequest,
        ListMessagesRequest, ListMessagesResponse, Message, MessageState, RedriveMessagesRequest, RedriveMessagesResponse,
        RetryMessageRequest, SendMessageRequest, batch_outcome, message_service_server::MessageService,
    },
    status::to_rpc_status,
};
use prost_types::Timestamp;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{State, page_size, page_start};
use crate::{
    lanes::Lane,
    state::{Fact, Standing},
    store::{DeadLetters, Filter},
};

/// Dead letters that are sent again when a call does not say how many.
const REDRIVEN: u32 = 1000;

#[tonic::async_trait]
impl MessageService for State {
    async fn send_message(&self, request: Request<SendMessageRequest>) -> Result<Response<Message>, Status> {
        let tenant = tenant(&request)?;
        self.send(tenant, request.into_inner()).await
    }

    async fn schedule_message(&self, request: Request<SendMessageRequest>) -> Result<Response<Message>, Status> {
        let tenant = tenant(&request)?;
        if request.get_ref().schedule_time.is_none() {
            let says = "is missing; give a time such as `2026-01-15T08:00:00Z`, or send at once with :send";
            return Err(Violations::one("scheduleTime", "required", says));
        }
        self.send(tenant, request.into_inner()).await
    }

    async fn batch_send_messages(&self, request: Request<BatchSendMessagesRequest>) -> Result<Response<BatchSendMessagesResponse>, Status> {
        let tenant = tenant(&request)?;
        let call = request.into_inner();
        let offset = call.offset;
        let checked = self.items(tenant, call);
        let good = checked.iter().flatten().cloned().collect();
        let accepted = self.accept(tenant, Lane::Batch, good).await;
        if let Some(Err(status)) = accepted.first()
            && accepted.iter().all(|outcome| outcome.as_ref().is_err_and(|status| status.code() == Code::Unavailable))
        {
            // Nothing was taken and everything may be tried again: that is the call's failure, not each message's.
            return Err(status.clone());
        }
        let mut accepted = accepted.into_iter();
        let outcomes = checked.into_iter().zip(offset..).map(|(item, index)| {
            let outcome = item.and_then(|_| accepted.next().unwrap_or_else(|| Err(Status::internal("an outcome is missing"))));
            BatchOutcome { index, outcome: Some(to_outcome(outcome)) }
        });
        Ok(Response::new(BatchSendMessagesResponse { outcomes: outcomes.collect() }))
    }

    async fn stream_messages(&self, _: Request<Streaming<SendMessageRequest>>) -> Result<Response<BatchSendMessagesResponse>, Status> {
        Err(fault(Code::Unimplemented, "STREAM_THROUGH_GATEWAY", "the gateway cuts streams into batches; the queue takes those"))
    }

    async fn get_message(&self, request: Request<GetMessageRequest>) -> Result<Response<Message>, Status> {
        let tenant = tenant(&request)?;
        let id = ids::resource(&request.get_ref().id)?;
        Ok(Response::new(self.store.message(tenant, id).await?))
    }

    async fn list_messages(&self, request: Request<ListMessagesRequest>) -> Result<Response<ListMessagesResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let size = page_size(request.page_size, 50);
        let Some(filter) = self.filter(tenant, &request).await? else { return Ok(Response::new(ListMessagesResponse::default())) };
        let mut messages = self.store.messages(tenant, filter, size + 1).await?;
        let more = messages.len() as u64 > size;
        messages.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let next_page_token = messages.last().filter(|_| more).map(|message| message.id.clone()).unwrap_or_default();
        Ok(Response::new(ListMessagesResponse { messages, next_page_token }))
    }

    async fn cancel_message(&self, request: Request<CancelMessageRequest>) -> Result<Response<Message>, Status> {
        let tenant = tenant(&request)?;
        let id: MessageId = ids::resource(&request.get_ref().id)?;
        let cancelled = self.store.command(tenant, id, Fact::Cancelled, "cancelled").await?;
        cancelled.map(Response::new).map_err(|found| not_possible("cancelled", "only scheduled and queued messages can be", found))
    }

    async fn retry_message(&self, request: Request<RetryMessageRequest>) -> Result<Response<Message>, Status> {
        let tenant = tenant(&request)?;
        let id: MessageId = ids::resource(&request.get_ref().id)?;
        self.store
            .command(tenant, id, Fact::Redriven, "")
            .await?
            .map_err(|found| not_possible("retried", "only dead letters can be", found))?;
        // It is due: its hours and its quota are looked at now rather than in a moment.
        if let Ok(profile) = self.directory.profile(tenant).await
            && let Err(error) = self.store.queue_due(&HashMap::from([(tenant, profile.today(self.store.now()))])).await
        {
            tracing::warn!(message = %id, %error, "a message that is sent again waits for its turn");
        }
        let mut message = self.store.message(tenant, id).await?;
        message.history.clear();
        Ok(Response::new(message))
    }

    async fn redrive_messages(&self, request: Request<RedriveMessagesRequest>) -> Result<Response<RedriveMessagesResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let most = if request.max_count == 0 { REDRIVEN } else { request.max_count };
        let dry_run = request.dry_run;
        let filter = Self::dead_letters(request)?;
        let matched_by_reason = self.store.count_dead_letters(tenant, filter.clone()).await?;
        let matched = matched_by_reason.values().sum();
        let redriven = if dry_run { most.min(matched) } else { self.store.redrive(tenant, filter, most).await? };
        Ok(Response::new(RedriveMessagesResponse { matched, redriven, matched_by_reason }))
    }
}

impl State {
    /// The filter of a request that sends dead letters again.
    fn dead_letters(request: RedriveMessagesRequest) -> Result<DeadLetters, Status> {
        let RedriveMessagesRequest { reasons, session_id, failed_after, failed_before, .. } = request;
        let session = if session_id.is_empty() { None } else { Some(ids::argument("sessionId", &session_id)?) };
        let time = |field: &str, time: Option<Timestamp>| match time.as_ref().map(barid_proto::time) {
            Some(None) => Err(Violations::one(field, "invalid_time", "is no time; give one such as `2026-01-15T08:00:00Z`")),
            time => Ok(time.flatten()),
        };
        let (after, before) = (time("failedAfter", failed_after)?, time("failedBefore", failed_before)?);
        Ok(DeadLetters { reasons, session, after, before })
    }

    async fn send(&self, tenant: TenantId, request: SendMessageRequest) -> Result<Response<Message>, Status> {
        self.accept_one(tenant, Lane::Immediate, request).await.map(Response::new)
    }

    /// The filter of a request; `None` when it names a number that no contact has.
    async fn filter(&self, tenant: TenantId, request: &ListMessagesRequest) -> Result<Option<Filter>, Status> {
        let mut filter = Filter {
            before_id: page_start(&request.page_token)?,
            states: request.states.iter().filter_map(|state| i16::try_from(*state).ok()).collect(),
            template: (!request.template.is_empty()).then(|| request.template.clone()),
            after: request.after.as_ref().and_then(barid_proto::time),
            before: request.before.as_ref().and_then(barid_proto::time),
            dead_letters: request.dead_letters,
            ..Filter::default()
        };
        if !request.session_id.is_empty() {
            filter.session = Some(ids::argument("sessionId", &request.session_id)?);
        }
        if !request.job_id.is_empty() {
            filter.job = Some(ids::argument("jobId", &request.job_id)?);
        }
        if !request.recipient.is_empty() {
            let phone = self.phone(tenant, "recipient", &request.recipient).await?;
            let Some(contact) = self.store.contact(tenant, phone).await? else { return Ok(None) };
            filter.contact = Some(contact.id);
        }
        Ok(Some(filter))
    }
}

fn to_outcome(outcome: Result<crate::store::Accepted, Status>) -> batch_outcome::Outcome {
    match outcome {
        Ok(accepted) => batch_outcome::Outcome::Accepted(AcceptedMessage {
            id: accepted.id.to_string(),
            state: accepted.state as i32,
            repeated_call: accepted.repeated,
        }),
        Err(status) => batch_outcome::Outcome::Error(to_rpc_status(&status)),
    }
}

fn not_possible(what: &str, rule: &str, found: Standing) -> Status {
    let state = MessageState::try_from(found.state as i32).unwrap_or_default().as_str_name().trim_start_matches("MESSAGE_STATE_");
    fault(Code::FailedPrecondition, "WRONG_STATE", format!("the message is {state} and cannot be {what}; {rule}"))
}
