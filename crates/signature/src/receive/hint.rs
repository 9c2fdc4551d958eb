//! What may be wrong with a refused request, as a sentence for the source's owner.
//!
//! A hint is never for the sender. It names headers, forms and times, and no secret or signature.

use std::fmt::Write as _;
use std::io;

use serde_json::Value;

use super::catalog::{self, How, Scheme, SourceType};
use super::hmac::{self, Hmac, Place};
use super::{Cause, Context, Request, Settings, configured, lookup};

/// Most bytes of a body that are serialised again to see whether that was what happened to it.
const RESERIALIZED_BYTES_MAX: usize = 16_384;
/// How many times as long as the body another form of it may be to be tried: an escape makes six bytes of two,
/// while indenting makes any number of one where lists are deep.
const FORM_TIMES_MAX: usize = 3;

/// A sentence, where something can be told.
pub(crate) fn hint(
    source_type: &SourceType,
    scheme: Option<&Scheme>,
    settings: &Settings,
    cause: Cause,
    request: &Request,
    context: &Context,
) -> Option<String> {
    let template = configured::template_of(settings);
    let hmac = match scheme?.how {
        How::Hmac(hmac) => Some(hmac),
        How::ConfiguredHmac => Some(configured::hmac(settings, &template)),
        How::Closed => return Some("a source of this type receives no requests".to_owned()),
        _ => None,
    };
    match (cause, hmac) {
        (Cause::MissingHeader, _) => missing(source_type, hmac.as_ref(), request),
        (Cause::SignatureMismatch, Some(hmac)) => Some(mismatch(&hmac, settings, request, context)),
        (Cause::TimestampExpired | Cause::TimestampInFuture, Some(hmac)) => off(&hmac, request, context),
        (Cause::MalformedHeader, Some(hmac)) => {
            let other = other_provider(source_type, request);
            Some(other.unwrap_or_else(|| format!("`{}` is there, and not in the form of this type", hmac.header)))
        }
        (Cause::UnsupportedVersion, Some(hmac)) => {
            Some(format!("`{}` has signatures of other versions only", hmac.header))
        }
        (Cause::MalformedTimestamp, Some(hmac)) => {
            let stamp = hmac.stamp?;
            Some(format!("the timestamp {} is not written as {}", placed(stamp.place), stamp.unit.named()))
        }
        _ => by_cause(cause, request),
    }
}

/// What a cause alone tells, whatever the scheme.
fn by_cause(cause: Cause, request: &Request) -> Option<String> {
    let told = match cause {
        Cause::BodyHashMismatch => "the signature is right for another body: it was changed on the way",
        Cause::CertExpired => "the provider's certificate is outside of its validity: is this server's clock right?",
        Cause::CertUntrusted => "the certificate leads to no trusted root",
        Cause::CertUrlUntrusted => "the certificate's address is not one of the provider's",
        Cause::CertWrongName => "the certificate is somebody else's",
        Cause::MalformedBody => "the body lacks what this type signs, or is not of its form",
        Cause::SignatureMismatch => "another key than the configured one, another body, or another URL",
        Cause::TimestampExpired => "the signature is right and old: an old request sent again, or a clock that is off",
        Cause::TimestampInFuture => "the signature is right and from the future: a clock is off",
        Cause::TokenMismatch => "the token is there, and is none of this source's",
        Cause::UnexpectedHandshake => "the source has had its handshake: a second one would replace its secret",
        Cause::UnknownKey => "the request names a key that is not in the configured set: is the set of this account?",
        Cause::UnsupportedAlgorithm => "the request names another algorithm than the one that is configured",
        Cause::WrongIssuer => "the token is by another issuer than the configured one",
        Cause::WrongRecipient => "the audience, or the topic, is another than the configured one",
        Cause::WrongSender => "the sender is another than the configured one",
        Cause::UrlMismatch => return Some(format!("the URL is signed, and is another than {}", request.url)),
        _ => return None,
    };
    Some(told.to_owned())
}

fn placed(place: Place) -> String {
    match place {
        Place::Header(name) => format!("in `{name}`"),
        Place::List(key) => format!("under `{key}` in the signature's header"),
        Place::Body(pointer) => format!("at `{pointer}` in the body"),
    }
}

/// Which header is missing, or whose request this seems to be.
fn missing(source_type: &SourceType, hmac: Option<&Hmac>, request: &Request) -> Option<String> {
    if let Some(other) = other_provider(source_type, request) {
        return Some(other);
    }
    let is_missing = |name: &&str| lookup::header(request.headers, name).is_none();
    if let Some(hmac) = hmac {
        if hmac.frame == hmac::Frame::Query {
            return Some(format!("the URL has no parameter `{}`: it is part of the URL to be registered", hmac.header));
        }
        let stamp = match hmac.stamp.map(|stamp| stamp.place) {
            Some(Place::Header(name)) => Some(name),
            _ => None,
        };
        let needed = [Some(hmac.header), hmac.id_header, stamp];
        let name = needed.into_iter().flatten().find(is_missing)?;
        return Some(format!("the header `{name}` is missing: is a secret set at the provider?"));
    }
    let names: Vec<String> =
        source_type.signature_headers().filter(is_missing).map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("the header {} is missing", names.join(" or ")))
}

