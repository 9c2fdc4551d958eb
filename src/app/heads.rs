//! What the bytes of a connection say before HTTP is made of them: whether a head says two lengths of
//! its body, and whether a head may have come unseen, behind what went before.
//!
//! hyper drops the `Content-Length` of a request that also has a `Transfer-Encoding` (RFC 9112,
//! section 6.1), so that nobody behind it can see both. Pure.

/// Bytes of a head that are looked at; hyper refuses longer ones.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The end of a body in chunks, without trailers.
const LAST_CHUNK: [u8; 5] = *b"0\r\n\r\n";

/// Follows the bytes of one connection.
#[derive(Debug)]
pub(super) struct Heads {
    /// The present head, where it came in pieces.
    partial: Vec<u8>,
    /// What is still to come of the present request; `None` while its head is not whole.
    body: Option<Body>,
    two_lengths: bool,
    unseen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks; these are the last bytes that came.
    Chunks([u8; 5]),
}

impl Heads {
    /// Before the first head.
    pub(super) const fn new() -> Self {
        Self { partial: Vec::new(), body: None, two_lengths: false, unseen: false }
    }

    /// Whether the last head that was seen says two lengths.
    pub(super) const fn has_two_lengths(&self) -> bool {
        self.two_lengths
    }

    /// Whether a head may have come, whole or in part, behind another request. From then on it
    /// stays so: where the next one begins is not known.
    pub(super) const fn has_unseen(&self) -> bool {
        self.unseen
    }

    /// The next bytes are those of a new head, unless the body before it did not end.
    pub(super) fn begin(&mut self) {
        let ended = matches!(self.body, None | Some(Body::Length(0) | Body::Chunks(LAST_CHUNK)));
        self.unseen |= !ended;
        self.body = None;
        self.partial.clear();
    }

    /// Bytes came.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if self.body.is_some() {
            return self.take_body(bytes);
        }
        let mut partial = std::mem::take(&mut self.partial);
        let (whole, from) = if partial.is_empty() {
            (bytes, 0)
        } else {
            let from = partial.len().saturating_sub(2);
            partial.extend_from_slice(bytes);
            (&partial[..], from)
        };
        let end = end_of_head(whole, from);
        if end.is_none() && whole.len() < HEAD_BYTES_MAX {
            self.partial = if partial.is_empty() { bytes.to_vec() } else { partial };
            return;
        }
        let (end, rest) = end.unwrap_or((whole.len(), whole.len()));
        let lengths = Lengths::of(&whole[..end]);
        self.two_lengths = lengths.chunked && lengths.content_length.is_some();
        self.body = Some(match lengths {
            Lengths { chunked: true, .. } => Body::Chunks([0; 5]),
            Lengths { content_length, .. } => Body::Length(content_length.unwrap_or(0)),
        });
        self.take_body(&whole[rest..]);
    }

    fn take_body(&mut self, bytes: &[u8]) {
        match &mut self.body {
            None => {}
            Some(Body::Length(left)) => {
                self.unseen |= bytes.len() as u64 > *left;
                *left = left.saturating_sub(bytes.len() as u64);
            }
            Some(Body::Chunks(last)) => {
                let new = bytes.len().min(last.len());
                last.rotate_left(new);
                last[5 - new..].copy_from_slice(&bytes[bytes.len() - new..]);
            }
        }
    }
}

/// Where a head's last line ends and where its body begins, looked for from `from` on: an empty line,
/// whether lines end with CRLF or, as hyper takes them too, with LF alone.
fn end_of_head(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let ends = (from..bytes.len()).filter(|at| bytes[*at] == b'\n');
    ends.map(|at| (at, &bytes[at + 1..])).find_map(|(at, next)| match next {
        [b'\n', ..] => Some((at, at + 2)),
        [b'\r', b'\n', ..] => Some((at, at + 3)),
        _ => None,
    })
}

/// What a head says about its body's length.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    chunked: bool,
    content_length: Option<u64>,
}

impl Lengths {
    fn of(head: &[u8]) -> Self {
        let mut found = Self { chunked: false, content_length: None };
        for line in head.split(|byte| *byte == b'\n') {
            if value_of(line, b"transfer-encoding").is_some() {
                found.chunked = true;
            } else if let Some(value) = value_of(line, b"content-length") {
                // One that is no number is refused by hyper.
                let text = str::from_utf8(value.trim_ascii()).unwrap_or_default();
                found.content_length = Some(text.parse().unwrap_or(0));
            }
        }
        found
    }
}

/// The value of a header's line, if it has this name.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const POST: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    const BOTH: &[u8] = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nx: y\r\ncontent-length: 4\r\n\r\n";

    /// Takes each request in parts of `size` bytes; two lengths, and something unseen.
    fn seen(requests: &[&[u8]], size: usize) -> (bool, bool) {
        let mut heads = Heads::new();
        for request in requests {
            heads.begin();
            request.chunks(size).for_each(|part| heads.take(part));
        }
        (heads.has_two_lengths(), heads.has_unseen())
    }

    #[test]
    fn requests_that_wait_for_each_other_are_all_seen() {
        for size in [1, 2, 3, 5, 7, 50, 1_000] {
            assert_eq!(seen(&[GET, POST, CHUNKED, CHUNKED, GET, POST], size), (false, false), "{size}");
            assert_eq!(seen(&[GET, POST, CHUNKED, BOTH], size), (true, false), "{size}");
        }
    }

    #[test]
    fn lines_may_end_with_a_line_feed_alone() {
        for end in ["\n\n", "\n\r\n", "\r\n\n"] {
            let head = |lengths: &str| format!("POST / HTTP/1.1\nhost: x\n{lengths}{end}");
            let both = head("Transfer-Encoding: chunked\nContent-Length: 4");
            let plain = head("Content-Length: 4") + "body";
            for size in [1, 2, 3, 7, 1_000] {
                assert_eq!(seen(&[POST, plain.as_bytes(), GET], size), (false, false), "{end:?} {size}");
                assert_eq!(seen(&[plain.as_bytes(), both.as_bytes()], size), (true, false), "{end:?} {size}");
            }
        }
    }

    #[test]
    fn what_comes_behind_a_request_is_unseen() {
        for first in [GET, POST] {
            for next in [GET, POST, CHUNKED, BOTH, &BOTH[..20], b"\r\n"] {
                for size in [1, 7, 1_000] {
                    assert!(seen(&[&[first, next].concat()], size).1, "{:?}", String::from_utf8_lossy(next));
                }
            }
        }
        for next in [GET, POST, &CHUNKED[..30], BOTH] {
            assert!(seen(&[&[CHUNKED, next].concat(), GET], 1_000).1);
        }
    }

    #[test]
    fn a_body_that_did_not_end_hides_what_follows() {
        assert!(seen(&[b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nbody", GET], 1_000).1);
        assert!(seen(&[b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\na", GET], 1_000).1);
    }

    #[test]
    fn a_head_without_an_end_is_not_kept_for_ever() {
        let mut heads = Heads::new();
        heads.begin();
        for _ in 0..100_000 {
            heads.take(b"x: y\r\n");
        }
        assert!(heads.partial.capacity() <= 2 * HEAD_BYTES_MAX);
    }
}
