//! Public keys as providers hand them out.

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::receive::reading;

/// Most characters of a key's text: an RSA key of 8,192 bits in PEM has fewer than 2,000.
const KEY_CHARS_MAX: usize = 8_192;
/// Bytes of an ed25519 key.
const ED25519_BYTES: usize = 32;
/// What comes before an ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Base64 as people paste it: with or without the padding.
const PASTED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a signature is made with. RSA is PKCS#1 v1.5 with keys of at least 2,048 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Ed25519, with keys of small order refused.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, the signature as DER.
    EcdsaP256Sha256Der,
    /// ECDSA on P-256 with SHA-256, the signature as two numbers of 32 bytes.
    EcdsaP256Sha256Fixed,
    /// RSA with SHA-1, which two providers still sign with.
    RsaSha1,
    /// RSA with SHA-256.
    RsaSha256,
}

/// A public key. Whether it is one of the algorithm's kind shows when it verifies.
#[derive(Debug, Clone)]
pub(crate) enum PublicKey {
    /// Ed25519.
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// `SubjectPublicKeyInfo` or `RSAPublicKey` as DER, or a point of P-256.
    Encoded(Vec<u8>),
    /// Modulus and exponent, most significant byte first.
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

impl PublicKey {
    /// Reads a key as it stands in a provider's console: PEM, base64 of DER or of PEM, and for ed25519 also
    /// 64 hexadecimal digits or base64 of the 32 bytes.
    pub(crate) fn parse(algorithm: Algorithm, text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > KEY_CHARS_MAX {
            return None;
        }
        if algorithm == Algorithm::Ed25519 && text.len() == 2 * ED25519_BYTES {
            return Self::ed25519(&reading::unhex(text)?);
        }
        let der = decode(text)?;
        if algorithm == Algorithm::Ed25519 { Self::ed25519(&der) } else { Some(Self::Encoded(der)) }
    }

    /// Reads a key as [`Self::parse`] does, if it is one of the algorithm's kind.
    pub(crate) fn of_kind(algorithm: Algorithm, text: &str) -> Option<Self> {
        let key = Self::parse(algorithm, text)?;
        let is_of_kind = match &key {
            Self::Encoded(der) => {
                verification(algorithm).is_some_and(|algorithm| ParsedPublicKey::new(algorithm, der).is_ok())
            }
            Self::Ed25519(_) | Self::Rsa(_) => true,
        };
        is_of_kind.then_some(key)
    }

    /// From the 32 bytes, alone or in their `SubjectPublicKeyInfo`.
    pub(crate) fn ed25519(bytes: &[u8]) -> Option<Self> {
        let raw = bytes.strip_prefix(&ED25519_SPKI_PREFIX[..]).unwrap_or(bytes);
        let raw: [u8; ED25519_BYTES] = raw.try_into().ok()?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&raw).ok()?;
        // Under a point of small order one signature fits many messages.
        if key.is_weak() { None } else { Some(Self::Ed25519(Box::new(key))) }
    }

    /// From modulus and exponent, most significant byte first.
    pub(crate) fn rsa(n: Vec<u8>, e: Vec<u8>) -> Self {
        Self::Rsa(RsaPublicKeyComponents { n, e })
    }

    /// Whether a signature is this key's over the message.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Ed25519(key), Algorithm::Ed25519) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            (Self::Encoded(der), _) => verification(algorithm)
                .is_some_and(|algorithm| UnparsedPublicKey::new(algorithm, der).verify(message, signature).is_ok()),
            (Self::Rsa(key), _) => rsa(algorithm).is_some_and(|rsa| key.verify(rsa, message, signature).is_ok()),
            (Self::Ed25519(_), _) => false,
        }
    }
}

/// How a key that is encoded verifies. Ed25519 has a form of its own.
fn verification(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        Algorithm::EcdsaP256Sha256Der => Some(&ECDSA_P256_SHA256_ASN1),
        Algorithm::EcdsaP256Sha256Fixed => Some(&ECDSA_P256_SHA256_FIXED),
        Algorithm::RsaSha1 | Algorithm::RsaSha256 => rsa(algorithm).map(|rsa| rsa as &dyn VerificationAlgorithm),
        Algorithm::Ed25519 => None,
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    match algorithm {
        Algorithm::RsaSha1 => Some(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
        Algorithm::RsaSha256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Ed25519 | Algorithm::EcdsaP256Sha256Der | Algorithm::EcdsaP256Sha256Fixed => None,
    }
}

/// The DER behind PEM, behind base64, or behind base64 of PEM.
fn decode(text: &str) -> Option<Vec<u8>> {
    if let Some(der) = pem(text) {
        return Some(der);
    }
    let compact: String = text.split_ascii_whitespace().collect();
    let bytes = PASTED.decode(compact).ok()?;
    let inner = std::str::from_utf8(&bytes).ok().and_then(pem);
    Some(inner.unwrap_or(bytes))
}

/// The first block of PEM, whatever its label. Some providers hand out PEM whose line ends are `\n` as text.
fn pem(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (_, rest) = rest.split_once("-----")?;
    let (inner, _) = rest.split_once("-----END ")?;
    let compact: String = inner.replace("\\n", "").split_ascii_whitespace().collect();
    PASTED.decode(compact).ok()
}
