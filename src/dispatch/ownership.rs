//! Which slots this process holds, in which tenure, and until when.
//!
//! A node of several holds its slots by a lease, which it renews. [`super::runner::Dispatcher`] changes what is
//! held (`begin`, `gain`, `lose`), under the lock under which deliveries are placed; everybody else asks here,
//! without a lock. The embedded store has one process, which holds everything for ever.
//!
//! Deliberately absent: how leases are got, renewed and taken over; that is the control loop's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

use crate::model::{AppConfig, EndpointKey, SLOTS, Slot, SlotSet, slot_of};

/// The end of a lease that does not end.
const FOR_EVER: i64 = i64::MAX;
/// The end of a lease that is over: nothing but a new beginning changes that.
const OVER: i64 = i64::MIN;

/// The clock that leases are counted by: it never goes back, and it runs on while the machine sleeps.
pub trait LeaseClock: Send + Sync + 'static {
    /// Milliseconds since some moment.
    fn now_ms(&self) -> i64;
}

/// The machine's: milliseconds since it was booted (`CLOCK_BOOTTIME`).
#[derive(Debug, Clone, Copy, Default)]
pub struct BootClock;

impl LeaseClock for BootClock {
    fn now_ms(&self) -> i64 {
        let since = clock_gettime(ClockId::Boottime);
        since.tv_sec * 1_000 + since.tv_nsec / 1_000_000
    }
}

/// Where time has no meaning, because the lease does not end.
struct NoClock;

impl LeaseClock for NoClock {
    fn now_ms(&self) -> i64 {
        0
    }
}

/// The part of an application's endpoints that is delivered to from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Endpoints in slots that are held.
    pub held: usize,
    /// All endpoints.
    pub all: usize,
}

impl Share {
    /// All there are.
    pub const WHOLE: Self = Self { held: 1, all: 1 };
}

/// What this process holds. Shared.
pub struct Ownership {
    /// By slot: the number of its holding, which is another each time that it is gained; 0 where it is not held.
    holdings: [AtomicU32; SLOTS],
    /// The latest number.
    last: AtomicU32,
    /// How often something was gained or lost.
    changes: AtomicU64,
    tenure: AtomicI64,
    /// The end of the lease by its clock, in milliseconds.
    until_ms: AtomicI64,
    clock: Box<dyn LeaseClock>,
}

impl Ownership {
    fn new(holding: u32, until_ms: i64, clock: Box<dyn LeaseClock>) -> Arc<Self> {
        Arc::new(Self {
            holdings: std::array::from_fn(|_| AtomicU32::new(holding)),
            last: AtomicU32::new(holding),
            changes: AtomicU64::new(0),
            tenure: AtomicI64::new(0),
            until_ms: AtomicI64::new(until_ms),
            clock,
        })
    }

    /// Everything, for ever: the one process of an embedded store. Its tenure is 0.
    pub fn all() -> Arc<Self> {
        Self::new(1, FOR_EVER, Box::new(NoClock))
    }

    /// Nothing yet: a node among others, before its first lease.
    pub fn none(clock: impl LeaseClock) -> Arc<Self> {
        Self::new(0, OVER, Box::new(clock))
    }

    /// A lease begins. What was held is held no more.
    pub fn begin(&self, tenure: i64, until_ms: i64) {
        self.release(&SlotSet::FULL);
        self.tenure.store(tenure, Ordering::Release);
        self.until_ms.store(until_ms, Ordering::Release);
    }

