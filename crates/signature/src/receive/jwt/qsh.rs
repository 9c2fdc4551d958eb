//! Atlassian's hash of a request: method, path and query, each written in one way.
//!
//! Source: `createQueryStringHash` of `atlassian-jwt`.

use std::collections::BTreeMap;

use http::Method;

use crate::receive::{Cause, reading};

/// SHA-256 of `METHOD&path&query` in lower-case hexadecimal digits.
///
/// The path is relative to the app's base URL, whose path is cut off where it begins with it. Parameters are
/// sorted by name, several values of one joined by commas; `jwt` is left out. A query of more parameters than
/// are read has no hash.
pub(super) fn hash(method: &Method, url: &str, base_url: Option<&str>) -> Result<String, Cause> {
    let canonical = [method.as_str().to_ascii_uppercase(), path(url, base_url), query(url)?].join("&");
    Ok(reading::sha256_hex(&[canonical.as_bytes()]))
}

fn path(url: &str, base_url: Option<&str>) -> String {
    let whole = reading::path(url);
    let base = base_url.map_or("", reading::path).trim_end_matches('/');
    let relative = whole.strip_prefix(base).unwrap_or(whole).replace('&', "%26");
    let relative = relative.strip_suffix('/').unwrap_or(&relative);
    if relative.starts_with('/') { relative.to_owned() } else { format!("/{relative}") }
}

fn query(url: &str) -> Result<String, Cause> {
    let mut parameters: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, value) in reading::form(reading::query(url).as_bytes()).map_err(|_| Cause::UrlMismatch)? {
        if name != b"jwt" {
            parameters.entry(name).or_default().push(value);
        }
    }
    let written = parameters.into_iter().map(|(name, mut values)| {
        values.sort();
        let values: Vec<String> = values.iter().map(|value| encode(value)).collect();
        format!("{}={}", encode(&name), values.join(","))
    });
    Ok(written.collect::<Vec<_>>().join("&"))
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push('%');
            out.push_str(&reading::hex(&[*byte]).to_ascii_uppercase());
        }
    }
    out
}
