//! Patterns and bounds of the contract.

use crate::model::IdKind;

/// Which texts are taken.
pub(super) struct Rule {
    pub(super) bytes_max: usize,
    allowed: fn(u8) -> bool,
    /// The same as a pattern, for the documentation.
    pub(super) pattern: &'static str,
    msg: &'static str,
}

impl Rule {
    /// `Ok`, or what is expected.
    pub(super) fn check(&self, text: &str) -> Result<(), &'static str> {
        let fits = !text.is_empty() && text.len() <= self.bytes_max;
        if fits && text.bytes().all(self.allowed) { Ok(()) } else { Err(self.msg) }
    }
}

/// `uid`, `eventId`, and what paths name.
pub(super) const UID: Rule = Rule {
    bytes_max: 256,
    allowed: is_name_byte,
    pattern: r"^[a-zA-Z0-9\-_.]+$",
    msg: "must match ^[a-zA-Z0-9\\-_.]+$ and have 1 to 256 characters",
};

/// Names of event types, their groups and feature flags.
pub(super) const EVENT_TYPE: Rule = UID;

/// Sessions of portal tokens.
pub(super) const SESSION: Rule = Rule {
    bytes_max: 64,
    allowed: |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'_' | b'-'),
    pattern: "^[a-zA-Z0-9@_-]+$",
    msg: "must match ^[a-zA-Z0-9@_-]+$ and have 1 to 64 characters",
};

/// Names of headers (RFC 9110, section 5.6.2).
pub(super) const HEADER_NAME: Rule = Rule {
    bytes_max: 256,
    allowed: |byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte),
    pattern: "^[a-zA-Z0-9!#$%&'*+.^_`|~-]+$",
    msg: "must be the name of a header of 1 to 256 characters",
};

/// Channels.
pub(super) const CHANNEL: Rule = Rule {
    bytes_max: 128,
    allowed: |byte| is_name_byte(byte) || matches!(byte, b':' | b'+'),
    pattern: r"^[a-zA-Z0-9\-_.:+]+$",
    msg: "must match ^[a-zA-Z0-9\\-_.:+]+$ and have 1 to 128 characters",
};

/// Tags.
pub(super) const TAG: Rule = Rule {
    bytes_max: 128,
    allowed: |byte| is_name_byte(byte) || matches!(byte, b'/' | b'\\' | b'#'),
    pattern: r"^[a-zA-Z0-9\-_./\\#]+$",
    msg: "must match ^[a-zA-Z0-9\\-_./\\\\#]+$ and have 1 to 128 characters",
};

/// Names of applications.
pub(super) const NAME: Rule = Rule {
    bytes_max: 4_096,
    allowed: is_text_byte,
    pattern: TEXT_PATTERN,
    msg: "must have 1 to 4096 bytes and none of the control characters 0x00-0x08",
};

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Texts that people read.
pub(super) const TEXT_PATTERN: &str = r"^[^\x00-\x08]*$";

/// Bytes of texts that people read.
const fn is_text_byte(byte: u8) -> bool {
    byte > 0x08
}

/// Bytes of descriptions, and of all metadata of one thing.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 10;

/// Descriptions: may be empty.
pub(super) fn description(text: &str) -> Result<(), &'static str> {
    if text.len() <= TEXT_BYTES_MAX && text.bytes().all(is_text_byte) {
        Ok(())
    } else {
        Err("must have at most 65536 bytes and none of the control characters 0x00-0x08")
    }
}

/// A uid that could be taken for an id of its kind is refused.
pub(super) fn uid(kind: IdKind, text: &str) -> Result<(), &'static str> {
    UID.check(text)?;
    if has_form_of(kind, text) { Err("must not have the form of an id") } else { Ok(()) }
}

/// Whether a text has the form of an id of this kind.
pub(super) fn has_form_of(kind: IdKind, text: &str) -> bool {
    text.strip_prefix(kind.prefix())
        .is_some_and(|rest| rest.len() == kind.size().0 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_contract_takes() {
        for (rule, good, bad) in [
            (&UID, "aZ09-_.", ":"),
            (&CHANNEL, "project:1+2", "#"),
            (&TAG, "a/b\\c#d", ":"),
            (&NAME, "Grüße, 世界", "\0"),
        ] {
            assert_eq!(rule.check(good), Ok(()));
            for text in ["", bad, &"a".repeat(rule.bytes_max + 1)] {
                assert_eq!(rule.check(text), Err(rule.msg), "{text:.20}");
            }
            assert_eq!(rule.check(&"a".repeat(rule.bytes_max)), Ok(()));
        }
        for text in ["ü", "a b", "a\n", "\u{fffd}"] {
            assert!(UID.check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_uid_that_looks_like_an_id_is_refused() {
        let id = format!("app_{}", "a".repeat(27));
        assert!(uid(IdKind::Application, &id).is_err());
        assert!(uid(IdKind::Endpoint, &id).is_ok());
        assert!(uid(IdKind::Application, &id[..30]).is_ok());
        assert!(uid(IdKind::Application, &format!("app_{}", "-".repeat(27))).is_ok());
    }

    #[test]
    fn descriptions_may_be_empty() {
        assert_eq!(description(""), Ok(()));
        assert!(description("\u{1}").is_err());
        assert!(description(&"a".repeat(TEXT_BYTES_MAX + 1)).is_err());
    }
}
