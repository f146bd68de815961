//! `PoolService`: what the other services ask.

use barid_domain::{SessionId, TenantId};
use barid_proto::{
    Violations, fault, ids,
    session_pool::v1::{
        ChooseSessionRequest, ChooseSessionResponse, FetchMediaRequest, FetchMediaResponse, IngestWebhookRequest, IngestWebhookResponse,
        pool_service_server::PoolService,
    },
    status::not_found,
};
use tonic::{Code, Request, Response, Status};

use super::State;
use crate::{store::Choice, webhook};

#[tonic::async_trait]
impl PoolService for State {
    async fn choose_session(&self, request: Request<ChooseSessionRequest>) -> Result<Response<ChooseSessionResponse>, Status> {
        let request = request.into_inner();
        let tenant: TenantId = ids::argument("tenantId", &request.tenant_id)?;
        let wanted: Option<SessionId> = if request.session_id.is_empty() { None } else { Some(ids::resource(&request.session_id)?) };
        match self.store.choose(tenant, wanted).await? {
            Choice::Session(session) => Ok(Response::new(ChooseSessionResponse { session_id: session.to_string() })),
            Choice::None if wanted.is_some() => Err(not_found("session", &request.session_id)),
            Choice::None => Err(fault(
                Code::FailedPrecondition,
                "NO_SESSION",
                "the tenant has no WhatsApp number to send from; register one first, with POST /v1/sessions",
            )),
            Choice::AllInactive => Err(fault(
                Code::FailedPrecondition,
                "NO_ACTIVE_SESSION",
                "every session of the tenant is deactivated; activate one, with POST /v1/sessions/{id}:activate",
            )),
        }
    }

    async fn ingest_webhook(&self, request: Request<IngestWebhookRequest>) -> Result<Response<IngestWebhookResponse>, Status> {
        let IngestWebhookRequest { app, body } = request.into_inner();
        let parts = webhook::cut(&body).map_err(|error| Violations::one("body", "invalid_webhook", error.to_string()))?;
        let stored = if parts.is_empty() { 0 } else { self.intake.ingest(app, parts).await? };
        Ok(Response::new(IngestWebhookResponse { stored }))
    }

    async fn fetch_media(&self, request: Request<FetchMediaRequest>) -> Result<Response<FetchMediaResponse>, Status> {
        let request = request.into_inner();
        let (tenant, session) = (ids::argument("tenantId", &request.tenant_id)?, ids::argument("sessionId", &request.session_id)?);
        self.media_part(tenant, session, &request.pointer, request.offset).await.map(Response::new)
    }
}
