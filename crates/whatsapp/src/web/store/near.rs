//! What the next send to a contact will ask for one by one, read in one go.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use wacore::store::{
    error::Result,
    traits::{DeviceListRecord, LidPnMappingEntry},
};

use super::{REMEMBERED, Store, from_json, protocol::by_phone};
use crate::web::cells::Kind;

/// Cells that were read ahead, or that are known to be absent. Each is handed out once: the library remembers it then.
#[derive(Default)]
pub(super) struct Near {
    cells: HashMap<(Kind, String), Option<Bytes>>,
    met: HashSet<String>,
}

/// Cells kept for sends that never asked for them.
const KEPT: usize = 64;

impl Near {
    pub fn take(&mut self, key: &(Kind, String)) -> Option<Option<Bytes>> {
        self.cells.remove(key)
    }

    /// The cell changes: what was read of it is out of date.
    pub fn forget(&mut self, key: &(Kind, String)) {
        self.cells.remove(key);
    }

    fn is_met(&mut self, phone: &str) -> bool {
        if self.met.len() >= REMEMBERED {
            self.met.clear();
        }
        !self.met.insert(phone.to_owned())
    }
}

impl Store {
    /// Reads what sending to this number takes, in two round trips if the contact is known, three if it has more devices than its
    /// phone, one if it is not, and none if this was done before on this connection.
    pub async fn meet(&self, phone: &str) -> Result<()> {
        if self.near.lock().is_met(phone) {
            return Ok(());
        }
        let mapping = (Kind::Lid, by_phone(phone));
        let found = self.read_ahead(vec![mapping.clone(), self.place_devices(phone)]).await?;
        let Some(mapping) = found.get(&mapping) else { return Ok(()) };
        let lid = from_json::<LidPnMappingEntry>(mapping)?.lid;
        let mut keys = vec![self.place_devices(&lid), (Kind::Token, lid.clone())];
        let list = keys[0].clone();
        keys.extend(self.places_of(&format!("{lid}@lid.0")));
        let found = self.read_ahead(keys).await?;
        let Some(list) = found.get(&list) else { return Ok(()) };
        let devices = from_json::<DeviceListRecord>(list)?.devices.into_iter().map(|device| device.device_id);
        let others = devices.filter(|id| *id != 0).flat_map(|id| self.places_of(&format!("{lid}:{id}@lid.0"))).collect::<Vec<_>>();
        if !others.is_empty() {
            self.read_ahead(others).await?;
        }
        Ok(())
    }

    fn places_of(&self, address: &str) -> [(Kind, String); 2] {
        [self.at(Kind::Session, address), self.at(Kind::Identity, address)]
    }

    async fn read_ahead(&self, keys: Vec<(Kind, String)>) -> Result<HashMap<(Kind, String), Bytes>> {
        // Whatever is written meanwhile is newer than what is read.
        let before = self.queue.lock().ticket();
        let found: HashMap<_, _> = self.read_many(keys.clone()).await?.into_iter().collect();
        let queue = self.queue.lock();
        if queue.ticket() == before {
            let mut near = self.near.lock();
            if near.cells.len() + keys.len() > KEPT {
                near.cells.clear();
            }
            near.cells.extend(keys.into_iter().map(|key| (key.clone(), found.get(&key).cloned())));
        }
        Ok(found)
    }
}
