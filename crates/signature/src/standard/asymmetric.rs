//! The asymmetric scheme: ed25519 over `{id}.{timestamp}.{body}`, `v1a,<base64>`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::Signature;
use ed25519_dalek::ed25519::signature::{MultipartSigner as _, MultipartVerifier as _};
use sha2::{Digest as _, Sha256};

use super::{DECIMAL_BYTES, PASTED, PUBLIC_KEY_PREFIX, SECRET_KEY_PREFIX, SecretError, write_decimal};

/// Bytes of a signature.
pub(super) const SIGNATURE_BYTES: usize = 64;
/// Characters of a signature in padded base64.
const SIGNATURE_CHARS: usize = 88;
/// Bytes of a key pair: the seed, then the public key.
const PAIR_BYTES: usize = 64;
/// Characters of a key pair in padded base64.
const PAIR_CHARS: usize = 88;
/// Characters of a public key in padded base64.
const PUBLIC_CHARS: usize = 44;
/// Bytes of the public key's hash that name it: enough that no two keys of one set share a name.
const KEY_ID_BYTES: usize = 12;

/// A seed with its public key: what a sender signs with. Neither `Debug` nor `Display` shows the
/// seed; [`KeyPair::expose`] does.
#[derive(Clone)]
pub struct KeyPair {
    key: ed25519_dalek::SigningKey,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(hidden)")
    }
}

impl KeyPair {
    /// The key pair of a seed that the caller drew at random.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: ed25519_dalek::SigningKey::from_bytes(seed) }
    }

    /// Reads `whsk_<base64 of seed and public key>`; the padding may be missing, the prefix not. The
    /// public key must be the seed's own: with another, a signature would tell the seed.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(SECRET_KEY_PREFIX).ok_or(SecretError::KeyPair)?;
        if encoded.len() > PAIR_CHARS {
            return Err(SecretError::KeyPair);
        }
        let bytes = PASTED.decode(encoded).map_err(|_| SecretError::KeyPair)?;
        let pair: [u8; PAIR_BYTES] = bytes.try_into().map_err(|_| SecretError::KeyPair)?;
        let key = ed25519_dalek::SigningKey::from_keypair_bytes(&pair).map_err(|_| SecretError::Mismatched)?;
        Ok(Self { key })
    }

    /// The key pair as its owner keeps it: `whsk_<base64>`. The only way to the seed.
    pub fn expose(&self) -> String {
        encode(SECRET_KEY_PREFIX, &self.key.to_keypair_bytes())
    }

    /// The half that receivers verify with.
    pub fn public(&self) -> PublicKey {
        PublicKey { key: self.key.verifying_key() }
    }

    /// Signs one message: `v1a,<base64>`. The body is hashed where it lies, never copied.
    pub(super) fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        let mut decimal = [0; DECIMAL_BYTES];
        let timestamp = write_decimal(unix_seconds, &mut decimal);
        let signature = self.key.multipart_sign(&[id.as_bytes(), b".", timestamp, b".", body]);
        let mut out = String::with_capacity(4 + SIGNATURE_CHARS);
        out.push_str("v1a,");
        STANDARD.encode_string(signature.to_bytes(), &mut out);
        out
    }
}

/// What a receiver verifies with, and what may be shown to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: ed25519_dalek::VerifyingKey,
}

impl PublicKey {
    /// Reads `whpk_<base64 of 32 bytes>`; the padding may be missing, the prefix not. Keys under which
    /// a signature fits many messages (points of small order) are refused.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PUBLIC_KEY_PREFIX).ok_or(SecretError::NoPublicKey)?;
        if encoded.len() > PUBLIC_CHARS {
            return Err(SecretError::NoPublicKey);
        }
        let bytes = PASTED.decode(encoded).map_err(|_| SecretError::NoPublicKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| SecretError::NoPublicKey)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| SecretError::NoPublicKey)?;
        if key.is_weak() { Err(SecretError::NoPublicKey) } else { Ok(Self { key }) }
    }

    /// `whpk_<base64>`.
    pub fn shown(&self) -> String {
        encode(PUBLIC_KEY_PREFIX, self.key.as_bytes())
    }

    /// The key as a member of a JSON Web Key set.
    pub fn jwk(&self) -> Jwk {
        let digest = Sha256::digest(self.key.as_bytes());
        Jwk { kid: URL_SAFE_NO_PAD.encode(&digest[..KEY_ID_BYTES]), x: URL_SAFE_NO_PAD.encode(self.key.as_bytes()) }
    }

    pub(super) fn verifies(&self, signature: &[u8; SIGNATURE_BYTES], id: &str, timestamp: &[u8], body: &[u8]) -> bool {
        let message = [id.as_bytes(), b".", timestamp, b".", body];
        self.key.multipart_verify(&message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// A public key by RFC 8037. Its members that never differ are constants of the type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    /// Names the key: the first 12 bytes of the public key's SHA-256, as base64url.
    pub kid: String,
    /// The public key, as base64url.
    pub x: String,
}

impl Jwk {
    /// `kty`: octet key pair.
    pub const KTY: &str = "OKP";
    /// `crv`.
    pub const CRV: &str = "Ed25519";
    /// `use`.
    pub const USE: &str = "sig";
    /// `alg`.
    pub const ALG: &str = "EdDSA";
}

pub(super) fn decode_signature(encoded: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    if encoded.len() > SIGNATURE_CHARS {
        return None;
    }
    STANDARD.decode(encoded).ok()?.try_into().ok()
}

fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::from(prefix);
    STANDARD.encode_string(bytes, &mut text);
    text
}
