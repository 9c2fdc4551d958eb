//! Reading of bodies with limits: bytes of one, bytes of all that are being read, and time.
//!
//! A body that comes with its head costs nothing beyond the connection's own buffer. A longer one
//! takes permits as its bytes come, not as it announces them. One that is not whole soon has to find
//! room in the half for slow ones, so that clients that dawdle cannot shut out those that do not.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

const UNIT: usize = 1024;
/// A body that takes longer counts as slow.
const QUICK: Duration = Duration::from_secs(2);

/// The bytes that all bodies together may take while they are read.
#[derive(Clone)]
pub struct BodyBudget {
    kib: Arc<Semaphore>,
    /// What slow bodies may hold of these: half.
    slow_kib: Arc<Semaphore>,
    body_bytes_max: usize,
    timeout: Duration,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than allowed.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// Too slow: 10 s, and then at least 1 KiB/s.
    #[error("the body came too slowly")]
    TooSlow,
    /// Too many bodies are being read.
    #[error("too many requests are being read")]
    Busy,
    /// The connection ended, or what came is no body.
    #[error("the body is not whole")]
    Broken,
}

impl BodyBudget {
    /// At most `total` bytes of all bodies, `body_bytes_max` of one, `timeout` for its beginning.
    pub fn new(total: usize, body_bytes_max: usize, timeout: Duration) -> Self {
        let kib = (total / UNIT).clamp(2, Semaphore::MAX_PERMITS);
        let semaphore = |kib| Arc::new(Semaphore::new(kib));
        Self { kib: semaphore(kib), slow_kib: semaphore(kib / 2), body_bytes_max, timeout }
    }

    /// Reads a body whole.
    pub async fn read(&self, mut body: Body) -> Result<Bytes, BodyError> {
        if body.size_hint().lower() > self.body_bytes_max as u64 {
            return Err(BodyError::TooLarge(self.body_bytes_max));
        }
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let mut held = Held { budget: self, began: Instant::now(), bytes: 0, all: None, slow: None, is_slow: false };
        let Some(first) = held.next_part(&mut body).await? else { return Ok(Bytes::new()) };
        if first.len() > self.body_bytes_max {
            return Err(BodyError::TooLarge(self.body_bytes_max));
        }
        if body.is_end_stream() {
            return Ok(first);
        }
        held.grow_by(first.len())?;
        let mut whole = BytesMut::from(&first[..]);
        drop(first);
        while let Some(part) = held.next_part(&mut body).await? {
            if whole.len() + part.len() > self.body_bytes_max {
                return Err(BodyError::TooLarge(self.body_bytes_max));
            }
            held.grow_by(part.len())?;
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }
}

/// A body that is being read, with the permits for what has come of it.
struct Held<'a> {
    budget: &'a BodyBudget,
    began: Instant,
    bytes: usize,
    all: Option<OwnedSemaphorePermit>,
    slow: Option<OwnedSemaphorePermit>,
    is_slow: bool,
}

impl Held<'_> {
    /// The next piece of data; `None` at the end.
    async fn next_part(&mut self, body: &mut Body) -> Result<Option<Bytes>, BodyError> {
        loop {
            // Each KiB that has come buys another second.
            let limit = self.began + self.budget.timeout + Duration::from_secs((self.bytes / UNIT) as u64);
            let quick = self.began + QUICK;
            let until = if self.is_slow { limit } else { limit.min(quick) };
            let Ok(frame) = tokio::time::timeout_at(until, body.frame()).await else {
                if Instant::now() >= limit {
                    return Err(BodyError::TooSlow);
                }
                self.is_slow = true;
                self.take()?;
                continue;
            };
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(BodyError::Broken),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    fn grow_by(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.bytes += bytes;
        self.take()
    }

    /// Takes the permits for what has come so far.
    fn take(&mut self) -> Result<(), BodyError> {
        let kib = self.bytes.div_ceil(UNIT);
        take_up_to(&self.budget.kib, &mut self.all, kib)?;
        if self.is_slow { take_up_to(&self.budget.slow_kib, &mut self.slow, kib) } else { Ok(()) }
    }
}

fn take_up_to(kib: &Arc<Semaphore>, held: &mut Option<OwnedSemaphorePermit>, wanted: usize) -> Result<(), BodyError> {
    let missing = wanted.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
    if missing == 0 {
        return Ok(());
    }
    let missing = u32::try_from(missing).map_err(|_| BodyError::Busy)?;
    let more = Arc::clone(kib).try_acquire_many_owned(missing).map_err(|_| BodyError::Busy)?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A body that comes in parts, one after each pause.
    struct Parts {
        part: Bytes,
        left: usize,
        pause: Duration,
        timer: Pin<Box<tokio::time::Sleep>>,
    }

    impl Parts {
        fn body(part: &'static [u8], count: usize, pause: Duration) -> Body {
            let timer = Box::pin(tokio::time::sleep(pause));
            Body::new(Self { part: Bytes::from_static(part), left: count, pause, timer })
        }
    }

    impl http_body::Body for Parts {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            std::task::ready!(self.timer.as_mut().poll(cx));
            let next = Instant::now() + self.pause;
            self.timer.as_mut().reset(next);
            self.left -= 1;
            Poll::Ready(Some(Ok(Frame::data(self.part.clone()))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_small_parts_cost_their_bytes() {
        let budget = BodyBudget::new(8 * UNIT, 4 * UNIT, TIMEOUT);
        let body = Parts::body(b"x", 4 * UNIT, Duration::ZERO);
        assert_eq!(budget.read(body).await.map(|bytes| bytes.len()), Ok(4 * UNIT));
        let body = Parts::body(b"x", 4 * UNIT + 1, Duration::ZERO);
        assert_eq!(budget.read(body).await, Err(BodyError::TooLarge(4 * UNIT)));
        assert_eq!(budget.kib.available_permits(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_dawdles_is_given_up() {
        let budget = BodyBudget::new(8 * UNIT, 4 * UNIT, TIMEOUT);
        let began = Instant::now();
        let drip = Parts::body(b"x", usize::MAX, Duration::from_secs(1));
        assert_eq!(budget.read(drip).await, Err(BodyError::TooSlow));
        assert_eq!(began.elapsed(), TIMEOUT);
        assert_eq!((budget.kib.available_permits(), budget.slow_kib.available_permits()), (8, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_leave_half_of_the_room_to_quick_ones() {
        let budget = BodyBudget::new(8 * UNIT, 4 * UNIT, TIMEOUT);
        // Three want a KiB each while they are slow, and two more when all room for slow ones is taken.
        let slow = || Parts::body(&[b'x'; UNIT], 3, Duration::from_secs(3));
        let slow: Vec<_> = (0..5)
            .map(|_| {
                tokio::spawn({
                    let (budget, body) = (budget.clone(), slow());
                    async move { budget.read(body).await }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(budget.kib.available_permits() >= 4, "{} KiB left", budget.kib.available_permits());
        let quick = Parts::body(&[b'x'; UNIT], 4, Duration::from_millis(10));
        assert_eq!(budget.read(quick).await.map(|bytes| bytes.len()), Ok(4 * UNIT));
        let mut busy = 0;
        for read in slow {
            busy += usize::from(read.await.expect("no panic") == Err(BodyError::Busy));
        }
        assert!(busy >= 1, "there was room for all: it was no test");
        assert_eq!((budget.kib.available_permits(), budget.slow_kib.available_permits()), (8, 4));
    }
}
