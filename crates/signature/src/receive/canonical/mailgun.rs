//! Mailgun: a signature over a timestamp and a token, both in the body. The event itself is not signed, so
//! that the token, which is used once, is what tells a replay.
//!
//! Source: `Webhooks` of mailgun-php. Events come as JSON; routes and old webhooks as a form or multipart.

use aws_lc_rs::hmac;
use serde_json::Value;

use crate::receive::canonical::any_secret;
use crate::receive::reading::{self, Fields, Window};
use crate::receive::{Cause, Context, Request, Settings};

/// Most parts of a multipart body that are read; a route sends tens of them, and attachments.
const PARTS_MAX: usize = 1_000;
/// Most characters of a boundary (RFC 2046).
const BOUNDARY_CHARS_MAX: usize = 70;

/// What the signature is about.
struct Signed {
    timestamp: String,
    token: String,
    signature: String,
}

/// Verifies an event: HMAC-SHA256 in lower-case hexadecimal digits. Mailgun leaves the timestamp's tolerance
/// to the receiver: none unless `toleranceSeconds` is set.
pub(super) fn verify(settings: &Settings, request: &Request<'_>, context: &Context<'_>) -> Result<(), Cause> {
    let signed = read(request).ok_or(Cause::MalformedBody)?;
    if signed.timestamp.is_empty() || signed.token.is_empty() || signed.signature.is_empty() {
        return Err(Cause::MalformedBody);
    }
    let signed_ms = reading::seconds(&signed.timestamp)?;
    any_secret(settings, &signed.signature, |secret| {
        let parts = [signed.timestamp.as_bytes(), signed.token.as_bytes()];
        Some(reading::hex(reading::mac(hmac::HMAC_SHA256, secret.as_bytes(), &parts).as_ref()))
    })?;
    Window::NONE.configured(settings).check(context.now_ms, signed_ms)
}

/// The token, which is signed and used once: it tells an event that is sent again.
pub(in crate::receive) fn token(request: &Request<'_>) -> Option<String> {
    Some(read(request)?.token).filter(|token| !token.is_empty())
}

fn read(request: &Request<'_>) -> Option<Signed> {
    let content_type = reading::optional_header(request, "content-type").unwrap_or("");
    let fields = if reading::is_media_type(request, reading::FORM) {
        Some(reading::form(request.body).ok()?)
    } else if reading::is_media_type(request, "multipart/form-data") {
        Some(multipart(content_type, request.body, &["timestamp", "token", "signature"])?)
    } else {
        None
    };
    if let Some(fields) = fields {
        let field = |name| reading::only_text(&fields, name).ok().map(str::to_owned);
        return Some(Signed { timestamp: field("timestamp")?, token: field("token")?, signature: field("signature")? });
    }
    let body: Value = serde_json::from_slice(request.body).ok()?;
    let field = |name| match body.get("signature")?.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Some(Signed { timestamp: field("timestamp")?, token: field("token")?, signature: field("signature")? })
}

/// The fields of these names in a multipart body (RFC 7578), in the order received. `None` if it is not of its
/// form, or has more than [`PARTS_MAX`] parts.
fn multipart(content_type: &str, body: &[u8], names: &[&str]) -> Option<Fields> {
    let boundary = content_type.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches('"');
    if boundary.is_empty() || boundary.len() > BOUNDARY_CHARS_MAX {
        return None;
    }
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has no line before it.
    let mut rest = body.strip_prefix(&delimiter.as_bytes()[2..])?;
    let mut fields = Fields::new();
    for _ in 0..PARTS_MAX {
        let Some(part) = rest.strip_prefix(b"\r\n") else {
            return rest.starts_with(b"--").then_some(fields);
        };
        let end = find(part, delimiter.as_bytes())?;
        let head_end = find(&part[..end], b"\r\n\r\n")?;
        let name = names.iter().find(|name| is_field(&part[..head_end], name));
        fields.extend(name.map(|name| (name.as_bytes().to_vec(), part[head_end + 4..end].to_vec())));
        rest = &part[end + delimiter.len()..];
    }
    None
}

/// Whether a part's headers say that it is the field of this name.
fn is_field(head: &[u8], name: &str) -> bool {
    let head = String::from_utf8_lossy(head);
    let mut disposition =
        head.split("\r\n").filter(|line| line.to_ascii_lowercase().starts_with("content-disposition:"));
    let wanted = format!("name=\"{name}\"");
    disposition.any(|line| line.split(';').any(|parameter| parameter.trim() == wanted))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window.first() == wanted.first() && window == wanted)
}
