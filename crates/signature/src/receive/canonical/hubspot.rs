//! HubSpot before version 3: a plain hash that begins with the secret.
//!
//! Source: `Signature` of `@hubspot/api-client` and hubspot-api-client. The header that names a version is
//! not looked at: which version is accepted is the configuration's.

use crate::receive::canonical::any_secret;
use crate::receive::reading;
use crate::receive::{Cause, Request, Settings};

/// What is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Secret and body.
    V1,
    /// Secret, method, URL and body.
    V2,
}

/// Verifies a request: SHA-256 in lower-case hexadecimal digits.
pub(super) fn verify(version: Version, settings: &Settings, request: &Request<'_>) -> Result<(), Cause> {
    let signature = reading::header(request, "x-hubspot-signature")?;
    let (method, url) = match version {
        Version::V1 => ("", ""),
        Version::V2 => (request.method.as_str(), request.url),
    };
    any_secret(settings, signature, |secret| {
        Some(reading::sha256_hex(&[secret.as_bytes(), method.as_bytes(), url.as_bytes(), request.body]))
    })
}
