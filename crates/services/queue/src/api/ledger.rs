//! `LedgerService`: what the session-pool asks.

use barid_domain::{MessageId, SessionId, TenantId};
use barid_proto::{
    Violations, ids,
    queue::v1::{
        ClaimRequest, ClaimResponse, ClaimedMessage, FenceRequest, FenceResponse, FreeForm, ListDemandRequest, ListDemandResponse, Outcome,
        Quoted, Receipt, ReportAliasesRequest, ReportAliasesResponse, ReportInboundRequest, ReportInboundResponse, ReportOutcomesRequest,
        ReportOutcomesResponse, ReportReceiptsRequest, ReportReceiptsResponse, SessionDemand, SessionEpoch, claimed_message::Form,
        ledger_service_server::LedgerService, outcome,
    },
    timestamp,
};
use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::State;
use crate::{
    provider_id::storable,
    state::Fact,
    store::{Change, Claimed, Demand, Names, NewInbound, NewOutcome, NewReceipt, ReceiptKind, SessionClaim},
};

#[tonic::async_trait]
impl LedgerService for State {
    async fn fence(&self, request: Request<FenceRequest>) -> Result<Response<FenceResponse>, Status> {
        let sessions = request.into_inner().sessions;
        let sessions: Result<Vec<(SessionId, u64)>, Status> =
            sessions.iter().map(|session| Ok((ids::argument("sessionId", &session.session_id)?, session.epoch))).collect();
        let standing = self.store.fence(sessions?).await?;
        let sessions = standing.into_iter().map(|(session, epoch)| SessionEpoch { session_id: session.to_string(), epoch });
        Ok(Response::new(FenceResponse { sessions: sessions.collect() }))
    }

    async fn list_demand(&self, request: Request<ListDemandRequest>) -> Result<Response<ListDemandResponse>, Status> {
        let limit = match request.into_inner().limit {
            0 => 1000,
            limit => limit.min(10_000),
        };
        let mut sessions = Vec::new();
        for demand in self.store.demand(limit).await? {
            // A suspended tenant's messages wait; one whose tenant cannot be looked up at the moment does, too.
            if self.directory.profile(demand.tenant).await.is_ok_and(|profile| profile.active) {
                sessions.push(to_demand(demand));
            }
        }
        Ok(Response::new(ListDemandResponse { sessions }))
    }

    async fn claim(&self, request: Request<ClaimRequest>) -> Result<Response<ClaimResponse>, Status> {
        let request = request.into_inner();
        let claim = request.claim_id.parse().map_err(|_| Violations::one("claimId", "invalid_id", "is no UUID"))?;
        let wanted = request.sessions.iter().map(|wish| {
            let session = ids::argument("sessionId", &wish.session_id)?;
            Ok(SessionClaim { session, epoch: wish.epoch, max: wish.max, windowed: wish.windowed, repeatable: wish.repeatable })
        });
        let wanted: Result<Vec<SessionClaim>, Status> = wanted.collect();
        let (claimed, stale) = self.store.claim(claim, wanted?).await?;
        Ok(Response::new(ClaimResponse {
            messages: claimed.into_iter().map(to_claimed).collect(),
            stale_sessions: stale.into_iter().map(|session| session.to_string()).collect(),
        }))
    }

    async fn report_outcomes(&self, request: Request<ReportOutcomesRequest>) -> Result<Response<ReportOutcomesResponse>, Status> {
        let now = self.store.now();
        let outcomes: Result<Vec<NewOutcome>, Status> =
            request.into_inner().outcomes.into_iter().map(|outcome| from_outcome(outcome, now)).collect();
        Ok(Response::new(ReportOutcomesResponse { applied: self.store.report_outcomes(outcomes?).await? }))
    }

    async fn report_receipts(&self, request: Request<ReportReceiptsRequest>) -> Result<Response<ReportReceiptsResponse>, Status> {
        let now = self.store.now();
        let receipts: Result<Vec<NewReceipt>, Status> =
            request.into_inner().receipts.into_iter().map(|receipt| from_receipt(receipt, now)).collect();
        let (applied, parked) = self.store.report_receipts(receipts?).await?;
        Ok(Response::new(ReportReceiptsResponse { applied, parked }))
    }

    async fn report_inbound(&self, request: Request<ReportInboundRequest>) -> Result<Response<ReportInboundResponse>, Status> {
        let now = self.store.now();
        let mut inbound = Vec::new();
        for message in request.into_inner().inbound {
            let tenant = ids::argument("tenantId", &message.tenant_id)?;
            let from = self.names(tenant, "from", &message.from, &message.lid, &message.business_scoped_id).await?;
            inbound.push(NewInbound {
                tenant,
                session: ids::argument("sessionId", &message.session_id)?,
                from,
                // A customer's clock that is ahead must not keep the window open.
                at: at(message.time.as_ref(), now).min(now),
                provider_id: storable(message.provider_id),
                context_provider_id: storable(message.context_provider_id),
                content: message.content.unwrap_or_default(),
            });
        }
        self.store.report_inbound(inbound).await?;
        Ok(Response::new(ReportInboundResponse {}))
    }

