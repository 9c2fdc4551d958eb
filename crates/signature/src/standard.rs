//! Standard Webhooks: signatures over `{id}.{timestamp}.{body}`, HMAC-SHA256 (`v1`) with a secret
//! that both sides hold, or ed25519 (`v1a`) with a key pair of which the receiver has the public half.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
//! A sender signs with [`SigningKey`]s, several while a secret is being replaced ([`sign_all`]); a
//! receiver checks with [`VerifyingKey`]s ([`verify`]). Deliberately absent: the drawing of keys,
//! which takes randomness that the caller has.

mod asymmetric;
mod key;

use std::fmt;

pub use asymmetric::{Jwk, KeyPair, PublicKey};
pub use key::{SigningKey, VerifyingKey, sign_all};

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

/// What the text of a secret key pair begins with.
pub const SECRET_KEY_PREFIX: &str = "whsk_";
/// What the text of a public key begins with.
pub const PUBLIC_KEY_PREFIX: &str = "whpk_";

/// Prefixes that the contract's pattern has beside those above, and that no key of ours has.
const UNKNOWN_PREFIXES: [&str; 2] = ["whsk1_", "whpk1_"];
/// Bytes of an HMAC-SHA256.
const MAC_BYTES: usize = 32;
/// Characters of an HMAC-SHA256 in padded base64.
const MAC_CHARS: usize = 44;

/// Base64 as people paste it: with or without the padding.
const PASTED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text or bytes are not the key that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// A key pair (`whsk_`) where only a symmetric secret serves.
    #[error("this is a key pair of the asymmetric scheme, where a `whsec_` secret is wanted")]
    Asymmetric,
    /// A public key (`whpk_`), with which nobody can sign.
    #[error("this is a public key: signing takes the secret one, which begins with `whsk_`")]
    PublicKey,
    /// A prefix that no key known here has (`whsk1_`, `whpk1_`).
    #[error("keys that begin with `whsk1_` or `whpk1_` are not known")]
    UnknownPrefix,
    /// Not base64 of exactly 64 bytes behind `whsk_`.
    #[error("a key pair is `whsk_` followed by base64 of 64 bytes: the seed and the public key")]
    KeyPair,
    /// The second half of a key pair is not the public key of the first.
    #[error("the public key in this key pair does not belong to its seed")]
    Mismatched,
    /// Not base64 of the 32 bytes of a usable public key behind `whpk_`.
    #[error("a public key is `whpk_` followed by base64 of the 32 bytes of an ed25519 key")]
    NoPublicKey,
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
        refuse_others(text)?;
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

/// Refuses texts that are keys, and no symmetric secrets.
fn refuse_others(text: &str) -> Result<(), SecretError> {
    if text.starts_with(SECRET_KEY_PREFIX) {
        Err(SecretError::Asymmetric)
    } else if text.starts_with(PUBLIC_KEY_PREFIX) {
        Err(SecretError::PublicKey)
    } else if UNKNOWN_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        Err(SecretError::UnknownPrefix)
    } else {
        Ok(())
    }
}

/// Signs one message with a symmetric secret: `v1,<base64>`, one element of the `webhook-signature` header.
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
    /// No well-formed `v1` or `v1a` signature in the header.
    #[error("no v1 or v1a signature")]
    NoSignature,
    /// None of the signatures belongs to this message under any of the keys.
    #[error("signature mismatch")]
    Mismatch,
}

/// A signature of a header, told apart by its version: a key judges those of its own kind only.
enum Given {
    Mac([u8; MAC_BYTES]),
    Ed25519([u8; asymmetric::SIGNATURE_BYTES]),
}

/// Verifies one message against every key that is still valid.
///
/// `signature_header` holds signatures separated by spaces, of which the first
/// [`SIGNATURES_MAX`] count; those of other versions are passed over. `now` is in seconds since
/// 1970, `tolerance_s` holds in both directions ([`TOLERANCE_S`] is usual). Comparison takes
/// the same time whether and wherever signatures differ.
pub fn verify<'a>(
    keys: impl IntoIterator<Item = &'a VerifyingKey>,
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
    let given: Vec<Given> = signature_header.split(' ').take(SIGNATURES_MAX).filter_map(decode_signature).collect();
    if given.is_empty() {
        return Err(Cause::NoSignature);
    }
    let mut genuine = Choice::from(0);
    // The header's own digits are signed, not a number printed again.
    let timestamp = timestamp_header.as_bytes();
    for key in keys {
        match key {
            VerifyingKey::Symmetric(secret) => {
                let mac = secret.mac(id, timestamp, body);
                for candidate in &given {
                    if let Given::Mac(candidate) = candidate {
                        genuine |= mac.ct_eq(candidate);
                    }
                }
            }
            VerifyingKey::Asymmetric(public) => {
                for candidate in &given {
                    if let Given::Ed25519(candidate) = candidate {
                        genuine |= Choice::from(u8::from(public.verifies(candidate, id, timestamp, body)));
                    }
                }
            }
        }
    }
    if bool::from(genuine) { Ok(()) } else { Err(Cause::Mismatch) }
}

fn decode_signature(element: &str) -> Option<Given> {
    let (version, encoded) = element.split_once(',')?;
    match version {
        "v1" => decode_mac(encoded).map(Given::Mac),
        "v1a" => asymmetric::decode_signature(encoded).map(Given::Ed25519),
        _ => None,
    }
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
