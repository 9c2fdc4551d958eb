//! What this node holds changes: slots are gained and lost, and deliveries that other nodes have committed
//! arrive.
//!
//! ```text
//!  begin ─► gain ─► (arrived · waits · look) ─► lose ─► released
//!    ▲                                           │
//!    └── the lease was over, or a node starts ◄──┘
//! ```
//!
//! Slots are held and released under the scheduler's lock: what is committed afterwards is placed by what
//! holds then, and what was committed before is found in the store by the reading that follows. A ticket
//! belongs to one holding of its slot: in another it is given back without an outcome.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Dispatcher, INTERNAL_RETRY_MS, Inner, NO_APP, RECOVER_PAGE};
use crate::dispatch::fresh::Fresh;
use crate::dispatch::ownership::Ownership;
use crate::dispatch::scheduler::{Offer, TakenUp, Ticket};
use crate::model::{
    AppKey, EndpointKey, Message, MessageKey, Next, Pending, SLOTS, SlotSet, Taken, Trigger, UnixMs, slot_of,
};
use crate::store::ReadError;
use crate::store::command::{Command, Settle};
use crate::store::journal::Health;

/// Deliveries on their way to the order of due times, beyond which nothing more is read.
const SPILLING_MAX: usize = 1_024;
/// How long to wait for them until the journal is looked at.
const SPILLING_WAIT: Duration = Duration::from_secs(1);

/// Who dispatches what is not held here.
pub trait Neighbours: Send + Sync + 'static {
    /// There is something to do in slots that are not held here. Called on the journal's thread, after the
    /// commit: it must be quick.
    fn tell(&self, news: News);
}

/// What was committed for slots that are not held here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Slots with new pending deliveries.
    pub slots: SlotSet,
    /// The first and the last message of these.
    pub messages: Option<(MessageKey, MessageKey)>,
    /// Endpoints that have a delivery in the order of due times, and when it is due.
    pub waits: Vec<(EndpointKey, AppKey, UnixMs)>,
}

impl News {
    /// A delivery is pending.
    pub(super) fn add(&mut self, endpoint: EndpointKey, message: MessageKey) {
        self.slots.insert(slot_of(endpoint.0));
        let (first, last) = self.messages.unwrap_or((message, message));
        self.messages = Some((first.min(message), last.max(message)));
    }

    /// Adds what others say.
    pub fn merge(&mut self, other: Self) {
        self.slots = self.slots.union(&other.slots);
        self.messages = match (self.messages, other.messages) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (one, other) => one.or(other),
        };
        self.waits.extend(other.waits);
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.waits.is_empty()
    }
}

/// There is one node: it holds everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Neighbours for Alone {
    fn tell(&self, _: News) {}
}

/// A pending delivery that another node has committed.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// To where.
    pub endpoint: EndpointKey,
    /// Whose.
    pub app: AppKey,
    /// The application's version that it was routed with.
    pub version: i64,
    /// What, with its bytes if they are there.
    pub message: Arc<Message>,
}

/// A read of pending deliveries that is under way: begins before the read and lasts until all that it found
/// is handed over. What is settled meanwhile is not taken up again.
pub struct Reading {
    inner: Arc<Inner>,
    number: u64,
    holdings: Box<[u32; SLOTS]>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.inner.scheduler().end_reading(self.number);
    }
}

impl Dispatcher {
    /// What this node holds.
    pub fn ownership(&self) -> &Arc<Ownership> {
        &self.inner.parts.ownership
    }

    /// What this node accepts has keys of this number from now on, above `last_key`.
    pub fn writes_as(&self, number: u16, last_key: MessageKey) {
        self.inner.scheduler().writes_as(number, last_key);
    }

    /// A lease begins, which lasts until then by the clock of leases. All that was held is lost.
    pub fn begin(&self, tenure: i64, until_ms: i64) {
        let mut scheduler = self.inner.scheduler();
        self.inner.parts.ownership.begin(tenure, until_ms);
        self.inner.forget(&mut scheduler, &SlotSet::FULL);
    }

