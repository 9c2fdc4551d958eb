//! Endpoints most of which are dead: the living ones are served as if they were alone, and the dead
//! ones are tried by their schedule and no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::is_soak;
use crate::support::app::{TestApp, id_of};
use crate::support::http::Client;
use crate::support::memory::{peak_kib, resident_kib};
use crate::support::receiver::{Received, Receiver};
use crate::support::reply::Reply;
use crate::support::wait::eventually;

const PER_APPLICATION: usize = 990;
/// Seconds before each retry.
const SCHEDULE_S: [u64; 3] = [2, 4, 8];
/// A clock of milliseconds here and there, and no more.
const EARLY_MAX: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_mins(2);
const P99_MAX: Duration = Duration::from_secs(2);
const RESIDENT_KIB_MAX: u64 = 300 * 1024;
/// Creations at once.
const CREATING: usize = 32;
const PACE: Duration = Duration::from_millis(20);
/// Between two messages to every dead endpoint.
const DEAD_PACE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy)]
struct Size {
    living: usize,
    dead_applications: usize,
    lasts: Duration,
    attempt_timeout_ms: u64,
}

const SHORT: Size = Size { living: 20, dead_applications: 2, lasts: Duration::from_secs(6), attempt_timeout_ms: 2_000 };
const FULL: Size =
    Size { living: 100, dead_applications: 10, lasts: Duration::from_mins(2), attempt_timeout_ms: 15_000 };

/// When each message came to each path.
type Arrivals = Arc<Mutex<HashMap<(String, String), Vec<Instant>>>>;

/// Notes what arrives, and does what the path says.
async fn receiver(arrivals: Arrivals) -> Receiver {
    Receiver::start_with(move |received: Received| {
        let reply = match received.path.split('/').nth(1) {
            Some("hang") => Reply::Hang,
            Some("fail") => Reply::status(500),
            _ => Reply::ok(),
        };
        let place = (received.path.clone(), received.message_id().to_owned());
        arrivals.lock().unwrap_or_else(PoisonError::into_inner).entry(place).or_default().push(received.at);
        reply
    })
    .await
}

/// Makes endpoints, several at a time.
async fn make_endpoints(client: &Client, app_id: &str, urls: Vec<String>) {
    let mut urls = urls.into_iter();
    let mut making = JoinSet::new();
    loop {
        while making.len() < CREATING
            && let Some(url) = urls.next()
        {
            let (client, path) = (client.clone(), format!("/api/v1/app/{app_id}/endpoint"));
            making.spawn(async move { client.post(path, json!({ "url": url })).await.expect(201) });
        }
        match making.join_next().await {
            None => return,
            Some(made) => drop(made.expect("it is made")),
        }
    }
}

/// Where the dead are: a third refuses, a third hangs, a third fails.
fn dead_urls(receiver: &Receiver, application: usize) -> Vec<String> {
    (0..PER_APPLICATION)
        .map(|number| match number % 3 {
            0 => format!("http://127.0.0.1:1/{application}/{number}"),
            1 => receiver.url(&format!("/hang/{application}/{number}")),
            _ => receiver.url(&format!("/fail/{application}/{number}")),
        })
        .collect()
}

async fn publish(client: &Client, app_id: &str) -> String {
    let body = json!({ "eventType": "e", "payload": { "some": "thing" } });
    id_of(&client.post(format!("/api/v1/app/{app_id}/msg"), body).await.expect(202).json())
}

/// Publishes to the living at a steady pace, and to the dead now and then; when each of the
/// living's messages was sent, with its path.
async fn load(
    client: &Client,
    living: &[String],
    dead: &[String],
    lasts: Duration,
) -> Vec<((String, String), Instant)> {
    let began = Instant::now();
    let mut sent = Vec::new();
    let (mut pace, mut dead_pace) = (tokio::time::interval(PACE), tokio::time::interval(DEAD_PACE));
    while began.elapsed() < lasts {
        tokio::select! {
            _ = dead_pace.tick() => for app_id in dead {
                publish(client, app_id).await;
            },
            _ = pace.tick() => {
                let number = sent.len() % living.len();
                let before = Instant::now();
                let message = publish(client, &living[number]).await;
                sent.push(((format!("/living/{number}"), message), before));
            }
        }
    }
    sent
}

