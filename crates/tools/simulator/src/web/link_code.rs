//! Linking by a code of eight characters: the device shows it, and a person types it into the phone. The code proves to
//! both that nobody stands between them.

use std::sync::Arc;

use parking_lot::Mutex;
use wacore::{crypto::hkdf_sha256, pair_code::PairCodeUtils};
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};
use wacore_libsignal::{crypto::aes_256_gcm_decrypt, protocol::KeyPair};

use super::{
    keys::public,
    mailbox::Out,
    pairing::{Outcome, Waiting, done, introduce},
    people::number_of,
    stanza::{bytes, error, jid, result, server, text, value},
};
use crate::world::World;

const TAG: &str = "link_code_companion_reg";
const REF: &str = "link_code_pairing_ref";
/// Salt and nonce before the sealed bundle, and the keys in it.
const SALT: usize = 32;
const NONCE: usize = 12;
const KEY: usize = 32;

/// What a device that asked for a code has said, and what the phone made of it.
#[derive(Default)]
pub(super) struct LinkCode(Mutex<State>);

#[derive(Default)]
struct State {
    hello: Option<Hello>,
    entered: Option<Entered>,
}

#[derive(Clone)]
struct Hello {
    number: String,
    reference: Vec<u8>,
    /// The device's ephemeral key under the code.
    wrapped: Vec<u8>,
}

struct Entered {
    number: String,
    ephemeral: KeyPair,
    device_ephemeral: [u8; 32],
    done: done::Sender,
}

impl LinkCode {
    /// Whether the device waits for this phone.
    pub(super) fn waits_for(&self, number: &str) -> bool {
        self.0.lock().hello.as_ref().is_some_and(|hello| hello.number == number)
    }

    pub(super) fn answer(&self, world: &World, waiting: &Arc<Waiting>, request: &NodeRef<'_>) -> Option<Node> {
        let registration = request.get_optional_child(TAG)?;
        match text(registration, "stage").as_deref() {
            Some("companion_hello") => self.hello(request, registration),
            Some("companion_finish") => {
                let Some(entered) = self.0.lock().entered.take() else { return Some(error(request, 400, "bad-request")) };
                let Entered { number, done, .. } = &entered;
                match secret(world, &entered, registration) {
                    Some(secret) => {
                        if let Err(problem) = introduce(world, waiting, number, &secret, done.clone()) {
                            done.tell(Err(problem.to_string()));
                        }
                    }
                    None => done.tell(Err("the code is not the one that the device shows".into())),
                }
                Some(result(request, []))
            }
            _ => None,
        }
    }

    fn hello(&self, request: &NodeRef<'_>, registration: &NodeRef<'_>) -> Option<Node> {
        let number = number_of(&jid(registration, "jid")?)?;
        let wrapped = bytes(registration, "link_code_pairing_wrapped_companion_ephemeral_pub")?.to_vec();
        let reference = rand::random::<[u8; 16]>().to_vec();
        let answer = NodeBuilder::new(TAG).attr("stage", "companion_hello").children([value(REF, reference.clone())]).build();
        self.0.lock().hello = Some(Hello { number, reference, wrapped });
        Some(result(request, [answer]))
    }

    /// The phone answers with its own keys under the code that was typed. Slow: the code is stretched on purpose.
    pub(super) fn enter(&self, world: &World, waiting: &Waiting, code: &str) -> Result<Outcome, String> {
        let hello = self.0.lock().hello.clone().ok_or("no device waits for this phone")?;
        let code = code.replace(['-', ' '], "").to_ascii_uppercase();
        let device_ephemeral = PairCodeUtils::decrypt_primary_ephemeral_pub(&hello.wrapped, &code).map_err(|error| error.to_string())?;
        let ephemeral = KeyPair::generate(&mut rand::rng());
        let wrapped = PairCodeUtils::encrypt_ephemeral_pub(&public(&ephemeral), &code);
        let person = world.web.people.get(&world.web.keys, &hello.number).map_err(|error| error.to_string())?;
        let identity = person.lock().signal.identity_key();
        let parts = [
            value("link_code_pairing_wrapped_primary_ephemeral_pub", wrapped.to_vec()),
            value("primary_identity_pub", identity),
            value(REF, hello.reference),
        ];
        let (done, outcome) = done::channel();
        self.0.lock().entered = Some(Entered { number: hello.number, ephemeral, device_ephemeral, done });
        let registration = NodeBuilder::new(TAG).attr("stage", "primary_hello").children(parts).build();
        let notice = NodeBuilder::new("notification")
            .attr("from", server())
            .attr("id", world.web.next().to_string())
            .attr("type", TAG)
            .attr("t", world.now().timestamp())
            .children([registration]);
        waiting.mailbox.put(Out::Stanza(notice.build()));
        Ok(outcome)
    }
}

/// The secret that both sides derive; none if the device's bundle does not open, as with a wrong code.
fn secret(world: &World, entered: &Entered, registration: &NodeRef<'_>) -> Option<Vec<u8>> {
    let wrapped = bytes(registration, "link_code_pairing_wrapped_key_bundle")?;
    let device = bytes(registration, "companion_identity_public")?.try_into().ok()?;
    let (salt, nonce, sealed) = (wrapped.get(..SALT)?, wrapped.get(SALT..SALT + NONCE)?, wrapped.get(SALT + NONCE..)?);
    let theirs = wacore_libsignal::protocol::PublicKey::from_djb_public_key_bytes(&entered.device_ephemeral).ok()?;
    let shared = entered.ephemeral.calculate_agreement(&theirs).ok()?;
    let key = hkdf_sha256(&shared, KEY, Some(salt), b"link_code_pairing_key_bundle_encryption_key").ok()?;
    let mut bundle = Vec::new();
    aes_256_gcm_decrypt(&key.try_into().ok()?, nonce.try_into().ok()?, b"", sealed, &mut bundle).ok()?;
    let random = bundle.get(2 * KEY..3 * KEY)?;
    let person = world.web.people.find(&entered.number)?;
    let identity_shared = person.lock().signal.agree(&device).ok()?;
    hkdf_sha256(&[&shared[..], &identity_shared, random].concat(), KEY, None, b"adv_secret").ok()
}
