//! The shell around the scheduler: starts attempts, reads what is not in memory, keeps the timers,
//! and follows what the journal commits.

mod follow;
mod slots;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::book::LaneBook;
use super::expunged::Expunged;
use super::failing::FailingBook;
use super::fresh::{Fresh, PayloadBudget};
use super::lane::Feedback;
use super::ownership::Ownership;
use super::scheduler::{LOAD_PAGE, Load, Scheduler, SchedulerLimits, Ticket};
use crate::metrics::Metrics;
use crate::model::{
    AppConfig, AppKey, Awaited, Clock, Endpoint, EndpointKey, EnvPolicy, IdKind, Next, Outcome, OutcomeKind, Parked,
    Received, SignatureHeaders, SlotSet, Trigger, UnixMs,
};
use crate::record::line::{AttemptLine, Lines};
use crate::record::transition::INTERNAL_FAILURES_MAX;
use crate::record::{Verdict, transition};
use crate::store::command::{AttemptRecord, Command, HealthStep, Settle};
use crate::store::journal::Journal;
use crate::store::snapshots::Snapshots;
use crate::store::{ReadError, StoreReader};
pub use slots::{Alone, Arrival, Neighbours, News, Reading};

/// Tickets taken under one lock.
const TAKE_AT_ONCE: usize = 64;
/// The longest sleep: the time of day may be set anew at any moment.
const SLEEP_MS_MAX: i64 = 1_000;
/// Pending deliveries read at once when slots are gained.
const RECOVER_PAGE: usize = 16_384;
/// How long a delivery waits after something inside us failed.
const INTERNAL_RETRY_MS: i64 = 5_000;
/// How often a resend is tried to be read.
const RESEND_READS: usize = 3;
/// How often the configuration is read again where it changes while a delivery is made ready.
const CONFIG_READS: usize = 3;
/// A message that is tried again within this time stays in memory, if its lane has room.
const KEEP_FOR_RETRY_MS: i64 = 10_000;

/// How long a message is sent from memory: then it is read again, because it may have expired.
const BODY_AGE_MS_MAX: i64 = 3_600_000;

/// Whose an endpoint is that is gone: its deliveries are dropped.
const NO_APP: AppKey = AppKey(0);

/// A message as it is to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// The public id.
    pub id: &'a str,
    /// The exact bytes.
    pub payload: &'a Bytes,
    /// The media type; none means `application/json`.
    pub content_type: Option<&'a str>,
    /// The request that it came in with from outside: what of it goes on.
    pub received: Option<&'a Received>,
    /// Who waits for the answer to this attempt.
    pub awaited: Option<&'a Awaited>,
    /// Under which names it is signed.
    pub signature_headers: SignatureHeaders,
}

/// One attempt, wherever it goes: HTTP in production, a script in the simulation.
#[async_trait]
pub trait Deliver: Send + Sync + 'static {
    /// Tries once. Ends by the attempt's deadline, and never fails: what goes wrong is the outcome.
    async fn attempt(&self, endpoint: &Arc<Endpoint>, letter: Letter<'_>) -> Outcome;
}

/// What dispatch is built from.
pub struct Parts {
    /// Bounds.
    pub limits: SchedulerLimits,
    /// The bound on bytes of messages in memory.
    pub payload_bytes_max: usize,
    /// Seconds before each retry, where the endpoint has no schedule of its own.
    pub retry_schedule: Arc<[u32]>,
    /// Which endpoints are this process's.
    pub ownership: Arc<Ownership>,
    /// Who is told of deliveries to others.
    pub neighbours: Arc<dyn Neighbours>,
    /// Configuration.
    pub snapshots: Arc<Snapshots>,
    /// Messages and waiting deliveries.
    pub reader: Arc<dyn StoreReader>,
    /// Where outcomes go.
    pub journal: Journal,
    /// How an attempt is made.
    pub deliver: Arc<dyn Deliver>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Spreads retries.
    pub random: Box<dyn Fn() -> u32 + Send + Sync>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// One line per attempt.
    pub lines: Option<Lines>,
    /// Where attempts run.
    pub runtime: tokio::runtime::Handle,
}

