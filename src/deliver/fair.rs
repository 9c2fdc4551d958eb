//! A TCP connection that lets others have their turn, and counts what it reads.
//!
//! An attempt runs without tokio's own budget of operations (see `client`), and hyper reads on as long
//! as there is anything to read while it waits for the head of an answer. A receiver that sends faster
//! than it is read, such as `102 Processing` without an end, would keep a thread, and the attempt from
//! its deadline.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Reads that bring something, one after the other, until it is somebody else's turn.
const READS_IN_A_ROW_MAX: u32 = 32;

/// What a connection has read so far, in bytes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Bytes read since the connection was opened.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The connection.
#[derive(Debug)]
pub(super) struct FairTcp {
    inner: TcpStream,
    reads_in_a_row: u32,
    meter: Meter,
}

impl FairTcp {
    pub(super) fn new(inner: TcpStream) -> Self {
        Self { inner, reads_in_a_row: 0, meter: Meter::default() }
    }

    /// Counts what this connection reads.
    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

impl AsyncRead for FairTcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reads_in_a_row >= READS_IN_A_ROW_MAX {
            self.reads_in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.reads_in_a_row = if result.is_ready() { self.reads_in_a_row + 1 } else { 0 };
        let read = buffer.filled().len() - before;
        self.meter.0.fetch_add(read as u64, Ordering::Relaxed);
        result
    }
}

impl AsyncWrite for FairTcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
