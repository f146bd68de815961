//! Brings messages from the ledger to WhatsApp: looks who waits, owns their sessions, claims as many messages as can be sent at once, and
//! keeps claiming while answers come in. One task decides; sends and reports run beside it.

mod board;
mod claim;
mod courier;
mod errands;
mod gates;
mod handover;
mod notices;
mod own;
mod report;
mod rotate;
mod slots;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use barid_bus::Bus;
use barid_domain::{Clock, SessionId, TenantId};
use barid_proto::{queue::v1::ListDemandRequest, session_pool::v1::SessionState};
use barid_whatsapp::cloud::Client;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt, future};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    balance::Replica,
    breaker::{Outage, OutageRules, Reach, Refusal},
    choice::Why,
    clients::{Directory, Ledger},
    link::{Dialer, Ended},
    logins::{self, Budget},
    ownership::Lease,
    replica::Standing,
    store::{GivenUp, Limits, Patience, Rest, Store},
    verdict::{self, Effect},
};
use board::Board;
use claim::Pending;
use courier::Courier;
use gates::Gates;
use notices::{Notice, Notices};

pub(crate) use courier::News;
pub(crate) use notices::RELEASED;

/// Most sessions whose demand is asked for.
const DEMAND: u32 = 2000;
/// Demand is asked for this often at most, however many notices come.
const GLANCE: Duration = Duration::from_millis(40);
/// How long a tenant's peak windows are waited for.
const LOOK_UP: Duration = Duration::from_millis(250);
/// After an error the pump looks again in so long.
const CATCH_BREATH: Duration = Duration::from_millis(500);

/// What a pump needs.
pub(crate) struct Parts {
    pub replica: Uuid,
    pub store: Store,
    pub bus: Bus,
    pub directory: Directory,
    pub clock: Arc<dyn Clock>,
    pub lease: Lease,
    /// Replicas that are alive.
    pub alive: watch::Receiver<Vec<Replica>>,
    pub cloud: Client,
    /// Makes connections for linked devices; missing in a build without them.
    pub dialer: Option<Arc<dyn Dialer>>,
    /// What connections tell.
    pub news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    pub standing: watch::Sender<Standing>,
    pub config: crate::PoolConfig,
    pub pacing: crate::PacingConfig,
    pub patience: Patience,
}

/// What news there is room for: two of each message under way, and a few of each connection.
pub(crate) fn news(config: &crate::PoolConfig) -> (mpsc::Sender<News>, mpsc::Receiver<News>) {
    mpsc::channel(2 * config.max_in_flight as usize + 4 * config.slots)
}

pub(crate) struct Pump {
    parts: Parts,
    ledger: Ledger,
    board: Board,
    courier: Courier,
    gates: Gates,
    slots: Slots,
    notices: Notices,
    pending: Option<Pending>,
    /// Uptime before which nothing more is claimed.
    next_claim: Duration,
    /// Replicas that left since the last heartbeat counted them as alive.
    left: HashSet<Uuid>,
    /// When that heartbeat was.
    counted: DateTime<Utc>,
    /// Rests that are not written yet.
    rests: HashMap<SessionId, (TenantId, Rest, Cow<'static, str>)>,
    /// Whether something may wait that the board does not know.
    stale: bool,
    looked: Duration,
    draining: bool,
}

/// What belongs to connections.
struct Slots {
    budget: Budget,
    outage: Outage,
    reach: Reach,
    /// Connections that ended and whose end has no consequences yet.
    ended: Vec<(SessionId, u64, Ended)>,
    /// States that are not written yet.
    states: HashMap<SessionId, SessionState>,
    /// What sessions used up and is not written yet.
    limits: HashMap<SessionId, Limits>,
    given_up: Vec<GivenUp>,
    why: Vec<Why>,
    /// When it was last told how the replica stands.
    told: Option<Duration>,
    /// When it was last asked which sessions are wanted although nothing waits.
    due_looked: Option<Duration>,
    /// Errands that are being run.
    running: HashSet<Uuid>,
    errands_stale: bool,
    logins: u64,
    failed_logins: u64,
}

impl Pump {
    /// A pump, and the work of reporting that ends some time after the pump.
    pub(crate) async fn new(parts: Parts) -> Result<(Self, impl Future<Output = ()> + Send + use<>), Error> {
        let ledger = Ledger::new(parts.bus.channel());
        let most = parts.config.max_in_flight as usize;
        // Each message under way has one report and two news at most, so that nobody ever waits for room.
        let (reports, reported) = mpsc::channel(most);
        let tell = parts.news.0.clone();
        let reporting = report::run(ledger.clone(), reported, tell.clone());
        let notices = notices::listen(&parts.bus).await?;
        let courier = Courier::new(parts.cloud.clone(), parts.lease.clone(), parts.clock.clone(), reports, tell);
        let board = Board::new(parts.config.rules(), parts.config.max_in_flight_per_session);
        let gates = Gates::new(parts.pacing.clone());
        let login_rules = logins::Rules { per_second: parts.config.logins_per_second, ..logins::Rules::default() };
        let slots = Slots {
            budget: Budget::new(login_rules, parts.alive.borrow().len(), parts.lease.now()),
            outage: Outage::new(OutageRules::default()),
            reach: Reach::default(),
            ended: Vec::new(),
            states: HashMap::new(),
            limits: HashMap::new(),
            given_up: Vec::new(),
            why: Vec::new(),
            told: None,
            due_looked: None,
            running: HashSet::new(),
            errands_stale: true,
            logins: 0,
            failed_logins: 0,
        };
        let pump = Self {
            parts,
            ledger,
            board,
            courier,
            gates,
            slots,
            notices,
            pending: None,
            next_claim: Duration::ZERO,
            left: HashSet::new(),
            counted: DateTime::default(),
            rests: HashMap::new(),
            stale: true,
            looked: Duration::ZERO,
            draining: false,
        };
        Ok((pump, reporting))
    }

