//! This process as a node among others on one PostgreSQL database: it joins, renews its lease, takes and
//! hands over slots, hears what the others tell, and tells them.
//!
//! ```text
//!  join ─► heartbeat ─► gain · hand over ─► … ─► leave
//!    ▲         │ fenced, or nobody could be reached for too long
//!    └─────────┘
//! ```

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::accept::Gateway;
use crate::dispatch::ownership::{BootClock, LeaseClock};
use crate::dispatch::runner::{Arrival, Dispatcher, Neighbours, News};
use crate::model::id::first_key_at;
use crate::model::{MessageKey, Slot, SlotSet};
use crate::store::ReadError;
use crate::store::postgres::{
    Bulletin, Cluster, Heard, Joining, PgOptions, PgReader, SessionError, Standing, Tenure, View, arriving, listen,
};

/// Heartbeats in the time of a lease.
const BEATS_PER_LEASE: u64 = 4;
/// How long to wait before joining is tried again.
const JOIN_AGAIN: Duration = Duration::from_millis(500);
/// News are told together so often.
const TELL_EVERY: Duration = Duration::from_millis(5);
/// How long slots may take in which nothing is in flight.
const IDLE_HAND_OVER: Duration = Duration::from_millis(20);
/// How long attempts in flight hold up the hand-over of their slot: longer than any attempt lasts.
const HAND_OVER_MAX: Duration = Duration::from_secs(70);
/// How often what no bulletin told of is looked for, among the messages of the time before.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
const SWEEP_BACK_MS: i64 = 60_000;
/// Messages so young are still on their way through bulletins.
const SWEEP_YOUNG_MS: i64 = 1_000;
/// How often all that is stored is compared with what is known.
const LOOK_EVERY: u32 = 30;
/// How often partitions, unique keys and counts are looked after.
const UPKEEP_EVERY: Duration = Duration::from_secs(10);
/// Rounds of that between two looks at the sizes of tables.
const MEASURE_EVERY: u64 = 6;
/// Rounds of that at once.
const UPKEEP_ROUNDS_MAX: usize = 50;
/// Endpoints that are told of again where that failed; more are left to those who look for themselves.
const NEWS_KEPT_MAX: usize = 10_000;
/// Pages of pending deliveries that one sweep looks at.
const SWEEP_PAGES_MAX: usize = 16;
/// How often a leaving node looks whether it has handed over all.
const LEAVING_LOOK: Duration = Duration::from_millis(20);
/// Bulletins that are taken together.
const HEARD_AT_ONCE: usize = 256;

/// This node.
pub(super) struct Node {
    cluster: Cluster,
    listening: PgOptions,
    reader: PgReader,
    standing: Arc<Standing>,
    name: String,
    lease_s: u64,
    /// Tells this process from another of the same name.
    instance: i64,
    has_joined: AtomicBool,
    teller: Arc<Teller>,
    /// Slots that are being handed over.
    handing: Mutex<SlotSet>,
    /// The version of the configuration that this node knows.
    configuration: AtomicI64,
    /// The version that it knew at the heartbeat before.
    configuration_before: AtomicI64,
    /// The version up to which the lanes have followed, as it was told.
    followed: AtomicI64,
    /// There is something new about slots.
    look: Notify,
    /// Nodes that take slots, as of the last heartbeat.
    takers: AtomicUsize,
}

/// What dispatch and the gateway are to a node.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) dispatcher: Dispatcher,
    pub(super) gateway: Arc<Gateway>,
}

/// Gathers news for other nodes.
#[derive(Default)]
pub(super) struct Teller {
    news: Mutex<News>,
    arrived: Notify,
}

impl Neighbours for Teller {
    fn tell(&self, news: News) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).merge(news);
        self.arrived.notify_one();
    }
}

impl Node {
    pub(super) fn new(
        cluster: Cluster,
        listening: PgOptions,
        reader: PgReader,
        standing: Arc<Standing>,
        name: String,
        lease_s: u64,
    ) -> Self {
        Self {
            cluster,
            listening,
            reader,
            standing,
            name,
            lease_s,
            instance: rand::random::<i64>(),
            has_joined: AtomicBool::new(false),
            teller: Arc::default(),
            handing: Mutex::default(),
            configuration: AtomicI64::new(0),
            configuration_before: AtomicI64::new(0),
            followed: AtomicI64::new(0),
            look: Notify::new(),
            takers: AtomicUsize::new(1),
        }
    }

