//! A session-pool whose one pairing goes as the test says.

use std::{pin::Pin, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use barid_bus::{Server, tenant};
use barid_proto::{
    HttpBody, fault,
    session_pool::v1::{
        AnswerPasskeyRequest, CancelPairingRequest, GetPairingPictureRequest, GetPairingRequest, Pairing, PairingState,
        StartPairingRequest,
        pairing_service_server::{PairingService, PairingServiceServer},
    },
    status::not_found,
};
use barid_testkit::eventually;
use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status};

pub const SESSION: &str = "ses_01h455vb4pex5vsknk084sn02q";
/// The first bytes of a picture, which are no text.
pub const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\xff";

/// A call of `GetPairing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub tenant: String,
    pub after: u64,
    pub timeout: String,
}

/// The service. Clone it freely.
#[derive(Clone)]
pub struct Pairings(Arc<Inner>);

struct Inner {
    /// How the pairing stands, and a number that makes held calls answer with nothing new.
    state: watch::Sender<(Pairing, u64)>,
    /// What the next calls end with, instead of an answer.
    failure: Mutex<Option<Status>>,
    asked: Mutex<Vec<Asked>>,
    /// What else was called.
    called: Mutex<Vec<String>>,
}

impl Pairings {
    pub fn new() -> Self {
        let state = watch::Sender::new((pairing(1, PairingState::Starting), 0));
        Self(Arc::new(Inner { state, failure: Mutex::default(), asked: Mutex::default(), called: Mutex::default() }))
    }

    pub fn add_to(&self, server: Server) -> Server {
        server.add(PairingServiceServer::new(self.clone()))
    }

    pub fn set(&self, pairing: Pairing) {
        self.0.state.send_modify(|state| state.0 = pairing);
    }

    /// Makes the calls that wait answer with what is known.
    pub fn nudge(&self) {
        self.0.state.send_modify(|state| state.1 += 1);
    }

    /// From now on calls fail, those that wait at once.
    pub fn fail(&self, status: Status) {
        *self.0.failure.lock() = Some(status);
        self.nudge();
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().clone()
    }

    pub fn called(&self) -> Vec<String> {
        self.0.called.lock().clone()
    }

    /// Waits until so many calls of `GetPairing` have come.
    pub async fn asked_times(&self, times: usize) -> Result<Vec<Asked>> {
        eventually(Duration::from_secs(10), || async {
            let asked = self.asked();
            ensure!(asked.len() >= times, "asked {} times", asked.len());
            Ok(asked)
        })
        .await
    }

    fn standing(&self) -> Pairing {
        self.0.state.borrow().0.clone()
    }

    fn note(&self, call: impl Into<String>) -> Result<Response<Pairing>, Status> {
        self.0.called.lock().push(call.into());
        Ok(Response::new(self.standing()))
    }
}

/// The pairing of `SESSION`.
pub fn pairing(revision: u64, state: PairingState) -> Pairing {
    let done = matches!(state, PairingState::Paired | PairingState::Failed);
    Pairing { session_id: SESSION.to_owned(), state: state.into(), revision, done, ..Pairing::default() }
}

/// One with a code to scan.
pub fn scan(revision: u64, qr: &str) -> Pairing {
    Pairing { qr: qr.to_owned(), ..pairing(revision, PairingState::Scan) }
}

#[tonic::async_trait]
impl PairingService for Pairings {
    async fn start_pairing(&self, request: Request<StartPairingRequest>) -> Result<Response<Pairing>, Status> {
        let request = request.into_inner();
        self.note(format!("start {} {}", request.id, if request.by_code { "by code" } else { "by scan" }))
    }

    async fn get_pairing(&self, request: Request<GetPairingRequest>) -> Result<Response<Pairing>, Status> {
        let tenant = tenant(&request)?.to_string();
        let timeout = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let request = request.into_inner();
        if request.id != SESSION {
            return Err(not_found("session", &request.id));
        }
        self.0.asked.lock().push(Asked { tenant, after: request.after_revision, timeout });
        let mut state = self.0.state.subscribe();
        loop {
            if let Some(status) = self.0.failure.lock().clone() {
                return Err(status);
            }
            let standing = state.borrow_and_update().0.clone();
            if standing.revision != request.after_revision || standing.done {
                return Ok(Response::new(standing));
            }
            let before = state.borrow().1;
            state.changed().await.map_err(|_| Status::unavailable("the test is over"))?;
            let (standing, nudges) = state.borrow().clone();
            if nudges != before && self.0.failure.lock().is_none() {
                return Ok(Response::new(standing));
            }
        }
    }

    type WatchPairingStream = Pin<Box<dyn Stream<Item = Result<Pairing, Status>> + Send>>;

    async fn watch_pairing(&self, _: Request<GetPairingRequest>) -> Result<Response<Self::WatchPairingStream>, Status> {
        Err(Status::unimplemented("the gateway makes the stream"))
    }

    async fn get_pairing_picture(&self, request: Request<GetPairingPictureRequest>) -> Result<Response<HttpBody>, Status> {
        if self.standing().qr.is_empty() {
            return Err(fault(Code::FailedPrecondition, "NO_CODE", "there is no code to scan at the moment"));
        }
        let size = request.into_inner().size.to_string();
        Ok(Response::new(HttpBody { content_type: "image/png".to_owned(), data: [PICTURE, size.as_bytes()].concat() }))
    }

    async fn answer_passkey(&self, request: Request<AnswerPasskeyRequest>) -> Result<Response<Pairing>, Status> {
        self.note(format!("passkey {}", request.into_inner().assertion))
    }

    async fn cancel_pairing(&self, _: Request<CancelPairingRequest>) -> Result<Response<Pairing>, Status> {
        self.note("cancel")
    }
}
