//! The store against a store in memory.

use std::sync::Arc;

use bytes::Bytes;
use wacore::store::traits::{
    AppSyncStore, DeviceStore, LidPnMappingEntry, MsgSecretEntry, MsgSecretStore, PendingInboundRow, ProtocolStore, SignalStore,
};
use wacore_appstate::processor::AppStateMutationMAC;

use super::*;
use crate::web::testing::Memory;

async fn open(memory: &Arc<Memory>) -> Arc<Store> {
    let store = Store::open(memory.clone(), Arc::default()).await.unwrap();
    store.tried();
    memory.trips();
    store
}

#[tokio::test(start_paused = true)]
async fn what_must_be_durable_is_written_at_once_and_takes_along_what_may_wait() {
    let memory = Arc::new(Memory::default());
    let store = open(&memory).await;
    store.put_identity("1@lid.0", [1; 32]).await.unwrap();
    store.store_sent_message("1@lid", "A", b"hello").await.unwrap();
    assert_eq!(memory.trips(), (0, 0, 0), "these may wait");
    assert_eq!(store.load_identity("1@lid.0").await.unwrap(), Some([1; 32]), "and are seen nevertheless");
    store.put_sessions_batch(&[("1@lid.0".into(), Bytes::from_static(b"s"))]).await.unwrap();
    assert_eq!(memory.trips(), (0, 0, 1));
    let census = memory.census();
    assert_eq!((census[&Kind::Session], census[&Kind::Identity], census[&Kind::Sent], census[&Kind::Known]), (1, 1, 1, 1));
    assert!(store.has_signal_state_for_user("1").await.unwrap());
    assert!(!store.has_signal_state_for_user("2").await.unwrap());
    let other = open(&memory).await;
    assert!(other.has_signal_state_for_user("1").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_may_wait_is_written_a_moment_later_in_one_go() {
    let memory = Arc::new(Memory::default());
    let store = open(&memory).await;
    for number in 0..50 {
        store.store_sent_message("1@lid", &number.to_string(), b"hello").await.unwrap();
    }
    tokio::time::sleep(LINGER * 2).await;
    assert_eq!(memory.trips(), (0, 0, 1));
    assert_eq!(memory.census()[&Kind::Sent], 50);
    assert_eq!(store.take_sent_message("1@lid", "7").await.unwrap().as_deref(), Some(&b"hello"[..]));
    assert_eq!(store.take_sent_message("1@lid", "7").await.unwrap(), None, "it is taken once, before that is written");
    store.flush().await.unwrap();
    assert_eq!(memory.census()[&Kind::Sent], 49);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_keeps_what_was_asked_and_fails_what_must_be_durable() {
    let memory = Arc::new(Memory::default());
    let store = open(&memory).await;
    memory.break_down(true);
    store.put_identity("1@lid.0", [1; 32]).await.unwrap();
    assert!(store.put_session("1@lid.0", b"one").await.is_err());
    assert!(store.put_session("1@lid.0", b"two").await.is_err());
    tokio::time::sleep(LINGER * 3).await;
    memory.break_down(false);
    store.flush().await.unwrap();
    assert_eq!(store.get_session("1@lid.0").await.unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(memory.census()[&Kind::Identity], 1);
}

#[tokio::test]
async fn a_lost_lease_ends_the_connection_and_forbids_every_further_write() {
    let memory = Arc::new(Memory::default());
    let fate = Arc::new(Fate::default());
    let store = Store::open(memory.clone(), fate.clone()).await.unwrap();
    store.tried();
    memory.lose_lease();
    assert!(store.put_session("1@lid.0", b"one").await.is_err());
    assert!(fate.is_stale());
    memory.trips();
    assert!(store.put_session("1@lid.0", b"two").await.is_err());
    assert_eq!(memory.trips(), (0, 0, 0), "it is not even tried");
}

#[tokio::test]
async fn a_login_reads_once_and_forgets_what_it_read() {
    let memory = Arc::new(Memory::default());
    let store = open(&memory).await;
    let mut device = wacore::store::Device::new();
    device.pn = Some("201000000001:3@s.whatsapp.net".parse().unwrap());
    device.lid = Some("77:3@lid".parse().unwrap());
    store.save(&device).await.unwrap();
    store.put_session("77@lid.0", b"own").await.unwrap();
    store.put_session("88@lid.0", b"peer").await.unwrap();
    store.store_prekeys_batch(&[(7, Bytes::from_static(b"k")), (19, Bytes::from_static(b"l"))], true).await.unwrap();

    let store = Store::open(memory.clone(), Arc::default()).await.unwrap();
    store.tried();
    assert!(store.is_paired());
    assert_eq!(memory.trips().0, 1);
    assert!(store.exists().await.unwrap());
    assert_eq!(store.load().await.unwrap().unwrap().registration_id, device.registration_id);
    assert_eq!(store.get_session("77@lid.0").await.unwrap().as_deref(), Some(&b"own"[..]));
    assert_eq!(store.get_session("77:5@lid.0").await.unwrap(), None, "what a login loads is known to be absent as well");
    assert_eq!(store.get_max_prekey_id().await.unwrap(), 19);
    assert_eq!(store.load_prekeys_batch(&[7, 8]).await.unwrap(), [(7, Bytes::from_static(b"k"))]);
    assert_eq!(store.get_all_lid_mappings().await.unwrap()[0].lid, "77");
    store.save(&device).await.unwrap();
    assert_eq!(memory.trips(), (0, 0, 0), "nothing changed");
    store.settle_in();
    assert_eq!(store.get_session("77@lid.0").await.unwrap().as_deref(), Some(&b"own"[..]));
    assert_eq!(store.get_max_prekey_id().await.unwrap(), 19);
    assert_eq!(memory.trips(), (1, 1, 0));
}

#[tokio::test]
async fn a_number_that_is_being_linked_writes_nothing_until_it_is() {
    let memory = Arc::new(Memory::default());
    let old = open(&memory).await;
    old.put_session("1@lid.0", b"old").await.unwrap();
    let before = memory.census();
    let store = Store::fresh(memory.clone(), Arc::default());
    store.tried();
    assert_eq!(store.get_session("1@lid.0").await.unwrap(), None);
    store.save(&wacore::store::Device::new()).await.unwrap();
    assert_eq!(memory.census(), before);
    store.release().await.unwrap();
    assert_eq!(memory.census(), HashMap::from([(Kind::Device, 1)]));
    store.put_session("2@lid.0", b"new").await.unwrap();
    assert_eq!(memory.census()[&Kind::Session], 1);
}

#[tokio::test]
async fn a_wiped_kind_stays_wiped_for_what_was_before_only() {
    let memory = Arc::new(Memory::default());
    let store = open(&memory).await;
    let mac = |byte: u8| AppStateMutationMAC { index_mac: vec![byte; 32], value_mac: vec![byte] };
    store.put_mutation_macs("regular", 1, &[mac(1), mac(2)]).await.unwrap();
    store.put_mutation_macs("regular_low", 1, &[mac(1)]).await.unwrap();
    store.flush().await.unwrap();
    store.clear_mutation_macs("regular").await.unwrap();
    store.put_mutation_macs("regular", 2, &[mac(3)]).await.unwrap();
    let found = store.get_mutation_macs("regular", &[[1; 32], [3; 32]]).await.unwrap();
    assert_eq!(found, HashMap::from([([3; 32], vec![3])]));
    store.flush().await.unwrap();
    assert_eq!((memory.census()[&Kind::MacRegular], memory.census()[&Kind::MacRegularLow]), (1, 1));
    assert_eq!(store.get_mutation_mac("regular_low", &[1; 32]).await.unwrap(), Some(vec![1]));
}

#[tokio::test]
async fn people_tokens_and_pending_messages_are_found_again() {
    let memory = Arc::new(Memory::default());
    let store = open(&memory).await;
    let entry = LidPnMappingEntry {
        lid: "77".into(),
        phone_number: "201001234567".into(),
        created_at: 1,
        updated_at: 1,
        learning_source: "usync".into(),
    };
    store.put_lid_mapping(&entry).await.unwrap();
    store.store_received_tc_token("77", b"new", 20).await.unwrap();
    store.store_received_tc_token("77", b"old", 10).await.unwrap();
    store.touch_tc_token_sender_timestamp("77", 30).await.unwrap();
    let row = PendingInboundRow { chat: "c", sender: "s", id: "1", message: b"m" };
    store.store_pending_inbound_batch(&[row]).await.unwrap();
    let secret = MsgSecretEntry { chat: "c".into(), sender: "s".into(), msg_id: "1".into(), secret: [5; 32], expires_at: 9, message_ts: 4 };
    store.put_msg_secrets(vec![secret]).await.unwrap();
    store.flush().await.unwrap();

    let store = open(&memory).await;
    assert_eq!(store.get_lid_mapping("77").await.unwrap().unwrap().phone_number, "201001234567");
    assert_eq!(store.get_pn_mapping("201001234567").await.unwrap().unwrap().lid, "77");
    let token = store.get_tc_token("77").await.unwrap().unwrap();
    assert_eq!((token.token, token.token_timestamp, token.sender_timestamp), (b"new".to_vec(), 20, Some(30)));
    assert_eq!(store.get_pending_inbound("c", "s", "1").await.unwrap().as_deref(), Some(&b"m"[..]));
    assert_eq!(store.get_msg_secret_with_ts("c", "s", "1").await.unwrap(), Some((vec![5; 32], 4)));
    memory.trips();
    store.get_tc_token("77").await.unwrap();
    assert_eq!(memory.trips(), (0, 0, 0), "asked for with every send");
}
