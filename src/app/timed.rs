//! A connection whose silence has bounds: so long for a head, so long between requests, so long for
//! a client to take what it is sent. What comes is also shown to [`Heads`].
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

use super::heads::Heads;

/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(75);

/// How long a client may leave what it is sent untaken.
const WRITE: Duration = Duration::from_secs(30);

const WAITING: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

/// What a connection is doing; shared with the service that answers its requests.
#[derive(Clone)]
pub(super) struct Phase(Arc<Shared>);

struct Shared {
    phase: AtomicU8,
    two_lengths: AtomicBool,
    unseen: AtomicBool,
}

impl Phase {
    /// A request is being answered: its body has bounds of its own.
    pub(super) fn busy(&self) {
        if self.0.phase.swap(BUSY, Ordering::Relaxed) != HEAD {
            // Its head came with what was read before.
            self.0.unseen.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the last head said two lengths: `Content-Length` and `Transfer-Encoding`.
    pub(super) fn has_two_lengths(&self) -> bool {
        self.0.two_lengths.load(Ordering::Relaxed)
    }

    /// Whether the present head may say two lengths, for all that is known.
    pub(super) fn has_unseen_head(&self) -> bool {
        self.0.unseen.load(Ordering::Relaxed)
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
    heads: Heads,
    /// Armed while the client takes nothing.
    write_sleep: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    /// The first head must come within `head`, as each later one from its first byte.
    pub(super) fn new(inner: TcpStream, head: Duration) -> (Self, Phase) {
        let flag = || AtomicBool::new(false);
        let shared = Shared { phase: AtomicU8::new(HEAD), two_lengths: flag(), unseen: flag() };
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
            heads: Heads::new(),
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
    fn look_at(&mut self, bytes: &[u8]) {
        self.heads.take(bytes);
        let shared = &self.phase.0;
        shared.two_lengths.store(self.heads.has_two_lengths(), Ordering::Relaxed);
        if self.heads.has_unseen() {
            shared.unseen.store(true, Ordering::Relaxed);
        }
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

impl AsyncRead for TimedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.inner).poll_read(cx, buf) {
            if buf.filled().len() > before {
                if self.phase.get() == WAITING {
                    self.phase.0.phase.store(HEAD, Ordering::Relaxed);
                    self.enter(HEAD);
                    self.heads.begin();
                }
                self.look_at(&buf.filled()[before..]);
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