/// Dispatch. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    scheduler: Mutex<Scheduler>,
    budget: Arc<PayloadBudget>,
    lanes: Arc<LaneBook>,
    failing: FailingBook,
    expunged: Expunged,
    /// Bodies that are held since then, or before, may have been deleted by another node: they are read again.
    doubted: AtomicI64,
    timer: Notify,
    /// When the timer's task looks next.
    timer_at: AtomicI64,
    running: AtomicUsize,
    stopped_one: Notify,
    /// Places in flight became free.
    freed: Notify,
    /// Slots that are to be looked at once more.
    again: Mutex<SlotSet>,
    stopping: AtomicBool,
}

impl Dispatcher {
    /// Dispatch at rest: call [`Self::gain`], and [`Self::run_timers`].
    pub fn new(parts: Parts) -> Self {
        let inner = Inner {
            scheduler: Mutex::new(Scheduler::new(parts.limits, Arc::clone(&parts.ownership))),
            budget: PayloadBudget::new(parts.payload_bytes_max),
            lanes: Arc::default(),
            failing: FailingBook::default(),
            expunged: Expunged::default(),
            doubted: AtomicI64::new(i64::MIN),
            timer: Notify::new(),
            timer_at: AtomicI64::new(0),
            running: AtomicUsize::new(0),
            stopped_one: Notify::new(),
            freed: Notify::new(),
            again: Mutex::new(SlotSet::EMPTY),
            stopping: AtomicBool::new(false),
            parts,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts what is due, and keeps the timers until dispatch stops.
    pub async fn run_timers(&self) {
        let inner = &self.inner;
        while !inner.stopping.load(Ordering::Acquire) {
            inner.pump();
            let now = inner.now();
            let next = {
                let mut scheduler = inner.scheduler();
                scheduler.wake(now);
                let next = scheduler.next_wake().unwrap_or(i64::MAX).min(now + SLEEP_MS_MAX);
                inner.timer_at.store(next, Ordering::Release);
                next
            };
            inner.pump();
            let sleep = Duration::from_millis((next - now).max(1) as u64);
            // Either the moment has come, or an earlier one was set.
            let _ = tokio::time::timeout(sleep, inner.timer.notified()).await;
        }
    }

    /// Starts no more attempts, and waits for those in flight, `deadline` at most. Says how many are left.
    pub async fn stop(&self, deadline: Duration) -> usize {
        let inner = &self.inner;
        inner.stopping.store(true, Ordering::Release);
        inner.timer.notify_one();
        let all_ended = async {
            loop {
                let ended = inner.stopped_one.notified();
                if inner.running.load(Ordering::Acquire) == 0 {
                    return;
                }
                ended.await;
            }
        };
        let _ = tokio::time::timeout(deadline, all_ended).await;
        inner.running.load(Ordering::Acquire)
    }

    /// How the lanes stood when [`Self::measure`] looked at them last.
    pub fn lanes(&self) -> &Arc<LaneBook> {
        &self.inner.lanes
    }

    /// Brings the gauges up to date.
    pub fn measure(&self) {
        let inner = &self.inner;
        let now = inner.now();
        let lanes = inner.scheduler().survey(now);
        let metrics = &inner.parts.metrics;
        metrics.set_lanes(lanes.breakers);
        metrics.deliveries_in_memory.set(lanes.in_memory as i64);
        metrics.in_flight.set(lanes.in_flight as i64);
        metrics.journal_depth.set(inner.parts.journal.depth() as i64);
        metrics.oldest_due_seconds.set(lanes.oldest_due.map_or(0.0, |oldest| (now - oldest).max(0) as f64 / 1000.0));
        inner.lanes.write(lanes);
    }

    /// Attempts in flight to one endpoint, and its window: for tests of the bound.
    pub fn window_of(&self, endpoint: EndpointKey) -> Option<(u32, u32)> {
        self.inner.scheduler().window_of(endpoint)
    }

    /// Deliveries in memory and attempts whose outcome is not yet stored: nothing when all is done.
    pub fn load(&self) -> (usize, usize) {
        let scheduler = self.inner.scheduler();
        (scheduler.in_memory(), scheduler.in_flight())
    }
}

impl Inner {
    fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> UnixMs {
        self.parts.clock.now_ms()
    }

    /// Starts what may start, and reads the pages that lanes ask for.
    fn pump(self: &Arc<Self>) {
        loop {
            let now = self.now();
            let (tickets, loads, next) = {
                let mut scheduler = self.scheduler();
                let tickets: Vec<Ticket> = if self.rests() {
                    Vec::new()
                } else {
                    std::iter::from_fn(|| scheduler.take(now)).take(TAKE_AT_ONCE).collect()
                };
                (tickets, scheduler.take_loads(), scheduler.next_wake())
            };
            if next.is_some_and(|next| next < self.timer_at.load(Ordering::Acquire)) {
                self.timer.notify_one();
            }
            for load in loads {
                self.parts.runtime.spawn(Arc::clone(self).read_page(load));
            }
            let full = tickets.len() == TAKE_AT_ONCE;
            for ticket in tickets {
                self.running.fetch_add(1, Ordering::AcqRel);
                self.parts.runtime.spawn(Arc::clone(self).work(ticket));
            }
            if !full {
                return;
            }
        }
    }

    /// Whether nothing may start: dispatch is stopping, or its lease is over.
    fn rests(&self) -> bool {
        self.stopping.load(Ordering::Acquire) || self.parts.ownership.is_over()
    }

    async fn read_page(self: Arc<Self>, load: Load) {
        // The lane's bound is the first place that is not in memory; the store reads behind a place.
        let after = load.from.map(|(due, message)| (due, crate::model::MessageKey(message.0.saturating_sub(1))));
        let page = self.parts.reader.waiting(load.endpoint, after, LOAD_PAGE).await;
        let now = self.now();
        match page {
            Ok(page) => self.scheduler().loaded(&load, &page, now),
            Err(error) => {
                tracing::warn!(%error, "waiting deliveries could not be read; it is tried again");
                self.scheduler().load_failed(&load, now);
            }
        }
        self.pump();
    }

    /// Works on one delivery after the other, as long as there are any.
    async fn work(self: Arc<Self>, first: Ticket) {
        let _running = Running(Arc::clone(&self));
        let mut next = Some(first);
        while let Some(ticket) = next {
            let unsettled = Unsettled { inner: &self, ticket: &ticket };
            self.one(&ticket).await;
            std::mem::forget(unsettled);
            if self.rests() {
                return;
            }
            let now = self.now();
            let (ticket, loads, more) = {
                let mut scheduler = self.scheduler();
                (scheduler.take(now), scheduler.take_loads(), scheduler.has_ready())
            };
            for load in loads {
                self.parts.runtime.spawn(Arc::clone(&self).read_page(load));
            }
            next = ticket;
            if more {
                // The answer made room for more than one.
                self.pump();
            }
        }
        self.pump();
    }

    /// Works on one delivery: an attempt, or setting it aside. A resend was promised to somebody: where
    /// something could not be read for it, that is tried again before it is given up.
    async fn one(self: &Arc<Self>, ticket: &Ticket) {
        let mut tries = 0;
        while let Err(error) = self.try_one(ticket).await {
            tries += 1;
            if ticket.trigger == Trigger::Scheduled || tries >= RESEND_READS {
                return self.put_off(ticket, &error);
            }
            tokio::time::sleep(Duration::from_millis(INTERNAL_RETRY_MS as u64)).await;
        }
    }

    async fn try_one(self: &Arc<Self>, ticket: &Ticket) -> Result<(), ReadError> {
        if !self.may_go(ticket) {
            self.give_up(ticket);
            return Ok(());
        }
        let Some((mut config, mut endpoint)) = self.open_endpoint(ticket).await? else { return Ok(()) };
        let message = match self.message(ticket).await? {
            Found::Here(message) => message,
            Found::Expired => {
                self.put(ticket, None, cancelled(ticket.trigger), Feedback::Nothing);
                return Ok(());
            }
            Found::Gone => {
                self.put(ticket, None, Next::Nothing, Feedback::Nothing);
                return Ok(());
            }
        };
        let policy = self.parts.snapshots.policy(config.app.env).await?;
        // What was read before the waiting may no longer hold: nothing is sent after a deletion or a
        // disabling was answered.
        for _ in 0..CONFIG_READS {
            if self.holds(&config) {
                break;
            }
            let Some(now) = self.open_endpoint(ticket).await? else { return Ok(()) };
            (config, endpoint) = now;
        }
        if self.expunged.holds(ticket.message) {
            self.put(ticket, None, cancelled(ticket.trigger), Feedback::Nothing);
            return Ok(());
        }
        // Nor after its slot has gone to another node, which sends it.
        if !self.may_go(ticket) {
            self.give_up(ticket);
            return Ok(());
        }
        // An attempt may take long, and changes meanwhile would leave it with a copy of its own.
        drop(config);
        self.attempt(ticket, &endpoint, &message, &policy).await;
        Ok(())
    }

    /// Whether this is the application as it is in memory now.
    fn holds(&self, config: &Arc<AppConfig>) -> bool {
        self.parts.snapshots.cached(config.app.key()).is_some_and(|now| Arc::ptr_eq(&now, config))
    }

    /// The endpoint of a ticket, if it may be sent to; else the delivery is set aside or dropped here.
    async fn open_endpoint(
        self: &Arc<Self>,
        ticket: &Ticket,
    ) -> Result<Option<(Arc<AppConfig>, Arc<Endpoint>)>, ReadError> {
        let Some((config, endpoint)) = self.endpoint(ticket).await? else {
            self.scheduler().abandon(ticket.endpoint, NO_APP, self.now());
            self.put(ticket, None, Next::Nothing, Feedback::Nothing);
            return Ok(None);
        };
        if endpoint.spec.disabled.is_none() {
            return Ok(Some((config, endpoint)));
        }
        {
            // Judged under the lock under which changes are followed: one that was enabled meanwhile is
            // not drained.
            let mut scheduler = self.scheduler();
            if self.holds(&config) {
                scheduler.drain(ticket.endpoint, self.now());
            }
        }
        let next = match ticket.trigger {
            Trigger::Scheduled => Next::Park(Parked::Held),
            Trigger::Manual => Next::Nothing,
        };
        self.put(ticket, None, next, Feedback::Nothing);
        Ok(None)
    }

    async fn attempt(
        self: &Arc<Self>,
        ticket: &Ticket,
        endpoint: &Arc<Endpoint>,
        message: &Arc<Fresh>,
        policy: &EnvPolicy,
    ) {
        if endpoint.spec.throttle_rate.is_some() {
            self.scheduler().set_rate(ticket.endpoint, endpoint.spec.throttle_rate, self.now());
        }
        if let (Some(committed_at), 0, Trigger::Scheduled) = (message.committed_at, ticket.attempts, ticket.trigger) {
            let waited_ms = (self.now() - committed_at).max(0);
            self.parts.metrics.commit_to_attempt_seconds.observe(waited_ms as f64 / 1000.0);
        }
        let is_first = ticket.attempts == 0 && ticket.trigger == Trigger::Scheduled;
        let awaited = message.awaited.as_deref().filter(|it| is_first && it.endpoint() == ticket.endpoint);
        let letter = Letter {
            id: &message.public_id,
            payload: &message.payload,
            content_type: message.content_type.as_deref(),
            received: message.received.as_deref(),
            awaited,
            signature_headers: policy.settings.signature_headers(),
        };
        let outcome = self.parts.deliver.attempt(endpoint, letter).await;
        self.parts.metrics.attempt(outcome.kind, f64::from(outcome.duration_ms) / 1000.0);
        let schedule = policy.retry_schedule(endpoint, &message.event_type, &self.parts.retry_schedule);
        let health = self.failing.step(endpoint, &outcome, self.now());
        let random = (self.parts.random)();
        let verdict = transition(ticket.trigger, ticket.attempts, &outcome, schedule, self.now(), random);
        if let Some(lines) = &self.parts.lines {
            lines.write(&line(ticket, endpoint, message, &outcome, verdict));
        }
        let feedback = if outcome.kind.is_unreachable() {
            Feedback::Unreachable
        } else if matches!(outcome.kind, OutcomeKind::Success | OutcomeKind::Status) {
            Feedback::Answered
        } else {
            Feedback::Nothing
        };
        let record = AttemptRecord { outcome, url_id: endpoint.url_id };
        let again = match verdict.next {
            Next::Retry { due, .. } if due - self.now() <= KEEP_FOR_RETRY_MS => Some(Arc::clone(message)),
            _ => None,
        };
        self.put_with(ticket, Some(record), verdict, health, feedback, again);
    }

    /// The endpoint as it is in memory. That it is not there is believed of the store only.
    async fn endpoint(&self, ticket: &Ticket) -> Result<Option<(Arc<AppConfig>, Arc<Endpoint>)>, ReadError> {
        if ticket.app == NO_APP {
            return Ok(None);
        }
        let found = |config: Arc<AppConfig>| {
            let endpoint = Arc::clone(config.endpoint(ticket.endpoint)?);
            Some((config, endpoint))
        };
        let mut config = self.parts.snapshots.app(ticket.app).await?.and_then(found);
        if config.is_none() {
            config = self.parts.reader.app_config(ticket.app).await?.map(Arc::new).and_then(found);
        }
        if let Some((config, _)) = config.as_ref().filter(|(config, _)| config.app.spec.throttle_rate.is_some()) {
            let share = self.parts.ownership.share_of(config);
            self.scheduler().set_app_rate(ticket.app, config.app.spec.throttle_rate, Some(share), self.now());
        }
        Ok(config)
    }

    /// The message of a ticket: from memory, unless it has been there for so long that it may have
    /// expired meanwhile.
    async fn message(&self, ticket: &Ticket) -> Result<Found, ReadError> {
        let now = self.now();
        let since = self.doubted.load(Ordering::Acquire).max(now - BODY_AGE_MS_MAX);
        if let Some(body) = ticket.body.as_ref().filter(|body| body.held_since > since) {
            return Ok(Found::Here(Arc::clone(body)));
        }
        let keys = match &ticket.prefetch[..] {
            prefetch @ [_, ..] if self.budget.has_room() => prefetch,
            _ => &[ticket.message],
        };
        let (mut own, mut bodies) = (Found::Gone, Vec::new());
        let read = self.parts.reader.messages(keys).await;
        if read.is_err() {
            self.scheduler().attach(ticket.endpoint, &ticket.prefetch, Vec::new());
        }
        for message in read? {
            let is_own = message.key() == ticket.message;
            match self.budget.read(message, now) {
                Some(body) if is_own => own = Found::Here(body),
                Some(body) => bodies.push(body),
                None if is_own => own = Found::Expired,
                None => {}
            }
        }
        if ticket.prefetch.len() > 1 {
            self.scheduler().attach(ticket.endpoint, &ticket.prefetch, bodies);
        }
        Ok(own)
    }

    /// Something inside us failed before an attempt was made.
    fn put_off(self: &Arc<Self>, ticket: &Ticket, error: &ReadError) {
        tracing::warn!(%error, "a delivery could not be read; it is tried again");
        let next = match ticket.trigger {
            Trigger::Scheduled => Next::Retry { due: self.now() + INTERNAL_RETRY_MS, attempts: ticket.attempts },
            Trigger::Manual => Next::Nothing,
        };
        self.put(ticket, None, next, Feedback::Nothing);
    }

    fn put(self: &Arc<Self>, ticket: &Ticket, attempt: Option<AttemptRecord>, next: Next, feedback: Feedback) {
        self.put_with(ticket, attempt, Verdict::of(next), None, feedback, None);
    }

    /// Hands what became of a delivery to the journal, and frees its place in the lane.
    fn put_with(
        self: &Arc<Self>,
        ticket: &Ticket,
        attempt: Option<AttemptRecord>,
        verdict: Verdict,
        health: Option<HealthStep>,
        feedback: Feedback,
        again: Option<Arc<Fresh>>,
    ) {
        let now = self.now();
        self.scheduler().finish(ticket, feedback, again, now);
        self.parts.journal.settle(Command::Settle(Box::new(Settle {
            app: ticket.app,
            endpoint: ticket.endpoint,
            message: ticket.message,
            taken: ticket.taken,
            trigger: ticket.trigger,
            tenure: ticket.tenure,
            attempt,
            next: verdict.next,
            health: verdict.disable.map(HealthStep::Disable).or(health),
            tell: verdict.tell,
            at: now,
        })));
    }
}

/// What is left of a message.
enum Found {
    /// All of it.
    Here(Arc<Fresh>),
    /// All but its bytes.
    Expired,
    /// Nothing.
    Gone,
}

/// A delivery without anything to send: listed, unless it is a resend.
const fn cancelled(trigger: Trigger) -> Next {
    match trigger {
        Trigger::Scheduled => Next::Park(Parked::Cancelled),
        Trigger::Manual => Next::Nothing,
    }
}

/// A delivery that is being worked on. Dropped only where that panics: it is tried again later, and
/// set aside when that happens time and again.
struct Unsettled<'a> {
    inner: &'a Arc<Inner>,
    ticket: &'a Ticket,
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        let attempts = self.ticket.attempts + 1;
        let next = match self.ticket.trigger {
            Trigger::Manual => Next::Nothing,
            Trigger::Scheduled if attempts >= INTERNAL_FAILURES_MAX => Next::Park(Parked::Quarantined),
            Trigger::Scheduled => Next::Retry { due: self.inner.now() + INTERNAL_RETRY_MS, attempts },
        };
        self.inner.put(self.ticket, None, next, Feedback::Nothing);
    }
}

/// Counts a task while it runs, also when it panics.
struct Running(Arc<Inner>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.stopped_one.notify_waiters();
    }
}

fn line<'a>(
    ticket: &Ticket,
    endpoint: &Endpoint,
    message: &'a Fresh,
    outcome: &Outcome,
    verdict: Verdict,
) -> AttemptLine<'a> {
    let (next, next_at) = match verdict.next {
        Next::Done => ("done", 0),
        Next::Retry { due, .. } => ("retry", due),
        Next::Park(Parked::Failed) => ("failed", 0),
        Next::Park(Parked::Held) => ("held", 0),
        Next::Park(Parked::Quarantined) => ("quarantined", 0),
        Next::Park(Parked::Cancelled) => ("cancelled", 0),
        Next::Nothing => ("nothing", 0),
    };
    AttemptLine {
        at: outcome.started_at,
        message: &message.public_id,
        endpoint: endpoint.id.format(IdKind::Endpoint),
        outcome: outcome.kind.as_str(),
        status: outcome.status,
        duration_ms: outcome.duration_ms,
        attempt: if ticket.trigger == Trigger::Manual { 0 } else { ticket.attempts + 1 },
        bytes: message.payload.len(),
        next,
        next_at,
    }
}
