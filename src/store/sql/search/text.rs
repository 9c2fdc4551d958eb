//! Whether a message has a text: in its bytes as they came, in the request that it came in with, or in
//! an id.

use crate::model::{IdKind, Message, Received, SECRET_HEADERS};

/// A text that is looked for; letters of ASCII are the same in both cases.
pub(super) struct Text {
    lower: Vec<u8>,
    /// It can be a part of an id.
    is_of_id: bool,
    /// Requests are looked through for it.
    is_of_requests: bool,
}

impl Text {
    pub(super) fn new(text: &str, is_of_requests: bool) -> Self {
        let id_bytes = IdKind::Message.prefix().len() + IdKind::Message.characters();
        let is_of_id = text.len() <= id_bytes && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        Self { lower: text.to_ascii_lowercase().into_bytes(), is_of_id, is_of_requests }
    }

    /// Whether the requests that messages came in with are looked through.
    pub(super) const fn is_of_requests(&self) -> bool {
        self.is_of_requests
    }

    /// Whether these bytes have it.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        let Some((&first, rest)) = self.lower.split_first() else { return true };
        let upper = first.to_ascii_uppercase();
        let mut left = bytes;
        while left.len() > rest.len() {
            // Where it may begin, and still ends within.
            let places = &left[..left.len() - rest.len()];
            let Some(at) = places.iter().position(|&byte| byte == first || byte == upper) else { return false };
            left = &left[at + 1..];
            if left[..rest.len()].eq_ignore_ascii_case(rest) {
                return true;
            }
        }
        false
    }

    /// Whether the message has it in an id.
    pub(super) fn is_in_ids(&self, message: &Message) -> bool {
        message.envelope.event_id.as_ref().is_some_and(|id| self.is_in(id.as_bytes()))
            || (self.is_of_id && self.is_in(message.id.format(IdKind::Message).as_bytes()))
    }

    /// Whether the request that a message came in with has it: in its path, its query or a header. Of headers
    /// that are never shown the names are looked at: values would be learnt piece by piece.
    pub(super) fn is_in_request(&self, request: &Received) -> bool {
        // Bytes of headers are kept as the characters of their numbers.
        let latin = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
        self.is_in(request.path.as_bytes())
            || request.query.as_ref().is_some_and(|query| self.is_in(query.as_bytes()))
            || request.headers.iter().any(|(name, value)| {
                self.is_in(name.as_bytes())
                    || !SECRET_HEADERS.contains(&name.as_str())
                        && if value.is_ascii() { self.is_in(value.as_bytes()) } else { self.is_in(&latin(value)) }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_either_case_of_ascii() {
        for (text, bytes, found) in [
            ("Needle", &b"a hay NEEDLE hay"[..], true),
            ("needle", b"needl", false),
            ("needle", b"nneedle", true),
            ("needle", b"needlneedle", true),
            ("e", b"E", true),
            ("", b"", true),
            ("a", b"", false),
            ("\u{e4}", "\u{e4}".as_bytes(), true),
            ("\u{e4}", "\u{c4}".as_bytes(), false),
        ] {
            assert_eq!(Text::new(text, true).is_in(bytes), found, "{text:?} in {bytes:?}");
        }
    }

    #[test]
    fn requests_are_looked_through() {
        let request = Received {
            path: "/orders".into(),
            query: Some("shop=north".into()),
            headers: vec![("X-Region".into(), "eu\u{e4}".into()), ("authorization".into(), "Bearer tell".into())],
            ..Received::default()
        };
        for (text, found) in
            [("ORDERS", true), ("north", true), ("x-region", true), ("EU", true), ("west", false), ("tell", false)]
        {
            assert_eq!(Text::new(text, true).is_in_request(&request), found, "{text}");
        }
    }
}
