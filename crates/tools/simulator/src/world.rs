//! Everything the simulator knows, held together.

use std::sync::Arc;

use barid_domain::{Clock as _, SystemClock};
use chrono::{DateTime, Utc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{self, Config},
    directory::Directory,
    faults::Faults,
    flow::Event,
    media::MediaStore,
    phones::Phones,
    stats::Stats,
    templates::Templates,
    timer::Timer,
    webhook::{self, App},
};

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) directory: Directory,
    pub(crate) templates: Templates,
    pub(crate) media: MediaStore,
    pub(crate) phones: Phones,
    pub(crate) faults: Faults,
    pub(crate) stats: Stats,
    pub(crate) timer: Timer<Event>,
    pub(crate) http: reqwest::Client,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Part of each message id, so that ids of different runs differ.
    pub(crate) salt: u32,
}

impl World {
    pub(crate) fn new(config: Config, shutdown: CancellationToken) -> Result<Arc<Self>, reqwest::Error> {
        // Callbacks are this machine's or the developer's own: a proxy of the environment has no part in it.
        let http = reqwest::Client::builder().timeout(config.webhooks.timeout).no_proxy().build()?;
        let world = Arc::new(Self {
            phones: Phones::new(config.phones.max),
            directory: Directory::default(),
            templates: Templates::default(),
            media: MediaStore::default(),
            faults: Faults::default(),
            stats: Stats::default(),
            timer: Timer::new(),
            http,
            shutdown,
            tasks: TaskTracker::new(),
            salt: rand::random(),
            config,
        });
        for (name, settings) in world.config.apps.clone() {
            world.put_app(&name, settings);
        }
        Ok(world)
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        SystemClock.now()
    }

    /// Adds the app and starts its lanes, or gives the one there is new settings.
    pub(crate) fn put_app(self: &Arc<Self>, name: &str, settings: config::App) {
        let lanes = self.config.webhooks.lanes;
        let (app, made) = self.directory.app_or(name, || App::new(name, settings.clone(), lanes));
        if made {
            webhook::run(self, &app);
        } else {
            app.set(settings);
        }
    }

    /// Forgets messages, phones, media, faults, counters and what is under way; with `all`, numbers and templates too.
    pub(crate) fn reset(&self, all: bool) {
        self.timer.clear();
        for app in self.directory.apps() {
            app.clear();
        }
        self.phones.clear();
        self.media.clear();
        self.faults.reset();
        self.stats.clear();
        if all {
            self.directory.clear_numbers();
            self.templates.clear();
        }
    }
}