/// Whether a signature of another type is there, and none of this one.
fn other_provider(source_type: &SourceType, request: &Request) -> Option<String> {
    let is_there = |name: &str| lookup::header(request.headers, name).is_some();
    let is_own = |name: &str| source_type.signature_headers().any(|own| own == name);
    let is_telling = |name: &str| !matches!(name, "authorization" | "signature") && is_there(name) && !is_own(name);
    let other = catalog::all().find(|other| other.signature_headers().any(is_telling))?;
    let name = other.signature_headers().find(|name| is_telling(name))?;
    Some(format!("this looks like a request of {}: it has `{name}`", other.title))
}

/// What a signature that does not match may come from.
fn mismatch(hmac: &Hmac, settings: &Settings, request: &Request, context: &Context) -> String {
    if let Some(how) = reserialized(hmac, settings, request, context) {
        return format!(
            "the body was changed on the way: the signature is right for {how} of the same JSON. \
             Something before this server reads and writes it again"
        );
    }
    let looks_decodable = |secret: &&str| secret.starts_with(crate::standard::SECRET_PREFIX);
    let secrets = lookup::secrets(settings, hmac.setting);
    let is_whsec_as_text = hmac.key == hmac::KeyForm::Text && secrets.iter().any(looks_decodable);
    let note = if is_whsec_as_text { " (here the whole text is the key, `whsec_` with it)" } else { "" };
    let url = if hmac.template.contains(&hmac::Part::Url) {
        format!("; the URL is signed too, and must be registered exactly as {}", request.url)
    } else {
        String::new()
    };
    format!("another secret, or another body: expected is {}{note}{url}", hmac.key.expected())
}

/// Whether the signature is right for the same JSON written in another way, and in which.
fn reserialized(hmac: &Hmac, settings: &Settings, request: &Request, context: &Context) -> Option<&'static str> {
    if request.body.len() > RESERIALIZED_BYTES_MAX {
        return None;
    }
    let body: Value = serde_json::from_slice(request.body).ok()?;
    let bytes_max = request.body.len() * FORM_TIMES_MAX;
    let mut compact = Bounded { bytes: Vec::new(), bytes_max };
    serde_json::to_writer(&mut compact, &body).ok()?;
    let compact = compact.bytes;
    let mut pretty = Bounded { bytes: Vec::new(), bytes_max };
    let pretty = serde_json::to_writer_pretty(&mut pretty, &body).map(|()| pretty.bytes).unwrap_or_default();
    let written: [(&'static str, Vec<u8>); 5] = [
        ("the escaped form", escaped(&compact)),
        ("the slash-escaped form", replaced(&compact, "/", "\\/")),
        ("the spaced form", spaced(&compact)),
        ("the compact form", compact),
        ("the indented form", pretty),
    ];
    let is_right = |body: &[u8]| {
        let judged = hmac::judge(hmac, settings, request, body, context.now_ms);
        !matches!(judged, Err(Cause::SignatureMismatch | Cause::MissingHeader | Cause::MalformedHeader))
    };
    let is_tried = |bytes: &[u8]| !bytes.is_empty() && bytes.len() <= bytes_max && bytes != request.body;
    written.iter().find(|(_, bytes)| is_tried(bytes) && is_right(bytes)).map(|(how, _)| *how)
}

/// Bytes that are written up to a bound, beyond which writing fails.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON with what is not ASCII as `\u` escapes.
fn escaped(json: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in String::from_utf8_lossy(json).chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                // Writing to a text cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.into_bytes()
}

fn replaced(json: &[u8], from: &str, to: &str) -> Vec<u8> {
    String::from_utf8_lossy(json).replace(from, to).into_bytes()
}

/// Compact JSON with a blank behind each colon and comma outside of texts, as Python writes it.
fn spaced(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut is_in_text, mut is_escaped) = (false, false);
    for &byte in json {
        out.push(byte);
        if is_in_text {
            is_in_text = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
        } else if byte == b'"' {
            is_in_text = true;
        } else if matches!(byte, b':' | b',') {
            out.push(b' ');
        }
    }
    out
}

/// By how much a timestamp is outside of its window.
fn off(hmac: &Hmac, request: &Request, context: &Context) -> Option<String> {
    let at_ms = hmac::timestamp_ms(hmac, request)?;
    let off_s = context.now_ms.saturating_sub(at_ms) / 1_000;
    let direction = if off_s >= 0 { "behind" } else { "ahead of" };
    Some(format!(
        "the signature is right; its timestamp is {} s {direction} this server's clock. An old request sent \
         again, or a clock that is off",
        off_s.unsigned_abs()
    ))
}
