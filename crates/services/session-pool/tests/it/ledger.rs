//! A ledger that the tests play: it hands out what they put in, keeps to the fences, and remembers what it was told.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use barid_bus::Bus;
use barid_domain::{MessageId, SessionId, TenantId};
use barid_proto::queue::v1::{
    AliasPair, ClaimRequest, ClaimResponse, ClaimedMessage, FenceRequest, FenceResponse, FreeForm, Inbound, ListDemandRequest,
    ListDemandResponse, Outcome, Receipt, ReportAliasesRequest, ReportAliasesResponse, ReportInboundRequest, ReportInboundResponse,
    ReportOutcomesRequest, ReportOutcomesResponse, ReportReceiptsRequest, ReportReceiptsResponse, SessionDemand, SessionEpoch,
    claimed_message::Form, ledger_service_server::LedgerService, outcome,
};
use chrono::{DateTime, Utc};
use tonic::{Request, Response, Status};
use uuid::Uuid;

#[derive(Default)]
pub struct Books {
    waiting: VecDeque<(ClaimedMessage, DateTime<Utc>)>,
    sending: HashMap<String, ClaimedMessage>,
    claims: HashMap<String, Vec<String>>,
    pub fences: HashMap<String, u64>,
    /// When each epoch of a session was fenced.
    pub fenced: Vec<(String, u64, DateTime<Utc>)>,
    pub claimed: Vec<(String, u64)>,
    pub most_in_flight: usize,
    pub outcomes: Vec<Outcome>,
    pub receipts: Vec<Receipt>,
    pub inbound: Vec<Inbound>,
    pub aliases: Vec<AliasPair>,
    /// So many of the next calls of this name fail before they are carried out.
    pub failing: HashMap<&'static str, u32>,
    /// Whether reports of receipts are not answered.
    pub is_stuck: bool,
    /// So many of the next claims are carried out, and their answer is lost.
    pub lost_answers: u32,
    last: u128,
}

#[derive(Clone)]
pub struct Ledger {
    books: Arc<Mutex<Books>>,
    bus: Bus,
}

impl Ledger {
    pub fn new(bus: Bus) -> Self {
        Self { books: Arc::default(), bus }
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn text(&self, tenant: TenantId, session: SessionId, to: &str, text: &str) -> ClaimedMessage {
        let mut books = self.books();
        books.last += 1;
        ClaimedMessage {
            message_id: MessageId::from_uuid(Uuid::from_u128(books.last)).to_string(),
            tenant_id: tenant.to_string(),
            session_id: session.to_string(),
            recipient: to.to_owned(),
            form: Some(Form::Free(FreeForm { text: text.to_owned(), ..FreeForm::default() })),
            ..ClaimedMessage::default()
        }
    }

    /// Accepts messages and tells that they wait.
    pub async fn accept(&self, messages: Vec<ClaimedMessage>) {
        self.books().waiting.extend(messages.into_iter().map(|message| (message, now())));
        self.bus.notify("demand", Default::default()).await;
    }

    /// The last outcome of a message.
    pub fn outcome(&self, message: &str) -> Option<outcome::Outcome> {
        self.books().outcomes.iter().rev().find(|outcome| outcome.message_id == message)?.outcome.clone()
    }

    fn fail(&self, call: &'static str) -> Result<(), Status> {
        match self.books().failing.get_mut(call) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(Status::unavailable("the test says so"))
            }
            _ => Ok(()),
        }
    }
}

/// The id that a message has on the wire.
pub fn wire_id(message: &str) -> String {
    let digits: String = message.bytes().map(|byte| format!("{byte:02X}")).collect();
    format!("3EB0{}", &digits[digits.len() - 18..])
}

fn now() -> DateTime<Utc> {
    barid_domain::Clock::now(&barid_domain::SystemClock)
}

#[tonic::async_trait]
impl LedgerService for Ledger {
    async fn fence(&self, request: Request<FenceRequest>) -> Result<Response<FenceResponse>, Status> {
        self.fail("fence")?;
        let mut books = self.books();
        let mut sessions = Vec::new();
        for SessionEpoch { session_id, epoch } in request.into_inner().sessions {
            let standing = books.fences.entry(session_id.clone()).or_default();
            *standing = epoch.max(*standing);
            let epoch = *standing;
            books.fenced.push((session_id.clone(), epoch, now()));
            sessions.push(SessionEpoch { session_id, epoch });
        }
        Ok(Response::new(FenceResponse { sessions }))
    }

