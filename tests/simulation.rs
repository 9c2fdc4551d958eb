//! The real journal, dispatch and record over the memory store: paused time, seeded randomness,
//! scripted endpoints, crashes. Each seed is one history; a failure prints its seed, and
//! `POSTHOUSE_SIM_SEED=N cargo test --release --test simulation` runs that one alone.
//!
//! First anything may go wrong (safety is checked at every step), then all heals and everything
//! must end (liveness).

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use posthouse::dispatch::ownership::Ownership;
use posthouse::dispatch::runner::{Alone, Deliver, Dispatcher, Letter, Parts};
use posthouse::dispatch::scheduler::SchedulerLimits;
use posthouse::metrics::Metrics;
use posthouse::model::routing::route;
use posthouse::model::{
    AppKey, ApplicationSpec, Clock, Endpoint, EndpointKey, EndpointSpec, EnvKey, Envelope, Id, IdKind, MessageKey,
    Outcome, OutcomeKind, SecretBytes, SlotSet, UnixMs,
};
use posthouse::store::command::{Change, ChangeRequest, Changed, Command, Done, EndpointPatch, Publish, Reply};
use posthouse::store::journal::{Health, Journal, JournalLimits};
use posthouse::store::memory::{MemoryStore, MemoryWriter};
use posthouse::store::snapshots::Snapshots;
use posthouse::store::{CommitError, StoreReader, StoreWriter};

const SEEDS: u64 = 60;
const SEEDS_SOAK: u64 = 10_000;
const ENDPOINTS: usize = 8;
const STEPS: usize = 120;
const SCHEDULE: [u32; 4] = [5, 30, 120, 600];
const DEADLINE: Duration = Duration::from_secs(15);
const START: UnixMs = 1_800_000_000_000;
const WINDOW_MAX: u32 = 20;

struct SimClock(Instant);

impl Clock for SimClock {
    fn now_ms(&self) -> UnixMs {
        START + self.0.elapsed().as_millis() as i64
    }
}

/// How an endpoint behaves at the moment.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Flaky,
    Failing,
    Hanging,
    Refusing,
    Busy,
    Gone,
}

const MOODS: [Mood; 7] =
    [Mood::Well, Mood::Flaky, Mood::Failing, Mood::Hanging, Mood::Refusing, Mood::Busy, Mood::Gone];

#[derive(Default)]
struct EndpointWorld {
    mood: Option<Mood>,
    in_flight: u32,
    delivered: HashMap<String, u32>,
    last_failure: HashMap<String, UnixMs>,
    /// No attempt may begin from here on (deleted), or none that is scheduled (disabled).
    closed_since: Option<UnixMs>,
}

/// What is outside: endpoints, and a generator for all that is random.
struct World {
    seed: u64,
    clock: Arc<SimClock>,
    rng: Mutex<SmallRng>,
    endpoints: Mutex<HashMap<EndpointKey, EndpointWorld>>,
    /// By number, which each body begins with.
    bodies: Mutex<HashMap<String, Bytes>>,
    resent: Mutex<HashSet<(EndpointKey, String)>>,
}

impl World {
    fn chance(&self, percent: u32) -> bool {
        self.rng.lock().unwrap().random_range(0..100) < percent
    }

    fn range(&self, range: std::ops::Range<u64>) -> u64 {
        self.rng.lock().unwrap().random_range(range)
    }

    /// If so, no attempt may begin from now on.
    fn end(&self, endpoint: EndpointKey, ended: bool) {
        let now = self.clock.now_ms();
        self.with(endpoint, |state| state.closed_since = if ended { Some(now + 1) } else { state.closed_since });
    }

    fn with<T>(&self, endpoint: EndpointKey, f: impl FnOnce(&mut EndpointWorld) -> T) -> T {
        f(self.endpoints.lock().unwrap().entry(endpoint).or_default())
    }
}

/// A life of the process: after its crash nothing that it had begun comes to an end.
struct Life {
    world: Arc<World>,
    dead: Arc<AtomicBool>,
    dispatcher: Mutex<Option<Dispatcher>>,
}

