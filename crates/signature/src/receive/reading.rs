//! What all families read from a request in the same way: headers, timestamps, forms, queries.

use aws_lc_rs::{digest, hmac};
use subtle::ConstantTimeEq as _;

use super::{Cause, Request, Settings};

/// Most fields of a form, or parameters of a query, that are read: providers send tens of them.
pub(super) const FIELDS_MAX: usize = 1_000;

/// The settings by which a source's owner says the window, in seconds; the second is the API
/// contract's name for Tailscale.
pub(super) const WINDOW_SETTINGS: [&str; 2] = ["toleranceSeconds", "timestampGraceSeconds"];

/// What a form is sent as.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Milliseconds of a second.
const MS_PER_S: i64 = 1_000;

/// A header's text. One that is absent or empty is missing; one that is no UTF-8 has no form at all.
pub(super) fn header<'a>(request: &Request<'a>, name: &str) -> Result<&'a str, Cause> {
    let value = request.headers.get(name).ok_or(Cause::MissingHeader)?;
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Cause::MalformedHeader)?;
    if text.is_empty() { Err(Cause::MissingHeader) } else { Ok(text) }
}

/// A header's text where the header may be absent.
pub(super) fn optional_header<'a>(request: &Request<'a>, name: &str) -> Option<&'a str> {
    header(request, name).ok()
}

/// Whether two texts are the same; takes the same time wherever they differ.
pub(super) fn is_same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// An HMAC over parts in a row; the body is hashed where it lies.
pub(super) fn mac(algorithm: hmac::Algorithm, key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
    let key = hmac::Key::new(algorithm, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    context.sign()
}

/// A SHA-256 over parts in a row, in lower-case hexadecimal digits.
pub(super) fn sha256_hex(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    hex(context.finish().as_ref())
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes behind hexadecimal digits of either case.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// How old, and how far ahead, a signed time may be. `None`: as far as one likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// In seconds.
    pub(crate) past_s: Option<u32>,
    /// In seconds.
    pub(crate) future_s: Option<u32>,
}

impl Window {
    /// Any time will do: the provider names no tolerance.
    pub(crate) const NONE: Self = Self { past_s: None, future_s: None };

    /// The same in both directions.
    pub(crate) const fn both(seconds: u32) -> Self {
        Self { past_s: Some(seconds), future_s: Some(seconds) }
    }

    /// So many seconds in the past, and any time ahead.
    pub(crate) const fn past(seconds: u32) -> Self {
        Self { past_s: Some(seconds), future_s: None }
    }

    /// With the owner's window ([`WINDOW_SETTINGS`]) in place of the provider's, in the directions in which
    /// the provider has one, or in both if it has none.
    pub(super) fn configured(self, settings: &Settings) -> Self {
        let own = WINDOW_SETTINGS.iter().find_map(|name| settings.integer(name));
        let Some(own) = own.and_then(|seconds| u32::try_from(seconds).ok()) else { return self };
        let is_one_sided = self.past_s.is_some() && self.future_s.is_none();
        Self { past_s: Some(own), future_s: if is_one_sided { None } else { Some(own) } }
    }

    /// Judges a signed time; both are in milliseconds since 1970.
    pub(super) fn check(self, now_ms: i64, signed_ms: i64) -> Result<(), Cause> {
        let age_ms = now_ms.saturating_sub(signed_ms);
        if self.past_s.is_some_and(|past| age_ms > i64::from(past) * MS_PER_S) {
            return Err(Cause::TimestampExpired);
        }
        if self.future_s.is_some_and(|future| age_ms < -i64::from(future) * MS_PER_S) {
            return Err(Cause::TimestampInFuture);
        }
        Ok(())
    }
}

/// A whole number in plain decimal digits: no sign, no spaces, nothing that two readers could read
/// differently.
pub(super) fn decimal(text: &str) -> Result<i64, Cause> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().map_err(|_| Cause::MalformedTimestamp) } else { Err(Cause::MalformedTimestamp) }
}

/// Seconds since 1970 in decimal digits, as milliseconds.
pub(super) fn seconds(text: &str) -> Result<i64, Cause> {
    decimal(text)?.checked_mul(MS_PER_S).ok_or(Cause::MalformedTimestamp)
}

