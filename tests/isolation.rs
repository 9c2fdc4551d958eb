//! Endpoints that hang cost their own lane and nobody else.

mod support;

use std::time::{Duration, Instant};

use support::app::TestApp;
use support::receiver::Receiver;
use support::reply::Reply;
use support::wait::{SOON, eventually, when};

const HANGING: usize = 10;
const BACKLOG: usize = 200;
const HEALTHY: usize = 20;
const ROUNDS: usize = 20;
const PACE: Duration = Duration::from_millis(150);
/// What the healthy ones may always take at the 99th percentile, on two busy cores.
const FLOOR: Duration = Duration::from_millis(500);

/// From the call that publishes to the arrival, of `ROUNDS` messages to each healthy endpoint.
async fn latencies(app: &TestApp, receiver: &Receiver, applications: &[String]) -> Vec<Duration> {
    let mut sent = Vec::new();
    let mut pace = tokio::time::interval(PACE);
    for round in 0..ROUNDS {
        pace.tick().await;
        for app_id in applications {
            sent.push((Instant::now(), app.publish_numbered(app_id, round).await));
        }
    }
    let arrived = eventually("the healthy ones have everything", SOON, async || {
        let arrived: std::collections::HashMap<_, _> =
            receiver.received("/healthy").iter().map(|r| (r.message_id().to_owned(), r.at)).collect();
        sent.iter().all(|(_, id)| arrived.contains_key(id)).then_some(arrived)
    });
    let arrived = arrived.await;
    let mut latencies: Vec<_> = sent.iter().map(|(at, id)| arrived[id] - *at).collect();
    latencies.sort_unstable();
    latencies
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_endpoints_do_not_notice_hanging_ones() {
    let how = TestApp::builder().set("delivery.attempt_timeout_ms", 2000).set("delivery.attempts_in_flight_max", 100);
    let app = how.set("log.attempts", "none").start().await;
    let (receiver, hanging) = (Receiver::start().await, Receiver::start_with(|_| Reply::Hang).await);
    let mut applications = Vec::new();
    for number in 0..HEALTHY {
        let app_id = app.application(&format!("Healthy {number}")).await;
        app.endpoint(&app_id, &receiver.url("/healthy")).await;
        applications.push(app_id);
    }
    let p99 = |latencies: &[Duration]| latencies[latencies.len() * 99 / 100];
    let alone = p99(&latencies(&app, &receiver, &applications).await);

    let mut backlog = Vec::new();
    for number in 0..HANGING {
        let app_id = app.application(&format!("Hanging {number}")).await;
        app.endpoint(&app_id, &hanging.url(&format!("/{number}"))).await;
        let client = app.client.clone();
        backlog.push(tokio::spawn(async move {
            for _ in 0..BACKLOG {
                let body = serde_json::json!({ "eventType": "e", "payload": {} });
                client.post(format!("/api/v1/app/{app_id}/msg"), body).await.expect(202);
            }
        }));
    }
    for task in backlog {
        task.await.expect("all is accepted");
    }
    eventually("the hanging ones hold attempts", SOON, async || when(hanging.connections() >= HANGING)).await;
    let beside = p99(&latencies(&app, &receiver, &applications).await);
    println!("p99 alone {alone:?}, beside {HANGING} hanging endpoints {beside:?}");
    assert!(beside <= FLOOR.max(alone * 2), "p99 {beside:?} beside hanging endpoints, {alone:?} alone");
    let shape = app.cli(&["queue", "shape", "--json"]);
    let shape: serde_json::Value = serde_json::from_slice(&shape.stdout).expect("JSON");
    let rows = shape.as_array().expect("rows").iter();
    let backlog: i64 =
        rows.flat_map(|row| row["by_age"].as_array().expect("ages")).filter_map(serde_json::Value::as_i64).sum();
    assert!(backlog > (HANGING * BACKLOG / 2) as i64, "{backlog} left of the backlog: it was no test");
}
