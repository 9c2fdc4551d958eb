//! Messages in memory, and the bound on their bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::model::{Awaited, Id, IdKind, Message, Received, UnixMs};

/// A message as deliveries need it. Counts against its budget while it lives.
#[derive(Debug)]
pub struct Fresh {
    /// Its id.
    pub id: Id,
    /// Its public id.
    pub public_id: String,
    /// Its exact bytes.
    pub payload: Bytes,
    /// Its type.
    pub event_type: Box<str>,
    /// The media type; none means `application/json`.
    pub content_type: Option<String>,
    /// The request that it came in with from outside.
    pub received: Option<Arc<Received>>,
    /// The sender waits for an endpoint's answer to it.
    pub awaited: Option<Arc<Awaited>>,
    /// Since when it is in memory.
    pub held_since: UnixMs,
    /// When it was committed, if that was just now.
    pub committed_at: Option<UnixMs>,
    budget: Arc<PayloadBudget>,
    weight: usize,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.weight, Ordering::Relaxed);
    }
}

/// The bound on bytes of messages in memory.
#[derive(Debug)]
pub struct PayloadBudget {
    used: AtomicUsize,
    max: usize,
}

impl PayloadBudget {
    /// At most `max` bytes.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max })
    }

    /// Keeps a message in memory, if there is room; else it is read again from the store.
    pub fn keep(
        self: &Arc<Self>,
        id: Id,
        payload: &Bytes,
        event_type: &str,
        content_type: Option<&String>,
        (received, awaited): (Option<&Arc<Received>>, Option<&Arc<Awaited>>),
        committed_at: UnixMs,
    ) -> Option<Arc<Fresh>> {
        if self.used.load(Ordering::Relaxed) + payload.len() > self.max {
            return None;
        }
        let held = (committed_at, Some(committed_at));
        let content = (event_type.into(), content_type.cloned(), received.cloned());
        Some(self.hold(id, payload.clone(), content, awaited.cloned(), held))
    }

    /// Whether there is room for more than what must be read.
    pub fn has_room(&self) -> bool {
        self.used.load(Ordering::Relaxed) < self.max
    }

    /// A message that was read from the store for an attempt; `None` when its bytes are gone.
    pub fn read(self: &Arc<Self>, message: Message, now: UnixMs) -> Option<Arc<Fresh>> {
        let envelope = message.envelope;
        let content = (envelope.event_type.into(), envelope.content_type, message.received);
        Some(self.hold(message.id, message.payload?, content, None, (now, None)))
    }

    fn hold(
        self: &Arc<Self>,
        id: Id,
        payload: Bytes,
        (event_type, content_type, received): (Box<str>, Option<String>, Option<Arc<Received>>),
        awaited: Option<Arc<Awaited>>,
        (held_since, committed_at): (UnixMs, Option<UnixMs>),
    ) -> Arc<Fresh> {
        let weight = payload.len() + received.as_ref().map_or(0, |received| received.weight()) + 256;
        self.used.fetch_add(weight, Ordering::Relaxed);
        let public_id = id.format(IdKind::Message);
        Arc::new(Fresh {
            id,
            public_id,
            payload,
            event_type,
            content_type,
            received,
            awaited,
            held_since,
            committed_at,
            budget: Arc::clone(self),
            weight,
        })
    }
}
