use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use barid_vault::{Error, KeyStore, MasterKey, Place, Vault};
use futures::{FutureExt, executor::block_on, future::BoxFuture};
use proptest::prelude::*;
use uuid::Uuid;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<HashMap<Uuid, Vec<u8>>>>);

impl KeyStore for Memory {
    fn load_or_insert(&self, tenant: Uuid, fresh: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>> {
        let key = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant).or_insert(fresh).clone();
        std::future::ready(Ok(key)).boxed()
    }
}

fn vault() -> Vault {
    Vault::new(MasterKey::parse(&MasterKey::generate()).expect("a fresh key"), Memory::default())
}

const A: Uuid = Uuid::from_u128(1);
const B: Uuid = Uuid::from_u128(2);

fn place(tenant: Uuid, column: &'static str, row: u128) -> Place {
    Place { tenant, column, row: Uuid::from_u128(row) }
}

proptest! {
    #[test]
    fn what_is_sealed_opens_at_its_place_only(plain: Vec<u8>, row: u128, other: u128) {
        let vault = vault();
        let key = block_on(vault.tenant(A)).expect("a key");
        let sealed = key.seal(place(A, "t.c", row), &plain);
        prop_assert_eq!(key.open(place(A, "t.c", row), &sealed).expect("opens"), plain.clone());
        prop_assert!(key.open(place(A, "t.d", row), &sealed).is_err());
        prop_assert!(key.open(place(B, "t.c", row), &sealed).is_err());
        prop_assert!(row == other || key.open(place(A, "t.c", other), &sealed).is_err());
        let foreign = block_on(vault.tenant(B)).expect("a key");
        prop_assert!(foreign.open(place(A, "t.c", row), &sealed).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed(plain in proptest::collection::vec(any::<u8>(), 0..64), at: prop::sample::Index, flip in 1u8..) {
        let key = block_on(vault().tenant(A)).expect("a key");
        let mut sealed = key.seal(place(A, "t.c", 1), &plain);
        let at = at.index(sealed.len());
        sealed[at] ^= flip;
        prop_assert!(matches!(key.open(place(A, "t.c", 1), &sealed), Err(Error::Sealed)));
    }
}

#[test]
fn an_index_is_stable_and_belongs_to_a_tenant_and_a_kind() {
    let vault = vault();
    let (a, b) = (block_on(vault.tenant(A)).expect("a key"), block_on(vault.tenant(B)).expect("a key"));
    assert_eq!(a.blind_index("phone", "+201"), a.blind_index("phone", "+201"));
    assert_ne!(a.blind_index("phone", "+201"), b.blind_index("phone", "+201"));
    assert_ne!(a.blind_index("phone", "+201"), a.blind_index("lid", "+201"));
}

#[test]
fn another_master_key_opens_nothing() {
    let store = Memory::default();
    let vault = |text: &str| Vault::new(MasterKey::parse(text).expect("a key"), store.clone());
    let (ours, theirs) = (MasterKey::generate(), MasterKey::generate());
    assert_eq!(format!("{:?}", block_on(vault(&ours).tenant(A)).expect("made")), "TenantKey(version 1, ***)");
    assert!(block_on(vault(&ours).tenant(A)).is_ok());
    assert!(matches!(block_on(vault(&theirs).tenant(A)), Err(Error::TenantKey)));
}
