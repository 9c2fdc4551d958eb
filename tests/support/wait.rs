//! Waiting is for a condition, with a deadline; never a sleep.

use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(10);

/// Asks `probe` until it has an answer; fails the test, naming `what`, when there is none in time.
#[track_caller]
pub(crate) fn eventually<T, F>(what: &str, within: Duration, mut probe: F) -> impl Future<Output = T>
where
    F: AsyncFnMut() -> Option<T>,
{
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            assert!(Instant::now() < deadline, "not within {within:?}: {what} ({caller})");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A condition for [`eventually`].
pub(crate) fn when(condition: bool) -> Option<()> {
    condition.then_some(())
}

/// Polls a condition where there is no runtime; whether it came true in time.
pub(crate) fn poll_blocking(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::park_timeout(POLL);
    }
    true
}

/// Runs futures of one task side by side.
pub(crate) async fn join_all(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// How long a test waits for what should come soon. Generous: two cores are shared by two tests.
pub(crate) const SOON: Duration = Duration::from_secs(10);
