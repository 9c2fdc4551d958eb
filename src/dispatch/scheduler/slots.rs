//! Lanes come and go with the slots that this process holds.
//!
//! What a slot has in the store is read while its lanes are at work, and some of it may be settled between
//! the read and the moment at which it is offered. A [`Readings`] entry notes what was, so that nothing is
//! taken up a second time. What is in a lane, or in flight from it, is known by its message.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Load, Scheduler, Ticket};
use crate::dispatch::fresh::Fresh;
use crate::dispatch::lane::Feedback;
use crate::model::{AppKey, EndpointKey, MessageKey, SLOTS, SlotSet, UnixMs, slot_of};

/// A pending delivery that the store holds.
pub struct Offer {
    /// To where.
    pub endpoint: EndpointKey,
    /// Whose.
    pub app: AppKey,
    /// Which message.
    pub message: MessageKey,
    /// The message, where it is at hand.
    pub body: Option<Arc<Fresh>>,
}

/// What became of offers.
#[derive(Default)]
pub struct TakenUp {
    /// Deliveries that are in their lanes now, and were not before.
    pub count: usize,
    /// Those that memory has no room for: they are to go to the order of due times.
    pub spilled: Vec<(EndpointKey, AppKey, MessageKey)>,
}

/// Reads of the store that are under way, and which pending deliveries were settled since each began.
#[derive(Default)]
pub(super) struct Readings {
    last: u64,
    settled: FxHashMap<u64, FxHashSet<(EndpointKey, MessageKey)>>,
}

impl Readings {
    pub(super) fn note(&mut self, endpoint: EndpointKey, message: MessageKey) {
        for settled in self.settled.values_mut() {
            settled.insert((endpoint, message));
        }
    }
}

impl Scheduler {
    /// A read of pending deliveries begins; its number.
    pub fn begin_reading(&mut self) -> u64 {
        self.readings.last += 1;
        self.readings.settled.insert(self.readings.last, FxHashSet::default());
        self.readings.last
    }

    /// What was read is taken up, or never will be.
    pub fn end_reading(&mut self, reading: u64) {
        self.readings.settled.remove(&reading);
    }

    /// Takes up pending deliveries that were found by a reading which began when the slots had these holdings.
    /// Those that are known, were settled since, or lie in slots that were lost since are skipped.
    pub fn take_up(
        &mut self,
        (reading, holdings): (u64, &[u32; SLOTS]),
        offers: impl IntoIterator<Item = Offer>,
        now: UnixMs,
    ) -> TakenUp {
        let mut taken_up = TakenUp::default();
        let mut known: FxHashMap<EndpointKey, FxHashSet<MessageKey>> = FxHashMap::default();
        for Offer { endpoint, app, message, body } in offers {
            let is_settled = |settled: &FxHashSet<_>| settled.contains(&(endpoint, message));
            if !self.is_held_as(endpoint, holdings) || self.readings.settled.get(&reading).is_some_and(is_settled) {
                continue;
            }
            let is_full = self.is_full(endpoint);
            let lane = self.lane(endpoint, app);
            if message <= lane.newest {
                let in_lane = || lane.fresh.iter().map(|(message, _)| *message).collect();
                let is_known = lane.pending_taken.contains(&message)
                    || lane.spilling.contains(&message)
                    || known.entry(endpoint).or_insert_with(in_lane).contains(&message);
                if is_known {
                    continue;
                }
            }
            if is_full {
                lane.newest = lane.newest.max(message);
                lane.spilling.insert(message);
                self.spilling += 1;
                taken_up.spilled.push((endpoint, app, message));
                continue;
            }
            lane.push(message, body);
            if let Some(known) = known.get_mut(&endpoint) {
                known.insert(message);
            }
            self.in_memory += 1;
            taken_up.count += 1;
            self.refresh(endpoint, now);
        }
        taken_up
    }

    /// Whether an endpoint's slot is held, and was not lost since it had this holding.
    pub fn is_held_as(&self, endpoint: EndpointKey, holdings: &[u32; SLOTS]) -> bool {
        let slot = slot_of(endpoint.0);
        let holding = self.ownership.holding(slot);
        holding != 0 && holding == holdings[slot.index()]
    }

    /// Whether a page is still wanted: its slot was not lost since.
    pub(super) fn is_current(&self, load: &Load) -> bool {
        self.ownership.holding(slot_of(load.endpoint.0)) == load.holding
    }

    /// Forgets everything of slots that are lost but what is in flight. They are released by the caller,
    /// under the same lock.
    pub fn lose(&mut self, slots: &SlotSet) {
        let is_lost = |endpoint: &EndpointKey| slots.contains_key(endpoint.0);
        for queue in [&mut self.proven, &mut self.untried, &mut self.failing] {
            queue.retain(|endpoint| !is_lost(endpoint));
        }
        for app in self.app_rates.values_mut() {
            app.blocked.retain(|endpoint| !is_lost(endpoint));
        }
        self.loads.retain(|load| !is_lost(&load.endpoint));
        let (timers, in_memory) = (&mut self.timers, &mut self.in_memory);
        self.lanes.retain(|endpoint, lane| {
            if !is_lost(endpoint) {
                return true;
            }
            *in_memory -= lane.in_memory();
            if let Some(wake) = lane.wake {
                timers.remove(&(wake, *endpoint));
            }
            lane.forget_all();
            lane.has_in_flight()
        });
    }

    /// Lets go of a lane whose slot is lost when nothing of it is in flight any more.
    pub(super) fn collect_lost(&mut self, endpoint: EndpointKey) {
        if self.ownership.holds(endpoint) {
            return;
        }
        let is_done = self.lanes.get(&endpoint).is_some_and(|lane| lane.in_memory() == 0 && !lane.has_in_flight());
        if is_done && let Some(wake) = self.lanes.remove(&endpoint).and_then(|lane| lane.wake) {
            self.timers.remove(&(wake, endpoint));
        }
    }

    /// A ticket is given back without an outcome: the store holds its delivery as it was.
    pub fn give_up(&mut self, ticket: &Ticket, now: UnixMs) {
        self.finish(ticket, Feedback::Nothing, None, now);
        self.free(ticket.endpoint, ticket.message, ticket.taken);
    }

    /// Endpoints of slots that have something in flight.
    pub fn busy_in(&self, slots: &SlotSet) -> Vec<EndpointKey> {
        let of_slots = self.lanes.iter().filter(|(endpoint, _)| slots.contains_key(endpoint.0));
        of_slots.filter(|(_, lane)| lane.has_in_flight()).map(|(endpoint, _)| *endpoint).collect()
    }

    /// Whether something to an endpoint is in flight.
    pub fn is_busy(&self, endpoint: EndpointKey) -> bool {
        self.lanes.get(&endpoint).is_some_and(super::held::Lane::has_in_flight)
    }

    /// Pending deliveries on their way to the order of due times.
    pub const fn spilling(&self) -> usize {
        self.spilling
    }
}
