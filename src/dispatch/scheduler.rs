//! When deliveries go, and how many: lanes, and fair turns among them. Pure; the shell around it
//! is in [`super::runner`].
//!
//! A lane holds fresh deliveries in the order of their commits and waiting ones in the order of
//! their due times. What memory has no room for stays in the store: everything before a lane's
//! `bound` is in memory, the rest is loaded when it comes near.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

mod app_rate;
mod held;
mod slots;
mod survey;

use app_rate::AppRate;
use held::Lane;
use slots::Readings;
pub use slots::{Offer, TakenUp};
pub use survey::{LaneNow, LanesNow};

use super::fresh::Fresh;
use super::lane::{Feedback, Pass, Standing};
use super::ownership::Ownership;
use crate::model::{AppKey, EndpointKey, MessageKey, SLOTS, Taken, Trigger, UnixMs, Waiting, slot_of};

/// Attempts (or settlements without one) at once of a lane whose endpoint is disabled or gone.
const DRAIN_WINDOW: u32 = 64;
/// A lane with fewer waiting deliveries in memory loads the next page.
const LOAD_BELOW: usize = 256;
/// Waiting deliveries in a page.
pub const LOAD_PAGE: usize = 2_048;
/// Messages that are read at once from the store for a lane.
pub const PREFETCH: usize = 64;
/// Lanes beyond which idle ones are let go.
const IDLE_LANES_MAX: usize = 50_000;

/// A place in the order of due times.
pub type Place = (UnixMs, MessageKey);

/// Bounds of the scheduler.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerLimits {
    /// Attempts in flight, each counted until its outcome is stored.
    pub in_flight_max: usize,
    /// Of these, to endpoints that have not answered lately. Half of it is for those that nothing is
    /// known of: who is dead for certain does not keep others from their first attempt.
    pub unproven_in_flight_max: usize,
    /// Attempts in flight to one endpoint.
    pub window_max: u32,
    /// Deliveries held in memory.
    pub in_memory_max: usize,
    /// Of these, of one lane.
    pub lane_in_memory_max: usize,
}

/// Leave to work on one delivery.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// To where.
    pub endpoint: EndpointKey,
    /// Whose.
    pub app: AppKey,
    /// Which message.
    pub message: MessageKey,
    /// The state that it was taken in.
    pub taken: Taken,
    /// What started it.
    pub trigger: Trigger,
    /// Failed attempts so far.
    pub attempts: u16,
    /// The message, where it is still in memory.
    pub body: Option<Arc<Fresh>>,
    /// Where it is not: what to read along with it.
    pub prefetch: Vec<MessageKey>,
    /// The holding of its slot that it was taken in ([`Ownership::holding`]), and the tenure.
    pub holding: u32,
    /// See `holding`.
    pub tenure: i64,
    standing: Standing,
}

/// A page of waiting deliveries that is to be read for a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// For which.
    pub endpoint: EndpointKey,
    /// From where on; `None`: from the first.
    pub from: Option<Place>,
    /// The holding of its slot that it is read in: in another it counts for nothing.
    holding: u32,
}

/// All lanes.
pub struct Scheduler {
    limits: SchedulerLimits,
    ownership: Arc<Ownership>,
    lanes: FxHashMap<EndpointKey, Lane>,
    /// Rates over all endpoints of an application, of those that have one.
    app_rates: FxHashMap<AppKey, AppRate>,
    app_timers: BTreeSet<(UnixMs, AppKey)>,
    /// Lanes whose turn it is: of endpoints that answered lately, that nothing is known of, and that
    /// fail; one of each after the other.
    proven: VecDeque<EndpointKey>,
    untried: VecDeque<EndpointKey>,
    failing: VecDeque<EndpointKey>,
    turn: usize,
    timers: BTreeSet<(UnixMs, EndpointKey)>,
    loads: Vec<Load>,
    /// Lanes beyond which idle ones are looked for.
    collect_at: usize,
    in_flight: usize,
    proven_in_flight: usize,
    untried_in_flight: usize,
    failing_in_flight: usize,
    in_memory: usize,
    /// Pending deliveries on their way to the order of due times.
    spilling: usize,
    readings: Readings,
    /// By slot: when it was gained from another node.
    gained_at: [UnixMs; SLOTS],
}

