//! Where the time of an attempt went, and with what headers a failed one was answered: stored in a few bytes.

use super::varint;

/// Headers of an answer that are kept, and bytes of their names and values.
pub const HEADERS_MAX: usize = 32;
/// Bytes of names and values that are kept.
pub const HEADER_BYTES_MAX: usize = 2_048;
/// The form in which traces are stored; one of a newer form is not read.
const VERSION: u8 = 1;
/// Names that hold one of these are of sensitive headers: their values are never shown.
const SENSITIVE: [&str; 10] =
    ["auth", "cookie", "credential", "jwt", "key", "pass", "secret", "session", "signature", "token"];

/// Whether the value of a header of this name is nobody's to see.
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SENSITIVE.iter().any(|part| name.contains(part))
}

/// A part of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Resolving the name.
    Dns,
    /// Connecting, to one address after the other.
    Connect,
    /// The TLS handshake.
    Tls,
    /// From sending the request until the head of the answer is there.
    FirstByte,
    /// Reading the body.
    Body,
}

/// Milliseconds of each part of an attempt, in the order of [`Phase`]. A part that there was not (no name to be
/// resolved, a connection that was used again, an attempt that ended before) is `None`; the one in which an
/// attempt ended has the time until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    parts: [Option<u32>; 5],
}

impl Timings {
    /// How long a part took, in milliseconds.
    pub const fn of(&self, phase: Phase) -> Option<u32> {
        self.parts[phase as usize]
    }

    /// Says how long a part took, in milliseconds.
    pub const fn set(&mut self, phase: Phase, ms: u32) {
        self.parts[phase as usize] = Some(ms);
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(Option::is_none)
    }
}

/// A header of an answer. Its value is empty where it is sensitive: it is not kept.
pub type Header = (String, String);

/// As it is stored; `None` where there is nothing to store.
pub fn encode(timings: &Timings, headers: &[Header]) -> Option<Vec<u8>> {
    if timings.is_empty() && headers.is_empty() {
        return None;
    }
    let there = timings.parts.iter().enumerate().filter(|(_, part)| part.is_some());
    let mut out = Vec::with_capacity(8);
    out.extend([VERSION, there.fold(0, |flags, (part, _)| flags | 1 << part)]);
    for ms in timings.parts.iter().flatten() {
        varint::push(&mut out, u64::from(*ms));
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        varint::push(&mut out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    Some(out)
}

/// What is stored of an attempt: its timings, and the rest, which [`headers`] reads. `None` where it cannot be read.
pub fn decode(stored: &[u8]) -> Option<(Timings, &[u8])> {
    let [VERSION, flags, rest @ ..] = stored else { return None };
    let (mut rest, mut timings) = (rest, Timings::default());
    for (part, ms) in timings.parts.iter_mut().enumerate() {
        if flags & 1 << part != 0 {
            *ms = Some(u32::try_from(varint::take(&mut rest)?).unwrap_or(u32::MAX));
        }
    }
    Some((timings, rest))
}

/// The headers in what [`decode`] leaves, as far as they can be read.
pub fn headers(mut rest: &[u8]) -> Vec<Header> {
    let mut found = Vec::new();
    while found.len() < HEADERS_MAX
        && let Some(name) = text(&mut rest)
        && let Some(value) = text(&mut rest)
    {
        found.push((name, value));
    }
    found
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(varint::take(rest)?).ok()?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn timings(parts: [Option<u32>; 5]) -> Timings {
        Timings { parts }
    }

    #[test]
    fn a_success_on_a_connection_that_was_used_before_takes_five_bytes() {
        let stored = encode(&timings([None, None, None, Some(143), Some(0)]), &[]).expect("something");
        assert_eq!(stored.len(), 5);
        assert_eq!(encode(&Timings::default(), &[]), None, "nothing takes no byte");
    }

    #[test]
    fn headers_stand_behind_the_timings() {
        let of = timings([Some(1), Some(2), Some(3), Some(4_000), None]);
        let answered = [("retry-after".to_owned(), "5".to_owned()), ("x".to_owned(), String::new())];
        let stored = encode(&of, &answered).expect("something");
        let (read, rest) = decode(&stored).expect("readable");
        assert_eq!((read, headers(rest)), (of, answered.to_vec()));
    }

    #[test]
    fn sensitive_is_what_holds_such_a_word() {
        for (name, sensitive) in
            [("Set-Cookie", true), ("x-api-key", true), ("server", false), ("WWW-Authenticate", true)]
        {
            assert_eq!(is_sensitive(name), sensitive, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_again(
            parts in proptest::array::uniform5(proptest::option::of(any::<u32>())),
            answered in proptest::collection::vec(("[a-z]{1,9}", ".{0,40}"), 0..HEADERS_MAX),
        ) {
            let of = timings(parts);
            if let Some(stored) = encode(&of, &answered) {
                let (read, rest) = decode(&stored).expect("readable");
                prop_assert_eq!((read, headers(rest)), (of, answered));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(stored in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((_, rest)) = decode(&stored) {
                headers(rest);
            }
            let forced = [&[VERSION][..], &stored].concat();
            if let Some((_, rest)) = decode(&forced) {
                headers(rest);
            }
        }
    }
}