    /// Holds these slots from now on, and takes up what the store has of them: all that is pending, and when
    /// each endpoint's next waiting delivery is due. Returns how many deliveries are new in memory. What is
    /// held, in memory or in flight already is left as it is.
    ///
    /// After an error the slots are held, and only a part of them is taken up: [`Self::look`] goes on. The
    /// journal must be running: what memory has no room for goes to the order of due times.
    pub async fn gain(&self, slots: &SlotSet) -> Result<usize, ReadError> {
        self.hold(slots);
        self.look(slots).await
    }

    /// Holds these slots from now on; [`Self::look`] takes up what the store has of them.
    pub fn hold(&self, slots: &SlotSet) {
        self.inner.scheduler().hold(slots, self.inner.now());
    }

    /// Takes up what the store has of those of these slots that are held: after a notification, or to make
    /// sure of what no notification told of. Returns how many deliveries are new in memory.
    pub async fn look(&self, slots: &SlotSet) -> Result<usize, ReadError> {
        let slots = slots.intersection(&self.inner.parts.ownership.slots());
        if slots.is_empty() {
            return Ok(0);
        }
        self.inner.take_up(&slots).await
    }

    /// A read of pending deliveries begins, whose result goes to [`Self::arrived`].
    pub fn reading(&self) -> Reading {
        self.inner.reading()
    }

    /// Pending deliveries were read in the store, committed by another node. Those of slots that are not held
    /// since the reading began, those that are known here, and those that were settled since are skipped.
    pub fn arrived(&self, reading: &Reading, arrivals: Vec<Arrival>) {
        let inner = &self.inner;
        let now = inner.now();
        let mut bodies: HashMap<MessageKey, Option<Arc<Fresh>>> = HashMap::new();
        let offers: Vec<Offer> = arrivals
            .into_iter()
            .filter(|arrival| inner.parts.ownership.holds(arrival.endpoint))
            .map(|Arrival { endpoint, app, version, message }| {
                inner.drop_older(app, endpoint, version);
                let key = message.key();
                let body = if inner.budget.has_room() {
                    bodies.entry(key).or_insert_with(|| inner.budget.read((*message).clone(), now)).clone()
                } else {
                    None
                };
                Offer { endpoint, app, message: key, body }
            })
            .collect();
        inner.offer(reading, offers);
        inner.pump();
    }

    /// Endpoints whose deliveries another node has put into the order of due times, of which the first is due
    /// then. Those of slots that are not held are skipped.
    pub fn waits(&self, endpoints: &[(EndpointKey, AppKey, UnixMs)]) {
        let now = self.inner.now();
        {
            let mut scheduler = self.inner.scheduler();
            for &(endpoint, app, due) in endpoints {
                if self.inner.parts.ownership.holds(endpoint) {
                    scheduler.stored(endpoint, app, due, now);
                }
            }
        }
        self.inner.pump();
    }

    /// Another node has changed an application: it is read anew, and the lanes of its endpoints that are held
    /// follow. Lanes that are not there need nothing: they are made by what is then.
    pub async fn refresh(&self, app: AppKey) -> Result<(), ReadError> {
        let inner = &self.inner;
        inner.parts.snapshots.app_changed(app);
        let Some(config) = inner.parts.snapshots.app(app).await? else { return Ok(()) };
        {
            let now = inner.now();
            let mut scheduler = inner.scheduler();
            let rate = config.app.spec.throttle_rate;
            let share = rate.map(|_| inner.parts.ownership.share_of(&config));
            scheduler.set_app_rate(app, rate, share, now);
            for endpoint in config.endpoints.iter().filter(|endpoint| inner.parts.ownership.holds(endpoint.key())) {
                let key = endpoint.key();
                if endpoint.failing.is_none() {
                    inner.failing.forget(key);
                }
                match (endpoint.spec.disabled, scheduler.is_draining(key)) {
                    (Some(_), false) => scheduler.drain(key, now),
                    (None, true) => scheduler.probe(key, app, endpoint.spec.throttle_rate, now),
                    (None, false) => scheduler.revive(key, endpoint.spec.throttle_rate, now),
                    (Some(_), true) => {}
                }
            }
        }
        inner.pump();
        Ok(())
    }

    /// Other nodes have changed something, and it was not heard what: each application of which something is in
    /// memory is read anew, as by [`Self::refresh`].
    pub async fn refresh_all(&self) -> Result<(), ReadError> {
        let apps = self.inner.scheduler().apps();
        for app in apps {
            self.refresh(app).await?;
        }
        Ok(())
    }

