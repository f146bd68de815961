//! Sessions that are linked devices of WhatsApp Web: connecting them, linking them, and what they bring.

mod cells;
mod connection;
mod fetch;
mod inbound;
mod pairing;
mod receipts;
mod sink;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use barid_domain::{SessionId, TenantId};
use barid_runtime::Jobs;
use barid_whatsapp::web::{Closed, Next as Step, Options, Settings, Web};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) use sink::unpack;

use self::{cells::SessionCells, fetch::Guarded, receipts::Receipts, sink::Arrivals};
use crate::{
    Config, Error, House,
    link::{Call, Dialer, Ended, Link, Next, Pairer},
    store::{CellWriter, Opened, Owner},
};

/// The linked devices of a replica.
pub(crate) struct Devices {
    web: Web,
    house: House,
    writer: CellWriter,
    receipts: Receipts,
    pairings: TaskTracker,
}

impl Devices {
    pub(crate) fn start(config: &Config, house: House, jobs: &Jobs) -> Result<Arc<Self>, Error> {
        let web = &config.web;
        let defaults = Settings::default();
        let settings = Settings {
            url: web.url.clone(),
            media_url: Some(web.media_url.clone()).filter(|url| !url.is_empty()),
            version: web.parsed_version().flatten().unwrap_or(defaults.version),
            device_name: web.device_name.clone(),
            connect_timeout: web.connect_timeout,
            login_timeout: web.login_timeout,
            ack_timeout: web.ack_timeout,
            prekeys: web.prekeys,
            media_limit: web.media_limit,
            event_queue: web.event_queue,
            root_certificate: Some(web.root_certificate.clone()).filter(|path| !path.as_os_str().is_empty()),
            ..defaults
        };
        let fetcher = Guarded::new(&config.egress)?;
        let (writer, writing) = CellWriter::new(house.store.clone(), house.lease.clone());
        let (receipts, reporting) = Receipts::new(house.ledger.clone());
        jobs.spawn("cells", writing);
        jobs.spawn("device receipts", reporting);
        Ok(Arc::new(Self { web: Web::new(settings, Arc::new(fetcher))?, house, writer, receipts, pairings: TaskTracker::new() }))
    }

    /// What a session's connection reads and writes under this epoch.
    async fn cells(&self, session: SessionId, tenant: TenantId, epoch: u64) -> Result<Arc<SessionCells>, Error> {
        let owner = Owner { session, tenant, replica: self.house.replica, epoch };
        let key = self.house.store.tenant_key(tenant).await?;
        Ok(Arc::new(SessionCells::new(self.house.store.clone(), self.writer.clone(), owner, key, self.house.lease.clone())))
    }

    fn sink(&self, session: SessionId, tenant: TenantId) -> Arc<Arrivals> {
        Arc::new(Arrivals { store: self.house.store.clone(), arrived: self.house.arrived.clone(), session, tenant })
    }
}

#[async_trait]
impl Dialer for Devices {
    async fn dial(&self, call: Call) -> Result<Arc<dyn Link>, Ended> {
        let cells = self.cells(call.session, call.tenant, call.epoch).await;
        let cells = cells.map_err(|error| Ended::passing("store_unavailable", error.to_string()))?;
        let options = Options {
            presence: call.presence,
            device_name: Some(call.device_name.clone()).filter(|name| !name.is_empty()),
            history_days: 0,
        };
        match self.web.connect(cells, self.sink(call.session, call.tenant), options).await {
            Ok(connection) => Ok(connection::serve(connection, call, &self.house, self.receipts.clone())),
            Err(failed) => {
                connection::tell(&self.receipts, &call, failed.events).await;
                Err(ended(&failed.reason))
            }
        }
    }
}

impl Pairer for Devices {
    fn replica(&self) -> Uuid {
        self.house.replica
    }

    fn patience(&self) -> Duration {
        self.house.patience.web
    }

    fn pair(self: Arc<Self>, tenant: TenantId, session: SessionId, opened: Opened, by_code: bool, lasts: Duration) {
        let tracker = self.pairings.clone();
        tracker.spawn(pairing::run(self, tenant, session, opened, by_code, lasts));
    }
}

/// What the end of a connection means to the pool.
fn ended(closed: &Closed) -> Ended {
    let next = match closed.next() {
        _ if matches!(closed, Closed::Store { .. }) => Next::Ours,
        Step::Rest => Next::Nothing,
        Step::LetGo => Next::LetGo,
        Step::Reconnect => Next::Reconnect,
        Step::BackOff => Next::BackOff(false),
        Step::Pause(rest) => Next::Pause(rest),
        Step::PairAgain => Next::PairAgain,
        Step::Alarm => Next::Stop,
    };
    Ended { next, reason: closed.reason(), sentence: closed.to_string() }
}
