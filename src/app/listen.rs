//! The HTTP server: connections with bounds in number and time, and a graceful end.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower_service::Service;

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
    let head_timeout = Duration::from_millis(gateway.server.head_timeout_ms);
    let router = crate::api::router(gateway);
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (router, stopped) = (router.clone(), stopped.clone());
        tokio::spawn(async move {
            let _permit = permit;
            connection(stream, router, head_timeout, stopped).await;
        });
    }
    drop(listener);
    // All permits are free when the last connection is closed; the caller sets the deadline.
    let _ = connections.acquire_many(max).await;
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
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
    head_timeout: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    // Only costs latency where it fails.
    let _ = stream.set_nodelay(true);
    let (stream, phase) = TimedStream::new(stream, head_timeout);
    let service = service_fn(move |request| {
        phase.busy();
        let refusal = refusal(&request, &phase);
        let (phase, mut router) = (phase.clone(), router.clone());
        async move {
            let answer = match refusal {
                Some(refusal) => Ok(refusal),
                None => router.call(request).await,
            };
            phase.waiting();
            answer
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
    if phase.has_two_lengths() {
        return Some(crate::api::ambiguous_length());
    }
    (request.headers().len() > HEADERS_MAX).then(crate::api::too_many_headers)
}
