//! How the text of a secret becomes a key.

use std::borrow::Cow;

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine as _};

use super::super::reading;
use crate::standard::{PUBLIC_KEY_PREFIX, SECRET_KEY_PREFIX, SECRET_PREFIX};

/// Base64 as people paste it: with or without the padding.
const PASTED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How the text of a secret becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// Its UTF-8 bytes, prefix and all.
    Text,
    /// Hexadecimal of the key.
    Hex,
    /// Base64 of the key.
    Base64,
    /// `whsec_` and base64 of the key; the prefix may be missing.
    Whsec,
    /// As [`KeyForm::Whsec`] where it has the prefix, else its bytes.
    WhsecOrText,
    /// Its UTF-8 bytes with the HTML entities of quotes, angle brackets and ampersands decoded.
    HtmlText,
}

impl KeyForm {
    /// Its name in a configuration.
    pub(crate) const NAMES: [(&'static str, Self); 4] =
        [("utf8", Self::Text), ("hex", Self::Hex), ("base64", Self::Base64), ("whsec", Self::Whsec)];

    /// The key, if the text has the form. A key has at least a byte.
    pub(crate) fn key(self, text: &str) -> Option<Cow<'_, [u8]>> {
        let key = match self {
            Self::Hex => Cow::Owned(reading::unhex(text)?),
            Self::Base64 => Cow::Owned(PASTED.decode(text).ok()?),
            Self::Whsec => Cow::Owned(whsec(text)?),
            Self::WhsecOrText if text.starts_with(SECRET_PREFIX) => Cow::Owned(whsec(text)?),
            Self::Text | Self::WhsecOrText => Cow::Borrowed(text.as_bytes()),
            Self::HtmlText => Cow::Owned(without_entities(text).into_bytes()),
        };
        (!key.is_empty()).then_some(key)
    }

    /// What is expected of the text, for an error or a hint.
    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::HtmlText => "the secret exactly as the provider shows it, used as text",
            Self::Hex => "a key in hexadecimal digits, an even number of them",
            Self::Base64 => "a key in base64",
            Self::Whsec => "`whsec_` followed by base64",
            Self::WhsecOrText => "`whsec_` followed by base64, or the secret's text",
        }
    }
}

/// The key behind `whsec_`. Keys of the asymmetric scheme are none.
fn whsec(text: &str) -> Option<Vec<u8>> {
    if text.starts_with(PUBLIC_KEY_PREFIX) || text.starts_with(SECRET_KEY_PREFIX) {
        return None;
    }
    PASTED.decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text)).ok()
}

/// A text as `WooCommerce` reads it back (`wp_specialchars_decode` with both quotes).
fn without_entities(text: &str) -> String {
    const ENTITIES: [(&str, &str); 9] = [
        ("&quot;", "\""),
        ("&#034;", "\""),
        ("&#x22;", "\""),
        ("&#039;", "'"),
        ("&#x27;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#038;", "&"),
        ("&amp;", "&"),
    ];
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        let (skipped, replaced) = entity.map_or((1, "&"), |(entity, plain)| (entity.len(), *plain));
        decoded.push_str(replaced);
        rest = &rest[skipped..];
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_becomes_a_key_by_its_form() {
        let key = |form: KeyForm, text: &str| form.key(text).map(Cow::into_owned);
        assert_eq!(key(KeyForm::Text, "whsec_QUJD"), Some(b"whsec_QUJD".to_vec()));
        assert_eq!(key(KeyForm::Whsec, "whsec_QUJDRA"), Some(b"ABCD".to_vec()), "the padding may be missing");
        assert_eq!(key(KeyForm::Whsec, "QUJDRA=="), Some(b"ABCD".to_vec()));
        assert_eq!(key(KeyForm::Whsec, "whpk_QUJDRA=="), None);
        assert_eq!(key(KeyForm::WhsecOrText, "QUJD"), Some(b"QUJD".to_vec()));
        assert_eq!(key(KeyForm::Hex, "4142fF"), Some(vec![0x41, 0x42, 0xff]));
        assert_eq!(key(KeyForm::Hex, "414"), None);
        assert_eq!(key(KeyForm::Hex, "4é4"), None);
        assert_eq!(key(KeyForm::Base64, "not base64"), None);
        assert_eq!(key(KeyForm::Text, ""), None);
        assert_eq!(key(KeyForm::HtmlText, "a&amp;lt;b&&quot;"), Some(b"a&lt;b&\"".to_vec()));
    }
}
