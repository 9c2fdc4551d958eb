//! Twilio and Mandrill: the URL, then every field's name and value.
//!
//! Source: `RequestValidator` of twilio-python and `webhooks` of twilio-node. Names and values are put
//! together without separators, so that letters can move between a name and its value under the same
//! signature: a weakness of the scheme.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::any_secret;
use crate::receive::reading::{self, Fields};
use crate::receive::{Cause, Request, Settings};

/// The algorithm of the account's token, as settings and requests name it.
const SHA1: &str = "HMAC_SHA1";
/// That of shared keys.
const SHA256: &str = "HMAC_SHA256";
/// Names the algorithm where a shared key signs in place of the account's token.
const SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";
/// The parameter of the URL that carries the body's hash where the body is no form.
const HASH_PARAMETER: &str = "bodySHA256";

/// Verifies a request of Twilio.
///
/// A body that is no form is bound by `bodySHA256`, which is part of the signed URL; any other body is read
/// as a form, whatever its type, so that none goes unsigned. Some of Twilio's senders sign the URL with its
/// port and some without, so both are tried.
pub(super) fn verify(settings: &Settings, request: &Request<'_>) -> Result<(), Cause> {
    let signature = reading::header(request, "x-twilio-signature")?;
    let algorithm = algorithm(settings, request)?;
    let hash =
        reading::parameter(request.url, HASH_PARAMETER).filter(|_| !reading::is_media_type(request, reading::FORM));
    let fields = if hash.is_some() { Vec::new() } else { sorted_unique(request.body)? };
    let urls = [without_port(request.url), with_port(request.url)];
    any_secret(settings, signature, |secret| {
        let made = |url: &String| STANDARD.encode(sign(algorithm, secret, url, &fields));
        // The one that fits is found by a comparison that tells nothing about the others.
        urls.iter().map(made).find(|made| reading::is_same(made, signature))
    })?;
    match hash {
        Some(hash) if !reading::is_same(&hash, &reading::sha256_hex(&[request.body])) => Err(Cause::BodyHashMismatch),
        _ => Ok(()),
    }
}

/// HMAC-SHA1 with the account's token; HMAC-SHA256 with a shared key, where the setting `algorithm` says so.
/// A request that names another is refused: it chooses nothing.
fn algorithm(settings: &Settings, request: &Request<'_>) -> Result<hmac::Algorithm, Cause> {
    let header = reading::optional_header(request, SETTINGS_HEADER).unwrap_or("");
    let named = header
        .split(',')
        .filter_map(|part| part.split_once('='))
        .find(|(name, value)| name.trim() == "algorithm" && !value.trim().is_empty())
        .map_or(SHA1, |(_, value)| value.trim());
    let pinned = settings.text("algorithm").unwrap_or(SHA1);
    if !pinned.eq_ignore_ascii_case(named) {
        return Err(Cause::UnsupportedAlgorithm);
    }
    match pinned {
        SHA1 => Ok(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        SHA256 => Ok(hmac::HMAC_SHA256),
        _ => Err(Cause::UnsupportedAlgorithm),
    }
}

fn sign(algorithm: hmac::Algorithm, secret: &str, url: &str, fields: &[(Vec<u8>, Vec<u8>)]) -> hmac::Tag {
    let mut parts: Vec<&[u8]> = vec![url.as_bytes()];
    for (name, value) in fields {
        parts.push(name);
        parts.push(value);
    }
    reading::mac(algorithm, secret.as_bytes(), &parts)
}

/// Fields by name, then value; a field that comes twice with the same value counts once.
fn sorted_unique(body: &[u8]) -> Result<Fields, Cause> {
    let mut fields = reading::form(body)?;
    fields.sort();
    fields.dedup();
    Ok(fields)
}

/// A URL's scheme, its host, its port if it has one, and the rest.
fn split(url: &str) -> Option<(&str, &str, Option<&str>, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    // In an IPv6 address colons come before the bracket.
    let from = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[from..].find(':') {
        Some(at) => Some((scheme, &authority[..from + at], Some(&authority[from + at + 1..]), rest)),
        None => Some((scheme, authority, None, rest)),
    }
}

fn without_port(url: &str) -> String {
    split(url).map_or_else(|| url.to_owned(), |(scheme, host, _, rest)| format!("{scheme}://{host}{rest}"))
}

fn with_port(url: &str) -> String {
    match split(url) {
        Some(("https", host, None, rest)) => format!("https://{host}:443{rest}"),
        Some((scheme, host, None, rest)) => format!("{scheme}://{host}:80{rest}"),
        _ => url.to_owned(),
    }
}

/// Verifies a request of Mandrill: HMAC-SHA1 over the URL and the fields by name, in base64.
pub(super) fn verify_mandrill(settings: &Settings, request: &Request<'_>) -> Result<(), Cause> {
    let signature = reading::header(request, "x-mandrill-signature")?;
    let mut fields = reading::form(request.body)?;
    fields.sort_by(|(left, _), (right, _)| left.cmp(right));
    any_secret(settings, signature, |secret| {
        Some(STANDARD.encode(sign(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret, request.url, &fields)))
    })
}