    async fn report_aliases(&self, request: Request<ReportAliasesRequest>) -> Result<Response<ReportAliasesResponse>, Status> {
        let now = self.store.now();
        let mut pairs = Vec::new();
        for pair in request.into_inner().aliases {
            let tenant = ids::argument("tenantId", &pair.tenant_id)?;
            let names = self.names(tenant, "phone", &pair.phone, &pair.lid, "").await?;
            pairs.push((tenant, names, at(pair.time.as_ref(), now)));
        }
        for (tenant, names, at) in pairs {
            self.store.learn(tenant, names, at).await?;
        }
        Ok(Response::new(ReportAliasesResponse {}))
    }
}

impl State {
    /// What WhatsApp called a person. At least one of the names must have been told.
    async fn names(&self, tenant: TenantId, field: &str, phone: &str, lid: &str, business_scoped: &str) -> Result<Names, Status> {
        let phone = if phone.is_empty() { None } else { Some(self.phone(tenant, field, phone).await?) };
        let names = Names::new(phone, lid, business_scoped);
        if names.is_empty() {
            return Err(Violations::one(field, "required", "is missing, and so are the hidden ids; give one of them"));
        }
        Ok(names)
    }
}

fn to_demand(demand: Demand) -> SessionDemand {
    SessionDemand {
        session_id: demand.session.to_string(),
        tenant_id: demand.tenant.to_string(),
        immediate: demand.immediate,
        batch: demand.batch,
        retry: demand.retry,
        oldest_due_time: Some(timestamp(demand.oldest_due)),
    }
}

fn to_claimed(claimed: Claimed) -> ClaimedMessage {
    let content = claimed.content;
    let form = match content.meta {
        Some(meta) if claimed.as_template => Form::Meta(meta),
        _ => Form::Free(FreeForm {
            text: content.text,
            choices: content.choices,
            location: content.location,
            contact_card: content.contact_card,
            reaction: content.reaction,
            is_reaction: content.is_reaction,
        }),
    };
    let reply_to = claimed.quote.map(|quote| Quoted { provider_id: quote.provider_id, from_me: quote.from_me, text: quote.text });
    ClaimedMessage {
        message_id: claimed.message.to_string(),
        tenant_id: claimed.tenant.to_string(),
        session_id: claimed.session.to_string(),
        epoch: claimed.epoch,
        attempt: claimed.attempt,
        recipient: content.recipient,
        form: Some(form),
        media_url: content.media_url,
        media_kind: content.media_kind,
        media_filename: content.media_filename,
        wire_id: claimed.wire_id.unwrap_or_default(),
        reply_to,
        contact_id: claimed.contact.to_string(),
        known_contact: claimed.known,
    }
}

fn from_outcome(outcome: Outcome, now: DateTime<Utc>) -> Result<NewOutcome, Status> {
    let message: MessageId = ids::argument("messageId", &outcome.message_id)?;
    let attempt = outcome.attempt;
    let (fact, failure, provider_id) = match outcome.outcome {
        Some(outcome::Outcome::Acknowledged(acknowledged)) => (Fact::Sent, None, Some(storable(acknowledged.provider_id))),
        Some(outcome::Outcome::Retry(failure)) => (Fact::AttemptFailed { attempt }, Some(failure), None),
        Some(outcome::Outcome::Dead(failure)) => (Fact::Dead { attempt }, Some(failure), None),
        Some(outcome::Outcome::Returned(failure)) => (Fact::Returned { attempt }, Some(failure), None),
        Some(outcome::Outcome::Uncertain(failure)) => (Fact::Uncertain { attempt }, Some(failure), None),
        None => return Err(Violations::one("outcome", "required", "is missing")),
    };
    let failure = failure.unwrap_or_default();
    let change = Change {
        reason: failure.reason,
        not_before: failure.not_before.as_ref().and_then(barid_proto::time),
        ..Change::new(message, fact, at(outcome.time.as_ref(), now))
    };
    Ok(NewOutcome { change, provider_id })
}

fn from_receipt(receipt: Receipt, now: DateTime<Utc>) -> Result<NewReceipt, Status> {
    let kind = ReceiptKind::from_number(receipt.kind).ok_or_else(|| Violations::one("kind", "unknown_value", "is no kind of receipt"))?;
    Ok(NewReceipt {
        session: ids::argument("sessionId", &receipt.session_id)?,
        // What comes back from outside may be anything: an echo that is no id of ours is no echo.
        message: receipt.message_id.parse().ok(),
        provider_id: storable(receipt.provider_id),
        kind,
        reason: receipt.reason,
        retry: receipt.retry,
        at: at(receipt.time.as_ref(), now),
    })
}

fn at(time: Option<&Timestamp>, now: DateTime<Utc>) -> DateTime<Utc> {
    time.and_then(barid_proto::time).unwrap_or(now)
}
