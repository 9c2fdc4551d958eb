//! Which endpoints fail, and since when, as far as this process has seen. What lasts is kept with the
//! endpoint ([`crate::record::health`]); this is the part in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::model::{Endpoint, EndpointKey, Outcome, OutcomeKind, SlotSet, UnixMs};
use crate::record::health::{after_failure, after_success};
use crate::store::command::HealthStep;

/// Endpoints that are remembered; of those beyond it none is taken for failing until there is room.
const ENDPOINTS_MAX: usize = 200_000;

/// The first failure since the last success, by endpoint.
#[derive(Default)]
pub(super) struct FailingBook {
    since: Mutex<FxHashMap<EndpointKey, UnixMs>>,
    /// So that successes need no lock while nobody fails.
    count: AtomicUsize,
}

impl FailingBook {
    /// Notes how an attempt ended; says what follows for the endpoint's health.
    pub(super) fn step(&self, endpoint: &Endpoint, outcome: &Outcome, now: UnixMs) -> Option<HealthStep> {
        if outcome.is_success() {
            self.forget(endpoint.key());
            return after_success(endpoint.failing);
        }
        if outcome.kind == OutcomeKind::Internal {
            return None;
        }
        let since = {
            let mut book = self.book();
            let has_room = book.len() < ENDPOINTS_MAX;
            let since = match book.get(&endpoint.key()) {
                Some(since) => *since,
                None if has_room => *book.entry(endpoint.key()).or_insert(now),
                None => now,
            };
            self.count.store(book.len(), Ordering::Release);
            since
        };
        after_failure(endpoint.failing, since, now)
    }

    /// It succeeded, is disabled, or is gone.
    pub(super) fn forget(&self, endpoint: EndpointKey) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut book = self.book();
        book.remove(&endpoint);
        self.count.store(book.len(), Ordering::Release);
    }

    /// Their endpoints are another node's: what it sees of them counts.
    pub(super) fn forget_slots(&self, slots: &SlotSet) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut book = self.book();
        book.retain(|endpoint, _| !slots.contains_key(endpoint.0));
        self.count.store(book.len(), Ordering::Release);
    }

    fn book(&self) -> MutexGuard<'_, FxHashMap<EndpointKey, UnixMs>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