impl Life {
    async fn alive(&self) {
        if self.dead.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
    }

    fn begin(&self, endpoint: &Endpoint, letter: Letter<'_>) {
        let (key, world) = (endpoint.key(), &self.world);
        let now = world.clock.now_ms();
        let seed = world.seed;
        let text = std::str::from_utf8(letter.payload).expect("our own bodies are text");
        let number = text.split(',').next().unwrap_or_default();
        assert_eq!(world.bodies.lock().unwrap().get(number), Some(letter.payload), "seed {seed}: another body");
        if let Some(dispatcher) = &*self.dispatcher.lock().unwrap() {
            let (in_flight, _) = dispatcher.window_of(key).expect("a lane");
            assert!(in_flight <= WINDOW_MAX, "seed {seed}: {in_flight} in flight");
        }
        let resent = world.resent.lock().unwrap().contains(&(key, letter.id.to_owned()));
        world.with(key, |state| {
            state.in_flight += 1;
            assert!(state.in_flight <= WINDOW_MAX, "seed {seed}: {} in flight at the endpoint", state.in_flight);
            if let Some(closed) = state.closed_since {
                assert!(now < closed, "seed {seed}: an attempt at {now} after the end at {closed}");
            }
            if let (Some(failed), false) = (state.last_failure.get(letter.id), resent) {
                let least = i64::from(SCHEDULE[0]) * 1000;
                assert!(now - failed >= least, "seed {seed}: a retry after {} ms", now - failed);
            }
        });
    }
}

#[async_trait]
impl Deliver for Life {
    async fn attempt(&self, endpoint: &Arc<Endpoint>, letter: Letter<'_>) -> Outcome {
        self.alive().await;
        self.begin(endpoint, letter);
        let (key, world) = (endpoint.key(), &self.world);
        let began = world.clock.now_ms();
        let mood = world.with(key, |state| state.mood.unwrap_or(Mood::Well));
        let mood = if mood == Mood::Flaky && world.chance(60) { Mood::Well } else { mood };
        let latency = match mood {
            Mood::Hanging => DEADLINE,
            Mood::Refusing => Duration::from_millis(1),
            _ => Duration::from_millis(world.range(1..400)),
        };
        tokio::time::sleep(latency).await;
        let now = world.clock.now_ms();
        // The receiver has it, whether we live to see its answer or not.
        let (kind, status) = match mood {
            Mood::Well => (OutcomeKind::Success, 200),
            Mood::Flaky | Mood::Failing => (OutcomeKind::Status, 500),
            Mood::Busy => (OutcomeKind::Status, 503),
            Mood::Gone => (OutcomeKind::Status, 410),
            Mood::Hanging => (OutcomeKind::Timeout, 0),
            Mood::Refusing => (OutcomeKind::Connect, 0),
        };
        world.with(key, |state| {
            state.in_flight = state.in_flight.saturating_sub(1);
            if kind == OutcomeKind::Success {
                *state.delivered.entry(letter.id.to_owned()).or_default() += 1;
            } else if !self.dead.load(Ordering::Acquire) {
                state.last_failure.insert(letter.id.to_owned(), now);
            }
        });
        self.alive().await;
        let retry_after_s = (mood == Mood::Busy).then(|| world.range(0..40) as u32);
        let duration_ms = (now - began) as u32;
        Outcome { status, retry_after_s, ..Outcome::without_answer(kind, began, duration_ms) }
    }
}

/// A writer whose process may end right after a commit, before anybody is answered.
struct FragileWriter {
    inner: MemoryWriter,
    world: Arc<World>,
    fragile: Arc<AtomicBool>,
}

impl StoreWriter for FragileWriter {
    fn commit(&mut self, batch: &[Command]) -> Result<Vec<Reply>, CommitError> {
        if self.fragile.load(Ordering::Acquire) {
            match self.world.range(0..200) {
                0 => return Err(CommitError::Full),
                1 => return Err(CommitError::Io("before the commit".into())),
                2 => {
                    self.inner.commit(batch)?;
                    return Err(CommitError::Io("after the commit".into()));
                }
                _ => {}
            }
        }
        self.inner.commit(batch)
    }

