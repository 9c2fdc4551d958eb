//! Finding things in a request and in a source's settings.

use std::borrow::Cow;

use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Settings, reading};

/// The first value of a header without the blanks around it, if there is one and it is not empty. Bytes
/// that are no UTF-8 are replaced, by which no signature comes about.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    let value = headers.get(name)?.as_bytes().trim_ascii();
    (!value.is_empty()).then(|| String::from_utf8_lossy(value))
}

/// The first parameter of a URL's query with this name, decoded, if it is not empty.
pub(crate) fn query(url: &str, name: &str) -> Option<String> {
    reading::parameter(url, name).filter(|value| !value.is_empty())
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