    /// What other nodes told may have been missed: bytes in memory are read again before they are sent.
    pub fn doubt_bodies(&self) {
        self.inner.doubted.store(self.inner.now(), std::sync::atomic::Ordering::Release);
    }

    /// Another node has deleted the bytes of a message: what is in memory of it is not sent any more.
    pub fn expunged(&self, message: MessageKey) {
        self.inner.expunged.add(message);
    }

    /// Holds these slots no more: all of them that is in memory is forgotten, and nothing starts. What is in
    /// flight ends as it may: see [`Self::released`].
    pub fn lose(&self, slots: &SlotSet) {
        let mut scheduler = self.inner.scheduler();
        self.inner.parts.ownership.release(slots);
        self.inner.forget(&mut scheduler, slots);
    }

    /// Waits until nothing of these slots, which were lost, is in flight: each attempt has its outcome
    /// committed, or refused. False when `deadline` came first. Slots that are gained again meanwhile may make
    /// it wait for what is new.
    pub async fn released(&self, slots: &SlotSet, deadline: Duration) -> bool {
        let inner = &self.inner;
        let busy = inner.scheduler().busy_in(slots);
        let all_ended = async {
            for endpoint in busy {
                loop {
                    let freed = inner.freed.notified();
                    if !inner.scheduler().is_busy(endpoint) {
                        break;
                    }
                    freed.await;
                }
            }
        };
        tokio::time::timeout(deadline, all_ended).await.is_ok()
    }
}

impl Inner {
    fn forget(&self, scheduler: &mut super::Scheduler, slots: &SlotSet) {
        scheduler.lose(slots);
        self.failing.forget_slots(slots);
    }

    fn reading(self: &Arc<Self>) -> Reading {
        let mut scheduler = self.scheduler();
        let holdings = Box::new(self.parts.ownership.holdings());
        Reading { inner: Arc::clone(self), number: scheduler.begin_reading(), holdings }
    }

    /// Whether an attempt of this ticket may start: its slot was not lost since it was taken, and the lease
    /// is not over.
    pub(super) fn may_go(&self, ticket: &Ticket) -> bool {
        let ownership = &self.parts.ownership;
        ownership.holding(slot_of(ticket.endpoint.0)) == ticket.holding && !ownership.is_over()
    }

    /// Gives a ticket back without an outcome: its delivery is another's, or will be read again.
    pub(super) fn give_up(self: &Arc<Self>, ticket: &Ticket) {
        self.scheduler().give_up(ticket, self.now());
        self.freed.notify_waiters();
        let slot = slot_of(ticket.endpoint.0);
        if self.parts.ownership.may_work(slot) {
            // Its slot was lost and is held again, and what is taken was not taken up then.
            self.look_again(&SlotSet::from_iter([slot]));
        }
    }

    /// Slots are looked at once more, soon.
    pub(super) fn look_again(self: &Arc<Self>, slots: &SlotSet) {
        if slots.is_empty() {
            return;
        }
        let is_first = {
            let mut again = self.again.lock().unwrap_or_else(PoisonError::into_inner);
            let is_first = again.is_empty();
            *again = again.union(slots);
            is_first
        };
        if is_first {
            self.parts.runtime.spawn(Arc::clone(self).looks());
        }
    }

    async fn looks(self: Arc<Self>) {
        while !self.stopping.load(std::sync::atomic::Ordering::Acquire) {
            let slots = std::mem::take(&mut *self.again.lock().unwrap_or_else(PoisonError::into_inner));
            let slots = slots.intersection(&self.parts.ownership.slots());
            if slots.is_empty() {
                return;
            }
            if let Err(error) = self.take_up(&slots).await {
                tracing::warn!(%error, "deliveries of slots that are held again could not be read; it is tried again");
                {
                    let mut again = self.again.lock().unwrap_or_else(PoisonError::into_inner);
                    *again = again.union(&slots);
                }
                tokio::time::sleep(Duration::from_millis(INTERNAL_RETRY_MS as u64)).await;
            }
        }
    }

