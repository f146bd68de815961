//! The library's client, set up small: one socket, one session, nothing kept that can be read again.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use wacore::store::DevicePropsOverride;
use waproto::whatsapp::device_props::{HistorySyncConfig, PlatformType};
use whatsapp_rust::{
    CacheConfig, CacheEntryConfig, Client, TokioRuntime,
    store::{commands::DeviceCommand, persistence_manager::PersistenceManager},
};

use super::{
    Closed, Options, Shared, Sink,
    acks::Acks,
    barrier::Barrier,
    fate::Fate,
    handler::{Durable, Handler},
    inbox::Inbox,
    pairing::Step,
    presence::Veil,
    pulse::Pulse,
    store::Store,
    transport::Line,
};

/// Changes are saved as they happen; this only repeats a save that failed.
const SAVE_AGAIN: Duration = Duration::from_secs(300);

/// How long an orderly end may take. What is not acked by then WhatsApp hands over again.
const FAREWELL: Duration = Duration::from_secs(12);

/// A client and what hangs on it.
pub(super) struct Live {
    pub client: Arc<Client>,
    pub store: Arc<Store>,
    pub fate: Arc<Fate>,
    pub inbox: Arc<Inbox<Step>>,
    pub acks: Arc<Acks>,
    pub pulse: Arc<Pulse>,
    pub veil: Arc<Veil>,
    pub handler: Arc<Handler>,
    /// Whether the server's key was known from an earlier login.
    pub knew_server: bool,
}

/// Makes a client that is not connected yet.
pub(super) async fn build(
    shared: &Shared,
    store: Arc<Store>,
    fate: Arc<Fate>,
    inbox: Arc<Inbox<Step>>,
    sink: Arc<dyn Sink>,
    options: &Options,
) -> Result<Live, Closed> {
    let broken = |detail: String| Closed::Store { detail };
    let manager = PersistenceManager::new(store.clone()).await.map_err(|error| broken(error.to_string()))?;
    let manager = Arc::new(manager);
    manager.process_command(DeviceCommand::SetDeviceProps(props(shared, options))).await;
    let device = manager.get_device_snapshot();
    let (logins, knew_server) = (device.login_counter, device.server_cert_chain.is_some());
    let veil = Arc::new(Veil::new(store.clone(), options.presence, logins));
    let pulse = Arc::new(Pulse::default());
    let acks = Arc::new(Acks::default());
    let barrier = Arc::new(Barrier::default());
    let line = Line {
        dialer: shared.dialer.clone(),
        fate: fate.clone(),
        inbox: inbox.clone(),
        veil: veil.clone(),
        pulse: pulse.clone(),
        barrier: barrier.clone(),
        store: store.clone(),
    };
    let build = Client::builder()
        .with_runtime(TokioRuntime)
        .with_persistence_manager(manager)
        .with_transport_factory(line)
        .with_http_client_arc(shared.media.clone())
        .with_version_override(shared.settings.version)
        .with_cache_config(caches())
        .with_inbound_durability_hook(Durable { sink, fate: fate.clone() })
        .with_skip_history_sync(options.history_days == 0)
        .with_wanted_pre_key_count(shared.settings.prekeys)
        .with_background_saver_interval(SAVE_AGAIN)
        .build()
        .await
        .map_err(|error| broken(error.to_string()))?;
    store.tried();
    let client = build.into_client();
    veil.watch(&client);
    let handler = Arc::new(Handler::new(&client, fate.clone(), acks.clone(), inbox.clone(), barrier, options.presence));
    client.subscribe_handler(handler.clone()).detach();
    Ok(Live { client, store, fate, inbox, acks, pulse, veil, handler, knew_server })
}

impl Live {
    /// Connects, and reads until the connection ends.
    pub fn run(&self) -> JoinHandle<()> {
        let client = self.client.clone();
        tokio::spawn(async move { client.run().await })
    }

    /// Ends in an orderly way: what is under way is finished, what is not stored is stored. Bounded.
    pub async fn close(&self, mut run: JoinHandle<()>) {
        let farewell = async {
            self.client.disconnect().await;
            // The library has queued its last words by now; with the lease lost they are not for us to write.
            if !self.fate.is_stale()
                && let Err(error) = self.store.flush().await
            {
                tracing::warn!(%error, "the last state of a connection was not stored");
            }
            if !run.is_finished() {
                let _ = (&mut run).await;
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("a connection did not end in time");
            run.abort();
        }
    }
}

fn props(shared: &Shared, options: &Options) -> DevicePropsOverride {
    let name = options.device_name.as_ref().unwrap_or(&shared.settings.device_name);
    let props = DevicePropsOverride::new().with_os(name.clone()).with_platform_type(PlatformType::DESKTOP);
    if options.history_days == 0 {
        return props;
    }
    let history = HistorySyncConfig { full_sync_days_limit: Some(options.history_days), ..HistorySyncConfig::default() };
    props.with_history_sync_config(history)
}

/// Sizes for a business that talks to some hundred people while it is connected. What falls out is read again.
fn caches() -> CacheConfig {
    let hour = Some(Duration::from_secs(3600));
    CacheConfig {
        group_cache: CacheEntryConfig::new(hour, 32),
        device_registry_cache: CacheEntryConfig::new(hour, 1024),
        lid_pn_cache: CacheEntryConfig::new(None, 2048),
        message_retry_counts: CacheEntryConfig::new(hour, 256),
        undecryptable_dispatched: CacheEntryConfig::new(Some(Duration::from_secs(300)), 256),
        pdo_pending_requests: CacheEntryConfig::new(Some(Duration::from_secs(30)), 64),
        pdo_requested: CacheEntryConfig::new(hour, 128),
        sender_key_devices_cache: CacheEntryConfig::new(hour, 32),
        session_recreate_history: CacheEntryConfig::new(hour, 128),
        session_locks_capacity: 2048,
        chat_lanes_capacity: 512,
        group_distribution_locks_capacity: 64,
        resend_rate_limiter_capacity: 256,
        // Cells expire by their own stamp.
        sent_message_ttl_secs: 0,
        seed_msg_secrets_from_history: false,
        ..CacheConfig::default()
    }
}