    /// The lease goes on until then. False where it was over before, or is another: then a new one has to begin.
    #[must_use]
    pub fn renew(&self, tenure: i64, until_ms: i64) -> bool {
        if self.tenure() != tenure {
            return false;
        }
        let until = self.until_ms.load(Ordering::Acquire);
        if until == OVER || self.is_over() {
            return false;
        }
        // Whoever found it over just now has said so here, and that stays.
        let later = until.max(until_ms);
        self.until_ms.compare_exchange(until, later, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The store has refused something of this tenure: its lease is over, whatever the clock here says.
    pub fn end(&self, tenure: i64) {
        if self.tenure() == tenure && self.until_ms.load(Ordering::Acquire) != FOR_EVER {
            self.until_ms.store(OVER, Ordering::Release);
        }
    }

    /// Slots are held from now on; those that were keep the number of their holding.
    pub fn hold(&self, slots: &SlotSet) {
        let number = self.last.fetch_add(1, Ordering::AcqRel).wrapping_add(1).max(1);
        for slot in slots.iter() {
            // Only this and `release` write it, both under the dispatcher's lock.
            if self.holdings[slot.index()].load(Ordering::Acquire) == 0 {
                self.holdings[slot.index()].store(number, Ordering::Release);
            }
        }
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Slots are held no more.
    pub fn release(&self, slots: &SlotSet) {
        for slot in slots.iter() {
            self.holdings[slot.index()].store(0, Ordering::Release);
        }
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of a slot's holding; 0 where it is not held.
    pub fn holding(&self, slot: Slot) -> u32 {
        self.holdings[slot.index()].load(Ordering::Acquire)
    }

    /// The numbers of all holdings.
    pub fn holdings(&self) -> [u32; SLOTS] {
        std::array::from_fn(|i| self.holdings[i].load(Ordering::Acquire))
    }

    /// Whether an endpoint's slot is held, whatever the clock says.
    pub fn holds(&self, endpoint: EndpointKey) -> bool {
        self.holding(slot_of(endpoint.0)) != 0
    }

    /// Whether work of a slot may begin now: it is held, and the lease is not over.
    pub fn may_work(&self, slot: Slot) -> bool {
        self.holding(slot) != 0 && !self.is_over()
    }

    /// Whether the lease is over. Once it is, it stays so until another begins.
    pub fn is_over(&self) -> bool {
        loop {
            let until = self.until_ms.load(Ordering::Acquire);
            if until == FOR_EVER || (until != OVER && self.clock.now_ms() < until) {
                return false;
            }
            // Either this holds from now on, or it was renewed in time: that is looked at again.
            let over = self.until_ms.compare_exchange(until, OVER, Ordering::AcqRel, Ordering::Acquire);
            if over.is_ok() {
                return true;
            }
        }
    }

    /// The tenure: the epoch in which this node holds its lease.
    pub fn tenure(&self) -> i64 {
        self.tenure.load(Ordering::Acquire)
    }

    /// All slots that are held.
    pub fn slots(&self) -> SlotSet {
        SlotSet::FULL.iter().filter(|slot| self.holding(*slot) != 0).collect()
    }

    /// How often something was gained or lost: whoever keeps a list of what is held makes it anew when this
    /// has changed.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Which part of an application's endpoints is delivered to from here.
    pub fn share_of(&self, config: &AppConfig) -> Share {
        if self.until_ms.load(Ordering::Acquire) == FOR_EVER {
            return Share::WHOLE;
        }
        let held = config.endpoints.iter().filter(|endpoint| self.holds(endpoint.key())).count();
        Share { held, all: config.endpoints.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hand(Arc<AtomicI64>);

    impl LeaseClock for Hand {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Acquire)
        }
    }

    fn one(slot: u8) -> SlotSet {
        SlotSet::from_iter([Slot(slot)])
    }

    #[test]
    fn the_embedded_store_holds_everything_for_ever() {
        let all = Ownership::all();
        assert!(all.slots().is_full() && !all.is_over());
        assert!((0..1_000).all(|key| all.holds(EndpointKey(key))));
        assert_eq!(all.tenure(), 0);
    }

    #[test]
    fn a_lease_that_is_over_is_not_renewed() {
        let hand = Arc::new(AtomicI64::new(100));
        let own = Ownership::none(Hand(Arc::clone(&hand)));
        assert!(own.is_over() && !own.renew(0, 1_000), "there was none");
        own.begin(7, 200);
        own.hold(&one(3));
        assert!(own.may_work(Slot(3)) && !own.may_work(Slot(4)));
        assert!(!own.renew(6, 500), "another tenure's");
        assert!(own.renew(7, 300) && own.renew(7, 250), "an answer that overtook another takes nothing away");
        hand.store(299, Ordering::Release);
        assert!(own.may_work(Slot(3)));
        hand.store(300, Ordering::Release);
        assert!(!own.may_work(Slot(3)) && own.holding(Slot(3)) != 0);
        assert!(!own.renew(7, 900));
        hand.store(0, Ordering::Release);
        assert!(own.is_over(), "it stays over, whatever the clock does");
        own.begin(8, 400);
        assert!(!own.is_over() && own.slots().is_empty());
    }

    #[test]
    fn a_slot_that_is_gained_again_is_another_holding() {
        let own = Ownership::none(Hand(Arc::default()));
        own.begin(1, 10);
        own.hold(&one(3));
        let first = own.holding(Slot(3));
        own.hold(&one(3).union(&one(4)));
        assert_eq!(own.holding(Slot(3)), first, "it was not lost");
        assert_ne!(own.holding(Slot(4)), first);
        let changes = own.changes();
        own.release(&one(3));
        own.hold(&one(3));
        assert_ne!(own.holding(Slot(3)), first);
        assert_ne!(own.changes(), changes);
        assert_eq!(own.slots().to_numbers(), [3, 4]);
    }

    #[test]
    fn the_machines_clock_runs() {
        let first = BootClock.now_ms();
        assert!(first > 0 && BootClock.now_ms() >= first);
    }
}
