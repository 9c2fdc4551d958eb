//! The key of a token: configured, or of a key set.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{JwtAlgorithm, Keys, Token};
use crate::receive::asymmetric::{Algorithm, PublicKey};
use crate::receive::{Cause, Context, Failure, Need, Settings};

/// Most keys of a set that are looked at.
const KEYS_MAX: usize = 100;
/// Bytes of one coordinate of P-256.
const P256_BYTES: usize = 32;

/// Whether the token is signed with a key that is accepted.
pub(super) fn check(
    keys: Keys,
    algorithm: JwtAlgorithm,
    settings: &Settings,
    context: &Context<'_>,
    token: &Token<'_>,
) -> Result<(), Failure> {
    let is_genuine = match keys {
        Keys::Secrets => by_secrets(algorithm, settings, token),
        Keys::Public => by_public_keys(algorithm, settings, token),
        Keys::Set { url } => by_set(url, algorithm, settings, context, token)?,
        Keys::Configured if settings.value("jwks").is_some() || settings.text("jwksUrl").is_some() => {
            by_set(None, algorithm, settings, context, token)?
        }
        // An algorithm takes keys of its own kind only: a public key is never used as a secret.
        Keys::Configured => by_public_keys(algorithm, settings, token) || by_secrets(algorithm, settings, token),
    };
    if is_genuine { Ok(()) } else { Err(Cause::SignatureMismatch.into()) }
}

fn by_secrets(algorithm: JwtAlgorithm, settings: &Settings, token: &Token<'_>) -> bool {
    let algorithm = match algorithm {
        JwtAlgorithm::Hs256 => hmac::HMAC_SHA256,
        JwtAlgorithm::Hs384 => hmac::HMAC_SHA384,
        JwtAlgorithm::Hs512 => hmac::HMAC_SHA512,
        JwtAlgorithm::Rs256 | JwtAlgorithm::Es256 | JwtAlgorithm::EdDsa => return false,
    };
    let is_signed = |secret: &str| {
        let key = hmac::Key::new(algorithm, secret.as_bytes());
        hmac::verify(&key, token.signed, &token.signature).is_ok()
    };
    // Anybody has the empty key.
    settings.secrets().into_iter().any(|secret| !secret.is_empty() && is_signed(secret))
}

fn by_public_keys(algorithm: JwtAlgorithm, settings: &Settings, token: &Token<'_>) -> bool {
    let Some(algorithm) = asymmetric(algorithm) else { return false };
    let mut keys = settings.texts("publicKey").into_iter().filter_map(|text| PublicKey::parse(algorithm, text));
    keys.any(|key| key.verifies(algorithm, token.signed, &token.signature))
}

/// The signature's algorithm; `None` for those with a shared secret.
pub(super) fn asymmetric(algorithm: JwtAlgorithm) -> Option<Algorithm> {
    match algorithm {
        JwtAlgorithm::Rs256 => Some(Algorithm::RsaSha256),
        JwtAlgorithm::Es256 => Some(Algorithm::EcdsaP256Sha256Fixed),
        JwtAlgorithm::EdDsa => Some(Algorithm::Ed25519),
        JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512 => None,
    }
}

fn by_set(
    url: Option<&str>,
    algorithm: JwtAlgorithm,
    settings: &Settings,
    context: &Context<'_>,
    token: &Token<'_>,
) -> Result<bool, Failure> {
    if let Some(set) = settings.value("jwks") {
        return Ok(by_keys(set, algorithm, context.now_ms, token)?);
    }
    let url = url.or_else(|| settings.text("jwksUrl")).ok_or(Cause::UnknownKey)?;
    let bytes = context.fetched.get(url).ok_or_else(|| Failure::Needs(Need::new(url)))?;
    let set: Value = serde_json::from_slice(bytes).map_err(|_| Cause::UnknownKey)?;
    by_keys(&set, algorithm, context.now_ms, token).map_err(|cause| Need::newer(url, context.fetched, cause))
}

/// Whether a token is signed with the key of a set that it names. Every error is [`Cause::UnknownKey`].
fn by_keys(set: &Value, algorithm: JwtAlgorithm, now_ms: i64, token: &Token<'_>) -> Result<bool, Cause> {
    let kid = token.header.get("kid").and_then(Value::as_str);
    let entry = entry(set, kid).ok_or(Cause::UnknownKey)?;
    let is_over = entry.get("expired_at").and_then(Value::as_i64).is_some_and(|end| now_ms / 1_000 >= end);
    let is_other = entry.get("alg").and_then(Value::as_str).is_some_and(|alg| alg != algorithm.as_str());
    if is_over || is_other {
        return Err(Cause::UnknownKey);
    }
    let Some(algorithm) = asymmetric(algorithm) else { return Ok(false) };
    let key = read(algorithm, entry).ok_or(Cause::UnknownKey)?;
    Ok(key.verifies(algorithm, token.signed, &token.signature))
}

/// A set is `{"keys": [...]}` (RFC 7517) or the list alone, or an object of keys by their ids, as Google's old
/// ones are, or what Plaid answers: `{"key": {...}}`, which may be an item of a list, too. A token without an id
/// can only mean the one key of a set of one.
fn entry<'a>(set: &'a Value, kid: Option<&str>) -> Option<&'a Value> {
    let answered = set.get("key").filter(|key| key.is_object());
    let listed = set.get("keys").unwrap_or(set).as_array().map(Vec::as_slice);
    match (answered.map(std::slice::from_ref).or(listed), kid) {
        (Some(keys), Some(kid)) => {
            let named = |key: &&Value| key.get("kid").and_then(Value::as_str) == Some(kid);
            keys.iter().take(KEYS_MAX).map(|key| key.get("key").unwrap_or(key)).find(named)
        }
        (Some([key]), None) => Some(key.get("key").unwrap_or(key)),
        (None, Some(kid)) => set.get(kid),
        _ => None,
    }
}

/// A JSON Web Key, or a text as a public key is configured.
fn read(algorithm: Algorithm, entry: &Value) -> Option<PublicKey> {
    if let Some(text) = entry.as_str() {
        return PublicKey::parse(algorithm, text);
    }
    let member = |name: &str| URL_SAFE_NO_PAD.decode(entry.get(name)?.as_str()?).ok();
    let kind = entry.get("kty")?.as_str()?;
    let curve = entry.get("crv").and_then(Value::as_str);
    match (algorithm, kind, curve) {
        (Algorithm::RsaSha256, "RSA", _) => Some(PublicKey::rsa(member("n")?, member("e")?)),
        (Algorithm::EcdsaP256Sha256Fixed, "EC", Some("P-256")) => {
            let (x, y) = (member("x")?, member("y")?);
            let is_whole = x.len() == P256_BYTES && y.len() == P256_BYTES;
            // An uncompressed point (SEC 1, 2.3.3).
            is_whole.then(|| PublicKey::Encoded([&[0x04][..], &x, &y].concat()))
        }
        (Algorithm::Ed25519, "OKP", Some("Ed25519")) => PublicKey::ed25519(&member("x")?),
        _ => None,
    }
}
