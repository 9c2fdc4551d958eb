//! Idle connections, and the driving of one in the task that uses it.
//!
//! hyper splits a connection into a handle and a future that does the I/O, meant to be spawned.
//! Here both stay together: the attempt polls the I/O itself, so there is no task per
//! connection and no wake-up between tasks.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::connect::Stream;
use super::fair::Meter;
use super::target::PoolKey;

/// Locks, so that attempts to different destinations seldom meet. A power of two.
const SHARDS: usize = 32;
/// A connection is not used again when it is this old, so that a receiver that moves (and its
/// DNS) is followed however busy the connection is.
const CONNECTION_AGE_MAX: Duration = Duration::from_mins(5);

/// One open connection: hyper's handle and hyper's I/O.
pub(super) struct Conn {
    pub(super) sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Stream>, Full<Bytes>>,
    finished: bool,
    meter: Meter,
    opened_at: Instant,
    idle_since: Instant,
}

impl Conn {
    pub(super) fn new(
        sender: SendRequest<Full<Bytes>>,
        connection: Connection<TokioIo<Stream>, Full<Bytes>>,
        meter: Meter,
        now: Instant,
    ) -> Self {
        Self { sender, connection, finished: false, meter, opened_at: now, idle_since: now }
    }

    /// Bytes read since it was opened.
    pub(super) fn bytes_read(&self) -> u64 {
        self.meter.bytes()
    }

    /// Does what I/O can be done. `true` when the connection is over.
    ///
    /// Its errors are not lost: whoever waits for the answer or its body gets them.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.finished {
            self.finished = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
        self.finished
    }

    /// Whether another request can be sent, as far as is known without waiting: the peer has not
    /// closed, and nothing came that was not asked for.
    fn is_reusable(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.drive(&mut cx) && self.sender.is_ready()
    }

    fn is_stale(&self, now: Instant, idle_timeout: Duration) -> bool {
        now.saturating_duration_since(self.idle_since) >= idle_timeout
            || now.saturating_duration_since(self.opened_at) >= CONNECTION_AGE_MAX
    }
}

/// The bounds of a [`Pool`].
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolLimits {
    pub(super) per_host_max: usize,
    pub(super) total_max: usize,
    pub(super) idle_timeout: Duration,
}

type Shard = HashMap<Arc<PoolKey>, Vec<Box<Conn>>>;

/// Idle connections by scheme, host and port; of one destination, the last used comes first.
pub(super) struct Pool {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    limits: PoolLimits,
    /// Idle connections over all shards.
    idle: AtomicUsize,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            limits,
            idle: AtomicUsize::new(0),
        }
    }

    /// A connection that was alive a moment ago.
    pub(super) fn take(&self, key: &Arc<PoolKey>, now: Instant) -> Option<Box<Conn>> {
        loop {
            let mut conn = self.shard(key).get_mut(key)?.pop()?;
            self.idle.fetch_sub(1, Ordering::Relaxed);
            if !conn.is_stale(now, self.limits.idle_timeout) && conn.is_reusable() {
                return Some(conn);
            }
        }
    }

    /// Keeps a connection whose answer was read to its end, if it can be used again and the
    /// bounds allow it; else it is closed.
    pub(super) fn put(&self, key: &Arc<PoolKey>, mut conn: Box<Conn>, now: Instant) {
        if !conn.is_reusable() || conn.is_stale(now, Duration::MAX) {
            return;
        }
        conn.idle_since = now;
        if self.idle.fetch_add(1, Ordering::Relaxed) >= self.limits.total_max {
            self.idle.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let mut shard = self.shard(key);
        let list = match shard.get_mut(key) {
            Some(list) => list,
            None => shard.entry(Arc::clone(key)).or_default(),
        };
        if list.len() < self.limits.per_host_max {
            list.push(conn);
        } else {
            self.idle.fetch_sub(1, Ordering::Relaxed);
            drop(shard);
            drop(conn);
        }
    }

    /// Closes what has been idle for too long, and what is seen to have been closed by its peer
    /// (not all of it at once: tokio allows a task so many operations before it has to wait).
    pub(super) fn sweep(&self, now: Instant) {
        for shard in &self.shards {
            let mut closed = Vec::new();
            let mut shard = lock(shard);
            shard.retain(|_, list| {
                let limit = self.limits.idle_timeout;
                closed.extend(list.extract_if(.., |c| c.is_stale(now, limit) || !c.is_reusable()));
                !list.is_empty()
            });
            drop(shard);
            self.idle.fetch_sub(closed.len(), Ordering::Relaxed);
        }
    }

    /// How many connections are idle now.
    pub(super) fn idle_count(&self) -> usize {
        self.idle.load(Ordering::Relaxed)
    }

    fn shard(&self, key: &PoolKey) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(key) as usize;
        lock(&self.shards[hash % SHARDS])
    }
}

/// A panic elsewhere leaves at worst a connection less in the list.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