/// How long messages took, from the call that publishes to the arrival.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Latencies {
    count: usize,
    p50: Duration,
    p99: Duration,
    slowest: Duration,
}

/// Waits until all have arrived.
async fn latencies(arrivals: &Arrivals, sent: &[((String, String), Instant)]) -> Latencies {
    let seen = || arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    eventually("the living have everything", PATIENCE, async || {
        let seen = seen();
        sent.iter().all(|(place, _)| seen.contains_key(place)).then_some(())
    })
    .await;
    let seen = seen();
    let mut took: Vec<_> = sent.iter().map(|(place, at)| seen[place][0] - *at).collect();
    took.sort_unstable();
    let count = took.len();
    Latencies { count, p50: took[count / 2], p99: took[count * 99 / 100], slowest: took[count - 1] }
}

/// No attempt of the dead came before its time.
fn assert_by_schedule(arrivals: &HashMap<(String, String), Vec<Instant>>) -> usize {
    let dead = arrivals.iter().filter(|((path, _), _)| !path.starts_with("/living"));
    let mut attempts = 0;
    for ((path, message), at) in dead {
        assert!(at.len() <= 1 + SCHEDULE_S.len(), "{path} {message}: {} attempts", at.len());
        for (pair, wait_s) in at.windows(2).zip(SCHEDULE_S) {
            let gap = pair[1] - pair[0];
            assert!(gap + EARLY_MAX >= Duration::from_secs(wait_s), "{path} {message}: again after {gap:?}");
        }
        attempts += at.len();
    }
    attempts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_living_do_not_notice_the_dead() {
    let size = if is_soak() { FULL } else { SHORT };
    let schedule = SCHEDULE_S.map(|seconds| seconds.to_string()).join(",");
    let how = TestApp::builder().set("delivery.retry_schedule", schedule).set("log.attempts", "none");
    let mut app = how.set("delivery.attempt_timeout_ms", size.attempt_timeout_ms).start().await;
    let arrivals = Arrivals::default();
    let receiver = receiver(Arc::clone(&arrivals)).await;
    let (mut living, mut dead) = (Vec::new(), Vec::new());
    for number in 0..size.dead_applications {
        let app_id = app.application(&format!("Dead {number}")).await;
        make_endpoints(&app.client, &app_id, dead_urls(&receiver, number)).await;
        dead.push(app_id);
    }
    for number in 0..size.living {
        let app_id = app.application(&format!("Living {number}")).await;
        app.endpoint(&app_id, &receiver.url(&format!("/living/{number}"))).await;
        living.push(app_id);
    }
    // Nothing is known of any of them; then all is known; then all is forgotten again.
    let first = load(&app.client, &living, &dead, size.lasts).await;
    let first = latencies(&arrivals, &first).await;
    // What is in flight ends first, so that no attempt is repeated.
    app.sigterm(PATIENCE).await;
    app.restart().await;
    let again = load(&app.client, &living, &dead, size.lasts / 2).await;
    let again = latencies(&arrivals, &again).await;
    let seen = arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let attempts = assert_by_schedule(&seen);
    let (now, peak) = (resident_kib(app.pid()) / 1024, peak_kib(app.pid()) / 1024);
    println!(
        "{} living beside {} dead: {first:?}, after a restart {again:?}; {attempts} attempts arrived at the dead; \
         {now} MiB in memory, {peak} at the peak",
        size.living,
        dead.len() * PER_APPLICATION,
    );
    assert!(attempts >= dead.len() * PER_APPLICATION / 3, "{attempts} attempts at the dead: it was no test");
    assert!(first.p99 <= P99_MAX && again.p99 <= P99_MAX, "{first:?}, after a restart {again:?}");
    assert!(peak * 1024 <= RESIDENT_KIB_MAX, "{peak} MiB in memory");
}
