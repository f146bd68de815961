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
    mailbox::Mailbox,
    media::MediaStore,
    phones::Phones,
    sms::Provider,
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
    pub(crate) mailbox: Mailbox,
    pub(crate) sms: Provider,
    pub(crate) stats: Stats,
    pub(crate) timer: Timer<Event>,
    #[cfg(feature = "web")]
    pub(crate) web: crate::web::Web,
    /// Where media lie, as clients are told: a host with a port.
    #[cfg(feature = "web")]
    pub(crate) media_host: String,
    pub(crate) http: reqwest::Client,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Part of each message id, so that ids of different runs differ.
    pub(crate) salt: u32,
}

impl World {
    pub(crate) fn new(
        config: Config,
        #[cfg_attr(not(feature = "web"), allow(unused_variables))] host: &str,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, crate::Error> {
        // Callbacks are this machine's or the developer's own: a proxy of the environment has no part in it.
        let http = reqwest::Client::builder().timeout(config.webhooks.timeout).no_proxy().build()?;
        let world = Arc::new(Self {
            phones: Phones::new(config.phones.max),
            directory: Directory::default(),
            templates: Templates::default(),
            media: MediaStore::default(),
            faults: Faults::default(),
            mailbox: Mailbox::default(),
            sms: Provider::default(),
            stats: Stats::default(),
            timer: Timer::new(),
            #[cfg(feature = "web")]
            web: crate::web::Web::new(&config.web).map_err(|error| crate::Error::Web(error.to_string()))?,
            #[cfg(feature = "web")]
            media_host: if config.web.media_host.is_empty() { host.to_owned() } else { config.web.media_host.clone() },
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

    /// Whether there is somebody on WhatsApp at this number: everybody is, unless a phone was told otherwise.
    #[cfg(feature = "web")]
    pub(crate) fn on_whatsapp(&self, number: &str) -> bool {
        self.phones.look(number, |phone| phone.on_whatsapp).unwrap_or(true)
    }

    /// The name of a business that is on the Web protocol.
    pub(crate) fn web_account(&self, number: &str) -> Option<String> {
        #[cfg(feature = "web")]
        return self.web.account_name(number);
        #[cfg(not(feature = "web"))]
        {
            let _ = number;
            None
        }
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
        self.mailbox.clear();
        self.sms.clear();
        self.faults.reset();
        self.stats.clear();
        #[cfg(feature = "web")]
        self.web.reset(all);
        if all {
            self.directory.clear_numbers();
            self.templates.clear();
        }
    }
}
