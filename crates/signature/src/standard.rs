//! Standard Webhooks, the symmetric scheme: HMAC-SHA256 over `{id}.{timestamp}.{body}`.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
//! The asymmetric scheme (`v1a`, ed25519) is deliberately absent; its keys are recognised by
//! their prefix and refused with a cause of their own.

use std::fmt;

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

/// What the text of a symmetric secret begins with.
pub const SECRET_PREFIX: &str = "whsec_";
/// Fewest bytes of key material (the API contract: 32 characters of base64).
pub const SECRET_BYTES_MIN: usize = 24;
/// Most bytes of key material (the API contract: 100 characters of base64).
pub const SECRET_BYTES_MAX: usize = 75;
/// Most signatures of one header that are looked at; a rotation needs two.
pub const SIGNATURES_MAX: usize = 16;
/// Age, in seconds and in either direction, that the reference libraries accept.
pub const TOLERANCE_S: u64 = 300;

/// Prefixes of the asymmetric keys: secret and public, in both spellings of the contract.
const ASYMMETRIC_PREFIXES: [&str; 4] = ["whsk_", "whsk1_", "whpk_", "whpk1_"];
/// Bytes of an HMAC-SHA256.
const MAC_BYTES: usize = 32;
/// Characters of an HMAC-SHA256 in padded base64.
const MAC_CHARS: usize = 44;

/// Base64 as people paste it: with or without the padding.
const PASTED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is no symmetric secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// A key of the asymmetric scheme (`whsk_`, `whpk_`), which is not supported here.
    #[error("this is a key of the asymmetric scheme")]
    Asymmetric,
    /// Not base64 behind the prefix.
    #[error("a secret is `whsec_` followed by base64")]
    Base64,
    /// Shorter than [`SECRET_BYTES_MIN`] or longer than [`SECRET_BYTES_MAX`].
    #[error("a secret holds 24 to 75 bytes")]
    Length,
}

/// A symmetric secret with its keyed state ready: signing clones that state and never repeats
/// the key schedule. Neither `Debug` nor `Display` shows the key; [`Secret::expose`] does.
#[derive(Clone)]
pub struct Secret {
    key: Box<[u8]>,
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Secret {
    /// A secret of key material that the caller drew at random, usually 24 bytes.
    pub fn from_bytes(key: &[u8]) -> Result<Self, SecretError> {
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&key.len()) {
            return Err(SecretError::Length);
        }
        // An HMAC takes keys of any length, so this cannot fail for these.
        let keyed = Hmac::new_from_slice(key).map_err(|_| SecretError::Length)?;
        Ok(Self { key: key.into(), keyed })
    }

    /// Reads `whsec_<base64>`; the prefix and the padding may be missing.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if ASYMMETRIC_PREFIXES.iter().any(|p| text.starts_with(p)) {
            return Err(SecretError::Asymmetric);
        }
        let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
        if encoded.len() > SECRET_BYTES_MAX.div_ceil(3) * 4 {
            return Err(SecretError::Length);
        }
        let key = PASTED.decode(encoded).map_err(|_| SecretError::Base64)?;
        Self::from_bytes(&key)
    }

    /// The secret as its owner sees it: `whsec_<base64>`. The only way to the key.
    pub fn expose(&self) -> String {
        let mut text = String::from(SECRET_PREFIX);
        STANDARD.encode_string(&self.key, &mut text);
        text
    }

    fn mac(&self, id: &str, timestamp: &[u8], body: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = self.keyed.clone();
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp);
        mac.update(b".");
        mac.update(body);
        mac.finalize().into_bytes().into()
    }
}

/// Signs one message: `v1,<base64>`, one element of the `webhook-signature` header.
///
/// `unix_seconds` is what the `webhook-timestamp` header says. The body is hashed where it
/// lies, never copied.
pub fn sign(secret: &Secret, id: &str, unix_seconds: i64, body: &[u8]) -> String {
    let mut decimal = [0; DECIMAL_BYTES];
    let mac = secret.mac(id, write_decimal(unix_seconds, &mut decimal), body);
    let mut signature = String::with_capacity(3 + MAC_CHARS);
    signature.push_str("v1,");
    STANDARD.encode_string(mac, &mut signature);
    signature
}

/// Why a message was not accepted as genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The id is empty, or holds the dot that separates the signed parts: with one, bytes
    /// could be moved between id, timestamp and body under the same signature.
    #[error("malformed message id")]
    MalformedId,
    /// The timestamp is not a number of seconds in plain decimal digits.
    #[error("malformed timestamp")]
    MalformedTimestamp,
    /// Older than the tolerance.
    #[error("timestamp too old")]
    TooOld,
    /// Further ahead than the tolerance.
    #[error("timestamp too far ahead")]
    TooNew,
    /// No well-formed `v1` signature in the header.
    #[error("no v1 signature")]
    NoSignature,
    /// None of the signatures belongs to this message under any of the secrets.
    #[error("signature mismatch")]
    Mismatch,
}

/// Verifies one message against every secret that is still valid.
///
/// `signature_header` holds signatures separated by spaces, of which the first
/// [`SIGNATURES_MAX`] count; those of other versions are passed over. `now` is in seconds since
/// 1970, `tolerance_s` holds in both directions ([`TOLERANCE_S`] is usual). Comparison takes
/// the same time whether and wherever signatures differ.
pub fn verify<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    timestamp_header: &str,
    signature_header: &str,
    body: &[u8],
    now: i64,
    tolerance_s: u64,
) -> Result<(), Cause> {
    if id.is_empty() || id.contains('.') {
        return Err(Cause::MalformedId);
    }
    let timestamp = parse_decimal(timestamp_header).ok_or(Cause::MalformedTimestamp)?;
    if now.abs_diff(timestamp) > tolerance_s {
        let older = timestamp < now;
        return Err(if older { Cause::TooOld } else { Cause::TooNew });
    }
    let given: Vec<[u8; MAC_BYTES]> = signature_header
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|element| decode_mac(element.strip_prefix("v1,")?))
        .collect();
    if given.is_empty() {
        return Err(Cause::NoSignature);
    }
    let mut genuine = Choice::from(0);
    for secret in secrets {
        // The header's own digits are signed, not a number printed again.
        let mac = secret.mac(id, timestamp_header.as_bytes(), body);
        for candidate in &given {
            genuine |= mac.ct_eq(candidate);
        }
    }
    if bool::from(genuine) { Ok(()) } else { Err(Cause::Mismatch) }
}

fn decode_mac(encoded: &str) -> Option<[u8; MAC_BYTES]> {
    if encoded.len() > MAC_CHARS {
        return None;
    }
    STANDARD.decode(encoded).ok()?.try_into().ok()
}

/// Digits only: no sign, no spaces, nothing that two readers could read differently.
fn parse_decimal(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// `-9223372036854775808` is the longest.
const DECIMAL_BYTES: usize = 20;

fn write_decimal(value: i64, buffer: &mut [u8; DECIMAL_BYTES]) -> &[u8] {
    let mut at = DECIMAL_BYTES;
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

#[cfg(test)]
mod tests;