    pub(super) fn teller(&self) -> Arc<Teller> {
        Arc::clone(&self.teller)
    }

    fn handing(&self) -> MutexGuard<'_, SlotSet> {
        self.handing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins for the time of a command: it writes and takes no slots.
    pub(super) async fn join_as_guest(&self) -> Result<(), SessionError> {
        // One at a time: a command has the data folder for itself.
        let name = format!("{}.command", self.name);
        let tenure = self.cluster.join(self.joining(name, false)).await?;
        self.standing.begin(tenure);
        Ok(())
    }

    /// Joins, and begins with what it gets at once. An error where the database cannot be reached: at start
    /// that is for the operator to see.
    pub(super) async fn join(&self, dispatcher: &Dispatcher) -> Result<Tenure, SessionError> {
        let sent = BootClock.now_ms();
        let tenure = self.cluster.join(self.joining(self.name.clone(), true)).await?;
        self.has_joined.store(true, Ordering::Release);
        dispatcher.writes_as(tenure.number, MessageKey(tenure.last_key));
        dispatcher.begin(tenure.epoch, self.until(sent));
        self.standing.begin(tenure);
        tracing::info!(node = self.name, number = tenure.number, epoch = tenure.epoch, "joined");
        Ok(tenure)
    }

    fn joining(&self, name: String, takes: bool) -> Joining {
        let again = self.has_joined.load(Ordering::Acquire);
        Joining { name, instance: self.instance, lease_s: self.lease_s, takes, again }
    }

    /// The end of a lease that was asked for at a moment.
    const fn until(&self, sent: i64) -> i64 {
        sent + self.lease_s as i64 * 1_000
    }

    /// Takes what is this node's before it is said that it listens: alone it has everything from the first
    /// request on. What fails here is done by the next heartbeat.
    pub(super) async fn begin(self: &Arc<Self>, around: &Surroundings, tenure: Tenure) {
        match self.cluster.heartbeat(tenure, self.lease_s).await {
            Ok(Some(view)) => self.follow(around, tenure, &view),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the first heartbeat failed; it is tried again"),
        }
    }

    /// Runs until the process ends. What it does beside renewing never ends by itself either: where one of these
    /// does, all of it ends, and the process with it.
    pub(super) async fn run(self: Arc<Self>, around: Surroundings, first: Tenure) {
        let heard = listen(self.listening.clone());
        let mut beside = JoinSet::new();
        beside.spawn(Arc::clone(&self).hear(around.clone(), heard));
        beside.spawn(Arc::clone(&self).tell_others());
        beside.spawn(Arc::clone(&self).sweep(around.clone()));
        beside.spawn(Arc::clone(&self).keep_up(around.clone()));
        tokio::select! {
            ended = beside.join_next() => tracing::error!(?ended, "a task of this node ended"),
            _ = self.serve(&around, first) => {}
        }
    }

    /// One tenure after the other.
    async fn serve(self: &Arc<Self>, around: &Surroundings, first: Tenure) -> std::convert::Infallible {
        let mut tenure = first;
        loop {
            self.serve_tenure(around, tenure).await;
            around.gateway.metrics.leases_lost.inc();
            tracing::warn!(epoch = tenure.epoch, "this node's lease is over: it joins again");
            tenure = loop {
                match self.join(&around.dispatcher).await {
                    Ok(tenure) => break tenure,
                    Err(error) => tracing::warn!(%error, "joining failed; it is tried again"),
                }
                tokio::time::sleep(JOIN_AGAIN).await;
            };
        }
    }

