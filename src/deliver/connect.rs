//! From a destination to an open connection: resolve, judge, connect, encrypt.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::classify;
use super::fair::{FairTcp, Meter};
use super::guard::AddressGuard;
use super::resolve::Resolve;
use super::stopwatch::Stopwatch;
use super::target::{PoolKey, TargetHost};
use crate::model::outcome::OutcomeKind;
use crate::model::trace::Phase;

/// Most addresses of one name that are tried, within the one connect time-out.
const ADDRESSES_TRIED_MAX: usize = 4;

/// Opens connections, and is the only thing that does.
pub(super) struct Connector {
    pub(super) connect_timeout: Duration,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) guard: AddressGuard,
    pub(super) tls: TlsConnector,
}

impl Connector {
    /// Connects to one of the vetted addresses. The connect time-out covers TCP and TLS; DNS has
    /// a budget of its own, and the caller's deadline covers all.
    pub(super) async fn connect(&self, key: &PoolKey, stopwatch: &mut Stopwatch) -> Result<Stream, OutcomeKind> {
        if let TargetHost::Name(_) = &key.host {
            stopwatch.enter(Phase::Dns);
        }
        let addresses = self.vetted_addresses(key).await?;
        stopwatch.enter(Phase::Connect);
        let deadline = Instant::now() + self.connect_timeout;
        let tcp = connect_tcp(&addresses, key.port, deadline).await?;
        // Without it a small request could wait for the answer to the one before.
        tcp.set_nodelay(true).map_err(|_| OutcomeKind::Connect)?;
        let tcp = FairTcp::new(tcp);
        if !key.https {
            return Ok(Stream::Plain(tcp));
        }
        stopwatch.enter(Phase::Tls);
        let name = match &key.host {
            TargetHost::Name(name) => ServerName::try_from(name.to_string()).map_err(|_| OutcomeKind::Tls)?,
            TargetHost::Address(address) => ServerName::from(*address),
        };
        match timeout_at(deadline, self.tls.connect(name, tcp)).await {
            Ok(Ok(tls)) => Ok(Stream::Tls(Box::new(tls))),
            Ok(Err(_)) => Err(OutcomeKind::Tls),
            Err(_) => Err(OutcomeKind::Timeout),
        }
    }

    /// Resolves and judges. Literal addresses take the same way past the same guard.
    async fn vetted_addresses(&self, key: &PoolKey) -> Result<Vec<IpAddr>, OutcomeKind> {
        let (name, addresses) = match &key.host {
            TargetHost::Address(address) => (None, vec![*address]),
            TargetHost::Name(name) => {
                let answer = self.resolver.resolve(name).await;
                (Some(&**name), answer.map_err(|_| OutcomeKind::Dns)?)
            }
        };
        if addresses.is_empty() {
            return Err(OutcomeKind::Dns);
        }
        let verdict = self.guard.vet(key.https, name, key.port, &addresses);
        verdict.map_err(|_| OutcomeKind::Blocked)?;
        Ok(addresses)
    }
}

/// Tries address after address; each gets its share of what time is left, so that one that
/// swallows packets does not use up the time of the next.
async fn connect_tcp(addresses: &[IpAddr], port: u16, deadline: Instant) -> Result<TcpStream, OutcomeKind> {
    let tried = &addresses[..addresses.len().min(ADDRESSES_TRIED_MAX)];
    let mut worst = OutcomeKind::Connect;
    for (index, &address) in tried.iter().enumerate() {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        let until = now + left / (tried.len() - index) as u32;
        match timeout_at(until, TcpStream::connect(SocketAddr::new(address, port))).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => worst = classify::connect_error(&error),
            Err(_) => worst = OutcomeKind::Timeout,
        }
    }
    Err(worst)
}

/// An open connection, encrypted or not.
pub(super) enum Stream {
    Plain(FairTcp),
    Tls(Box<TlsStream<FairTcp>>),
}

impl Stream {
    /// Counts what comes over the wire.
    pub(super) fn meter(&self) -> Meter {
        match self {
            Self::Plain(tcp) => tcp.meter(),
            Self::Tls(tls) => tls.get_ref().0.meter(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
