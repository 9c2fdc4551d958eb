//! Which retry schedule holds, and how an endpoint comes back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, when};

/// Seconds from the first attempt to the next, as the store knows them.
async fn next_in_s(app: &TestApp, app_id: &str, message: &str) -> f64 {
    let path = format!("/api/v1/app/{app_id}/msg/{message}/endpoint");
    app.wait_for_attempts(app_id, message, 1, SOON).await;
    let time = |value: &Value| value.as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    let destination = app.get(path).await.expect(200).json()["data"][0].clone();
    let attempt = app.attempts(app_id, message).await[0].clone();
    assert_eq!(destination["status"], 3, "it waits for a retry: {destination}");
    time(&destination["nextAttempt"]).duration_since(time(&attempt["timestamp"])).as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_particular_retry_schedule_holds() {
    let app = TestApp::builder().set("delivery.retry_schedule", "1000").start().await;
    let receiver = Receiver::start().await;
    receiver.on("/fail", [Reply::status(500)]);
    let app_id = app.application("Schedules").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/fail")).await;
    let type_path = "/api/v1/event-type/slow.type";
    app.client.put(type_path, json!({ "description": "slow" })).await.expect(201);
    let of = async |event_type: &str| {
        let message = app.publish(&app_id, json!({ "eventType": event_type, "payload": {} })).await;
        next_in_s(&app, &app_id, &message).await
    };
    let near = |seconds: f64, expected: f64| seconds >= expected && seconds <= expected * 1.2 + 5.0;
    let seen = of("slow.type").await;
    assert!(near(seen, 1000.0), "the server's: {seen}");
    let policy = json!({ "retryPolicy": [2000] });
    app.client.patch("/api/v1/management/environment-settings", policy).await.expect(200);
    let seen = of("slow.type").await;
    assert!(near(seen, 2000.0), "the environment's: {seen}");
    let schedule = json!({ "retrySchedule": [{ "secs": 3000, "nanos": 0 }] });
    app.client.put(format!("{type_path}/retry-schedule"), schedule).await.expect(200);
    let seen = of("slow.type").await;
    assert!(near(seen, 3000.0), "the event type's: {seen}");
    let seen = of("other.type").await;
    assert!(near(seen, 2000.0), "another type's is not touched: {seen}");
    app.patch_endpoint(&app_id, &endpoint, json!({ "retrySchedule": [4000] })).await;
    let seen = of("slow.type").await;
    assert!(near(seen, 4000.0), "the endpoint's: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_delivery_after_enabling_is_a_probe() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Probe").await;
    let endpoint = app.endpoint_with(&app_id, &receiver.url("/p"), json!({ "disabled": true })).await;
    let held = app.publish_numbered(&app_id, 0).await;
    app.patch_endpoint(&app_id, &endpoint, json!({ "disabled": false })).await;
    // The probe hangs a little; what comes meanwhile waits for its answer.
    receiver.on("/p", [Reply::ok().after(Duration::from_millis(500)), Reply::ok()]);
    for number in 1..=20 {
        app.publish_numbered(&app_id, number).await;
    }
    let arrived = receiver.wait_for("/p", 20, SOON).await;
    let second = arrived[1].at.duration_since(arrived[0].at);
    assert!(second >= Duration::from_millis(500), "one goes alone, and the next after {second:?}");
    assert!(arrived.iter().all(|request| request.message_id() != held), "what was held is not sent by itself");
    app.resend(&app_id, &held, &endpoint).await;
    eventually("the resend arrives", SOON, async || {
        when(receiver.received("/p").iter().any(|request| request.message_id() == held))
    })
    .await;
}
