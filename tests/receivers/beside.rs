//! Hundreds of misbehaving endpoints at once, again and again: their neighbours stay quick, and the
//! server's memory does not grow with what they send.

use std::time::{Duration, Instant};

use crate::support::app::TestApp;
use crate::support::memory::{forget_peak, peak_kib, resident_kib};
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually};
use crate::{DEADLINE, GRACE};

/// Endpoints of each kind.
const EACH: usize = 16;
/// Messages to each of them, one after the other.
const ROUNDS: usize = 4;
const HEALTHY: usize = 200;
const PACE: Duration = Duration::from_millis(25);
/// What the healthy one may always take at the 99th percentile, on two busy cores.
const FLOOR: Duration = Duration::from_millis(250);
const MEMORY_GROWTH_KIB_MAX: u64 = 32 * 1024;

fn misdeeds() -> Vec<(&'static str, Reply)> {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let tiny_chunks = b"1\r\nx\r\n".repeat(10_000);
    vec![
        ("hang", Reply::Hang),
        ("drip-head", Reply::DripHead),
        ("drip-body", Reply::DripBody),
        ("reset", Reply::Reset),
        ("endless-body", Reply::EndlessBody),
        ("endless-information", Reply::EndlessInformation),
        ("endless-header", Reply::Flood(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 1 << 16])),
        ("endless-tiny-chunks", Reply::Flood(head.to_vec(), tiny_chunks)),
        ("many-headers", Reply::ManyHeaders(100_000)),
    ]
}

/// From the call that publishes to the arrival, of messages at a steady pace: the 99th percentile.
async fn p99(app: &TestApp, receiver: &Receiver, app_id: &str) -> Duration {
    let mut sent = Vec::with_capacity(HEALTHY);
    let mut pace = tokio::time::interval(PACE);
    for number in 0..HEALTHY {
        pace.tick().await;
        sent.push((Instant::now(), app.publish_numbered(app_id, number).await));
    }
    let arrived = eventually("the healthy one has everything", SOON, async || {
        let arrived: std::collections::HashMap<_, _> =
            receiver.received("/healthy").iter().map(|r| (r.message_id().to_owned(), r.at)).collect();
        sent.iter().all(|(_, id)| arrived.contains_key(id)).then_some(arrived)
    });
    let arrived = arrived.await;
    let mut latencies: Vec<_> = sent.iter().map(|(at, id)| arrived[id] - *at).collect();
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_stay_quick_and_memory_small() {
    let how = TestApp::builder().set("delivery.attempt_timeout_ms", DEADLINE.as_millis());
    let app = how.set("delivery.retry_schedule", "600").set("log.attempts", "none").start().await;
    let (receiver, good) = (Receiver::start().await, Receiver::start().await);
    let healthy = app.application("Healthy").await;
    app.endpoint(&healthy, &good.url("/healthy")).await;
    let mut hostile = Vec::new();
    for (name, reply) in misdeeds() {
        receiver.on(&format!("/{name}"), [reply]);
        let app_id = app.application(name).await;
        for _ in 0..EACH {
            app.endpoint(&app_id, &receiver.url(&format!("/{name}"))).await;
        }
        hostile.push((name, app_id));
    }
    let alone = p99(&app, &good, &healthy).await;

    let before = resident_kib(app.pid());
    forget_peak(app.pid());
    let mut sent = Vec::new();
    for round in 0..ROUNDS {
        for (name, app_id) in &hostile {
            sent.push((*name, app_id, app.publish_numbered(app_id, round).await));
        }
    }
    let beside = p99(&app, &good, &healthy).await;
    // Before anything is read back, which takes memory of its own.
    let grown = peak_kib(app.pid()).saturating_sub(before);
    let (mut ended, mut slowest) = (0, 0);
    for (name, app_id, message) in sent {
        for attempt in app.attempts(app_id, &message).await {
            let took = attempt["responseDurationMs"].as_u64().unwrap_or(u64::MAX);
            assert!(u128::from(took) <= (DEADLINE + GRACE).as_millis(), "{name} took {took} ms");
            slowest = slowest.max(took);
            ended += 1;
        }
    }
    println!("p99 alone {alone:?}, beside {beside:?}; {ended} attempts, the slowest {slowest} ms; {grown} KiB more");
    assert!(ended >= hostile.len() * EACH, "{ended} attempts: it was no test");
    assert!(beside <= FLOOR.max(alone * 2), "p99 {beside:?} beside misbehaving receivers, {alone:?} alone");
    assert!(grown <= MEMORY_GROWTH_KIB_MAX, "{grown} KiB more in memory at the peak");
}