    fn tend(&mut self, now: UnixMs) -> Result<bool, CommitError> {
        self.inner.tend(now)
    }

    fn backup(&mut self, _: &Path, _: &mut dyn FnMut(&mut dyn StoreWriter)) -> anyhow::Result<()> {
        anyhow::bail!("not in the simulation")
    }
}

/// A running process.
struct Node {
    journal: Journal,
    snapshots: Arc<Snapshots>,
    dispatcher: Dispatcher,
    dead: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    health: tokio::sync::watch::Receiver<Health>,
}

impl Node {
    async fn start(world: &Arc<World>, store: &MemoryStore, fragile: &Arc<AtomicBool>) -> Self {
        let metrics = Arc::new(Metrics::new());
        let clock: Arc<dyn Clock> = world.clock.clone();
        let limits = JournalLimits { rows_max: 10_000, bytes_max: 1 << 24 };
        let (journal, task) = Journal::new(limits, Arc::clone(&metrics), Arc::clone(&clock));
        let reader: Arc<dyn StoreReader> = Arc::new(store.clone());
        let snapshots = Arc::new(Snapshots::new(Arc::clone(&reader), 100));
        let dead = Arc::new(AtomicBool::new(false));
        let life = Arc::new(Life { world: Arc::clone(world), dead: dead.clone(), dispatcher: Mutex::new(None) });
        let random_world = Arc::clone(world);
        let dispatcher = Dispatcher::new(Parts {
            limits: SchedulerLimits {
                in_flight_max: 60,
                unproven_in_flight_max: 30,
                window_max: WINDOW_MAX,
                in_memory_max: 60,
                lane_in_memory_max: 12,
            },
            payload_bytes_max: 4_000,
            ownership: Ownership::all(),
            neighbours: Arc::new(Alone),
            retry_schedule: SCHEDULE.to_vec().into(),
            snapshots: Arc::clone(&snapshots),
            reader,
            journal: journal.clone(),
            deliver: life.clone(),
            clock,
            random: Box::new(move || random_world.rng.lock().unwrap().random()),
            metrics,
            lines: None,
            runtime: tokio::runtime::Handle::current(),
        });
        *life.dispatcher.lock().unwrap() = Some(dispatcher.clone());
        dispatcher.gain(&SlotSet::FULL).await.expect("recovers");
        let mut writer =
            FragileWriter { inner: store.writer(), world: Arc::clone(world), fragile: Arc::clone(fragile) };
        let (health, observer, timers) = (journal.health(), dispatcher.clone(), dispatcher.clone());
        let tasks = vec![
            tokio::task::spawn_local(async move {
                task.run(&mut writer, &observer).await;
            }),
            tokio::task::spawn_local(async move { timers.run_timers().await }),
        ];
        Self { journal, snapshots, dispatcher, dead, tasks, health }
    }

    /// Ends at once: nothing that was begun comes to an end.
    fn crash(self, world: &World) {
        self.dead.store(true, Ordering::Release);
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        for state in world.endpoints.lock().unwrap().values_mut() {
            state.in_flight = 0;
            // What was tried and not recorded may be tried again at once.
            state.last_failure.clear();
        }
    }

    async fn change(&self, world: &World, change: Change) -> Option<Changed> {
        let request = ChangeRequest { at: world.clock.now_ms(), idempotency: None, change };
        match self.journal.commit(Command::Change(Box::new(request))).await {
            Ok(Ok(Done::Changed(changed))) => Some(*changed),
            _ => None,
        }
    }
}

/// What was acknowledged: the message, and the endpoints that it was routed to.
type Ledger = Vec<(Id, Vec<EndpointKey>)>;

