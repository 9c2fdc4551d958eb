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
use crate::model::id::key_node;
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
    /// The number in the keys that this node gives, and the newest message of these whose commit was followed:
    /// what a reading finds beyond it is about to be followed. None where nobody else commits.
    own: Option<(u16, MessageKey)>,
}

impl Readings {
    pub(super) fn note(&mut self, endpoint: EndpointKey, message: MessageKey) {
        for settled in self.settled.values_mut() {
            settled.insert((endpoint, message));
        }
    }
}

impl Scheduler {
    /// Holds slots from now on. Who had those that are new may have sent until now.
    pub fn hold(&mut self, slots: &SlotSet, now: UnixMs) {
        let gained = slots.difference(&self.ownership.slots());
        self.ownership.hold(slots);
        for slot in gained.iter() {
            self.gained_at[slot.index()] = now;
        }
        for (_, lane) in self.lanes.iter_mut().filter(|(endpoint, _)| gained.contains_key(endpoint.0)) {
            lane.gate.taken_over(now);
        }
    }

    /// This node gives keys of this number from now on, above `last`.
    pub fn writes_as(&mut self, number: u16, last: MessageKey) {
        self.readings.own = Some((number, last));
    }

    /// The commit of a message is followed.
    pub fn follow(&mut self, message: MessageKey) {
        if let Some((_, newest)) = &mut self.readings.own {
            *newest = message.max(*newest);
        }
    }