    async fn list_demand(&self, _: Request<ListDemandRequest>) -> Result<Response<ListDemandResponse>, Status> {
        self.fail("list_demand")?;
        let mut sessions: HashMap<String, SessionDemand> = HashMap::new();
        for (message, due) in self.books().waiting.iter().filter(|(_, due)| *due <= now()) {
            let demand = sessions.entry(message.session_id.clone()).or_insert_with(|| SessionDemand {
                session_id: message.session_id.clone(),
                tenant_id: message.tenant_id.clone(),
                oldest_due_time: Some(barid_proto::timestamp(*due)),
                ..SessionDemand::default()
            });
            demand.batch += 1;
        }
        Ok(Response::new(ListDemandResponse { sessions: sessions.into_values().collect() }))
    }

    async fn claim(&self, request: Request<ClaimRequest>) -> Result<Response<ClaimResponse>, Status> {
        self.fail("claim")?;
        let request = request.into_inner();
        let mut books = self.books();
        let mut answer = ClaimResponse::default();
        if let Some(before) = books.claims.get(&request.claim_id) {
            answer.messages = before.iter().filter_map(|id| books.sending.get(id).cloned()).collect();
            return Ok(Response::new(answer));
        }
        for wish in request.sessions {
            assert!(wish.windowed != wish.repeatable && wish.max > 0);
            if books.fences.get(&wish.session_id) != Some(&wish.epoch) {
                answer.stale_sessions.push(wish.session_id);
                continue;
            }
            for _ in 0..wish.max {
                let due = |(message, due): &(ClaimedMessage, DateTime<Utc>)| message.session_id == wish.session_id && *due <= now();
                let Some((mut message, _)) = books.waiting.iter().position(due).and_then(|index| books.waiting.remove(index)) else {
                    break;
                };
                (message.epoch, message.attempt) = (wish.epoch, message.attempt + 1);
                if wish.repeatable {
                    message.wire_id = wire_id(&message.message_id);
                }
                books.claimed.push((wish.session_id.clone(), wish.epoch));
                books.sending.insert(message.message_id.clone(), message.clone());
                answer.messages.push(message);
            }
        }
        books.most_in_flight = books.most_in_flight.max(books.sending.len());
        books.claims.insert(request.claim_id, answer.messages.iter().map(|message| message.message_id.clone()).collect());
        if books.lost_answers > 0 {
            books.lost_answers -= 1;
            return Err(Status::unavailable("the answer is lost"));
        }
        Ok(Response::new(answer))
    }

    async fn report_outcomes(&self, request: Request<ReportOutcomesRequest>) -> Result<Response<ReportOutcomesResponse>, Status> {
        self.fail("report_outcomes")?;
        let outcomes = request.into_inner().outcomes;
        assert!(outcomes.len() <= 100);
        let mut waiting = false;
        let applied = outcomes.len() as u32;
        for outcome in outcomes {
            let mut books = self.books();
            let message = books.sending.remove(&outcome.message_id).filter(|message| message.attempt == outcome.attempt);
            let again = match &outcome.outcome {
                Some(outcome::Outcome::Returned(failure)) => Some(failure),
                // What went out under an id of ours goes out again.
                Some(outcome::Outcome::Uncertain(failure)) if message.as_ref().is_some_and(|message| !message.wire_id.is_empty()) => {
                    Some(failure)
                }
                _ => None,
            };
            if let (Some(message), Some(failure)) = (message, again) {
                let due = failure.not_before.as_ref().and_then(barid_proto::time).unwrap_or_else(now);
                books.waiting.push_back((message, due));
                waiting = true;
            }
            books.outcomes.push(outcome);
        }
        if waiting {
            self.bus.notify("demand", Default::default()).await;
        }
        Ok(Response::new(ReportOutcomesResponse { applied }))
    }

    async fn report_receipts(&self, request: Request<ReportReceiptsRequest>) -> Result<Response<ReportReceiptsResponse>, Status> {
        self.fail("report_receipts")?;
        if self.books().is_stuck {
            std::future::pending::<()>().await;
        }
        self.books().receipts.extend(request.into_inner().receipts);
        Ok(Response::new(ReportReceiptsResponse::default()))
    }

    async fn report_inbound(&self, request: Request<ReportInboundRequest>) -> Result<Response<ReportInboundResponse>, Status> {
        self.fail("report_inbound")?;
        self.books().inbound.extend(request.into_inner().inbound);
        Ok(Response::new(ReportInboundResponse {}))
    }

    async fn report_aliases(&self, request: Request<ReportAliasesRequest>) -> Result<Response<ReportAliasesResponse>, Status> {
        self.books().aliases.extend(request.into_inner().aliases);
        Ok(Response::new(ReportAliasesResponse {}))
    }
}
