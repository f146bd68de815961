//! `PairingService`.

use std::time::Duration;

use barid_bus::tenant;
use barid_domain::{SessionId, TenantId};
use barid_proto::{
    HttpBody, Violations, fault, ids,
    session_pool::v1::{
        AnswerPasskeyRequest, CancelPairingRequest, GetPairingPictureRequest, GetPairingRequest, Pairing, PairingState,
        StartPairingRequest, pairing_service_server::PairingService,
    },
};
use futures::stream::BoxStream;
use tonic::{Code, Request, Response, Status};

use super::State;
use crate::{picture, store::Opened};

/// How long a call waits for something new.
const LONG_POLL: Duration = Duration::from_secs(20);
/// How long the first code may take.
const FIRST_CODE: Duration = Duration::from_secs(10);
/// How long a pairing lasts.
const LASTS: Duration = Duration::from_secs(180);

#[tonic::async_trait]
impl PairingService for State {
    type WatchPairingStream = BoxStream<'static, Result<Pairing, Status>>;

    async fn start_pairing(&self, request: Request<StartPairingRequest>) -> Result<Response<Pairing>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let session: SessionId = ids::resource(&request.id)?;
        let Some(pairer) = &self.pairer else {
            return Err(fault(Code::FailedPrecondition, "NO_WEB", "this installation was built without WhatsApp Web"));
        };
        let opened = self.store.open_pairing(tenant, session, pairer.replica(), pairer.patience(), LASTS).await?;
        if let Some(Opened { attempt, .. }) = &opened {
            tracing::info!(%session, %tenant, %attempt, by_code = request.by_code, "a pairing begins");
        }
        if let Some(opened) = opened {
            pairer.clone().pair(tenant, session, opened, request.by_code, LASTS);
        }
        self.once(tenant, session, FIRST_CODE, |pairing| pairing.state() != PairingState::Starting).await
    }

    async fn get_pairing(&self, request: Request<GetPairingRequest>) -> Result<Response<Pairing>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let session: SessionId = ids::resource(&request.id)?;
        let after = request.after_revision;
        self.once(tenant, session, LONG_POLL, |pairing| pairing.revision > after || pairing.done).await
    }

    async fn watch_pairing(&self, _: Request<GetPairingRequest>) -> Result<Response<Self::WatchPairingStream>, Status> {
        Err(Status::unimplemented("the gateway makes this stream of GetPairing"))
    }

    async fn get_pairing_picture(&self, request: Request<GetPairingPictureRequest>) -> Result<Response<HttpBody>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let session: SessionId = ids::resource(&request.id)?;
        let size = match request.size {
            0 => 300,
            size @ 100..=1000 => size,
            _ => return Err(Violations::one("size", "out_of_range", "give 100 to 1000 pixels, or 0 for 300")),
        };
        let pairing = self.store.pairing(tenant, session).await?;
        if pairing.qr.is_empty() {
            let message =
                "there is no code to scan at the moment; start a pairing, with POST /v1/sessions/{id}/pairing, or see how it stands";
            return Err(fault(Code::FailedPrecondition, "NOTHING_TO_SCAN", message));
        }
        let data = picture::png(&pairing.qr, size).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(HttpBody { content_type: "image/png".into(), data }))
    }

    async fn answer_passkey(&self, request: Request<AnswerPasskeyRequest>) -> Result<Response<Pairing>, Status> {
        let tenant = tenant(&request)?;
        let request = request.into_inner();
        let session: SessionId = ids::resource(&request.id)?;
        if serde_json::from_str::<serde_json::Value>(&request.assertion).is_err() {
            return Err(Violations::one(
                "assertion",
                "malformed",
                "is no JSON; give the AuthenticationResponseJSON that the passkey answered",
            ));
        }
        let before = self.store.pairing(tenant, session).await?.revision;
        self.store.answer_passkey(tenant, session, request.assertion).await?;
        self.once(tenant, session, FIRST_CODE, |pairing| pairing.revision > before).await
    }

    async fn cancel_pairing(&self, request: Request<CancelPairingRequest>) -> Result<Response<Pairing>, Status> {
        let (tenant, session) = (tenant(&request)?, ids::resource(&request.get_ref().id)?);
        let pairing = self.store.pairing(tenant, session).await?;
        if pairing.done {
            return Ok(Response::new(pairing));
        }
        self.store.cancel_pairing(tenant, session).await?;
        self.once(tenant, session, FIRST_CODE, |after| after.revision > pairing.revision).await
    }
}

impl State {
    /// The pairing, once it fits, or when that takes too long.
    async fn once<F>(&self, tenant: TenantId, session: SessionId, patience: Duration, fits: F) -> Result<Response<Pairing>, Status>
    where
        F: Fn(&Pairing) -> bool + Send,
    {
        let mut listening = self.signals.of(session, patience);
        loop {
            let pairing = self.store.pairing(tenant, session).await?;
            if fits(&pairing) || !listening.again().await {
                return Ok(Response::new(pairing));
            }
        }
    }
}
