//! A message: one event as accepted, and the records of its attempts.

use std::sync::Arc;

use bytes::Bytes;

use super::delivery::Trigger;
use super::id::{AppKey, EndpointKey, Id, MessageKey};
use super::outcome::OutcomeKind;
use super::source::{Received, SourceKey};
use super::time::UnixMs;
use super::trace::{Header, Timings};

/// What a message is, apart from its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// A dotted name.
    pub event_type: String,
    /// The sender's own id of the event, unique in the application while the message is stored.
    pub event_id: Option<String>,
    /// Endpoints with channels get it only if they share one.
    pub channels: Vec<String>,
    /// For finding it again.
    pub tags: Vec<String>,
    /// Not to be delivered before.
    pub deliver_at: Option<UnixMs>,
    /// The media type of the bytes; none means `application/json`.
    pub content_type: Option<String>,
}

/// A message as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: Id,
    /// Whose it is.
    pub app: AppKey,
    /// What it is.
    pub envelope: Envelope,
    /// Its exact bytes; `None` when they were not asked for, or are expired.
    pub payload: Option<Bytes>,
    /// The source that it came in by.
    pub source: Option<SourceKey>,
    /// The request that it came in with from outside, as far as it was asked for and is there.
    pub received: Option<Arc<Received>>,
}

impl Message {
    /// Its key.
    pub fn key(&self) -> MessageKey {
        MessageKey(self.id.key)
    }
}

/// A finished attempt as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: Id,
    /// Of which message.
    pub message: Id,
    /// To which endpoint.
    pub endpoint: Id,
    /// The URL that it went to.
    pub url: String,
    /// How it ended.
    pub kind: OutcomeKind,
    /// The status code, 0 without an answer.
    pub status: u16,
    /// What started it.
    pub trigger: Trigger,
    /// When it began.
    pub started_at: UnixMs,
    /// How long it took.
    pub duration_ms: u32,
    /// Where that time went, if that is known.
    pub timings: Option<Timings>,
    /// When its delivery was to be tried again, as was decided then.
    pub next_due: Option<UnixMs>,
    /// The first bytes of the answer's body.
    pub response: Bytes,
    /// The headers of the answer, of a failure.
    pub headers: Vec<Header>,
}

/// A (message, endpoint) pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryKey {
    /// Which message.
    pub message: MessageKey,
    /// To where.
    pub endpoint: EndpointKey,
}
