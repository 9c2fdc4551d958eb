//! The bodies of requests, of which it is seen whether they were read to their end, and the bodies of
//! answers, which have bounds in bytes, over all clients, until they are written.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits of the budgets are of this many bytes.
const UNIT: usize = 1024;
/// Answers that are shorter take none.
const FREE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a middling answer.
const MIDDLING_BYTES_MAX: usize = 256 * 1024;
/// Bytes of all middling answers that are being written.
const MIDDLING_BYTES_IN_MEMORY_MAX: usize = 32 << 20;
/// Bytes of all long answers that are being written: those of whom do not read them keep no short ones
/// from anybody.
const LONG_BYTES_IN_MEMORY_MAX: usize = 64 << 20;

/// A request's body, and the note whether it came to its end.
pub(super) struct WatchedBody<B> {
    inner: B,
    ended: Arc<AtomicBool>,
}

impl<B: HttpBody> WatchedBody<B> {
    /// With the note, which is set as soon as the end was seen.
    pub(super) fn new(inner: B) -> (Self, Arc<AtomicBool>) {
        let ended = Arc::new(AtomicBool::new(inner.is_end_stream()));
        (Self { inner, ended: Arc::clone(&ended) }, ended)
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if frame.is_none() || self.inner.is_end_stream() {
            self.ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Bytes of answers that clients have not taken yet. One a server.
pub(super) struct AnswerBudget {
    middling: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

impl AnswerBudget {
    /// With the bounds of this file.
    pub(super) fn new() -> Self {
        Self::of(MIDDLING_BYTES_IN_MEMORY_MAX, LONG_BYTES_IN_MEMORY_MAX)
    }

    fn of(middling: usize, long: usize) -> Self {
        let permits = |bytes: usize| Arc::new(Semaphore::new(bytes / UNIT));
        Self { middling: permits(middling), long: permits(long) }
    }

    /// The answer, whose bytes count until they are written; `None` where there is no room for them.
    pub(super) fn hold(&self, answer: Response) -> Option<Response> {
        let bytes = answer.body().size_hint().lower() as usize;
        if bytes <= FREE_BYTES_MAX {
            return Some(answer);
        }
        let budget = if bytes <= MIDDLING_BYTES_MAX { &self.middling } else { &self.long };
        let permits = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        let permit = Arc::new(Arc::clone(budget).try_acquire_many_owned(permits).ok()?);
        Some(answer.map(|body| Body::new(HeldBody { inner: body, permit })))
    }
}

/// An answer's body with its permits, which its parts keep when they are on their way.
struct HeldBody {
    inner: Body,
    permit: Arc<OwnedSemaphorePermit>,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let permit = Arc::clone(&self.permit);
        let hold = |bytes| Bytes::from_owner(HeldBytes { bytes, _permit: permit });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

struct HeldBytes {
    bytes: Bytes,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    fn answer(bytes: usize) -> Response {
        Response::new(Body::from(vec![b'x'; bytes]))
    }

    #[tokio::test]
    async fn a_body_has_ended_when_its_last_part_was_taken() {
        let (mut body, ended) = WatchedBody::new(Full::new(Bytes::from_static(b"x")));
        assert!(!ended.load(Ordering::Relaxed));
        body.frame().await.expect("a part").expect("sound");
        assert!(ended.load(Ordering::Relaxed));
        assert!(WatchedBody::new(Full::new(Bytes::new())).1.load(Ordering::Relaxed), "there is nothing to come");
    }

    #[tokio::test]
    async fn answers_count_until_their_bytes_are_gone() {
        let budget = AnswerBudget::of(300 * UNIT, 1_000 * UNIT);
        let mut held = budget.hold(answer(600 * UNIT)).expect("room").into_body();
        assert!(budget.hold(answer(600 * UNIT)).is_none());
        let part = held.frame().await.expect("a part").expect("sound").into_data().expect("data");
        assert_eq!(part.len(), 600 * UNIT);
        drop(held);
        assert!(budget.hold(answer(600 * UNIT)).is_none(), "its bytes are on their way");
        drop(part);
        let again = budget.hold(answer(600 * UNIT)).expect("room again");
        drop(again);
        budget.hold(answer(1_000 * UNIT)).expect("all of it is there again");
    }

    #[test]
    fn long_answers_leave_the_room_of_others() {
        let budget = AnswerBudget::of(300 * UNIT, 1_000 * UNIT);
        let _long = budget.hold(answer(1_000 * UNIT)).expect("room");
        assert!(budget.hold(answer(MIDDLING_BYTES_MAX + 1)).is_none());
        let _middling = budget.hold(answer(MIDDLING_BYTES_MAX)).expect("room of its own");
        assert!(budget.hold(answer(MIDDLING_BYTES_MAX)).is_none());
        for _ in 0..1_000 {
            assert!(budget.hold(answer(FREE_BYTES_MAX)).is_some());
        }
    }
}