impl Scheduler {
    /// Without lanes.
    pub fn new(limits: SchedulerLimits, ownership: Arc<Ownership>) -> Self {
        Self {
            limits,
            ownership,
            lanes: FxHashMap::default(),
            app_rates: FxHashMap::default(),
            app_timers: BTreeSet::new(),
            proven: VecDeque::new(),
            untried: VecDeque::new(),
            failing: VecDeque::new(),
            turn: 0,
            timers: BTreeSet::new(),
            loads: Vec::new(),
            collect_at: IDLE_LANES_MAX,
            in_flight: 0,
            proven_in_flight: 0,
            untried_in_flight: 0,
            failing_in_flight: 0,
            in_memory: 0,
            spilling: 0,
            readings: Readings::default(),
            gained_at: [UnixMs::MIN; SLOTS],
        }
    }

    fn lane(&mut self, endpoint: EndpointKey, app: AppKey) -> &mut Lane {
        let (window_max, since) = (self.limits.window_max, self.gained_at[slot_of(endpoint.0).index()]);
        self.lanes.entry(endpoint).or_insert_with(|| Lane::new(app, window_max, since))
    }

    /// Whether a new delivery has no room in memory and goes to the order of due times.
    pub fn is_full(&self, endpoint: EndpointKey) -> bool {
        self.in_memory >= self.limits.in_memory_max
            || self.lanes.get(&endpoint).is_some_and(|lane| lane.fresh.len() >= self.limits.lane_in_memory_max)
    }

    /// A pending delivery was committed.
    pub fn offer(
        &mut self,
        endpoint: EndpointKey,
        app: AppKey,
        rate: Option<u16>,
        message: MessageKey,
        body: Option<Arc<Fresh>>,
        now: UnixMs,
    ) {
        let lane = self.lane(endpoint, app);
        lane.gate.set_rate(rate, now);
        lane.push(message, body);
        self.in_memory += 1;
        self.refresh(endpoint, now);
    }

    /// A waiting delivery was committed.
    pub fn wait(&mut self, endpoint: EndpointKey, app: AppKey, waiting: Waiting, now: UnixMs) {
        self.lane(endpoint, app);
        self.keep(endpoint, waiting);
        self.refresh(endpoint, now);
    }

    /// An endpoint has deliveries in the store of which the first is due at `due`.
    pub fn stored(&mut self, endpoint: EndpointKey, app: AppKey, due: UnixMs, now: UnixMs) {
        let lane = self.lane(endpoint, app);
        let place = (due, MessageKey(i64::MIN));
        let bound = if lane.loading { &mut lane.stored_while_loading } else { &mut lane.bound };
        *bound = Some(bound.map_or(place, |bound| bound.min(place)));
        self.refresh(endpoint, now);
    }

    fn keep(&mut self, endpoint: EndpointKey, waiting: Waiting) {
        let full = self.in_memory >= self.limits.in_memory_max;
        let lane_max = self.limits.lane_in_memory_max;
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let place = waiting.place();
        if waiting.trigger == Trigger::Manual {
            lane.resends.push_back(place);
            self.in_memory += 1;
            return;
        }
        if lane.bound.is_some_and(|bound| place >= bound) && !lane.loading {
            return;
        }
        if lane.waiting.insert(place, waiting.attempts).is_none() {
            self.in_memory += 1;
        }
        if (full || lane.waiting.len() > lane_max) && !lane.loading {
            // The one that is due last stays in the store only.
            if let Some((last, _)) = lane.waiting.pop_last() {
                self.in_memory -= 1;
                lane.bound = Some(lane.bound.map_or(last, |bound| bound.min(last)));
            }
        }
    }

    /// Lanes that need their next page of waiting deliveries, and from where.
    pub fn take_loads(&mut self) -> Vec<Load> {
        std::mem::take(&mut self.loads)
    }

