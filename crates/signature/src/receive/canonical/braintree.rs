//! Braintree: a form of a payload and signatures by public key.
//!
//! Source: `webhook_notification_gateway` of the npm package `braintree`. The same key answers challenges
//! (see `handshake`), so a payload that could be a challenge is refused: its signature may have been asked for.

use aws_lc_rs::{digest, hmac};

use crate::receive::canonical::any_secret;
use crate::receive::reading;
use crate::receive::{Cause, Request, Settings};

/// Most pairs of key and signature that are looked at.
const PAIRS_MAX: usize = 16;

/// Verifies a notification. `publicKeyId` names the key whose signature counts; the secret is the private
/// key. The payload's text is signed, line ends included; a last one may have been lost on the way.
pub(super) fn verify(settings: &Settings, request: &Request<'_>) -> Result<(), Cause> {
    let fields = reading::sent_form(request)?;
    let signatures = reading::only_text(&fields, "bt_signature")?;
    let payload = reading::only_text(&fields, "bt_payload")?;
    if payload.is_empty() || !payload.bytes().all(is_payload_byte) || is_challenge(payload) {
        return Err(Cause::MalformedBody);
    }
    let pairs: Vec<(&str, &str)> =
        signatures.split('&').take(PAIRS_MAX).filter_map(|pair| pair.split_once('|')).collect();
    if pairs.is_empty() {
        return Err(Cause::MalformedBody);
    }
    let own = settings.texts("publicKeyId");
    let given = pairs.iter().find(|(key, _)| own.contains(key)).ok_or(Cause::UnknownKey)?.1;
    any_secret(settings, given, |secret| Some(sign(secret, &[payload.as_bytes()])))
        .or_else(|_| any_secret(settings, given, |secret| Some(sign(secret, &[payload.as_bytes(), b"\n"]))))
}

/// The answer to a challenge: the public key, a bar and the challenge's signature.
pub(in crate::receive) fn challenge_reply(public_key: &str, private_key: &str, challenge: &str) -> String {
    format!("{public_key}|{}", sign(private_key, &[challenge.as_bytes()]))
}

/// HMAC-SHA1 keyed with the private key's SHA-1, in lower-case hexadecimal digits.
fn sign(private_key: &str, parts: &[&[u8]]) -> String {
    let key = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, private_key.as_bytes());
    reading::hex(reading::mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_ref(), parts).as_ref())
}

/// What a challenge looks like: 20 to 32 lower-case hexadecimal digits.
pub(in crate::receive) fn is_challenge(text: &str) -> bool {
    (20..=32).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_payload_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'=' | b'/' | b'\n')
}