    /// Renews the lease and follows who is to hold what, until another node has taken over.
    async fn serve_tenure(self: &Arc<Self>, around: &Surroundings, tenure: Tenure) {
        let mut beats = tokio::time::interval(Duration::from_millis(self.lease_s * 1_000 / BEATS_PER_LEASE));
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beats.tick() => {}
                () = self.look.notified() => {}
                () = self.standing.ended(tenure.epoch) => {
                    around.dispatcher.ownership().end(tenure.epoch);
                    return;
                }
            }
            let sent = BootClock.now_ms();
            match self.cluster.heartbeat(tenure, self.lease_s).await {
                Ok(Some(view)) => {
                    let until = self.until(sent);
                    if !around.dispatcher.ownership().renew(tenure.epoch, until) {
                        // It was over here, and nobody has taken over: it goes on as it was.
                        around.dispatcher.begin(tenure.epoch, until);
                    }
                    self.follow(around, tenure, &view);
                }
                Ok(None) => {
                    around.dispatcher.ownership().end(tenure.epoch);
                    self.standing.end(tenure.epoch);
                    return;
                }
                Err(error) => tracing::warn!(%error, "the lease could not be renewed; it is tried again"),
            }
        }
    }

    /// Takes what is this node's, gives what is wanted, and notices changes that nobody told of.
    fn follow(self: &Arc<Self>, around: &Surroundings, tenure: Tenure, view: &View) {
        let metrics = &around.gateway.metrics;
        self.follow_configuration(around, view.configuration);
        let held = around.dispatcher.ownership().slots();
        let lost = held.difference(&view.own);
        if !lost.is_empty() {
            around.dispatcher.lose(&lost);
        }
        let gained = view.own.difference(&held).difference(&view.wanted).difference(&self.handing());
        if !gained.is_empty() {
            // A large backlog takes long to take up, and the lease has to be renewed meanwhile.
            around.dispatcher.hold(&gained);
            tracing::info!(slots = gained.len(), "slots were gained");
            tokio::spawn(look_until_read(around.dispatcher.clone(), gained));
        }
        let to_hand = view.wanted.difference(&self.handing());
        if !to_hand.is_empty() {
            let mut handing = self.handing();
            *handing = handing.union(&to_hand);
            drop(handing);
            tokio::spawn(Arc::clone(self).hand_over(around.clone(), tenure, to_hand));
        }
        metrics.slots_held.set(around.dispatcher.ownership().slots().len() as i64);
        metrics.nodes.set(view.nodes as i64);
        self.takers.store(view.takers, Ordering::Release);
    }

    /// What has changed without this node's being told is read anew when it is needed. Lanes follow a heartbeat
    /// later: most often they were told by then.
    fn follow_configuration(self: &Arc<Self>, around: &Surroundings, version: i64) {
        if self.configuration.fetch_max(version, Ordering::AcqRel) < version {
            around.gateway.snapshots.forget_all();
        }
        let before = self.configuration_before.swap(version, Ordering::AcqRel);
        if self.followed.load(Ordering::Acquire) >= before {
            return;
        }
        self.followed.fetch_max(version, Ordering::AcqRel);
        let (node, dispatcher) = (Arc::clone(self), around.dispatcher.clone());
        tokio::spawn(async move {
            if let Err(error) = dispatcher.refresh_all().await {
                tracing::warn!(%error, "what has changed could not be read; it is tried again");
                node.followed.store(0, Ordering::Release);
            }
        });
    }

    /// Gives slots away as soon as nothing of them is in flight: those that are ready at the same time together.
    async fn hand_over(self: Arc<Self>, around: Surroundings, tenure: Tenure, slots: SlotSet) {
        around.dispatcher.lose(&slots);
        if around.dispatcher.released(&slots, IDLE_HAND_OVER).await {
            self.hand(&around, tenure, slots).await;
            return;
        }
        let mut releasing: JoinSet<Slot> = JoinSet::new();
        for slot in slots.iter() {
            let dispatcher = around.dispatcher.clone();
            releasing.spawn(async move {
                if !dispatcher.released(&SlotSet::from_iter([slot]), HAND_OVER_MAX).await {
                    tracing::warn!(slot = slot.0, "a slot is handed over with attempts in flight");
                }
                slot
            });
        }
        while let Some(first) = releasing.join_next().await {
            let others = std::iter::from_fn(|| releasing.try_join_next());
            let ready: SlotSet = std::iter::once(first).chain(others).filter_map(Result::ok).collect();
            self.hand(&around, tenure, ready).await;
        }
    }

    async fn hand(&self, around: &Surroundings, tenure: Tenure, slots: SlotSet) {
        match self.cluster.hand_over(tenure, slots).await {
            Ok(()) => {
                around.gateway.metrics.hand_overs.inc_by(slots.len() as u64);
            }
            Err(error) => tracing::warn!(%error, "slots could not be handed over; it is tried again"),
        }
        let mut handing = self.handing();
        *handing = handing.difference(&slots);
        drop(handing);
        self.look.notify_one();
    }

    /// Follows what other nodes tell.
    async fn hear(self: Arc<Self>, around: Surroundings, mut heard: mpsc::Receiver<Heard>) {
        let mut batch = Vec::with_capacity(HEARD_AT_ONCE);
        while heard.recv_many(&mut batch, HEARD_AT_ONCE).await > 0 {
            let mut work: Option<(SlotSet, MessageKey, MessageKey)> = None;
            for what in batch.drain(..) {
                match what {
                    Heard::Anew => {
                        around.dispatcher.doubt_bodies();
                        around.gateway.snapshots.forget_all();
                        self.look.notify_one();
                        let held = around.dispatcher.ownership().slots();
                        tokio::spawn(look_until_read(around.dispatcher.clone(), held));
                    }
                    Heard::Bulletin(Bulletin::Work { slots, first, last }) => {
                        let (all, from, to) = work.unwrap_or((slots, first, last));
                        work = Some((all.union(&slots), from.min(first), to.max(last)));
                    }
                    Heard::Bulletin(bulletin) => self.hear_one(&around, bulletin).await,
                }
            }
            if let Some((slots, first, last)) = work
                && let Err(error) = self.take_up(&around, slots, first, last, usize::MAX).await
            {
                tracing::warn!(%error, "what other nodes have accepted could not be read; it is looked for again");
            }
        }
    }

    async fn hear_one(&self, around: &Surroundings, bulletin: Bulletin) {
        match bulletin {
            Bulletin::Configuration { version, node, apps } => {
                let before = self.configuration.fetch_max(version, Ordering::AcqRel);
                let is_own = self.standing.tenure().is_some_and(|tenure| tenure.number == node);
                let mut has_followed = true;
                match apps {
                    // What this node has changed it knows.
                    _ if is_own => {}
                    Some(apps) if version <= before + 1 => {
                        for app in apps {
                            if let Err(error) = around.dispatcher.refresh(app).await {
                                tracing::warn!(%error, "an application could not be read anew");
                                has_followed = false;
                            }
                        }
                    }
                    _ => around.gateway.snapshots.forget_all(),
                }
                if has_followed {
                    // Where one before it was missed, the heartbeat finds out.
                    let _ = self.followed.compare_exchange(version - 1, version, Ordering::AcqRel, Ordering::Acquire);
                }
            }
            Bulletin::Slots => self.look.notify_one(),
            Bulletin::Waits(waits) => around.dispatcher.waits(&waits),
            Bulletin::Expunged(message) => around.dispatcher.expunged(message),
            Bulletin::Work { .. } => {}
        }
    }

    /// Takes up pending deliveries of slots that are held, page by page.
    async fn take_up(
        &self,
        around: &Surroundings,
        slots: SlotSet,
        first: MessageKey,
        last: MessageKey,
        pages: usize,
    ) -> Result<(), ReadError> {
        let held = slots.intersection(&around.dispatcher.ownership().slots());
        let mut after = None;
        let Some(tenure) = self.standing.tenure().filter(|_| !held.is_empty()) else { return Ok(()) };
        for _ in 0..pages {
            let reading = around.dispatcher.reading();
            let (page, next) = arriving(&self.reader, tenure.number, held, (first, last), after).await?;
            let arrivals = page.into_iter().map(|arriving| Arrival {
                endpoint: arriving.endpoint,
                app: arriving.message.app,
                version: arriving.version,
                message: arriving.message,
            });
            around.dispatcher.arrived(&reading, arrivals.collect());
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Tells other nodes what was committed for them.
    async fn tell_others(self: Arc<Self>) {
        loop {
            self.teller.arrived.notified().await;
            tokio::time::sleep(TELL_EVERY).await;
            let news = std::mem::take(&mut *self.teller.news.lock().unwrap_or_else(PoisonError::into_inner));
            if news.is_empty() {
                continue;
            }
            let work = news.messages.map(|(first, last)| (news.slots, first, last));
            if let Err(error) = self.cluster.tell(work, news.waits.clone()).await {
                tracing::warn!(%error, "other nodes could not be told; it is tried again");
                if news.waits.len() <= NEWS_KEPT_MAX {
                    self.teller.tell(news);
                }
                tokio::time::sleep(JOIN_AGAIN).await;
            }
        }
    }

    /// Looks for what no bulletin told of.
    async fn sweep(self: Arc<Self>, around: Surroundings) {
        for round in 1_u32.. {
            tokio::time::sleep(SWEEP_EVERY).await;
            let held = around.dispatcher.ownership().slots();
            let now = around.gateway.clock.now_ms();
            let (first, last) = (first_key_at(now - SWEEP_BACK_MS), first_key_at(now - SWEEP_YOUNG_MS));
            let swept = if round.is_multiple_of(LOOK_EVERY) {
                around.dispatcher.look(&held).await.map(drop)
            } else {
                self.take_up(&around, held, MessageKey(first), MessageKey(last), SWEEP_PAGES_MAX).await
            };
            if let Err(error) = swept {
                tracing::warn!(%error, "what is pending could not be looked at; it is tried again");
            }
        }
    }

    /// On the node that holds the first slot: partitions, unique keys, counts. On each: how the database
    /// replicates.
    async fn keep_up(self: Arc<Self>, around: Surroundings) {
        let admission = &around.gateway.admission;
        for round in 0_u64.. {
            if round.is_multiple_of(MEASURE_EVERY)
                && let Ok(sizes) = self.cluster.sizes().await
            {
                for (table, sizes) in sizes {
                    around.gateway.metrics.set_table(table, sizes);
                }
            }
            if around.dispatcher.ownership().may_work(Slot(0)) {
                for _ in 0..UPKEEP_ROUNDS_MAX {
                    match self.cluster.upkeep(around.gateway.clock.now_ms()).await {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => {
                            tracing::warn!(%error, "the database's upkeep failed; it is tried again");
                            break;
                        }
                    }
                }
            }
            if let Ok(late) = self.cluster.replicates_asynchronously().await
                && admission.set_replicates_late(late)
                && late
            {
                tracing::warn!(
                    "the database's standby follows later than it commits: a failover may lose what was acknowledged"
                );
            }
            tokio::time::sleep(UPKEEP_EVERY).await;
        }
    }

    /// Hands over all that this node holds, as far as another takes it, `deadline` at most.
    pub(super) async fn leave(&self, dispatcher: &Dispatcher, deadline: Duration) {
        let Some(tenure) = self.standing.tenure() else { return };
        if let Err(error) = self.cluster.leave(tenure).await {
            tracing::warn!(%error, "this node could not say that it leaves");
            return;
        }
        self.look.notify_one();
        let handed = async {
            loop {
                tokio::time::sleep(LEAVING_LOOK).await;
                let is_busy = !self.handing().is_empty() || !dispatcher.ownership().slots().is_empty();
                if !is_busy || self.takers.load(Ordering::Acquire) == 0 {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(deadline, handed).await;
    }

    /// This node is gone.
    pub(super) async fn end(&self) {
        if let Some(tenure) = self.standing.tenure() {
            // Without it others wait for the end of the lease.
            let _ = self.cluster.end(tenure).await;
        }
    }
}

/// Looks at slots until what they have could be read.
async fn look_until_read(dispatcher: Dispatcher, slots: SlotSet) {
    while let Err(error) = dispatcher.look(&slots).await {
        tracing::warn!(%error, "what slots have could not be read; it is tried again");
        tokio::time::sleep(JOIN_AGAIN).await;
    }
}