    /// A page was read: everything from the lane's bound on, `LOAD_PAGE` at most.
    pub fn loaded(&mut self, load: &Load, page: &[Waiting], now: UnixMs) {
        let endpoint = load.endpoint;
        if !self.is_current(load) {
            return;
        }
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let whole = page.len() < LOAD_PAGE;
        // Where memory is full a lane gets enough to go on with.
        let taken = if self.in_memory >= self.limits.in_memory_max { LOAD_BELOW.min(page.len()) } else { page.len() };
        let whole = whole && taken == page.len();
        let page = &page[..taken];
        let settled = std::mem::take(&mut lane.settled_while_loading);
        let withdrawn = std::mem::take(&mut lane.withdrawn_while_loading);
        let known: FxHashSet<Place> = lane.resends.iter().copied().collect();
        for waiting in page {
            let place = waiting.place();
            let is_withdrawn = withdrawn.contains(&waiting.message);
            if is_withdrawn || lane.taken.contains(&place) || settled.contains(&place) || known.contains(&place) {
                continue;
            }
            let added = if waiting.trigger == Trigger::Manual {
                lane.resends.push_back(place);
                true
            } else {
                lane.waiting.insert(place, waiting.attempts).is_none()
            };
            self.in_memory += usize::from(added);
        }
        let lane = self.lanes.get_mut(&endpoint);
        if let Some(lane) = lane {
            lane.loading = false;
            lane.bound = match page.last() {
                Some(last) if !whole => Some((last.due, MessageKey(last.message.0 + 1))),
                _ => None,
            };
            lane.bound = lane.bound.into_iter().chain(lane.stored_while_loading.take()).min();
        }
        self.refresh(endpoint, now);
    }

    /// A page could not be read: it is asked for again.
    pub fn load_failed(&mut self, load: &Load, now: UnixMs) {
        let endpoint = load.endpoint;
        if !self.is_current(load) {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.loading = false;
            lane.bound = lane.bound.into_iter().chain(lane.stored_while_loading.take()).min();
            let again = now + 1_000;
            if lane.wake.is_none_or(|wake| wake > again) {
                if let Some(wake) = lane.wake.replace(again) {
                    self.timers.remove(&(wake, endpoint));
                }
                self.timers.insert((again, endpoint));
            }
        }
    }