    /// Whether the commit of a message of this node is not yet followed, although a reading found it.
    fn is_ahead(&self, message: MessageKey) -> bool {
        self.readings.own.is_some_and(|(number, newest)| message > newest && key_node(message.0) == number)
    }

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
            if !self.is_held_as(endpoint, holdings)
                || self.is_ahead(message)
                || self.readings.settled.get(&reading).is_some_and(is_settled)
            {
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

    /// Applications whose lanes are in memory.
    pub fn apps(&self) -> FxHashSet<AppKey> {
        self.lanes.values().map(|lane| lane.app).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::ownership::{BootClock, Ownership};
    use crate::dispatch::scheduler::{LOAD_PAGE, SchedulerLimits};
    use crate::model::{Taken, Trigger, Waiting};

    const ENDPOINT: EndpointKey = EndpointKey(1);
    const OTHER: EndpointKey = EndpointKey(2);
    const APP: AppKey = AppKey(3);
    const NOW: UnixMs = 1_000_000;

    /// One that holds everything, as a node among others; lanes have room for 10.
    fn scheduler() -> Scheduler {
        let ownership = Ownership::none(BootClock);
        ownership.begin(5, i64::MAX - 1);
        let limits = SchedulerLimits {
            in_flight_max: 100,
            unproven_in_flight_max: 50,
            window_max: 10,
            in_memory_max: 100_000,
            lane_in_memory_max: 10,
        };
        let mut scheduler = Scheduler::new(limits, ownership);
        scheduler.hold(&SlotSet::FULL, NOW);
        scheduler
    }

    fn offers(messages: impl IntoIterator<Item = i64>) -> Vec<Offer> {
        let offer = |key| Offer { endpoint: ENDPOINT, app: APP, message: MessageKey(key), body: None };
        messages.into_iter().map(offer).collect()
    }

    /// Takes up what a reading found that begins and ends now.
    fn take_up(scheduler: &mut Scheduler, messages: impl IntoIterator<Item = i64>) -> TakenUp {
        let (reading, holdings) = (scheduler.begin_reading(), scheduler.ownership.holdings());
        let taken_up = scheduler.take_up((reading, &holdings), offers(messages), NOW);
        scheduler.end_reading(reading);
        taken_up
    }

    fn lose(scheduler: &mut Scheduler, slots: &SlotSet) {
        scheduler.ownership.release(slots);
        scheduler.lose(slots);
    }

    fn waiting(due: UnixMs, message: i64) -> Waiting {
        Waiting { due, message: MessageKey(message), attempts: 0, trigger: Trigger::Scheduled }
    }

    #[test]
    fn what_is_known_is_not_taken_up_again() {
        let mut scheduler = scheduler();
        assert_eq!(take_up(&mut scheduler, [5, 3, 5, 4]).count, 3);
        assert_eq!(take_up(&mut scheduler, [3, 4, 5]).count, 0);
        let ticket = scheduler.take(NOW).expect("a ticket");
        assert_eq!((ticket.message, ticket.tenure), (MessageKey(5), 5));
        assert_eq!(take_up(&mut scheduler, [5, 6]).count, 1, "5 is in flight");
        scheduler.finish(&ticket, Feedback::Answered, None, NOW);
        assert_eq!(take_up(&mut scheduler, [5]).count, 0, "until its outcome is stored");
        assert_eq!((scheduler.in_memory(), scheduler.in_flight()), (3, 1));
    }

    #[test]
    fn what_was_settled_since_the_reading_began_is_not_taken_up() {
        let mut scheduler = scheduler();
        take_up(&mut scheduler, [1]);
        let (reading, holdings) = (scheduler.begin_reading(), scheduler.ownership.holdings());
        let ticket = scheduler.take(NOW).expect("a ticket");
        scheduler.finish(&ticket, Feedback::Answered, None, NOW);
        scheduler.stored_outcome(ENDPOINT, ticket.message, ticket.taken);
        scheduler.forget(ENDPOINT, &FxHashSet::from_iter([MessageKey(2)]));
        scheduler.withdraw(ENDPOINT, &FxHashSet::from_iter([MessageKey(3)]));
        assert_eq!(scheduler.take_up((reading, &holdings), offers(1..=4), NOW).count, 1);
        assert_eq!(scheduler.take(NOW).map(|ticket| ticket.message), Some(MessageKey(4)));
        scheduler.end_reading(reading);
        assert_eq!(take_up(&mut scheduler, [1]).count, 1, "who reads it afterwards has it from the store");
    }

    #[test]
    fn what_was_read_before_a_slot_was_lost_counts_for_nothing() {
        let mut scheduler = scheduler();
        let (reading, holdings) = (scheduler.begin_reading(), scheduler.ownership.holdings());
        scheduler.stored(ENDPOINT, APP, NOW, NOW);
        let old = scheduler.take_loads()[0];
        lose(&mut scheduler, &SlotSet::FULL);
        assert_eq!(scheduler.take_up((reading, &holdings), offers([1]), NOW).count, 0);
        scheduler.hold(&SlotSet::FULL, NOW);
        assert_eq!(scheduler.take_up((reading, &holdings), offers([1]), NOW).count, 0);
        scheduler.stored(ENDPOINT, APP, NOW, NOW);
        let new = scheduler.take_loads()[0];
        scheduler.loaded(&old, &[waiting(NOW, 7)], NOW);
        scheduler.load_failed(&old, NOW);
        assert_eq!((scheduler.in_memory(), scheduler.take_loads()), (0, Vec::new()), "the new page is waited for");
        scheduler.loaded(&new, &[waiting(NOW, 8)], NOW);
        assert_eq!(scheduler.take(NOW).map(|ticket| ticket.message), Some(MessageKey(8)));
    }

    #[test]
    fn of_a_lost_slot_only_what_is_in_flight_is_left() {
        let mut scheduler = scheduler();
        take_up(&mut scheduler, 1..=4);
        scheduler.wait(ENDPOINT, APP, waiting(NOW + 500, 9), NOW);
        scheduler.wait(OTHER, APP, waiting(NOW + 700, 10), NOW);
        let ticket = scheduler.take(NOW).expect("a ticket");
        let lost = SlotSet::from_iter([slot_of(ENDPOINT.0)]);
        lose(&mut scheduler, &lost);
        assert_eq!((scheduler.in_memory(), scheduler.in_flight()), (1, 1), "the other lane is as it was");
        assert_eq!((scheduler.next_wake(), scheduler.has_ready()), (Some(NOW + 700), false));
        assert_eq!(scheduler.busy_in(&lost), [ENDPOINT]);
        // Gained again while an attempt of before is in flight: that delivery is not taken a second time.
        scheduler.hold(&lost, NOW);
        assert_eq!(take_up(&mut scheduler, 1..=4).count, 3);
        assert_ne!(ticket.holding, scheduler.ownership.holding(slot_of(ENDPOINT.0)));
        lose(&mut scheduler, &lost);
        scheduler.give_up(&ticket, NOW);
        assert!(scheduler.busy_in(&lost).is_empty() && !scheduler.lanes.contains_key(&ENDPOINT));
        assert_eq!((scheduler.in_memory(), scheduler.in_flight()), (1, 0));
    }

    #[test]
    fn what_has_no_room_goes_to_the_order_of_due_times_once() {
        let mut scheduler = scheduler();
        let taken_up = take_up(&mut scheduler, 1..=15);
        assert_eq!((taken_up.count, taken_up.spilled.len(), scheduler.spilling()), (10, 5, 5));
        let again = take_up(&mut scheduler, 1..=15);
        assert_eq!((again.count, again.spilled.len()), (0, 0), "they are on their way");
        for (endpoint, app, message) in taken_up.spilled {
            scheduler.stored_outcome(endpoint, message, Taken::Pending);
            scheduler.wait(endpoint, app, waiting(NOW, message.0), NOW);
        }
        assert_eq!((scheduler.spilling(), scheduler.in_flight()), (0, 0));
        let mut sent = Vec::new();
        while let Some(ticket) = scheduler.take(NOW) {
            sent.push(ticket.message.0);
            scheduler.finish(&ticket, Feedback::Answered, None, NOW);
            scheduler.stored_outcome(ENDPOINT, ticket.message, ticket.taken);
            for load in scheduler.take_loads() {
                let left: Vec<_> = (11..=15).filter(|key| !sent.contains(key)).map(|key| waiting(NOW, key)).collect();
                assert!(left.len() < LOAD_PAGE);
                scheduler.loaded(&load, &left, NOW);
            }
        }
        sent.sort_unstable();
        assert_eq!(sent, (1..=15).collect::<Vec<_>>());
    }

    #[test]
    fn whoever_gains_an_endpoint_has_its_rate_used_up() {
        let mut scheduler = scheduler();
        for message in 1..=5 {
            scheduler.offer(ENDPOINT, APP, Some(5), MessageKey(message), None, NOW + 400);
        }
        let mut sent = 0;
        while let Some(ticket) = scheduler.take(NOW + 400) {
            sent += 1;
            scheduler.finish(&ticket, Feedback::Answered, None, NOW + 400);
            scheduler.stored_outcome(ENDPOINT, ticket.message, ticket.taken);
        }
        assert_eq!(sent, 2, "as many as the time since gives");
    }
}
