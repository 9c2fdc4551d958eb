//! What is around a signature in its header.

use std::borrow::Cow;

use super::super::lookup;
use super::super::{Cause, Request};
use super::{Place, Stamp};

/// Most items of one list that are looked at.
const ITEMS_MAX: usize = 64;
/// Most headers of a numbered row.
const NUMBERED_MAX: usize = 16;
/// What separates the values of a numbered row when they are read as one: no header can hold it.
const BETWEEN_NUMBERED: char = '\n';

/// What is around a signature in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// Nothing.
    Plain,
    /// A fixed text before it.
    Prefix(&'a str),
    /// A list of `key=value`, several signatures under the same key.
    List {
        /// Between two items.
        separator: char,
        /// Whether blanks around an item are passed over.
        is_trimmed: bool,
        /// The key of signatures.
        key: &'a str,
    },
    /// A list of `version,signature`, separated by blanks.
    Versions(&'a str),
    /// Several headers, whose names end with a number from 1.
    Numbered,
    /// Not a header at all: a parameter of the URL's query.
    Query,
}

/// What was found in a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Framed<'v> {
    /// The timestamp of the list, as it is written.
    pub timestamp: Option<&'v str>,
    /// All signatures of the version that counts, as they are written; at least one.
    pub signatures: Vec<&'v str>,
}

impl Frame<'_> {
    /// The text that has the frame, if it is there and not empty.
    pub(crate) fn read<'r>(&self, request: &Request<'r>, name: &str) -> Option<Cow<'r, str>> {
        match self {
            Self::Query => lookup::query(request.url, name).map(Cow::Owned),
            Self::Numbered => {
                let numbered = (1..=NUMBERED_MAX).filter_map(|number| {
                    let value = lookup::header(request.headers, &format!("{name}{number}"))?;
                    Some(value.into_owned())
                });
                let all: Vec<String> = numbered.collect();
                (!all.is_empty()).then(|| Cow::Owned(all.join(&BETWEEN_NUMBERED.to_string())))
            }
            _ => lookup::header(request.headers, name),
        }
    }

    /// Takes a text apart. An error is [`Cause::MalformedHeader`], or [`Cause::UnsupportedVersion`] for a
    /// list that is right and has signatures of other versions only.
    pub(crate) fn parse<'v>(&self, value: &'v str, stamp: Option<Stamp>) -> Result<Framed<'v>, Cause> {
        match self {
            Self::Plain | Self::Query => Ok(Framed { timestamp: None, signatures: vec![value] }),
            Self::Numbered => Ok(Framed { timestamp: None, signatures: value.split(BETWEEN_NUMBERED).collect() }),
            Self::Prefix(prefix) => match value.strip_prefix(prefix) {
                Some(signature) if !signature.is_empty() => Ok(Framed { timestamp: None, signatures: vec![signature] }),
                _ => Err(Cause::MalformedHeader),
            },
            Self::List { separator, is_trimmed, key } => {
                let items = value.split(*separator).take(ITEMS_MAX);
                let items = items.map(|item| if *is_trimmed { item.trim() } else { item });
                let stamp_key = match stamp {
                    Some(Stamp { place: Place::List(name), .. }) => Some(name),
                    _ => None,
                };
                list(items.filter_map(|item| item.split_once('=')), key, stamp_key)
            }
            Self::Versions(version) => {
                let items = value.split_ascii_whitespace().take(ITEMS_MAX);
                list(items.filter_map(|item| item.split_once(',')), version, None)
            }
        }
    }
}

/// Sorts the items of a list. The last timestamp counts, as in the providers' own libraries.
fn list<'v>(
    items: impl Iterator<Item = (&'v str, &'v str)>,
    key: &str,
    stamp_key: Option<&str>,
) -> Result<Framed<'v>, Cause> {
    let mut framed = Framed { timestamp: None, signatures: Vec::new() };
    let mut has_other_versions = false;
    for (name, value) in items {
        if Some(name) == stamp_key {
            framed.timestamp = Some(value);
        } else if value.is_empty() {
            // Neither a signature nor a version that has one.
        } else if name == key {
            framed.signatures.push(value);
        } else {
            has_other_versions |= is_version_beside(name, key);
        }
    }
    if stamp_key.is_some() && framed.timestamp.is_none() {
        Err(Cause::MalformedHeader)
    } else if !framed.signatures.is_empty() {
        Ok(framed)
    } else if has_other_versions {
        Err(Cause::UnsupportedVersion)
    } else {
        Err(Cause::MalformedHeader)
    }
}

/// Whether a key is that of signatures with another version: `v0` or `v1a` beside `v1`.
fn is_version_beside(name: &str, key: &str) -> bool {
    let letters = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let has_number = letters.len() < key.len();
    let rest = name.strip_prefix(letters).unwrap_or_default();
    has_number && rest.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::super::reading::Window;
    use super::super::Unit;
    use super::*;

    fn check(frame: Frame, key: Option<&str>, value: &str, expected: Result<(Option<&str>, &[&str]), Cause>) {
        let stamp = key.map(|key| Stamp { place: Place::List(key), unit: Unit::Seconds, window: Window::NONE });
        let found = frame.parse(value, stamp);
        let found = found.as_ref().map(|framed| (framed.timestamp, framed.signatures.as_slice())).map_err(|e| *e);
        assert_eq!(found, expected, "{value}");
    }

    #[test]
    fn frames_are_taken_apart() {
        let stripe = Frame::List { separator: ',', is_trimmed: false, key: "v1" };
        check(stripe, Some("t"), "t=1,v1=a,v0=b,v1=c", Ok((Some("1"), &["a", "c"])));
        check(stripe, Some("t"), "v1=a", Err(Cause::MalformedHeader));
        check(stripe, Some("t"), "t=1", Err(Cause::MalformedHeader));
        check(stripe, Some("t"), "t=1,v1=", Err(Cause::MalformedHeader));
        check(stripe, Some("t"), "t=1,v0=b", Err(Cause::UnsupportedVersion));
        check(stripe, Some("t"), "t=1, v1=b", Err(Cause::MalformedHeader));
        check(stripe, None, "v2=b", Err(Cause::UnsupportedVersion));
        let trimmed = Frame::List { separator: ',', is_trimmed: true, key: "signature" };
        check(trimmed, Some("timestamp"), "timestamp=1, signature=b", Ok((Some("1"), &["b"])));
        check(trimmed, Some("timestamp"), "timestamp=1,sig2=b", Err(Cause::MalformedHeader));
        let standard = Frame::Versions("v1");
        check(standard, None, "v1a,x v1,a v1,b", Ok((None, &["a", "b"])));
        check(standard, None, "v1a,x", Err(Cause::UnsupportedVersion));
        check(standard, None, "a b", Err(Cause::MalformedHeader));
        check(standard, None, "v1,", Err(Cause::MalformedHeader));
        check(Frame::Prefix("sha256="), None, "sha256=", Err(Cause::MalformedHeader));
        check(Frame::Prefix("sha256="), None, "SHA256=a", Err(Cause::MalformedHeader));
        check(Frame::Prefix("sha256="), None, "sha256=zz", Ok((None, &["zz"])));
        check(Frame::Numbered, None, "a\nb", Ok((None, &["a", "b"])));
    }
}
