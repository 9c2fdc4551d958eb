//! What one lane holds: its deliveries in memory, the messages read for them, and where the store
//! goes on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{DRAIN_WINDOW, LOAD_BELOW, PREFETCH, Place};
use crate::dispatch::fresh::Fresh;
use crate::dispatch::lane::{Breaker, Gate, Pass, Standing};
use crate::model::{AppKey, MessageKey, UnixMs};

pub(super) struct Lane {
    pub(super) app: AppKey,
    pub(super) gate: Gate,
    pub(super) fresh: VecDeque<(MessageKey, Option<Arc<Fresh>>)>,
    pub(super) resends: VecDeque<Place>,
    pub(super) waiting: BTreeMap<Place, u16>,
    /// Places from here on are only in the store; `None`: everything is in memory.
    pub(super) bound: Option<Place>,
    pub(super) loading: bool,
    /// Where deliveries begin that were stored while a page was being read, which may not hold them.
    pub(super) stored_while_loading: Option<Place>,
    /// Places that were settled while a page was being read, which may still hold them.
    pub(super) settled_while_loading: Vec<Place>,
    /// Messages that were withdrawn meanwhile.
    pub(super) withdrawn_while_loading: FxHashSet<MessageKey>,
    pub(super) in_flight: u32,
    /// Places that are taken, until their outcome is stored.
    pub(super) taken: FxHashSet<Place>,
    /// Pending deliveries that are taken, until their outcome is stored.
    pub(super) pending_taken: FxHashSet<MessageKey>,
    /// Pending deliveries without room in memory, on their way to the order of due times.
    pub(super) spilling: FxHashSet<MessageKey>,
    /// No pending delivery of a later message was ever here: so most are known to be new at a glance.
    pub(super) newest: MessageKey,
    pub(super) bodies: FxHashMap<MessageKey, Arc<Fresh>>,
    /// Messages that are being read along for deliveries that are still here.
    pub(super) ahead: FxHashSet<MessageKey>,
    pub(super) fresh_turn: bool,
    pub(super) queued: bool,
    /// It stands in the queue of its application, whose rate is used up.
    pub(super) blocked: bool,
    pub(super) wake: Option<UnixMs>,
    pub(super) draining: bool,
}

impl Lane {
    pub(super) fn new(app: AppKey, window_max: u32, since: UnixMs) -> Self {
        let mut gate = Gate::new(window_max);
        gate.taken_over(since);
        Self {
            app,
            gate,
            fresh: VecDeque::new(),
            resends: VecDeque::new(),
            waiting: BTreeMap::new(),
            bound: None,
            loading: false,
            stored_while_loading: None,
            settled_while_loading: Vec::new(),
            withdrawn_while_loading: FxHashSet::default(),
            in_flight: 0,
            taken: FxHashSet::default(),
            pending_taken: FxHashSet::default(),
            spilling: FxHashSet::default(),
            newest: MessageKey(i64::MIN),
            bodies: FxHashMap::default(),
            ahead: FxHashSet::default(),
            fresh_turn: true,
            queued: false,
            blocked: false,
            wake: None,
            draining: false,
        }
    }

    pub(super) fn in_memory(&self) -> usize {
        self.fresh.len() + self.resends.len() + self.waiting.len()
    }

    /// What is known of its endpoint; draining sends nothing, so that it may be as quick as the best.
    pub(super) fn standing(&self) -> Standing {
        if self.draining { Standing::Proven } else { self.gate.standing() }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_memory() == 0
            && self.bound.is_none()
            && !self.has_in_flight()
            && !self.loading
            && matches!(self.gate.breaker(), Breaker::Closed { .. })
    }

    /// Whether something was taken of which no outcome is stored.
    pub(super) fn has_in_flight(&self) -> bool {
        self.in_flight > 0 || !self.taken.is_empty() || !self.pending_taken.is_empty() || !self.spilling.is_empty()
    }

    /// A pending delivery takes its place behind the others.
    pub(super) fn push(&mut self, message: MessageKey, body: Option<Arc<Fresh>>) {
        self.newest = self.newest.max(message);
        self.fresh.push_back((message, body));
    }

    /// Its slot is lost: only what is in flight is left, and what was heard of the endpoint.
    pub(super) fn forget_all(&mut self) {
        self.fresh.clear();
        self.resends.clear();
        self.waiting.clear();
        self.bodies.clear();
        self.ahead.clear();
        self.bound = None;
        self.loading = false;
        self.stored_while_loading = None;
        self.settled_while_loading.clear();
        self.withdrawn_while_loading.clear();
        self.queued = false;
        self.blocked = false;
        self.wake = None;
        self.draining = false;
    }

    /// Keeps messages in memory, as far as there is room: their deliveries are taken next.
    pub(super) fn attach(&mut self, bodies: impl IntoIterator<Item = Arc<Fresh>>) {
        for body in bodies {
            if self.bodies.len() < 2 * PREFETCH {
                self.bodies.insert(MessageKey(body.id.key), body);
            }
        }
    }

    pub(super) fn wants_page(&self, now: UnixMs) -> bool {
        let Some(bound) = self.bound.filter(|bound| bound.0 <= now || self.draining) else { return false };
        !self.loading && self.is_short_before(bound)
    }

    /// Whether memory holds few deliveries that come before this place. What was recovered may be due
    /// before many that are in memory.
    pub(super) fn is_short_before(&self, bound: Place) -> bool {
        let reaches_behind = self.waiting.last_key_value().is_some_and(|(last, _)| *last >= bound);
        self.waiting.len() < LOAD_BELOW
            || (reaches_behind && self.waiting.range(..bound).take(LOAD_BELOW).count() < LOAD_BELOW)
    }

    /// The first waiting delivery, if it may go now.
    pub(super) fn due(&self, now: UnixMs) -> Option<Place> {
        self.waiting.keys().next().copied().filter(|(due, _)| *due <= now || self.draining)
    }

    /// Whether an attempt may start, and if not, when to look again.
    pub(super) fn readiness(&mut self, now: UnixMs) -> Pass {
        let manual = !self.resends.is_empty();
        let due = self.due(now).is_some();
        if !manual && self.fresh.is_empty() && !due {
            let next = self.waiting.keys().next().map(|place| place.0);
            let stored = self.bound.filter(|_| !self.loading).map(|place| place.0);
            return match next.into_iter().chain(stored).min() {
                Some(at) if at > now => Pass::At(at),
                _ => Pass::AfterFeedback,
            };
        }
        if self.draining {
            return if self.in_flight < DRAIN_WINDOW { Pass::Now } else { Pass::AfterFeedback };
        }
        self.gate.pass(self.in_flight, manual, now)
    }
}