    /// Sends until `shutdown`, then waits for what is under way.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut wait = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(news) = self.parts.news.1.recv() => self.hear(news),
                Some(notice) = self.notices.next() => self.notice(notice),
                () = tokio::time::sleep(wait) => {}
            }
            while let Ok(news) = self.parts.news.1.try_recv() {
                self.hear(news);
            }
            while let Some(Some(notice)) = self.notices.next().now_or_never() {
                self.notice(notice);
            }
            wait = match self.turn().await {
                Ok(()) => self.wait(),
                Err(error) => {
                    tracing::warn!(%error, "messages wait");
                    CATCH_BREATH
                }
            };
        }
        self.drain().await;
    }

    async fn turn(&mut self) -> Result<(), Error> {
        if !self.parts.lease.holds() {
            // Another replica may have the sessions any moment now.
            self.hang_up();
            return Ok(());
        }
        self.write_rests().await?;
        let since = self.parts.lease.now().saturating_sub(self.looked);
        if since >= self.parts.config.tick || (self.stale && since >= GLANCE && self.free() > 0) {
            self.look().await?;
            self.hand_over().await?;
            self.take().await?;
            self.rotate().await?;
        }
        self.claim().await
    }

    fn wait(&mut self) -> Duration {
        let now = self.parts.lease.now();
        let since = now.saturating_sub(self.looked);
        let tick = self.parts.config.tick.saturating_sub(since);
        if self.free() == 0 {
            // News come when there is room again.
            return tick.max(GLANCE);
        }
        let glance = if self.stale { GLANCE.saturating_sub(since) } else { tick };
        let ready = match &self.pending {
            Some(pending) => pending.next.saturating_sub(now),
            None => self.board.wait(now).max(self.next_claim.saturating_sub(now)),
        };
        tick.min(glance).min(ready)
    }

    fn free(&self) -> u32 {
        self.parts.config.max_in_flight.saturating_sub(self.board.in_flight())
    }

    /// Learns what waits, and of whom.
    async fn look(&mut self) -> Result<(), Error> {
        self.stale = false;
        let demand = self.ledger.list_demand(ListDemandRequest { limit: DEMAND }).await?.into_inner().sessions;
        let now = self.parts.lease.now();
        self.looked = now;
        self.board.set_demand(demand, now);
        self.look_for_wanted(now).await?;
        let unread = self.board.unread(now, self.parts.clock.now());
        if !unread.is_empty() {
            let mut senders = self.parts.store.senders(unread.clone()).await?;
            for session in unread {
                self.board.set_sender(session, senders.remove(&session), now);
            }
        }
        let wall = self.parts.clock.now();
        let directory = &self.parts.directory;
        let peaks = self.board.unknown_tenants(now).into_iter().map(async |tenant| {
            // Nothing but the order depends on it: who does not answer at once is taken to have no peak.
            let profile = tokio::time::timeout(LOOK_UP, directory.profile(tenant)).await;
            (tenant, profile.is_ok_and(|answer| answer.is_ok_and(|profile| profile.is_peak(wall))))
        });
        for (tenant, peak) in future::join_all(peaks).await {
            self.board.set_peak(tenant, peak, now);
        }
        let used = self.board.used(now);
        if !used.is_empty() {
            self.parts.store.touch(used).await?;
        }
        self.board.pace_young(now, |linked| self.gates.hourly(linked, wall));
        self.slots.given_up.extend(self.board.prune(now));
        self.gates.prune(now);
        Ok(())
    }

    fn notice(&mut self, notice: Notice) {
        self.stale = true;
        match notice {
            Notice::Demand => {}
            Notice::Changed(session) => session.into_iter().for_each(|session| self.board.changed(session)),
            Notice::Offered => self.slots.due_looked = None,
            Notice::Errand => self.slots.errands_stale = true,
            Notice::Released(replica) => {
                self.left.extend(replica);
                self.board.released();
            }
        }
    }

    fn hear(&mut self, news: News) {
        let now = self.parts.lease.now();
        match news {
            News::Reported { session } => self.board.ended(session, now),
            News::Up { session, epoch, link } => self.up(session, epoch, link),
            News::Down { session, epoch, ended } => self.down(session, epoch, ended),
            News::Ran { errand } => {
                self.slots.running.remove(&errand);
            }
            News::Sent { session, first, effect } => match effect {
                Effect::Pause { asked, shortest, reason } => {
                    let Some((tenant, strikes)) = self.board.pause(session) else { return };
                    let until = later(self.parts.clock.now(), verdict::rest(asked, shortest, strikes));
                    self.rests.entry(session).or_insert((tenant, Rest::Until(until), reason.into()));
                }
                Effect::Stop { reason } => {
                    let Some(tenant) = self.board.stop(session) else { return };
                    self.rests.insert(session, (tenant, Rest::Stopped, reason.into()));
                }
                Effect::BackOff => self.board.failed(session, now),
                Effect::Taken => {
                    self.board.succeeded(session);
                    self.gates.acknowledged(session, first);
                }
                Effect::Fine => self.board.succeeded(session),
                Effect::ReachOut => self.refused(session, first, now),
                Effect::None => {}
            },
        }
    }

    /// A session may not write first, or is not even let to those who know it.
    fn refused(&mut self, session: SessionId, first: bool, now: Duration) {
        match self.gates.refused(session, first, now) {
            Some(Refusal::Pause { until }) => {
                let Some((tenant, _)) = self.board.pause(session) else { return };
                let until = later(self.parts.clock.now(), until.saturating_sub(now));
                self.rests.entry(session).or_insert((tenant, Rest::Until(until), verdict::LOCKED_OUT.into()));
            }
            Some(Refusal::NoFirstContacts { .. }) => tracing::warn!(%session, "WhatsApp does not let it write to new customers"),
            None => {}
        }
    }

    /// Writes which sessions rest. What cannot be written now is written next time.
    async fn write_rests(&mut self) -> Result<(), Error> {
        while let Some((session, (tenant, rest, reason))) = self.rests.iter().next().map(|(session, rest)| (*session, rest.clone())) {
            self.parts.store.rest(session, tenant, rest, &reason).await?;
            self.rests.remove(&session);
        }
        Ok(())
    }

    /// Claims nothing more; gives back what an open claim may hold; ends what is under way.
    async fn drain(mut self) {
        self.draining = true;
        for _ in 0..3 {
            if let Some(pending) = &mut self.pending {
                pending.next = Duration::ZERO;
                if let Err(error) = self.claim().await {
                    tracing::warn!(%error, "a last claim is not answered");
                }
            }
        }
        while self.board.in_flight() > 0 {
            let Some(news) = self.parts.news.1.recv().await else { break };
            self.hear(news);
            if let Err(error) = self.write_rests().await {
                tracing::warn!(%error, "a pause is not written");
            }
        }
        self.leave_slots().await;
    }
}

fn later(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    now + TimeDelta::from_std(by).unwrap_or_default()
}
