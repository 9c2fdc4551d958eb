//! Finding things in a request and in a source's settings.

use std::borrow::Cow;

use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Settings;

/// Most parameters of a query that are looked at.
const PARAMETERS_MAX: usize = 256;

/// The first value of a header without the blanks around it, if there is one and it is not empty. Bytes
/// that are no UTF-8 are replaced, by which no signature comes about.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    let value = headers.get(name)?.as_bytes().trim_ascii();
    (!value.is_empty()).then(|| String::from_utf8_lossy(value))
}

/// The first parameter of a URL's query with this name, decoded, if it is not empty.
pub(crate) fn query(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next()?;
    parameter(query, name, PARAMETERS_MAX)
}

/// The first of the first `parameters_max` parameters of a form or a query with this name, decoded, if it is
/// not empty.
pub(crate) fn parameter(form: &str, name: &str, parameters_max: usize) -> Option<String> {
    let found = form.split('&').take(parameters_max).find_map(|parameter| {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (decoded(key) == name).then(|| decoded(value))
    })?;
    (!found.is_empty()).then_some(found)
}

/// Percent-decoded, with `+` for a blank.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match (byte, digit(at), digit(at + 1)) {
            (b'+', _, _) => out.push(b' '),
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 2;
            }
            _ => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The active secrets of a setting, in the order given. `secret` has its list in `secrets`.
pub(crate) fn secrets<'s>(settings: &'s Settings, setting: &str) -> Vec<&'s str> {
    if setting == "secret" { settings.secrets() } else { settings.texts(setting) }
}

/// Whether two texts are the same, in a time that tells nothing of either.
pub(crate) fn is_same(given: &[u8], expected: &[u8]) -> bool {
    Sha256::digest(given).as_slice().ct_eq(Sha256::digest(expected).as_slice()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_and_decoded() {
        assert_eq!(query("https://a/b?x=1&sig=a%2Bb+c&sig=d#f", "sig").as_deref(), Some("a+b c"));
        assert_eq!(query("https://a/b?sig=%zz%2", "sig").as_deref(), Some("%zz%2"));
        assert_eq!(query("https://a/b?sig=&sig=1", "sig"), None);
        assert_eq!(query("https://a/b#?sig=1", "sig").as_deref(), None);
        assert_eq!(query("https://a/b", "sig"), None);
    }
}
