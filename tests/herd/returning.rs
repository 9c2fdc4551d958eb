//! An endpoint that was away while everything fell due comes back: it gets a little first, then more,
//! and nothing before its time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::is_soak;
use crate::support::app::TestApp;
use crate::support::receiver::{Received, Receiver};
use crate::support::reply::Reply;
use crate::support::wait::{eventually, when};

/// How long the receiver takes for each request: the length of one round.
const ROUND: Duration = Duration::from_millis(50);
/// A clock of milliseconds here and there, and no more.
const EARLY_MAX: Duration = Duration::from_millis(5);
/// What is in flight to it at once, at most, by the defaults.
const WINDOW_MAX: usize = 256;
/// Publishing at once.
const PUBLISHING: usize = 64;

#[derive(Clone, Copy)]
struct Size {
    messages: usize,
    /// Seconds before the first retry: longer than all first attempts take.
    first_retry_s: u64,
    patience: Duration,
}

const SHORT: Size = Size { messages: 3_000, first_retry_s: 4, patience: Duration::from_secs(30) };
const FULL: Size = Size { messages: 50_000, first_retry_s: 60, patience: Duration::from_mins(5) };

/// When each message came, in order.
type Arrivals = Arc<Mutex<HashMap<String, Vec<Instant>>>>;

fn lock(arrivals: &Arrivals) -> MutexGuard<'_, HashMap<String, Vec<Instant>>> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A receiver that fails until it is well, at a port or a new one.
async fn receiver(arrivals: &Arrivals, well: &Arc<AtomicBool>, port: u16) -> Receiver {
    let (arrivals, well) = (Arc::clone(arrivals), Arc::clone(well));
    let handler = move |received: Received| {
        lock(&arrivals).entry(received.message_id().to_owned()).or_default().push(received.at);
        if well.load(Ordering::Relaxed) { Reply::ok().after(ROUND) } else { Reply::status(500) }
    };
    Receiver::start_at(port, handler).await
}

async fn publish_all(app: &TestApp, app_id: &str, messages: usize) {
    let mut publishing = JoinSet::new();
    for first in 0..PUBLISHING {
        let (client, path) = (app.client.clone(), format!("/api/v1/app/{app_id}/msg"));
        publishing.spawn(async move {
            for _ in (first..messages).step_by(PUBLISHING) {
                client.post(&path, json!({ "eventType": "e", "payload": {} })).await.expect(202);
            }
        });
    }
    while let Some(done) = publishing.join_next().await {
        done.expect("all is accepted");
    }
}

/// Arrivals within `round` of each arrival: what may be in flight together.
fn most_at_once(arrivals: &[Instant], round: Duration) -> usize {
    let mut first = 0;
    let counts = arrivals.iter().enumerate().map(|(last, at)| {
        while *at - arrivals[first] >= round {
            first += 1;
        }
        last - first + 1
    });
    counts.max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fell_due_meanwhile_comes_slowly_first_and_never_early() {
    let size = if is_soak() { FULL } else { SHORT };
    // Probes that fail use up retries of some messages.
    let schedule = format!("{},1,1,1,1,1,1,1,1", size.first_retry_s);
    let how = TestApp::builder().set("delivery.retry_schedule", schedule).set("log.attempts", "none");
    let app = how.start().await;
    let (arrivals, well) = (Arrivals::default(), Arc::new(AtomicBool::new(false)));
    let failing = receiver(&arrivals, &well, 0).await;
    let port = failing.port();
    let app_id = app.application("Herd").await;
    app.endpoint(&app_id, &failing.url("/")).await;

    let began = Instant::now();
    publish_all(&app, &app_id, size.messages).await;
    let all_once = async || when(lock(&arrivals).len() == size.messages);
    eventually("all have failed once", size.patience, all_once).await;
    let first_round = began.elapsed();
    assert!(first_round < Duration::from_secs(size.first_retry_s), "{first_round:?}: retries began meanwhile");
    drop(failing);

    // It is away until everything is due: a retry is at most a fifth late.
    let all_due = Duration::from_millis(size.first_retry_s * 1_200);
    let last_failed = Instant::now();
    eventually("all are due", size.patience, async || when(last_failed.elapsed() >= all_due)).await;
    assert!(lock(&arrivals).values().all(|at| at.len() == 1), "nothing arrived while it was away");
    well.store(true, Ordering::Relaxed);
    let back = receiver(&arrivals, &well, port).await;
    let returned = Instant::now();
    let all_twice = async || when(lock(&arrivals).values().filter(|at| at.len() > 1).count() == size.messages);
    eventually("all have arrived", size.patience, all_twice).await;
    let took = returned.elapsed();
    drop(back);

    let arrivals = lock(&arrivals).clone();
    let wait = Duration::from_secs(size.first_retry_s);
    for at in arrivals.values() {
        assert_eq!(at.len(), 2, "each arrives once");
        assert!(at[1] - at[0] + EARLY_MAX >= wait, "a retry after {:?}, {wait:?} is its time", at[1] - at[0]);
    }
    let mut again: Vec<_> = arrivals.values().map(|at| at[1]).collect();
    again.sort_unstable();
    let within = |rounds: u32| again.iter().take_while(|at| **at - again[0] < ROUND * rounds).count();
    let early = [1, 2, 3, 4].map(within);
    let most = most_at_once(&again, ROUND.saturating_sub(EARLY_MAX));
    println!(
        "{} retries at once: all there {took:?} after the return; arrived within 1, 2, 3, 4 rounds of {ROUND:?}: \
         {early:?}; at most {most} at once",
        size.messages
    );
    // The probe alone, then a window that grows by one with each answer: it doubles with a round.
    assert!(early[0] <= 2 && early[1] <= 6 && early[3] <= 40, "{early:?} in the first rounds");
    assert!(most <= WINDOW_MAX + 8, "{most} at once");
    assert!(most >= WINDOW_MAX / 2, "the window grew to {most} only");
}
