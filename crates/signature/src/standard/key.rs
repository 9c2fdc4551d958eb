//! Keys of either scheme: what a sender signs with, what a receiver verifies with.

use super::asymmetric::{Jwk, KeyPair, PublicKey};
use super::{PUBLIC_KEY_PREFIX, SECRET_KEY_PREFIX, Secret, SecretError, sign};

/// What messages of an endpoint are signed with.
#[derive(Debug, Clone)]
pub enum SigningKey {
    /// `whsec_…`: both sides hold it.
    Symmetric(Secret),
    /// `whsk_…`: the receiver has its public half.
    Asymmetric(KeyPair),
}

impl SigningKey {
    /// Reads `whsk_<base64>`, or `whsec_<base64>` whose prefix may be missing.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.starts_with(SECRET_KEY_PREFIX) {
            KeyPair::parse(text).map(Self::Asymmetric)
        } else {
            Secret::parse(text).map(Self::Symmetric)
        }
    }

    /// Reads what [`SigningKey::to_stored`] gave.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, SecretError> {
        // A key pair's text has 93 bytes, which is more than the key of any secret.
        match std::str::from_utf8(bytes) {
            Ok(text) if bytes.len() > super::SECRET_BYTES_MAX => KeyPair::parse(text).map(Self::Asymmetric),
            _ => Secret::from_bytes(bytes).map(Self::Symmetric),
        }
    }

    /// The key for a store that seals it: the bytes of a secret, or the text of a key pair.
    pub fn to_stored(&self) -> Vec<u8> {
        match self {
            Self::Symmetric(secret) => secret.key.to_vec(),
            Self::Asymmetric(pair) => pair.expose().into_bytes(),
        }
    }

    /// What the receiver needs, and may see: the secret `whsec_…`, or the public key `whpk_…`.
    pub fn shown(&self) -> String {
        match self {
            Self::Symmetric(secret) => secret.expose(),
            Self::Asymmetric(pair) => pair.public().shown(),
        }
    }

    /// The public key as a member of a JSON Web Key set; a secret has none.
    pub fn jwk(&self) -> Option<Jwk> {
        match self {
            Self::Symmetric(_) => None,
            Self::Asymmetric(pair) => Some(pair.public().jwk()),
        }
    }

    /// Signs one message: `v1,<base64>` or `v1a,<base64>`. `unix_seconds` is what the
    /// `webhook-timestamp` header says.
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        match self {
            Self::Symmetric(secret) => sign(secret, id, unix_seconds, body),
            Self::Asymmetric(pair) => pair.sign(id, unix_seconds, body),
        }
    }
}

/// The value of the `webhook-signature` header: a signature by each key, in their order, separated by
/// spaces. Receivers look at the first [`SIGNATURES_MAX`](super::SIGNATURES_MAX), so the newest key
/// comes first.
pub fn sign_all<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    id: &str,
    unix_seconds: i64,
    body: &[u8],
) -> String {
    let mut header = String::new();
    for key in keys {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str(&key.sign(id, unix_seconds, body));
    }
    header
}

/// What a receiver verifies with.
#[derive(Debug, Clone)]
pub enum VerifyingKey {
    /// `whsec_…`.
    Symmetric(Secret),
    /// `whpk_…`.
    Asymmetric(PublicKey),
}

impl VerifyingKey {
    /// Reads `whpk_<base64>`, `whsk_<base64>` (of which the public half is taken), or
    /// `whsec_<base64>` whose prefix may be missing.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.starts_with(PUBLIC_KEY_PREFIX) {
            PublicKey::parse(text).map(Self::Asymmetric)
        } else {
            SigningKey::parse(text).map(|key| Self::from(&key))
        }
    }
}

impl From<&SigningKey> for VerifyingKey {
    fn from(key: &SigningKey) -> Self {
        match key {
            SigningKey::Symmetric(secret) => Self::Symmetric(secret.clone()),
            SigningKey::Asymmetric(pair) => Self::Asymmetric(pair.public()),
        }
    }
}
