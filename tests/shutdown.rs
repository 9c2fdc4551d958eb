//! SIGTERM under load: what is in flight is finished, nothing acknowledged is lost, nothing is sent
//! twice that got its answer.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use support::app::TestApp;
use support::http::{Client, Request};
use support::receiver::Receiver;
use support::reply::Reply;
use support::wait::{SOON, eventually, when};

const ENDPOINTS: usize = 10;
const PRODUCERS: usize = 16;
const STOPS: usize = 3;
const EXIT_WITHIN: Duration = Duration::from_secs(30);

/// Publishes until the server takes nothing more; the ids that were acknowledged.
async fn produce(client: Client, applications: Vec<String>, count: Arc<AtomicUsize>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for turn in 0.. {
        let app_id = &applications[turn % applications.len()];
        let body = json!({ "eventType": "e", "payload": { "turn": turn } });
        let request = Request::new("POST", format!("/api/v1/app/{app_id}/msg")).json(&body);
        match client.try_send(&request).await {
            Ok(answer) if answer.status == 202 => {
                count.fetch_add(1, SeqCst);
                acknowledged.push(answer.json()["id"].as_str().expect("an id").to_owned());
            }
            Ok(answer) => {
                answer.error(503);
                break;
            }
            Err(_) => break,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_nothing_and_repeats_nothing() {
    let mut app = TestApp::builder().set("log.attempts", "none").start().await;
    let arrived: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let noting = Arc::clone(&arrived);
    // Receivers that answer at once, and some that take their time.
    let receiver = Receiver::start_with(move |arrived| {
        *noting.lock().expect("no panic").entry(arrived.message_id().to_owned()).or_default() += 1;
        let slow = arrived.path.ends_with('0');
        Reply::ok().after(if slow { Duration::from_secs(1) } else { Duration::ZERO })
    })
    .await;
    let mut applications = Vec::new();
    for number in 0..ENDPOINTS {
        let app_id = app.application(&format!("Stop {number}")).await;
        app.endpoint(&app_id, &receiver.url(&format!("/{number}"))).await;
        applications.push(app_id);
    }
    let mut acknowledged = Vec::new();
    for stop in 1..=STOPS {
        let count = Arc::new(AtomicUsize::new(0));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|_| tokio::spawn(produce(app.client.clone(), applications.clone(), Arc::clone(&count))))
            .collect();
        eventually("the load runs", SOON, async || when(count.load(SeqCst) > 300)).await;
        let status = app.sigterm(EXIT_WITHIN).await;
        assert!(status.success(), "stop {stop}: {status}");
        for producer in producers {
            acknowledged.extend(producer.await.expect("a producer"));
        }
        app.restart().await;
    }
    eventually("all that was acknowledged is delivered", Duration::from_secs(30), async || {
        let arrived = arrived.lock().expect("no panic");
        when(acknowledged.iter().all(|id| arrived.contains_key(id)))
    })
    .await;
    let arrived = arrived.lock().expect("no panic");
    let twice: Vec<_> = arrived.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{} of {} were sent again after a proper stop: {twice:?}", twice.len(), arrived.len());
    println!("{} acknowledged, {} delivered, {STOPS} stops", acknowledged.len(), arrived.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_attempts_up_to_its_deadline() {
    let how = TestApp::builder().set("server.shutdown_timeout_ms", 1000);
    let (mut app, receiver) = (how.start().await, Receiver::start().await);
    receiver.on("/hang", [Reply::Hang, Reply::ok()]);
    let app_id = app.application("Hang").await;
    app.endpoint(&app_id, &receiver.url("/hang")).await;
    let message = app.publish_numbered(&app_id, 1).await;
    receiver.wait_for("/hang", 1, SOON).await;
    let began = std::time::Instant::now();
    let status = app.sigterm(SOON).await;
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    app.restart().await;
    let arrived = receiver.wait_for("/hang", 2, SOON).await;
    assert_eq!(arrived[1].message_id(), message, "what got no answer is sent again");
}