async fn publish(node: &Node, world: &World, app: AppKey, number: usize, ledger: &mut Ledger) {
    let Ok(Some(config)) = node.snapshots.app(app).await else { return };
    let routes = route(&config, "sim.event", &[]);
    let mut destinations: Vec<EndpointKey> = routes.iter().map(|route| route.endpoint).collect();
    let head = format!("{{\"number\":{number}");
    let payload = Bytes::from(format!("{head},\"pad\":\"{}\"}}", "x".repeat(world.range(0..300) as usize)));
    world.bodies.lock().unwrap().insert(head, payload.clone());
    let at = world.clock.now_ms();
    let envelope = Envelope {
        event_type: "sim.event".into(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        deliver_at: world.chance(10).then(|| at + world.range(0..90_000) as i64),
        content_type: None,
    };
    let (only, idempotency, inbound) = (None, None, None);
    let publish = Publish { config, routes, envelope, payload, payload_days: 90, only, idempotency, inbound, at };
    let Ok(answer) = node.journal.submit(Command::Publish(Box::new(publish))) else { return };
    if let Ok(Ok(Done::Published(published))) = answer.await {
        if let Some((_, routes)) = published.rerouted {
            destinations = routes.iter().map(|route| route.endpoint).collect();
        }
        ledger.push((published.id, destinations));
    }
}

async fn setup(node: &Node, world: &World) -> (AppKey, Vec<EndpointKey>) {
    let spec = ApplicationSpec { name: "sim".into(), ..ApplicationSpec::default() };
    let change = Change::CreateApplication { env: EnvKey(1), uid: None, spec, get_if_exists: false };
    let Some(Changed::Application(app, _)) = node.change(world, change).await else { panic!("no application") };
    let mut endpoints = Vec::new();
    for i in 0..ENDPOINTS {
        let spec = EndpointSpec {
            url: format!("https://receiver-{i}.example/"),
            throttle_rate: (i == 0).then_some(5),
            ..EndpointSpec::default()
        };
        let secret = SecretBytes::new(vec![7; 24]);
        let change = Change::CreateEndpoint { app: app.key(), uid: None, spec: Box::new(spec), secret };
        let Some(Changed::Endpoint(endpoint, _)) = node.change(world, change).await else { panic!("no endpoint") };
        endpoints.push(endpoint.key());
    }
    (app.key(), endpoints)
}

/// One thing that an owner does to an endpoint.
async fn meddle(node: &Node, world: &World, app: AppKey, endpoints: &mut Vec<EndpointKey>, ledger: &Ledger) {
    let endpoint = endpoints[world.range(0..endpoints.len() as u64) as usize];
    let set_disabled = |disabled| {
        let patch = EndpointPatch { disabled: Some(disabled), ..EndpointPatch::default() };
        Change::PatchEndpoint { app, endpoint, patch: Box::new(patch) }
    };
    match world.range(0..10) {
        0 if endpoints.len() > 4 => {
            let deleted = node.change(world, Change::DeleteEndpoint { app, endpoint }).await.is_some();
            world.end(endpoint, deleted);
            endpoints.retain(|other| !deleted || *other != endpoint);
        }
        1 | 2 => {
            let disabled = node.change(world, set_disabled(true)).await.is_some();
            world.end(endpoint, disabled);
        }
        3..=5 => {
            world.with(endpoint, |state| state.closed_since = None);
            node.change(world, set_disabled(false)).await;
        }
        _ if !ledger.is_empty() => {
            let (message, _) = &ledger[world.range(0..ledger.len() as u64) as usize];
            world.resent.lock().unwrap().insert((endpoint, message.format(IdKind::Message)));
            node.change(world, Change::Resend { app, endpoint, message: MessageKey(message.key) }).await;
        }
        _ => {}
    }
}

/// After a change whose answer was lost in a crash, the store says what holds.
async fn look_again(store: &MemoryStore, world: &World, app: AppKey, endpoints: &mut Vec<EndpointKey>) {
    let config = store.app_config(app).await.unwrap().expect("the application");
    endpoints.retain(|endpoint| config.endpoint(*endpoint).is_some());
    let now = world.clock.now_ms();
    for (key, state) in world.endpoints.lock().unwrap().iter_mut() {
        let open = config.endpoint(*key).is_some_and(|endpoint| endpoint.spec.disabled.is_none());
        state.closed_since = if open { None } else { state.closed_since.or(Some(now + 1)) };
    }
}

async fn history(seed: u64) {
    let clock = Arc::new(SimClock(Instant::now()));
    let world = Arc::new(World {
        seed,
        clock,
        rng: Mutex::new(SmallRng::seed_from_u64(seed)),
        endpoints: Mutex::default(),
        bodies: Mutex::default(),
        resent: Mutex::default(),
    });
    let store = MemoryStore::new(seed);
    let fragile = Arc::new(AtomicBool::new(false));
    let mut node = Node::start(&world, &store, &fragile).await;
    let (app, mut endpoints) = setup(&node, &world).await;
    let all = endpoints.clone();
    fragile.store(true, Ordering::Release);
    let mut ledger = Ledger::new();
    let mut attempts_seen = 0;
    for step in 0..STEPS {
        match world.range(0..100) {
            0..60 => {
                for burst in 0..world.range(1..12) {
                    publish(&node, &world, app, step * 100 + burst as usize, &mut ledger).await;
                }
            }
            60..75 => {
                let endpoint = endpoints[world.range(0..endpoints.len() as u64) as usize];
                let mood = MOODS[world.range(0..MOODS.len() as u64) as usize];
                world.with(endpoint, |state| state.mood = Some(mood));
            }
            75..85 => meddle(&node, &world, app, &mut endpoints, &ledger).await,
            _ => tokio::time::sleep(Duration::from_millis(world.range(1..40_000))).await,
        }
        tokio::time::sleep(Duration::from_millis(world.range(0..50))).await;
        let attempts = store.all_attempts().len();
        assert!(attempts >= attempts_seen, "seed {seed}: attempts only grow");
        attempts_seen = attempts;
        let failed = *node.health.borrow() == Health::Failed;
        if failed || world.chance(4) {
            node.crash(&world);
            look_again(&store, &world, app, &mut endpoints).await;
            node = Node::start(&world, &store, &fragile).await;
        }
    }
    fragile.store(false, Ordering::Release);
    if *node.health.borrow() == Health::Failed {
        node.crash(&world);
        node = Node::start(&world, &store, &fragile).await;
    }
    look_again(&store, &world, app, &mut endpoints).await;
    heal(seed, &node, &world, &store, &all, &ledger).await;
}

/// All endpoints are well from now on: everything ends, and nothing acknowledged is missing.
async fn heal(seed: u64, node: &Node, world: &World, store: &MemoryStore, all: &[EndpointKey], ledger: &Ledger) {
    for endpoint in all {
        world.with(*endpoint, |state| state.mood = Some(Mood::Well));
    }
    let longest = Duration::from_secs(u64::from(SCHEDULE[3]) * 3 + 200);
    let quiet = tokio::time::timeout(longest, async {
        while !store.all_pending().is_empty() || !store.all_waiting().is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let quiet = quiet.await.is_ok();
    assert!(quiet, "seed {seed}: still open: pending {:?}, waiting {:?}", store.all_pending(), store.all_waiting());
    let (_, in_flight) = node.dispatcher.load();
    assert_eq!(in_flight, 0, "seed {seed}: places in flight were not given back");
    let parked: HashSet<(i64, i64)> =
        store.all_parked().iter().map(|(key, _)| (key.message.0, key.endpoint.0)).collect();
    let config = store.app_config(AppKey(store.all_messages()[0].app.0)).await.unwrap().unwrap();
    for (message, routed) in ledger {
        let public = message.format(IdKind::Message);
        for endpoint in routed.iter().filter(|endpoint| config.endpoint(**endpoint).is_some()) {
            let delivered = world.with(*endpoint, |state| state.delivered.contains_key(&public));
            assert!(
                delivered || parked.contains(&(message.key, endpoint.0)),
                "seed {seed}: {public} to {endpoint:?} is neither delivered nor set aside"
            );
        }
    }
}

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, history(seed));
}

#[test]
fn nothing_acknowledged_is_lost_in_any_history() {
    let named = std::env::var("POSTHOUSE_SIM_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = match (named, std::env::var_os("POSTHOUSE_SOAK")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(_)) => 0..SEEDS_SOAK,
        (None, None) => 0..SEEDS,
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("the simulation failed with seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
