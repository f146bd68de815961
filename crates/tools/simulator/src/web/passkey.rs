//! Linking with a passkey: the server asks the device for proof by an authenticator, then device and phone agree on a
//! secret of which a person compares a code. Any assertion is taken for valid: authenticators are not simulated.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use wacore::shortcake::ShortcakeUtils;
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};
use wacore_libsignal::{crypto::aes_256_gcm_decrypt, protocol::KeyPair};
use waproto::{
    buffa::Message as _,
    whatsapp::{CompanionEphemeralIdentity, EncryptedPairingRequest, PairingRequest, PrimaryEphemeralIdentity, ProloguePayload},
};

use super::{
    keys::public,
    mailbox::Out,
    pairing::{Outcome, Waiting, done, introduce},
    stanza::{error, result, server, value},
};
use crate::{flow::Event, world::World};

/// The relying party of WhatsApp's passkeys.
const RELYING_PARTY: &str = "web.whatsapp.com";

/// How long the phone takes to answer: clients do not expect it in the same breath.
const PHONE: Duration = Duration::from_millis(150);

#[derive(Default)]
pub(super) struct Passkey(Mutex<Option<Ceremony>>);

struct Ceremony {
    number: String,
    done: done::Sender,
    reference: String,
    ephemeral: KeyPair,
    nonce: [u8; 32],
    /// What the device said of itself, and the hash that binds it.
    device: Option<(Vec<u8>, Vec<u8>)>,
    code: Option<String>,
}

impl Passkey {
    /// Asks the device for its passkey on behalf of this account.
    pub(super) fn ask(&self, world: &World, waiting: &Waiting, number: &str) -> Outcome {
        let (done, outcome) = done::channel();
        *self.0.lock() = Some(Ceremony {
            number: number.to_owned(),
            done,
            reference: hex::encode(rand::random::<[u8; 16]>()),
            ephemeral: KeyPair::generate(&mut rand::rng()),
            nonce: rand::random(),
            device: None,
            code: None,
        });
        let options = value("passkey_request_options", options().into_bytes());
        waiting.mailbox.put(Out::Stanza(notice(world, "passkey_prologue_request", options)));
        outcome
    }

    pub(super) fn answer(&self, world: &World, waiting: &Arc<Waiting>, request: &NodeRef<'_>, what: &str) -> Option<Node> {
        let content = request.get_optional_child(what)?;
        let mut ceremony = self.0.lock();
        let ceremony = ceremony.as_mut()?;
        match what {
            "ref" => Some(result(request, [value("ref", ceremony.reference.clone().into_bytes())])),
            "passkey_request_options" => Some(result(request, [value("passkey_request_options", options().into_bytes())])),
            "passkey_prologue" => {
                let payload = content.get_optional_child("prologue_payload")?.content_bytes()?;
                let payload = ProloguePayload::decode_from_slice(payload).ok()?;
                ceremony.device = Some((payload.companion_ephemeral_identity.clone()?, payload.commitment.hash.clone()?));
                let primary = PrimaryEphemeralIdentity {
                    public_key: Some(public(&ceremony.ephemeral).to_vec()),
                    nonce: Some(ceremony.nonce.to_vec()),
                };
                let primary = value("primary_ephemeral_identity", primary.encode_to_vec());
                let continuation = Out::Stanza(notice(world, "crsc_continuation", primary));
                let mailbox = Arc::clone(&waiting.mailbox);
                world.timer.after(PHONE, Event::Later(Box::new(move |_| mailbox.put(continuation))));
                Some(result(request, []))
            }
            "companion_nonce" => {
                let nonce: [u8; 32] = content.content_bytes()?.try_into().ok()?;
                let (identity, commitment) = ceremony.device.as_ref()?;
                if Sha256::new().chain_update(identity).chain_update(nonce).finalize()[..] != commitment[..] {
                    ceremony.done.tell(Err("the device's nonce is not the one it was bound to".into()));
                    return Some(error(request, 400, "bad-request"));
                }
                let code = ShortcakeUtils::derive_verification_code(&nonce, &public(&ceremony.ephemeral), &ceremony.nonce);
                ceremony.code = Some(code);
                Some(result(request, []))
            }
            "encrypted_pairing_request" => {
                match secret(ceremony, content) {
                    Some(secret) => {
                        ceremony.done.compare(ceremony.code.clone());
                        let (number, done, waiting) = (ceremony.number.clone(), ceremony.done.clone(), Arc::clone(waiting));
                        let answer = move |world: &World| {
                            if let Err(problem) = introduce(world, &waiting, &number, &secret, done.clone()) {
                                done.tell(Err(problem.to_string()));
                            }
                        };
                        world.timer.after(PHONE, Event::Later(Box::new(answer)));
                    }
                    None => ceremony.done.tell(Err("the device's request does not open".into())),
                }
                Some(result(request, []))
            }
            _ => None,
        }
    }
}

/// What WebAuthn wants to know.
fn options() -> String {
    let challenge = hex::encode(rand::random::<[u8; 16]>());
    json!({"challenge": challenge, "rpId": RELYING_PARTY, "allowCredentials": [], "userVerification": "preferred", "timeout": 60_000})
        .to_string()
}

fn notice(world: &World, kind: &'static str, content: Node) -> Node {
    NodeBuilder::new("notification")
        .attr("from", server())
        .attr("id", world.web.next().to_string())
        .attr("type", kind)
        .attr("t", world.now().timestamp())
        .children([content])
        .build()
}

/// The secret that the device sent under the key both agreed on.
fn secret(ceremony: &Ceremony, content: &NodeRef<'_>) -> Option<Vec<u8>> {
    let (identity, _) = ceremony.device.as_ref()?;
    let device = CompanionEphemeralIdentity::decode_from_slice(identity).ok()?;
    let key = device.public_key.as_deref()?.try_into().ok()?;
    let key = ShortcakeUtils::derive_encryption_key(&ceremony.ephemeral, key, device.device_type?, device.r#ref.as_deref()?).ok()?;
    let sealed = EncryptedPairingRequest::decode_from_slice(content.content_bytes()?).ok()?;
    let mut plain = Vec::new();
    aes_256_gcm_decrypt(&key, sealed.iv.as_deref()?.try_into().ok()?, b"", sealed.encrypted_payload.as_deref()?, &mut plain).ok()?;
    PairingRequest::decode_from_slice(&plain).ok()?.adv_secret
}
