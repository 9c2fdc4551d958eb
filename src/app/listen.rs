//! The HTTP server: connections with bounds in number and time, and a graceful end.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::Response;
use http::HeaderValue;
use http::header::{CONNECTION, CONTENT_ENCODING, TRANSFER_ENCODING};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower_service::Service;

use super::bodies::{AnswerBudget, WatchedBody};
use super::timed::{Phase, TimedStream};
use crate::accept::Gateway;

/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until told to stop, then waits for those that are open.
pub(super) async fn serve(listener: TcpListener, gateway: Arc<Gateway>, mut stopped: watch::Receiver<bool>) {
    let max = u32::try_from(gateway.server.connections_max).unwrap_or(u32::MAX);
    let connections = Arc::new(Semaphore::new(max as usize));
    let addresses = Arc::new(Addresses::new(gateway.limits.connections_per_address));
    let head_timeout = Duration::from_millis(gateway.server.head_timeout_ms);
    let router = crate::api::router(gateway);
    let budget = Arc::new(AnswerBudget::new());
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, address, permit)) = accepted else { continue };
        // One too many is closed without a word, which costs least.
        let Some(place) = addresses.enter(address) else { continue };
        let (router, budget, stopped) = (router.clone(), Arc::clone(&budget), stopped.clone());
        tokio::spawn(async move {
            let _places = (permit, place);
            connection(stream, router, budget, head_timeout, stopped).await;
        });
    }
    drop(listener);
    // All permits are free when the last connection is closed; the caller sets the deadline.
    let _ = connections.acquire_many(max).await;
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => Some((stream, from.ip(), permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: axum::Router,
    budget: Arc<AnswerBudget>,
    head_timeout: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    // Only costs latency where it fails.
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok().map(|from| from.ip());
    let (stream, phase) = TimedStream::new(stream, head_timeout);
    let service = service_fn(move |request| {
        phase.busy();
        let refusal = refusal(&request, &phase);
        let (phase, mut router, budget) = (phase.clone(), router.clone(), Arc::clone(&budget));
        async move {
            let (mut parts, body) = request.into_parts();
            if let Some(peer) = peer {
                parts.extensions.insert(crate::api::Peer(peer));
            }
            let (body, ended) = WatchedBody::new(body);
            let answer = match refusal {
                Some(refusal) => refusal,
                None => router.call(Request::from_parts(parts, body)).await.unwrap_or_else(|never| match never {}),
            };
            let mut answer = budget.hold(answer).unwrap_or_else(crate::api::too_busy);
            if !ended.load(Ordering::Relaxed) {
                // What is left of the body would be taken for the next request's head.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            phase.waiting();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // How a connection ends is the client's affair.
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// What is refused whatever it asks for.
fn refusal(request: &Request<Incoming>, phase: &Phase) -> Option<Response> {
    let mut transfer_codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let first_coding = transfer_codings.next();
    let chunked = first_coding.is_some();
    if phase.has_two_lengths() || chunked && phase.has_unseen_head() {
        return Some(crate::api::ambiguous_length());
    }
    if request.headers().len() > HEADERS_MAX {
        return Some(crate::api::too_many_headers());
    }
    let is_chunked_only = first_coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !is_chunked_only || transfer_codings.next().is_some() {
        return Some(crate::api::unsupported_encoding());
    }
    if request.uri().path().starts_with(crate::api::RECEIVING) {
        // It is verified, kept and sent on as it came: nothing is unfolded.
        return None;
    }
    let mut codings = request.headers().get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")).then(crate::api::unsupported_encoding)
}

/// Connections of each address that has any, so as many entries as there are connections at most.
struct Addresses {
    /// Of one address; 0 means any number.
    max: u32,
    open: Mutex<HashMap<IpAddr, u32>>,
}

impl Addresses {
    fn new(max: u32) -> Self {
        Self { max, open: Mutex::default() }
    }

    /// Counts a connection until the place is dropped; `None` if its address has enough of them.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = network_of(address);
        if self.max > 0 {
            let mut open = self.lock();
            let count = open.entry(network).or_default();
            if *count >= self.max {
                return None;
            }
            *count += 1;
        }
        Some(Place { addresses: Arc::clone(self), network })
    }

    fn leave(&self, network: IpAddr) {
        if let std::collections::hash_map::Entry::Occupied(mut entry) = self.lock().entry(network) {
            match entry.get() {
                0 | 1 => drop(entry.remove()),
                more => *entry.get_mut() = more - 1,
            }
        }
    }

    /// A panic elsewhere leaves at worst a count that is one too high.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection among those of its address.
struct Place {
    addresses: Arc<Addresses>,
    network: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.addresses.max > 0 {
            self.addresses.leave(self.network);
        }
    }
}

/// Whom an address stands for: of IPv6 the network of 64 bits, which one client has for himself.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let addresses = Arc::new(Addresses::new(2));
        let first = addresses.enter(address("192.0.2.1"));
        let mapped = addresses.enter(address("::ffff:192.0.2.1"));
        assert!(first.is_some() && mapped.is_some());
        assert!(addresses.enter(address("192.0.2.1")).is_none());
        assert!(addresses.enter(address("192.0.2.2")).is_some());
        drop(mapped);
        assert!(addresses.enter(address("192.0.2.1")).is_some());
        drop(first);
        assert!(addresses.lock().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let addresses = Arc::new(Addresses::new(1));
        let _first = addresses.enter(address("2001:db8:1:2::1"));
        assert!(addresses.enter(address("2001:db8:1:2:ffff::9")).is_none());
        assert!(addresses.enter(address("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn nothing_is_counted_where_nothing_is_limited() {
        let addresses = Arc::new(Addresses::new(0));
        let places: Vec<_> = (0..100).map(|_| addresses.enter(address("192.0.2.1"))).collect();
        assert!(places.iter().all(Option::is_some) && addresses.lock().is_empty());
    }
}
