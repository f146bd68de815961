//! What is done through a session's connection: logging out, and asking which numbers are on WhatsApp.

use std::{collections::HashMap, time::Duration};

use barid_domain::{Phone, SessionId, TenantId};
use barid_proto::{
    Violations, fault, ids,
    session_pool::v1::{CheckNumbersRequest, CheckNumbersResponse, NumberCheck, Session, SessionState, session::Connector},
    status::fault_after,
    timestamp,
};
use chrono::{DateTime, Utc};
use tonic::{Code, Status};

use super::State;
use crate::store::{ErrandKind, Errands};

/// How long a session may take to connect and do it.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the phone may not have heard of.
const UNHEARD: &str = "The device was logged out here; WhatsApp could not be told, so remove it on the phone under linked devices as well.";

impl State {
    pub(super) async fn logout(&self, tenant: TenantId, id: SessionId) -> Result<Session, Status> {
        let session = self.store.session(tenant, id).await?;
        let Some(Connector::Web(web)) = &session.connector else {
            return Err(fault(Code::FailedPrecondition, "NOT_A_WEB_SESSION", "the session is on the Cloud API, which has no login to end"));
        };
        if web.link_time.is_none() {
            return Ok(session);
        }
        let sends = matches!(session.state(), SessionState::Cold | SessionState::Warming | SessionState::Warm | SessionState::Draining);
        let told = if sends { self.ask(tenant, id, ErrandKind::Logout, b"").await? } else { None };
        let reason = if matches!(told, Some(Errands::Done(_))) { "The device was logged out." } else { UNHEARD };
        self.store.unlinked(tenant, id, reason).await?;
        Ok(self.store.session(tenant, id).await?)
    }

    pub(super) async fn numbers(&self, tenant: TenantId, request: CheckNumbersRequest) -> Result<CheckNumbersResponse, Status> {
        let profile = self.directory.profile(tenant).await?;
        let mut violations = Violations::default();
        let mut numbers = Vec::with_capacity(request.numbers.len());
        for (index, number) in request.numbers.iter().enumerate() {
            match Phone::parse(number, profile.country) {
                Ok(phone) => numbers.push(phone.to_string()),
                Err(error) => violations.add(format!("numbers[{index}]"), "invalid_phone_number", error.to_string()),
            }
        }
        violations.check()?;
        let mut known = self.store.known_numbers(tenant, &numbers).await?;
        let mut unknown: Vec<String> = numbers.iter().filter(|number| !known.contains_key(*number)).cloned().collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let session = self.checking_session(tenant, &request.session_id).await?;
            self.charge(tenant, session, unknown.len(), profile.time_zone()).await?;
            known.extend(self.ask_numbers(tenant, session, &unknown).await?);
        }
        let check = |number: String| {
            let (registered, at) = known.get(&number).copied().unwrap_or((false, self.clock.now()));
            NumberCheck { number, registered, check_time: Some(timestamp(at)) }
        };
        Ok(CheckNumbersResponse { numbers: numbers.into_iter().map(check).collect() })
    }

    async fn checking_session(&self, tenant: TenantId, wanted: &str) -> Result<SessionId, Status> {
        if !wanted.is_empty() {
            return ids::resource(wanted);
        }
        let sessions = self.store.sessions(tenant, None, 1000).await?;
        let linked = |session: &&Session| matches!(&session.connector, Some(Connector::Web(web)) if web.link_time.is_some());
        let Some(session) = sessions.iter().find(linked) else {
            let message = "the tenant has no linked Web session to ask through; the Cloud API does not tell which numbers are on WhatsApp";
            return Err(fault(Code::FailedPrecondition, "NO_WEB_SESSION", message));
        };
        ids::resource(&session.id)
    }

    async fn charge(&self, tenant: TenantId, session: SessionId, count: usize, zone: chrono_tz::Tz) -> Result<(), Status> {
        let now = self.clock.now().with_timezone(&zone);
        let Err(left) = self.store.charge_checks(tenant, session, now.date_naive(), count).await? else { return Ok(()) };
        let midnight = now.date_naive().succ_opt().and_then(|day| day.and_hms_opt(0, 0, 0));
        let wait = midnight.map(|midnight| midnight - now.naive_local()).and_then(|wait| wait.to_std().ok()).unwrap_or_default();
        let message =
            format!("this session may ask for {left} more numbers today; ask for fewer, or tomorrow, or raise web.numberChecksPerDay");
        Err(fault_after(Code::ResourceExhausted, "NUMBER_CHECKS_EXHAUSTED", message, wait))
    }

    async fn ask_numbers(
        &self,
        tenant: TenantId,
        session: SessionId,
        numbers: &[String],
    ) -> Result<HashMap<String, (bool, DateTime<Utc>)>, Status> {
        let request = serde_json::to_vec(numbers).unwrap_or_default();
        match self.ask(tenant, session, ErrandKind::CheckNumbers, &request).await? {
            Some(Errands::Done(answer)) => {
                let answers: Vec<(String, bool)> = serde_json::from_slice(&answer).unwrap_or_default();
                self.store.remember_numbers(tenant, &answers).await?;
                let now = self.clock.now();
                Ok(answers.into_iter().map(|(number, registered)| (number, (registered, now))).collect())
            }
            Some(Errands::Failed(code)) if code == "not_connected" => {
                Err(fault(Code::FailedPrecondition, "NOT_CONNECTED", "the session is not linked or not active; see its state"))
            }
            _ => Err(fault(Code::Unavailable, "NOT_CONNECTED", "WhatsApp did not answer in time; try again in a moment")),
        }
    }

    /// Has an errand run, and waits for its end; `None` when it did not end in time.
    async fn ask(&self, tenant: TenantId, session: SessionId, kind: ErrandKind, request: &[u8]) -> Result<Option<Errands>, Status> {
        self.ask_for(tenant, session, kind, request, PATIENCE).await
    }

    pub(super) async fn ask_for(
        &self,
        tenant: TenantId,
        session: SessionId,
        kind: ErrandKind,
        request: &[u8],
        patience: Duration,
    ) -> Result<Option<Errands>, Status> {
        let mut listening = self.signals.of(session, patience);
        let errand = self.store.ask(tenant, session, kind, request).await?;
        loop {
            let outcome = self.store.errand(tenant, errand).await?;
            if outcome != Errands::Open {
                return Ok(Some(outcome));
            }
            if !listening.again().await {
                return Ok(None);
            }
        }
    }
}