    /// Takes up what the store has of slots that are held.
    async fn take_up(self: &Arc<Self>, slots: &SlotSet) -> Result<usize, ReadError> {
        let reader = &self.parts.reader;
        let mut apps: HashMap<EndpointKey, AppKey> = HashMap::new();
        let (mut after, mut count) = (None, 0);
        loop {
            // A page has a reading of its own, so that what is settled is noted for no longer than it takes.
            let reading = self.reading();
            let page = reader.pending(slots, after, RECOVER_PAGE).await?;
            let Some(last) = page.last().copied() else { break };
            let is_last = page.len() < RECOVER_PAGE;
            self.know_apps(&mut apps, page.iter().map(|pending| pending.endpoint)).await?;
            let offer = |&Pending { message, endpoint }| Offer { endpoint, app: apps[&endpoint], message, body: None };
            count += self.offer(&reading, page.iter().map(offer).collect());
            drop(reading);
            self.pump();
            self.room_to_spill().await;
            if is_last {
                break;
            }
            after = Some(last);
        }
        // Held as they are from here on: what is read after this belongs to these holdings.
        let holdings = self.parts.ownership.holdings();
        let waiting = reader.waiting_endpoints(slots).await?;
        self.know_apps(&mut apps, waiting.iter().map(|(endpoint, _)| *endpoint)).await?;
        {
            let now = self.now();
            let mut scheduler = self.scheduler();
            for (endpoint, due) in waiting {
                if scheduler.is_held_as(endpoint, &holdings) {
                    scheduler.stored(endpoint, apps[&endpoint], due, now);
                }
            }
        }
        self.pump();
        Ok(count)
    }

    /// Looks up whose endpoints are, unless it is known; those that are gone are nobody's.
    async fn know_apps(
        &self,
        apps: &mut HashMap<EndpointKey, AppKey>,
        endpoints: impl Iterator<Item = EndpointKey>,
    ) -> Result<(), ReadError> {
        let unknown: BTreeSet<EndpointKey> = endpoints.filter(|endpoint| !apps.contains_key(endpoint)).collect();
        let unknown: Vec<_> = unknown.into_iter().collect();
        let found = self.parts.reader.apps_of(&unknown).await?;
        apps.extend(unknown.iter().map(|endpoint| (*endpoint, NO_APP)));
        apps.extend(found);
        Ok(())
    }

    /// Puts deliveries into their lanes, and those without room there into the order of due times.
    fn offer(&self, reading: &Reading, offers: Vec<Offer>) -> usize {
        let now = self.now();
        let (TakenUp { count, spilled }, tenure) = {
            let mut scheduler = self.scheduler();
            let taken_up = scheduler.take_up((reading.number, &reading.holdings), offers, now);
            (taken_up, self.parts.ownership.tenure())
        };
        for (endpoint, app, message) in spilled {
            self.parts.journal.settle(Command::Settle(Box::new(Settle {
                app,
                endpoint,
                message,
                taken: Taken::Pending,
                trigger: Trigger::Scheduled,
                tenure,
                attempt: None,
                next: Next::Retry { due: now, attempts: 0 },
                health: None,
                tell: None,
                at: now,
            })));
        }
        count
    }

    /// Waits until most of what had no room is in the order of due times.
    async fn room_to_spill(&self) {
        let health = self.parts.journal.health();
        loop {
            let freed = self.freed.notified();
            let is_over = matches!(*health.borrow(), Health::Failed | Health::Closed);
            if is_over || self.scheduler().spilling() <= SPILLING_MAX {
                return;
            }
            // Either some are stored, or it is seen above that none will be.
            let _ = tokio::time::timeout(SPILLING_WAIT, freed).await;
        }
    }

    /// Drops the application from memory where it is older than a delivery that was routed with it: it is
    /// read again before the attempt, and its lanes follow.
    pub(super) fn drop_older(self: &Arc<Self>, app: AppKey, endpoint: EndpointKey, version: i64) {
        let snapshots = &self.parts.snapshots;
        let is_older = snapshots
            .cached(app)
            .is_some_and(|config| config.app.version < version || config.endpoint(endpoint).is_none());
        if is_older {
            snapshots.app_changed(app);
            let dispatcher = Dispatcher { inner: Arc::clone(self) };
            self.parts.runtime.spawn(async move {
                if let Err(error) = dispatcher.refresh(app).await {
                    tracing::warn!(%error, "an application could not be read anew");
                }
            });
        }
    }
}
