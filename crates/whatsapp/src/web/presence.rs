//! Keeps a number from looking online because it is connected.
//!
//! After every login the library announces the account as available, which shows customers that somebody is there and silences the
//! owner's phone. It does so only if it knows the account's name, and it looks twice: first whether it must ask for the name, then
//! whether it can announce. Between the two looks the name is taken away and put back after, and [`Store`] writes it as if it had never
//! been gone.

use std::sync::{Arc, OnceLock, Weak};

use futures::FutureExt;
use parking_lot::Mutex;
use whatsapp_rust::Client;

use super::store::Store;

pub(super) struct Veil {
    store: Arc<Store>,
    client: OnceLock<Weak<Client>>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Off,
    /// Waits for the library's first look, which comes right after it counted this login.
    Waiting {
        logins: i32,
    },
    Down,
}

impl Veil {
    /// `logins` is the device's count before this login.
    pub fn new(store: Arc<Store>, presence: bool, logins: i32) -> Self {
        let state = if presence { State::Off } else { State::Waiting { logins } };
        Self { store, client: OnceLock::new(), state: Mutex::new(state) }
    }

    pub fn watch(&self, client: &Arc<Client>) {
        let _ = self.client.set(Arc::downgrade(client));
    }

    /// Called before a frame leaves: the library sends some between its two looks.
    pub fn before_frame(&self) {
        let State::Waiting { logins } = *self.state.lock() else { return };
        let Some(client) = self.client.get().and_then(Weak::upgrade) else { return };
        let manager = client.persistence_manager();
        let device = manager.get_device_snapshot();
        if !client.is_logged_in() || device.login_counter == logins || device.push_name.is_empty() {
            return;
        }
        *self.store.hidden_name.lock() = Some(device.push_name.clone());
        // Contended only for an instant, and the next frame tries again.
        if manager.modify_device(|device| device.push_name.clear()).now_or_never().is_some() {
            *self.state.lock() = State::Down;
        }
    }

    /// The login is over, and nothing will be announced by itself any more.
    pub async fn lift(&self) {
        let was = std::mem::replace(&mut *self.state.lock(), State::Off);
        if was != State::Down {
            return;
        }
        let name = self.store.hidden_name.lock().clone();
        if let (Some(client), Some(name)) = (self.client.get().and_then(Weak::upgrade), name) {
            let restore = |device: &mut whatsapp_rust::store::Device| {
                if device.push_name.is_empty() {
                    device.push_name = name;
                }
            };
            client.persistence_manager().modify_device(restore).await;
            *self.store.hidden_name.lock() = None;
        }
    }
}
