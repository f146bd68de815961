//! An account's settings as its devices synchronise them: per collection a line of encrypted patches, each proven by
//! a hash over all before it. The phone writes the business's name; devices write what their users do.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use wacore_appstate::{
    encode::encode_record,
    hash::{HashState, generate_patch_mac},
    keys::expand_app_state_keys,
};
use waproto::{
    buffa::{Message as _, MessageField},
    whatsapp::{
        KeyId, SyncActionValue, SyncdMutation, SyncdPatch, SyncdVersion, sync_action_value::PushNameSetting, syncd_mutation::SyncdOperation,
    },
};

use super::error::Result;

/// The collection that holds the account's name.
pub(super) const NAME: &str = "critical_block";
const NAME_INDEX: &[u8] = br#"["setting_pushName"]"#;
/// WhatsApp's number for how a name is written.
const NAME_VERSION: i32 = 1;

#[derive(Clone, Default, Deserialize, Serialize)]
pub(super) struct Collections(BTreeMap<String, Collection>);

/// Patches in order; the version is how many there are.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Collection {
    #[serde(with = "serde_with_hex")]
    patches: Vec<Vec<u8>>,
}

/// The secret that an account's settings are sealed with, and its id.
pub(super) struct Key {
    pub(super) id: [u8; 6],
    pub(super) secret: [u8; 32],
}

impl Collections {
    pub(super) fn version(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |collection| collection.patches.len() as u64)
    }

    /// Patches after this version.
    pub(super) fn since(&self, name: &str, version: u64) -> &[Vec<u8>] {
        let patches = self.0.get(name).map_or(&[][..], |collection| &collection.patches);
        patches.get(usize::try_from(version).unwrap_or(usize::MAX)..).unwrap_or_default()
    }

    /// Takes a device's patch onto `version`; false when there are newer ones, which the device must fetch first.
    pub(super) fn push(&mut self, name: &str, version: u64, patch: &[u8]) -> Result<bool> {
        if version != self.version(name) {
            return Ok(false);
        }
        let mut patch = SyncdPatch::decode_from_slice(patch)?;
        patch.version = MessageField::some(SyncdVersion { version: Some(version + 1) });
        self.0.entry(name.to_owned()).or_default().patches.push(patch.encode_to_vec());
        Ok(true)
    }

    /// The phone writes the account's name.
    pub(super) fn write_name(&mut self, key: &Key, name: &str, now: i64) -> Result<()> {
        let keys = expand_app_state_keys(&key.secret);
        let value = SyncActionValue {
            timestamp: Some(now),
            push_name_setting: MessageField::some(PushNameSetting { name: Some(name.to_owned()) }),
            ..Default::default()
        };
        let iv = rand::random();
        let (mutation, _) = encode_record(SyncdOperation::SET, NAME_INDEX, &value, &keys, &key.id, &iv, NAME_VERSION);
        let mut state = self.state(NAME)?;
        state.add(std::slice::from_ref(&mutation));
        let version = self.version(NAME) + 1;
        state.hash.version = version;
        let mut patch = SyncdPatch {
            version: MessageField::some(SyncdVersion { version: Some(version) }),
            mutations: vec![mutation],
            key_id: MessageField::some(KeyId { id: Some(key.id.to_vec()) }),
            snapshot_mac: Some(state.hash.generate_snapshot_mac(NAME, &keys.snapshot_mac)),
            ..Default::default()
        };
        patch.patch_mac = Some(generate_patch_mac(&patch, NAME, &keys.patch_mac, version));
        self.0.entry(NAME.to_owned()).or_default().patches.push(patch.encode_to_vec());
        Ok(())
    }

    /// The hash over all patches of a collection.
    fn state(&self, name: &str) -> Result<State> {
        let mut state = State::default();
        for patch in self.since(name, 0) {
            state.add(&SyncdPatch::decode_from_slice(patch)?.mutations);
        }
        Ok(state)
    }
}

/// A collection's hash, and what each of its indexes holds.
#[derive(Default)]
struct State {
    hash: HashState,
    values: HashMap<Vec<u8>, Vec<u8>>,
}

impl State {
    fn add(&mut self, mutations: &[SyncdMutation]) {
        let values = &self.values;
        // A patch without a previous value of what it removes changes nothing by it; there is nothing to report.
        let _ = self.hash.update_hash(mutations, |index, _| Ok(values.get(index).cloned()));
        for mutation in mutations {
            let (Some(index), Some(value)) = (mutation.record.index.blob.clone(), mutation.record.value.blob.as_deref()) else { continue };
            if mutation.operation.is_some_and(|operation| operation == SyncdOperation::REMOVE) {
                self.values.remove(&index);
            } else {
                self.values.insert(index, value[value.len().saturating_sub(32)..].to_vec());
            }
        }
    }
}

/// Lists of bytes as hex.
mod serde_with_hex {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        list.iter().map(hex::encode).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        Vec::<String>::deserialize(deserializer)?.iter().map(|text| hex::decode(text).map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wacore_appstate::processor::process_patch;

    use super::*;

    #[test]
    fn a_device_can_prove_what_the_phone_wrote() {
        let key = Key { id: [0, 0, 0, 0, 0, 1], secret: [7; 32] };
        let mut collections = Collections::default();
        collections.write_name(&key, "first", 1).unwrap();
        collections.write_name(&key, "second", 2).unwrap();
        let keys = Arc::new(expand_app_state_keys(&key.secret));
        let (mut state, mut macs) = (HashState::default(), HashMap::new());
        for patch in collections.since(NAME, 0) {
            let patch = SyncdPatch::decode_from_slice(patch).unwrap();
            let known = macs.clone();
            let done =
                process_patch(&patch, &mut state, |_| Ok(Arc::clone(&keys)), |index| Ok(known.get(index).cloned()), true, NAME).unwrap();
            let record = &patch.mutations[0].record;
            let value = record.value.blob.clone().unwrap();
            macs.insert(record.index.blob.clone().unwrap(), value[value.len() - 32..].to_vec());
            assert_eq!(done.mutations.len(), 1);
        }
        assert_eq!((state.version, collections.version(NAME)), (2, 2));
    }

    #[test]
    fn a_patch_onto_an_old_version_is_refused() {
        let mut collections = Collections::default();
        assert!(collections.push("regular", 0, &SyncdPatch::default().encode_to_vec()).unwrap());
        assert!(!collections.push("regular", 0, &SyncdPatch::default().encode_to_vec()).unwrap());
        assert_eq!(collections.since("regular", 0).len(), 1);
    }
}
