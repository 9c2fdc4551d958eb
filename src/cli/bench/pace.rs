//! The open loop: message `i` is due at `start + i / rate`, whatever the server does.
//!
//! A thread that sleeps keeps time (the runtime's timers know only milliseconds) and tells the
//! loop how many messages are due. Idle producers are woken last in first out, so that no more
//! connections are open than needed; when all are busy, up to the bound, messages wait and their
//! waiting counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::load::{Producer, Shared};
use super::stats::LoadStats;

/// The timekeeper sleeps no shorter, so that high rates come in small groups.
const TICK_MIN: Duration = Duration::from_micros(150);

/// The timekeeper's and the loop's common state.
#[derive(Debug)]
struct Due {
    start: Instant,
    per_second: f64,
    released: AtomicU64,
    over: AtomicBool,
    tick: Notify,
}

impl Due {
    fn at(&self, nth: u64) -> Instant {
        self.start + Duration::from_secs_f64(nth as f64 / self.per_second)
    }
}

/// Which messages were taken and who is free.
#[derive(Debug, Default)]
struct Pool {
    taken: u64,
    waking: u64,
    idle: Vec<Arc<Notify>>,
    spawned: u32,
}

fn lock(pool: &Mutex<Pool>) -> MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one thread's share of the rate to the end of the plan.
pub(super) async fn open_loop(shared: &Arc<Shared>, stats: &Arc<Mutex<LoadStats>>, rate: u32, nth: u32) {
    let per_second = f64::from(rate) / f64::from(shared.plan.threads);
    let offset = Duration::from_secs_f64(f64::from(nth) / f64::from(rate));
    let due = Arc::new(Due {
        start: shared.start + offset,
        per_second,
        released: AtomicU64::new(0),
        over: AtomicBool::new(false),
        tick: Notify::new(),
    });
    let timekeeper = {
        let (shared, due) = (Arc::clone(shared), Arc::clone(&due));
        std::thread::Builder::new().name("bench-time".into()).spawn(move || keep_time(&shared, &due))
    };
    if timekeeper.is_err() {
        return;
    }
    let pool = Arc::new(Mutex::new(Pool::default()));
    let mut producers = JoinSet::new();
    let bound = shared.plan.connections_max.div_ceil(shared.plan.threads);
    loop {
        due.tick.notified().await;
        let mut now = lock(&pool);
        let released = due.released.load(Relaxed);
        while now.taken + now.waking < released {
            if let Some(idle) = now.idle.pop() {
                idle.notify_one();
            } else if now.spawned < bound {
                now.spawned += 1;
                let producer = Producer::new(Arc::clone(shared), Arc::clone(stats));
                let work = produce(producer, Arc::clone(shared), Arc::clone(&due), Arc::clone(&pool));
                producers.spawn(work);
            } else {
                break;
            }
            now.waking += 1;
        }
        if due.over.load(Relaxed) {
            for idle in now.idle.drain(..) {
                idle.notify_one();
            }
            break;
        }
    }
    while producers.join_next().await.is_some() {}
}

fn keep_time(shared: &Shared, due: &Due) {
    let mut released = 0;
    loop {
        let now = Instant::now();
        let next = due.at(released);
        if shared.is_over(next.max(now)) || released >= shared.plan.messages {
            break;
        }
        if next > now {
            std::thread::park_timeout((next - now).max(TICK_MIN));
            continue;
        }
        let elapsed = now.saturating_duration_since(due.start).as_secs_f64();
        released = ((elapsed * due.per_second) as u64 + 1).max(released + 1);
        due.released.store(released, Relaxed);
        due.tick.notify_one();
    }
    due.over.store(true, Relaxed);
    due.tick.notify_one();
}

/// Takes what is due, one after another, and rests when nothing is.
async fn produce(mut producer: Producer, shared: Arc<Shared>, due: Arc<Due>, pool: Arc<Mutex<Pool>>) {
    let woken = Arc::new(Notify::new());
    let mut first = true;
    loop {
        let nth = {
            let mut state = lock(&pool);
            if std::mem::take(&mut first) {
                state.waking = state.waking.saturating_sub(1);
            }
            if state.taken < due.released.load(Relaxed) {
                state.taken += 1;
                Some(state.taken - 1)
            } else if due.over.load(Relaxed) {
                return;
            } else {
                state.idle.push(Arc::clone(&woken));
                None
            }
        };
        let Some(nth) = nth else {
            woken.notified().await;
            first = true;
            continue;
        };
        match shared.ticket(Some(due.at(nth))) {
            Some(ticket) => producer.publish(ticket).await,
            None => return,
        }
    }
}
