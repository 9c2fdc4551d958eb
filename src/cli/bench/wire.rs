//! HTTP/1.1 by hand: heads by httparse, bodies by content-length, one request in flight.
//!
//! Absent on purpose: pipelining, trailers, upgrades. Of chunked bodies only the end is found.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HEADERS_MAX: usize = 64;
/// No head or body that we read is larger.
pub(super) const BUFFER_BYTES_MAX: usize = 2 << 20;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy)]
struct ResponseHead {
    status: u16,
    head_bytes: usize,
    framing: Framing,
    close: bool,
    retry_after: Option<Duration>,
}

/// The head of a request, as far as the sink cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestHead {
    pub(super) route: Route,
    pub(super) head_bytes: usize,
    pub(super) body_bytes: usize,
}

/// Where a request to the sink goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// `/e/<n>`: an endpoint of the measured load.
    Endpoint(u32),
    /// `/h/<n>`: an endpoint that never answers.
    Hanging,
    /// Anything else: the generator measuring itself.
    Other,
}

impl Route {
    fn of(path: &str) -> Self {
        if let Some(n) = path.strip_prefix("/e/").and_then(|n| n.parse().ok()) {
            Self::Endpoint(n)
        } else if path.starts_with("/h/") {
            Self::Hanging
        } else {
            Self::Other
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn number(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// The head at the start of `buffer`, or `None` while it is not complete.
pub(super) fn request_head(buffer: &[u8]) -> io::Result<Option<RequestHead>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let status = request.parse(buffer).map_err(|_| invalid("malformed request"))?;
    let httparse::Status::Complete(head_bytes) = status else {
        return Ok(None);
    };
    let mut body_bytes = 0;
    for header in request.headers.iter() {
        if header.name.len() == 14 && header.name.eq_ignore_ascii_case("content-length") {
            body_bytes = number(header.value).ok_or_else(|| invalid("content-length"))?;
        } else if header.name.len() == 17 && header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(invalid("the sink reads bodies by content-length only"));
        }
    }
    if body_bytes > BUFFER_BYTES_MAX {
        return Err(invalid("body too large"));
    }
    let route = Route::of(request.path.unwrap_or_default());
    Ok(Some(RequestHead { route, head_bytes, body_bytes }))
}

fn response_head(buffer: &[u8]) -> io::Result<Option<ResponseHead>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(buffer).map_err(|_| invalid("malformed response"))?;
    let httparse::Status::Complete(head_bytes) = parsed else {
        return Ok(None);
    };
    let mut head = ResponseHead {
        status: response.code.unwrap_or_default(),
        head_bytes,
        framing: Framing::Length(0),
        close: false,
        retry_after: None,
    };
    for header in response.headers.iter() {
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let length = number(header.value).ok_or_else(|| invalid("content-length"))?;
                head.framing = Framing::Length(length);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                head.framing = Framing::Chunked;
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                head.close = header.value.eq_ignore_ascii_case(b"close");
            }
            11 if header.name.eq_ignore_ascii_case("retry-after") => {
                head.retry_after = number(header.value).map(|s| Duration::from_secs(s as u64));
            }
            _ => {}
        }
    }
    Ok(Some(head))
}

/// An answer, its body left in the connection's buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// The connection cannot be used again.
    pub(super) close: bool,
    body_at: usize,
}

impl Answer {
    pub(super) fn is_success(self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A client's connection with at most one request in flight.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 2_048], filled: 0 })
    }

    /// Sends `request` and reads the whole answer.
    pub(super) async fn call(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        let mut head = None;
        loop {
            if self.filled == self.buffer.len() {
                if self.filled >= BUFFER_BYTES_MAX {
                    return Err(invalid("answer too large"));
                }
                self.buffer.resize(self.filled * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.filled += read;
            let bytes = &self.buffer[..self.filled];
            if head.is_none() {
                head = response_head(bytes)?;
            }
            let Some(head) = head else { continue };
            let body = &bytes[head.head_bytes..];
            let complete = match head.framing {
                Framing::Length(length) => body.len() >= length,
                Framing::Chunked => body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n"),
            };
            if complete {
                return Ok(Answer {
                    status: head.status,
                    retry_after: head.retry_after,
                    close: head.close,
                    body_at: head.head_bytes,
                });
            }
        }
    }

    /// The body of the last answer.
    pub(super) fn body(&self, answer: Answer) -> &[u8] {
        &self.buffer[answer.body_at..self.filled]
    }

    /// The body of the last answer, cut for a message to a person.
    pub(super) fn excerpt(&self, answer: Answer) -> String {
        let body = self.body(answer);
        String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_endpoint_and_its_length() {
        let text = b"POST /e/42 HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
        let head = request_head(text).unwrap().unwrap();
        assert_eq!(head.route, Route::Endpoint(42));
        assert_eq!(head.body_bytes, 7);
        assert_eq!(&text[head.head_bytes..], b"{\"a\":1}");
        assert_eq!(request_head(&text[..30]).unwrap(), None);
        assert!(request_head(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn a_response_tells_when_to_come_again() {
        let text = b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nConnection: close\r\n\r\n";
        let head = response_head(text).unwrap().unwrap();
        assert_eq!(head.status, 503);
        assert_eq!(head.retry_after, Some(Duration::from_secs(2)));
        assert!(head.close);
    }
}
