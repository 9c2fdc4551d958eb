//! The HTTP server: connections with bounds in number and time, and a graceful end.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::accept::Gateway;

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
        let (service, stopped) = (TowerToHyperService::new(router.clone()), stopped.clone());
        tokio::spawn(async move {
            let _permit = permit;
            connection(stream, service, head_timeout, stopped).await;
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
    service: TowerToHyperService<axum::Router>,
    head_timeout: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    // Only costs latency where it fails.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX.max(8 * 1024))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // How a connection ends is the client's affair.
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