    /// Messages that were read along (`asked` for) are here, or could not be read. Those whose
    /// deliveries were taken meanwhile are let go.
    pub fn attach(&mut self, endpoint: EndpointKey, asked: &[MessageKey], bodies: Vec<Arc<Fresh>>) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let still: FxHashSet<MessageKey> = asked.iter().copied().filter(|message| lane.ahead.remove(message)).collect();
        lane.attach(bodies.into_iter().filter(|body| still.contains(&MessageKey(body.id.key))));
    }

    /// Puts a lane where it belongs: in turn, or on a timer.
    fn refresh(&mut self, endpoint: EndpointKey, now: UnixMs) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        if lane.wants_page(now) {
            lane.loading = true;
            let holding = self.ownership.holding(slot_of(endpoint.0));
            self.loads.push(Load { endpoint, from: lane.bound, holding });
        }
        if lane.queued || (lane.blocked && !lane.draining) {
            return;
        }
        let wake = match lane.readiness(now) {
            Pass::Now if Self::is_blocked(lane, endpoint, &mut self.app_rates, &mut self.app_timers, now) => None,
            Pass::Now => {
                lane.queued = true;
                let queue = match lane.standing() {
                    Standing::Proven => &mut self.proven,
                    Standing::Untried => &mut self.untried,
                    Standing::Failing => &mut self.failing,
                };
                queue.push_back(endpoint);
                None
            }
            Pass::At(at) => Some(at),
            Pass::AfterFeedback => None,
        };
        if lane.wake != wake {
            if let Some(old) = std::mem::replace(&mut lane.wake, wake) {
                self.timers.remove(&(old, endpoint));
            }
            if let Some(at) = wake {
                self.timers.insert((at, endpoint));
            }
        }
    }

    /// The next moment at which something may become ready.
    pub fn next_wake(&self) -> Option<UnixMs> {
        let lane = self.timers.first().map(|(at, _)| *at);
        let app = self.app_timers.first().map(|(at, _)| *at);
        lane.into_iter().chain(app).min()
    }

    /// Looks at the lanes whose moment has come.
    pub fn wake(&mut self, now: UnixMs) {
        while let Some(&(at, endpoint)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            if let Some(lane) = self.lanes.get_mut(&endpoint) {
                lane.wake = None;
            }
            self.refresh(endpoint, now);
        }
        while let Some(&(at, app)) = self.app_timers.first() {
            if at > now {
                break;
            }
            self.app_timers.pop_first();
            self.unblock(app, now);
        }
    }

    /// The next delivery to work on; lanes take turns.
    pub fn take(&mut self, now: UnixMs) -> Option<Ticket> {
        while self.in_flight < self.limits.in_flight_max {
            let endpoint = self.next_lane()?;
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            lane.queued = false;
            let app_rate = if lane.draining { None } else { self.app_rates.get_mut(&lane.app) };
            let has_token = app_rate.is_none_or(|app| app.rate.ready_at(now) <= now);
            if !has_token || lane.readiness(now) != Pass::Now {
                self.refresh(endpoint, now);
                continue;
            }
            let held = (self.ownership.holding(slot_of(endpoint.0)), self.ownership.tenure());
            let Some(ticket) = Self::take_from(lane, endpoint, held, now) else { continue };
            if let (false, Some(app)) = (lane.draining, self.app_rates.get_mut(&lane.app)) {
                app.rate.spend();
            }
            self.in_memory -= 1;
            self.in_flight += 1;
            *self.in_flight_of(ticket.standing) += 1;
            self.refresh(endpoint, now);
            return Some(ticket);
        }
        None
    }

    /// Whether [`Self::take`] may have something.
    pub fn has_ready(&self) -> bool {
        self.in_flight < self.limits.in_flight_max
            && (!self.proven.is_empty()
                || (!self.untried.is_empty() && self.may_start(Standing::Untried))
                || (!self.failing.is_empty() && self.may_start(Standing::Failing)))
    }

    /// Whether there is a place in flight for one more of these.
    fn may_start(&self, standing: Standing) -> bool {
        let max = self.limits.unproven_in_flight_max;
        let has_room = self.untried_in_flight + self.failing_in_flight < max;
        match standing {
            Standing::Proven => true,
            Standing::Untried => has_room,
            Standing::Failing => has_room && self.failing_in_flight < max.div_ceil(2),
        }
    }

    fn in_flight_of(&mut self, standing: Standing) -> &mut usize {
        match standing {
            Standing::Proven => &mut self.proven_in_flight,
            Standing::Untried => &mut self.untried_in_flight,
            Standing::Failing => &mut self.failing_in_flight,
        }
    }

    fn next_lane(&mut self) -> Option<EndpointKey> {
        const TURNS: [Standing; 3] = [Standing::Proven, Standing::Untried, Standing::Failing];
        self.turn = (self.turn + 1) % TURNS.len();
        for i in 0..TURNS.len() {
            let standing = TURNS[(self.turn + i) % TURNS.len()];
            if !self.may_start(standing) {
                continue;
            }
            let queue = match standing {
                Standing::Proven => &mut self.proven,
                Standing::Untried => &mut self.untried,
                Standing::Failing => &mut self.failing,
            };
            if let Some(endpoint) = queue.pop_front() {
                return Some(endpoint);
            }
        }
        None
    }

    fn take_from(lane: &mut Lane, endpoint: EndpointKey, (holding, tenure): (u32, i64), now: UnixMs) -> Option<Ticket> {
        let due = lane.due(now);
        let from_fresh = !lane.fresh.is_empty() && (lane.fresh_turn || due.is_none());
        lane.fresh_turn = !from_fresh;
        let (message, taken, trigger, attempts, body) = if let Some(place) = lane.resends.pop_front() {
            lane.taken.insert(place);
            (place.1, Taken::Waiting { due: place.0 }, Trigger::Manual, 0, None)
        } else if from_fresh {
            let (message, body) = lane.fresh.pop_front()?;
            lane.pending_taken.insert(message);
            (message, Taken::Pending, Trigger::Scheduled, 0, body)
        } else {
            let place = due?;
            let attempts = lane.waiting.remove(&place)?;
            lane.taken.insert(place);
            (place.1, Taken::Waiting { due: place.0 }, Trigger::Scheduled, attempts, None)
        };
        lane.ahead.remove(&message);
        let body = body.or_else(|| lane.bodies.remove(&message));
        let standing = lane.standing();
        let prefetch = if body.is_some() || lane.draining { Vec::new() } else { Self::prefetch(lane, message, now) };
        lane.in_flight += 1;
        if !lane.draining {
            lane.gate.start();
        }
        let app = lane.app;
        Some(Ticket { endpoint, app, message, taken, trigger, attempts, body, prefetch, holding, tenure, standing })
    }

    /// What is to be read along with a message that is read: of an endpoint that does not answer it
    /// would stay in memory for long.
    fn prefetch(lane: &mut Lane, first: MessageKey, now: UnixMs) -> Vec<MessageKey> {
        let room = if lane.standing() == Standing::Proven { PREFETCH.min(lane.gate.window() as usize) } else { 0 };
        let fresh = lane.fresh.iter().take(room).take_while(|(_, body)| body.is_none()).map(|(message, _)| *message);
        let due = lane.waiting.keys().take_while(|(due, _)| *due <= now).take(room).map(|(_, message)| *message);
        let known = |message: &MessageKey| lane.bodies.contains_key(message) || lane.ahead.contains(message);
        let missing = fresh.chain(due).filter(|message| !known(message));
        let all: Vec<MessageKey> = std::iter::once(first).chain(missing).take(PREFETCH).collect();
        lane.ahead.extend(all.iter().skip(1));
        all
    }

    /// An attempt ended; its outcome is on the way to the journal. `again` is its message where it
    /// is tried again so soon that keeping it in memory is cheaper than reading it.
    pub fn finish(&mut self, ticket: &Ticket, feedback: Feedback, again: Option<Arc<Fresh>>, now: UnixMs) {
        *self.in_flight_of(ticket.standing) -= 1;
        if let Some(lane) = self.lanes.get_mut(&ticket.endpoint) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            lane.gate.feed(feedback, now);
            lane.attach(again);
        }
        self.refresh(ticket.endpoint, now);
    }

    /// An outcome is stored, or never will be: its place in flight is free.
    pub fn stored_outcome(&mut self, endpoint: EndpointKey, message: MessageKey, taken: Taken) {
        if taken == Taken::Pending {
            self.readings.note(endpoint, message);
        }
        self.free(endpoint, message, taken);
        if let Taken::Waiting { due } = taken
            && let Some(lane) = self.lanes.get_mut(&endpoint).filter(|lane| lane.loading)
        {
            lane.settled_while_loading.push((due, message));
        }
        self.collect_idle();
    }

    /// An outcome was refused: the store says what holds, and it is read again.
    pub fn refused_outcome(&mut self, endpoint: EndpointKey, message: MessageKey, taken: Taken) {
        self.free(endpoint, message, taken);
        self.collect_idle();
    }

    /// A delivery is taken no more.
    fn free(&mut self, endpoint: EndpointKey, message: MessageKey, taken: Taken) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let was_in_flight = match taken {
            Taken::Pending => lane.pending_taken.remove(&message),
            Taken::Waiting { due } => lane.taken.remove(&(due, message)),
        };
        if was_in_flight {
            self.in_flight -= 1;
        } else if lane.spilling.remove(&message) {
            self.spilling -= 1;
        }
        self.collect_lost(endpoint);
    }

    /// Retries and first attempts of these messages have nothing left to do: a resend has succeeded, or they have
    /// another place in line. Reads what the lane has in memory; resends are by hand, and stay.
    pub fn withdraw(&mut self, endpoint: EndpointKey, messages: &FxHashSet<MessageKey>) {
        for message in messages {
            self.readings.note(endpoint, *message);
        }
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let before = lane.in_memory();
        lane.fresh.retain(|(fresh, _)| !messages.contains(fresh));
        lane.waiting.retain(|place, _| !messages.contains(&place.1));
        lane.bodies.retain(|message, _| !messages.contains(message));
        if lane.loading {
            lane.withdrawn_while_loading.extend(messages);
        }
        self.in_memory -= before - lane.in_memory();
    }

    /// Nothing of these messages is to be sent any more. Reads what the lane has in memory.
    pub fn forget(&mut self, endpoint: EndpointKey, messages: &FxHashSet<MessageKey>) {
        for message in messages {
            self.readings.note(endpoint, *message);
        }
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let before = lane.in_memory();
        lane.fresh.retain(|(message, _)| !messages.contains(message));
        lane.resends.retain(|place| !messages.contains(&place.1));
        lane.waiting.retain(|place, _| !messages.contains(&place.1));
        lane.bodies.retain(|message, _| !messages.contains(message));
        if lane.loading {
            lane.withdrawn_while_loading.extend(messages);
        }
        self.in_memory -= before - lane.in_memory();
    }

    fn collect_idle(&mut self) {
        if self.lanes.len() > self.collect_at {
            let timers = &mut self.timers;
            self.lanes.retain(|endpoint, lane| {
                let keep = lane.queued || !lane.is_idle();
                if let (false, Some(wake)) = (keep, lane.wake) {
                    timers.remove(&(wake, *endpoint));
                }
                keep
            });
            // Where most are busy, looking again at once finds no more.
            self.collect_at = IDLE_LANES_MAX.max(2 * self.lanes.len());
        }
    }

    /// The endpoint is disabled or gone: all it has is handed out at once, to be set aside.
    pub fn drain(&mut self, endpoint: EndpointKey, now: UnixMs) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.draining = true;
            self.refresh(endpoint, now);
        }
    }

    /// Whether all that an endpoint has is handed out to be set aside.
    pub fn is_draining(&self, endpoint: EndpointKey) -> bool {
        self.lanes.get(&endpoint).is_some_and(|lane| lane.draining)
    }

    /// The endpoint is gone: what it has left belongs to nobody.
    pub fn abandon(&mut self, endpoint: EndpointKey, nobody: AppKey, now: UnixMs) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.app = nobody;
        }
        self.drain(endpoint, now);
    }

    /// The endpoint is enabled or was changed: what was known of it may no longer hold.
    pub fn revive(&mut self, endpoint: EndpointKey, rate: Option<u16>, now: UnixMs) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.draining = false;
            lane.gate.forgive();
            lane.gate.set_rate(rate, now);
            self.refresh(endpoint, now);
        }
    }

    /// The endpoint was disabled and is enabled now: its first delivery is a probe, and goes alone.
    pub fn probe(&mut self, endpoint: EndpointKey, app: AppKey, rate: Option<u16>, now: UnixMs) {
        let lane = self.lane(endpoint, app);
        lane.draining = false;
        lane.gate.half_open(now);
        lane.gate.set_rate(rate, now);
        self.refresh(endpoint, now);
    }

    /// What is kept of an endpoint's health says that it fails.
    pub fn note_failing(&mut self, endpoint: EndpointKey) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.gate.note_failing();
        }
    }

    /// The endpoint's rate as its configuration says now.
    pub fn set_rate(&mut self, endpoint: EndpointKey, rate: Option<u16>, now: UnixMs) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.gate.set_rate(rate, now);
        }
    }

    /// Deliveries in memory.
    pub fn in_memory(&self) -> usize {
        self.in_memory
    }

    /// Attempts whose outcome is not yet stored.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Attempts in flight to one endpoint, and its window.
    pub fn window_of(&self, endpoint: EndpointKey) -> Option<(u32, u32)> {
        self.lanes.get(&endpoint).map(|lane| (lane.in_flight, lane.gate.window()))
    }
}

#[cfg(test)]
mod tests;