/// An RFC 3339 time, as milliseconds since 1970. Digits below a millisecond are cut.
pub(super) fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.strip_prefix(['T', 't'])?.split_at_checked(8)?;
    let mut date_parts = date.split('-');
    let [year, month, day] = [field(date_parts.next(), 4)?, field(date_parts.next(), 2)?, field(date_parts.next(), 2)?];
    let mut parts = clock.split(':');
    let [hour, minute, second] = [field(parts.next(), 2)?, field(parts.next(), 2)?, field(parts.next(), 2)?];
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !in_range {
        return None;
    }
    let (millis, zone) = fraction(rest)?;
    let offset_s = zone_offset(zone)?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s;
    Some(seconds * MS_PER_S + millis)
}

fn field(text: Option<&str>, digits: usize) -> Option<i64> {
    let text = text?;
    if text.len() == digits { decimal(text).ok() } else { None }
}

/// Milliseconds of a fraction, if there is one, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    let kept = digits.get(..3).unwrap_or(digits);
    let value: i64 = kept.parse().ok()?;
    Some((value * [1, 100, 10, 1][kept.len()], rest))
}

/// Seconds that a zone is ahead of UTC.
fn zone_offset(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let (hour, minute) = rest.split_once(':')?;
    let (hour, minute) = (field(Some(hour), 2)?, field(Some(minute), 2)?);
    let offset_s = hour * 3_600 + minute * 60;
    match sign {
        "+" if hour < 24 && minute < 60 => Some(offset_s),
        "-" if hour < 24 && minute < 60 => Some(-offset_s),
        _ => None,
    }
}

/// Days of the proleptic Gregorian calendar, counted in eras of 400 years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Names and values of a form or a query, decoded.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The fields of a form, in the order received. More than [`FIELDS_MAX`] are
/// refused.
pub(super) fn form(body: &[u8]) -> Result<Fields, Cause> {
    let mut fields = Vec::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if fields.len() == FIELDS_MAX {
            return Err(Cause::MalformedBody);
        }
        let at = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        fields.push((decode_percent(name), decode_percent(value)));
    }
    Ok(fields)
}

/// The first field of a name, as text.
pub(super) fn form_text<'a>(fields: &'a [(Vec<u8>, Vec<u8>)], name: &str) -> Option<&'a str> {
    let (_, value) = fields.iter().find(|(other, _)| other == name.as_bytes())?;
    std::str::from_utf8(value).ok()
}

/// The one field of a name, as text. A second one is refused: what is signed is one of them, and the
/// application may read the other.
pub(super) fn only_text<'a>(fields: &'a [(Vec<u8>, Vec<u8>)], name: &str) -> Result<&'a str, Cause> {
    let mut named = fields.iter().filter(|(other, _)| other == name.as_bytes());
    match (named.next(), named.next()) {
        (Some((_, value)), None) => std::str::from_utf8(value).map_err(|_| Cause::MalformedBody),
        _ => Err(Cause::MalformedBody),
    }
}

/// The fields of a body that is sent as a form. One that is sent as something else is refused: of a scheme
/// that signs one field, the application would read the whole of it, most of which nobody has signed.
pub(super) fn sent_form(request: &Request<'_>) -> Result<Fields, Cause> {
    if could_be_form(request) { form(request.body) } else { Err(Cause::MalformedBody) }
}

/// Whether a body is sent as a form, or does not say as what.
pub(super) fn could_be_form(request: &Request<'_>) -> bool {
    !request.headers.contains_key("content-type") || is_media_type(request, FORM)
}

/// Undoes `+` and `%xx`; what is neither stays as it is.
pub(super) fn decode_percent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let escaped = || Some(nibble(*text.get(at + 1)?)? << 4 | nibble(*text.get(at + 2)?)?);
        match (text[at], escaped()) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// A URL's query, without the mark; empty if there is none.
pub(super) fn query(url: &str) -> &str {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    url.split_once('?').map_or("", |(_, query)| query)
}

/// The first parameter of a name in a URL's query, decoded. `None` too if it is no UTF-8.
pub(super) fn parameter(url: &str, name: &str) -> Option<String> {
    let fields = form(query(url).as_bytes()).ok()?;
    form_text(&fields, name).map(str::to_owned)
}

/// A URL's path, with its slash: what stands between the authority and the query.
pub(super) fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or("");
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// Whether the media type, without its parameters, is this one.
pub(super) fn is_media_type(request: &Request<'_>, name: &str) -> bool {
    let given = optional_header(request, "content-type").unwrap_or("");
    given.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests;
