//! What a message that came in from outside brings to the journal, and what became no message.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::id::key_time;
use crate::model::{Awaited, Id, LogKind, Received, SourceKey, UnixMs};

/// How a message came in from outside.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// Where.
    pub source: SourceKey,
    /// The request.
    pub received: Arc<Received>,
    /// What it is told from others by.
    pub dedupe: Option<DedupeKey>,
    /// What the sender is answered.
    pub status: u16,
    /// The sender waits for an endpoint's answer to it.
    pub awaited: Option<Arc<Awaited>>,
    /// The entry of the source's log that it was refused as before, which it takes the place of.
    pub instead_of: Option<Id>,
    /// Whether the log has room for it now, if it is a duplicate.
    pub is_logged: bool,
    /// The tick that it was made for, where nobody sent it.
    pub tick: Option<Tick>,
}

/// A tick of a source of type cron. A source and a time are one tick, whoever makes it and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// When it is due.
    pub at: UnixMs,
    /// Up to when ticks had been made as it was decided: it is made only if that is still so.
    pub after: UnixMs,
    /// When the source was last changed as it was decided: what another has to say is not said in its name.
    pub changed_at: UnixMs,
}

impl Inbound {
    /// When the request came: of one that was refused before, then.
    pub fn came_at(&self, now: UnixMs) -> UnixMs {
        self.instead_of.map_or(now, |before| key_time(before.key))
    }

    /// What the source's log says where it is a duplicate: the bytes are the first's.
    pub fn as_duplicate(&self) -> LogRequest {
        LogRequest {
            source: self.source,
            kind: LogKind::Duplicate,
            status: self.status,
            cause: None,
            hint: None,
            received: Arc::clone(&self.received),
            body: Bytes::new(),
        }
    }
}

/// What a request is told from others by, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupeKey {
    /// A keyed hash of source and value.
    pub hash: [u8; 16],
    /// A message with the same that is younger than this, in milliseconds, is its first.
    pub window_ms: i64,
}

/// A request that became no message, for its source's log.
#[derive(Debug, Clone)]
pub struct LogRequest {
    /// Which source's.
    pub source: SourceKey,
    /// What became of it.
    pub kind: LogKind,
    /// What the sender was answered.
    pub status: u16,
    /// Why it was refused.
    pub cause: Option<String>,
    /// What may be wrong.
    pub hint: Option<String>,
    /// Method, path, query, headers.
    pub received: Arc<Received>,
    /// The body, perhaps cut.
    pub body: Bytes,
}

impl LogRequest {
    /// Bytes that it takes, roughly.
    pub fn weight(&self) -> usize {
        self.received.weight() + self.body.len()
    }
}
