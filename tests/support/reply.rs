//! What a receiver does with a request: the good, the slow and the hostile.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Between two bytes of what drips.
const DRIP: Duration = Duration::from_secs(1);
const CHUNK_BYTES: usize = 64 * 1024;
/// No test waits longer for the other side to give up.
const HANG_MAX: Duration = Duration::from_mins(1);

/// How one request is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// As one should.
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, delay: Duration },
    /// Bytes as they are, and the connection is closed.
    Raw(Vec<u8>),
    /// Never a word.
    Hang,
    /// Bytes as they are, and then never another.
    RawThenHang(Vec<u8>),
    /// One byte of the head a second.
    DripHead,
    /// A head, then one byte of the body a second.
    DripBody,
    /// The connection is reset.
    Reset,
    /// Bytes as they are, then the connection is reset.
    RawThenReset(Vec<u8>),
    /// Bytes as they are, and others after this long, though nobody asked.
    RawThenMore(Vec<u8>, Duration, Vec<u8>),
    /// Bytes, and then others without an end, as fast as it goes.
    Flood(Vec<u8>, Vec<u8>),
    /// A body without an end, as fast as it goes.
    EndlessBody,
    /// `102 Processing` without an end.
    EndlessInformation,
    /// So many headers.
    ManyHeaders(usize),
}

impl Reply {
    /// A status and nothing more.
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO }
    }

    pub(crate) fn ok() -> Self {
        Self::status(200)
    }

    /// Sets the body of an answer.
    pub(crate) fn with_body(mut self, text: impl Into<Vec<u8>>) -> Self {
        if let Self::Answer { body, .. } = &mut self {
            *body = text.into();
        }
        self
    }

    /// Adds a header to an answer.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Answers only after this long.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        if let Self::Answer { delay, .. } = &mut self {
            *delay = time;
        }
        self
    }

    /// A head that promises more bytes than come, and the end.
    pub(crate) fn lying_length() -> Self {
        Self::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort".to_vec())
    }

    /// What is no HTTP at all.
    pub(crate) fn garbage() -> Self {
        Self::Raw(b"\x00\x16\x03 this is not HTTP \xff\xfe\r\n\r\n".to_vec())
    }

    /// Does it; whether the connection can go on.
    pub(crate) async fn act(self, stream: &mut TcpStream) -> bool {
        match self {
            Self::Answer { status, headers, body, delay } => {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                return stream.write_all(&answer(status, &headers, &body)).await.is_ok();
            }
            Self::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Self::Hang => hang(stream).await,
            Self::RawThenHang(bytes) => {
                let _ = stream.write_all(&bytes).await;
                hang(stream).await;
            }
            Self::DripHead => drip(stream, b"HTTP/1.1 200 OK\r\nx-slow: ", b'x').await,
            Self::DripBody => drip(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b'x').await,
            Self::Reset => reset(stream),
            Self::RawThenReset(bytes) => {
                let _ = stream.write_all(&bytes).await;
                reset(stream);
            }
            Self::RawThenMore(bytes, pause, more) => {
                let _ = stream.write_all(&bytes).await;
                tokio::time::sleep(pause).await;
                let _ = stream.write_all(&more).await;
                hang(stream).await;
            }
            Self::Flood(first, again) => flood(stream, &first, &again).await,
            Self::EndlessBody => {
                flood(stream, b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n", &vec![b'x'; CHUNK_BYTES]).await;
            }
            Self::EndlessInformation => flood(stream, b"", b"HTTP/1.1 102 Processing\r\n\r\n").await,
            Self::ManyHeaders(count) => {
                let headers: Vec<_> = (0..count).map(|n| format!("x-{n}: {n}")).collect();
                let head = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", headers.join("\r\n"));
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
        false
    }
}

fn answer(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut lines = vec![format!("HTTP/1.1 {status} Answer")];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if !matches!(status, 204 | 304) {
        lines.push(format!("content-length: {}", body.len()));
    }
    let mut bytes = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Waits until the other side is gone.
async fn hang(stream: &TcpStream) {
    let gone = async {
        let mut rest = [0; 1024];
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut rest) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let _ = tokio::time::timeout(HANG_MAX, gone).await;
}

async fn drip(stream: &mut TcpStream, first: &[u8], byte: u8) {
    if stream.write_all(first).await.is_err() {
        return;
    }
    for _ in 0..HANG_MAX.as_secs() {
        tokio::time::sleep(DRIP).await;
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
    }
}

async fn flood(stream: &mut TcpStream, first: &[u8], again: &[u8]) {
    let endless = async {
        if stream.write_all(first).await.is_ok() {
            while stream.write_all(again).await.is_ok() {}
        }
    };
    let _ = tokio::time::timeout(HANG_MAX, endless).await;
}

fn reset(stream: &TcpStream) {
    // With no time to linger, closing sends RST.
    let _ = stream.set_zero_linger();
}
