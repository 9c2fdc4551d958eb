//! A connection whose silence has bounds: so long for a head, so long between requests, so long for
//! a client to take what it is sent. It also looks at each head for two lengths of one body.
//!
//! hyper's own time-out counts idle time as part of the next head and arms a timer for each
//! request; this keeps one timer a connection, which is armed anew only when it fires or is too late.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(75);

/// How long a client may leave what it is sent untaken.
const WRITE: Duration = Duration::from_secs(30);
/// Bytes of a head that are looked at; hyper refuses longer ones.
const HEAD_BYTES_MAX: usize = 16 * 1024;

const WAITING: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

/// What a connection is doing; shared with the service that answers its requests.
#[derive(Clone)]
pub(super) struct Phase(Arc<Shared>);

struct Shared {
    phase: AtomicU8,
    two_lengths: AtomicBool,
}

impl Phase {
    /// A request is being answered: its body has bounds of its own.
    pub(super) fn busy(&self) {
        self.0.phase.store(BUSY, Ordering::Relaxed);
    }

    /// Whether the last head said two lengths: `Content-Length` and `Transfer-Encoding` (RFC 9112,
    /// section 6.1). hyper drops the former, so that nobody behind it can see both.
    pub(super) fn has_two_lengths(&self) -> bool {
        self.0.two_lengths.load(Ordering::Relaxed)
    }

    /// The request is answered.
    pub(super) fn waiting(&self) {
        self.0.phase.store(WAITING, Ordering::Relaxed);
    }

    fn get(&self) -> u8 {
        self.0.phase.load(Ordering::Relaxed)
    }
}

/// A stream that ends with an error when it is silent for too long.
pub(super) struct TimedStream {
    inner: TcpStream,
    phase: Phase,
    seen: u8,
    deadline: Instant,
    head: Duration,
    sleep: Pin<Box<Sleep>>,
    /// The present head, where it came in pieces.
    partial: Vec<u8>,
    head_is_seen: bool,
    /// Armed while the client takes nothing.
    write_sleep: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    /// The first head must come within `head`, as each later one from its first byte.
    pub(super) fn new(inner: TcpStream, head: Duration) -> (Self, Phase) {
        let shared = Shared { phase: AtomicU8::new(HEAD), two_lengths: AtomicBool::new(false) };
        let phase = Phase(Arc::new(shared));
        let deadline = Instant::now() + head;
        let sleep = Box::pin(tokio::time::sleep_until(deadline));
        let stream = Self {
            inner,
            phase: phase.clone(),
            seen: HEAD,
            deadline,
            head,
            sleep,
            partial: Vec::new(),
            head_is_seen: false,
            write_sleep: None,
        };
        (stream, phase)
    }

    /// Follows the phase; a new one sets a new deadline.
    fn enter(&mut self, phase: u8) {
        if self.seen != phase {
            self.seen = phase;
            self.deadline = Instant::now() + if phase == HEAD { self.head } else { IDLE };
        }
    }
}

impl TimedStream {
    /// Bytes came while no request was being answered: they are of a head.
    fn look_at_head(&mut self, bytes: &[u8]) {
        if self.head_is_seen {
            return;
        }
        let whole = if self.partial.is_empty() {
            bytes
        } else {
            self.partial.extend_from_slice(bytes);
            &self.partial
        };
        let end = whole.windows(4).position(|four| four == b"\r\n\r\n");
        if end.is_none() && whole.len() < HEAD_BYTES_MAX {
            if self.partial.is_empty() {
                self.partial.extend_from_slice(bytes);
            }
            return;
        }
        let two_lengths = says_two_lengths(&whole[..end.unwrap_or(whole.len())]);
        self.phase.0.two_lengths.store(two_lengths, Ordering::Relaxed);
        self.head_is_seen = true;
        self.partial = Vec::new();
    }

    /// Bounds the time that a write stands still.
    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if result.is_ready() {
            self.write_sleep = None;
            return result;
        }
        let sleep = self.write_sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

fn says_two_lengths(head: &[u8]) -> bool {
    let has = |name: &[u8]| {
        head.split(|byte| *byte == b'\n')
            .any(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))
    };
    has(b"transfer-encoding") && has(b"content-length")
}

impl AsyncRead for TimedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.inner).poll_read(cx, buf) {
            if buf.filled().len() > before {
                if self.phase.get() == WAITING {
                    self.phase.0.phase.store(HEAD, Ordering::Relaxed);
                    self.enter(HEAD);
                    self.head_is_seen = false;
                }
                if self.phase.get() == HEAD {
                    self.look_at_head(&buf.filled()[before..]);
                }
            }
            return Poll::Ready(result);
        }
        let phase = self.phase.get();
        self.enter(phase);
        if phase == BUSY {
            return Poll::Pending;
        }
        let deadline = self.deadline;
        if self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.sleep.as_mut().reset(deadline);
        }
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.written(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
