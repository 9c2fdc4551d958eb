//! Contentful: method, path, the headers that the request names, and the body.
//!
//! Source: `verifyRequest` of `@contentful/node-apps-toolkit`.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;

use crate::receive::canonical::any_secret;
use crate::receive::reading;
use crate::receive::{Cause, Context, Request, Settings};

const SIGNATURE: &str = "x-contentful-signature";
const SIGNED_HEADERS: &str = "x-contentful-signed-headers";
const TIMESTAMP: &str = "x-contentful-timestamp";
/// Most headers that may be signed.
const SIGNED_HEADERS_MAX: usize = 64;
/// Milliseconds from which on a request is too old. The future has no limit.
const AGE_MS_MAX: i64 = 30_000;

/// Verifies a request: HMAC-SHA256 in lower-case hexadecimal digits. The timestamp, in milliseconds, is one
/// of the signed headers. `toleranceSeconds` sets another age.
pub(super) fn verify(settings: &Settings, request: &Request<'_>, context: &Context<'_>) -> Result<(), Cause> {
    let signature = reading::header(request, SIGNATURE)?;
    let listed = reading::header(request, SIGNED_HEADERS)?;
    let signed_ms = reading::decimal(reading::header(request, TIMESTAMP)?)?;
    let names: Vec<&str> = listed.split(',').collect();
    if names.len() < 2 || names.len() > SIGNED_HEADERS_MAX {
        return Err(Cause::MalformedHeader);
    }
    let headers = signed_headers(request, &names);
    let body = request.body;
    any_secret(settings, signature, |secret| {
        let made = |path: &str| {
            let head = [request.method.as_str(), path, &headers, ""].join("\n");
            reading::hex(reading::mac(hmac::HMAC_SHA256, secret.as_bytes(), &[head.as_bytes(), body]).as_ref())
        };
        paths(request.url).iter().map(|path| made(path)).find(|made| reading::is_same(made, signature))
    })?;
    let age_ms_max = settings.integer("toleranceSeconds").map_or(AGE_MS_MAX, |s| s.saturating_mul(1_000));
    let is_old = context.now_ms.saturating_sub(signed_ms) >= age_ms_max;
    if is_old { Err(Cause::TimestampExpired) } else { Ok(()) }
}

/// `name:value;name:value`, by name: those of the listed headers that are there, the timestamp, and the list
/// itself, which is written again from their names.
fn signed_headers(request: &Request<'_>, names: &[&str]) -> String {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for name in names.iter().copied().chain([TIMESTAMP]) {
        if let Some(value) = request.headers.get(name.trim()).and_then(|value| value.to_str().ok()) {
            headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    headers.insert(SIGNED_HEADERS.to_owned(), String::new());
    let list = headers.keys().map(String::as_str).collect::<Vec<_>>().join(",");
    headers.insert(SIGNED_HEADERS.to_owned(), list);
    headers.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(";")
}

/// The path with its query as received, and as the provider's library encodes it: the whole query as one
/// component, and then both as parts of a URL.
fn paths(url: &str) -> [String; 2] {
    let (path, query) = (reading::path(url), reading::query(url));
    if query.is_empty() {
        return [path.to_owned(), encode(path, b";/?:@&=+$,#")];
    }
    let query_encoded = encode(query, b"");
    [format!("{path}?{query}"), encode(&format!("{path}?{query_encoded}"), b";/?:@&=+$,#")]
}

/// Percent-encodes all but letters, digits, `-_.!~*'()` and what else is kept.
fn encode(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&reading::hex(&[byte]).to_ascii_uppercase());
        }
    }
    out
}
