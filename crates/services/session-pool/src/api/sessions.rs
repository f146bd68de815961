//! `SessionService`.

use barid_bus::tenant;
use barid_domain::SessionId;
use barid_proto::{
    Violations, ids,
    session_pool::v1::{
        ActivateSessionRequest, CheckNumbersRequest, CheckNumbersResponse, CreateSessionRequest, DeactivateSessionRequest,
        DeleteSessionRequest, GetSessionRequest, ListSessionsRequest, ListSessionsResponse, LogoutSessionRequest, Session,
        UpdateSessionRequest, session_service_server::SessionService,
    },
};
use tonic::{Request, Response, Status};

use super::State;
use crate::registration;

#[tonic::async_trait]
impl SessionService for State {
    async fn create_session(&self, request: Request<CreateSessionRequest>) -> Result<Response<Session>, Status> {
        let tenant = tenant(&request)?;
        let Some(session) = request.into_inner().session else { return Err(missing()) };
        let inactive = session.inactive;
        let new = registration::check(session, self.directory.profile(tenant).await?.country, true)?;
        Ok(Response::new(self.store.create_session(tenant, new, inactive).await?))
    }

    async fn list_sessions(&self, request: Request<ListSessionsRequest>) -> Result<Response<ListSessionsResponse>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let size = u64::try_from(request.page_size).ok().filter(|size| *size > 0).unwrap_or(PAGE);
        let mut sessions = self.store.sessions(tenant, page_start(&request.page_token)?, size).await?;
        let more = sessions.len() as u64 > size;
        sessions.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let last = sessions.last().filter(|_| more);
        Ok(Response::new(ListSessionsResponse { next_page_token: last.map(|session| session.id.clone()).unwrap_or_default(), sessions }))
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Result<Response<Session>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        Ok(Response::new(self.store.session(tenant, id).await?))
    }

    async fn update_session(&self, request: Request<UpdateSessionRequest>) -> Result<Response<Session>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let id: SessionId = ids::resource(&request.id)?;
        let Some(changes) = request.session else { return Err(missing()) };
        let mask = request.update_mask.unwrap_or_default().paths;
        let country = self.directory.profile(tenant).await?.country;
        let change = move |mut session: Session| {
            registration::merge(&mut session, changes, &mask)?;
            Ok(registration::check(session, country, false)?)
        };
        Ok(Response::new(self.store.update_session(tenant, id, change).await?))
    }

    async fn delete_session(&self, request: Request<DeleteSessionRequest>) -> Result<Response<()>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        self.store.delete_session(tenant, id).await?;
        Ok(Response::new(()))
    }

    async fn activate_session(&self, request: Request<ActivateSessionRequest>) -> Result<Response<Session>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        Ok(Response::new(self.store.set_session(tenant, id, true).await?))
    }

    async fn deactivate_session(&self, request: Request<DeactivateSessionRequest>) -> Result<Response<Session>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        Ok(Response::new(self.store.set_session(tenant, id, false).await?))
    }

    async fn logout_session(&self, request: Request<LogoutSessionRequest>) -> Result<Response<Session>, Status> {
        let (tenant, id) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        Ok(Response::new(self.logout(tenant, id).await?))
    }

    async fn check_numbers(&self, request: Request<CheckNumbersRequest>) -> Result<Response<CheckNumbersResponse>, Status> {
        let tenant = tenant(&request)?;
        Ok(Response::new(self.numbers(tenant, request.into_inner()).await?))
    }
}

const PAGE: u64 = 100;

fn page_start(token: &str) -> Result<Option<SessionId>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = |_| Violations::one("pageToken", "invalid_page_token", "is no token of this list; give the `nextPageToken` of a page");
    token.parse().map(Some).map_err(wrong)
}

fn missing() -> Status {
    Violations::one("session", "required", "is required; describe the session")
}
