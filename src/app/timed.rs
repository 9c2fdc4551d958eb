//! A connection whose silence has bounds: so long for a head, so long between requests.
//!
//! hyper's own time-out counts idle time as part of the next head and arms a timer for each
//! request; this keeps one timer a connection, which is armed anew only when it fires or is too late.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(75);

const WAITING: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

/// What a connection is doing; shared with the service that answers its requests.
#[derive(Clone)]
pub(super) struct Phase(Arc<AtomicU8>);

impl Phase {
    /// A request is being answered: its body has bounds of its own.
    pub(super) fn busy(&self) {
        self.0.store(BUSY, Ordering::Relaxed);
    }

    /// The request is answered.
    pub(super) fn waiting(&self) {
        self.0.store(WAITING, Ordering::Relaxed);
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
}

impl TimedStream {
    /// The first head must come within `head`, as each later one from its first byte.
    pub(super) fn new(inner: TcpStream, head: Duration) -> (Self, Phase) {
        let phase = Phase(Arc::new(AtomicU8::new(HEAD)));
        let deadline = Instant::now() + head;
        let sleep = Box::pin(tokio::time::sleep_until(deadline));
        (Self { inner, phase: phase.clone(), seen: HEAD, deadline, head, sleep }, phase)
    }

    /// Follows the phase; a new one sets a new deadline.
    fn enter(&mut self, phase: u8) {
        if self.seen != phase {
            self.seen = phase;
            self.deadline = Instant::now() + if phase == HEAD { self.head } else { IDLE };
        }
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.inner).poll_read(cx, buf) {
            if buf.filled().len() > before && self.phase.0.load(Ordering::Relaxed) == WAITING {
                self.phase.0.store(HEAD, Ordering::Relaxed);
                self.enter(HEAD);
            }
            return Poll::Ready(result);
        }
        let phase = self.phase.0.load(Ordering::Relaxed);
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
        Pin::new(&mut self.inner).poll_write(cx, buf)
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
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
