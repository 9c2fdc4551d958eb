//! Standard Webhooks, computed here anew: the tests do not trust the code that signs.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::receiver::Received;

/// How far the time of a signature may be from now, in seconds.
const TOLERANCE_S: i64 = 300;

/// Fails the test unless the request is signed by the secret, now, and names the message.
#[track_caller]
pub(crate) fn assert_signed(request: &Received, secret: &str, message_id: &str) {
    assert_eq!(request.header("webhook-id"), Some(message_id));
    let timestamp = request.header("webhook-timestamp").expect("a webhook-timestamp");
    let seconds: i64 = timestamp.parse().expect("seconds since 1970");
    let now = jiff::Timestamp::now().as_second();
    assert!((now - seconds).abs() <= TOLERANCE_S, "signed at {seconds}, which is not now ({now})");
    let signatures = request.header("webhook-signature").expect("a webhook-signature");
    let expected = sign(secret, message_id, timestamp, &request.body);
    assert!(signatures.split(' ').any(|s| s == expected), "{expected} is none of {signatures}");
}

/// The `v1,…` of a request.
pub(crate) fn sign(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = secret.strip_prefix("whsec_").expect("a secret begins with whsec_");
    let key = BASE64_STANDARD.decode(key).expect("a secret is base64");
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed);
    format!("v1,{}", BASE64_STANDARD.encode(tag))
}

/// SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
