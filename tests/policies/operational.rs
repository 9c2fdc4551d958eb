//! Operational webhooks: what the operator is told, signed and delivered like any message.

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::signature::assert_signed;
use crate::support::wait::{SOON, eventually};

const OPS: &str = "/api/v1/operational-webhook/endpoint";

/// An operational endpoint; its secret.
async fn listen(app: &TestApp, url: &str) -> String {
    let made = app.client.post(OPS, json!({ "url": url })).await.expect(201).json();
    let secret = app.get(format!("{OPS}/{}/secret", id_of(&made))).await.expect(200).json();
    secret["key"].as_str().expect("a key").to_owned()
}

/// Waits for an event of this type; its data.
async fn told(receiver: &Receiver, event_type: &str, count: usize) -> Value {
    let what = format!("{count} × {event_type}");
    eventually(&what, SOON, async || {
        let events = receiver.received("/ops");
        let events: Vec<Value> = events.iter().filter_map(|event| serde_json::from_slice(&event.body).ok()).collect();
        let mut of_type = events.into_iter().filter(|event| event["type"] == event_type);
        of_type.nth(count - 1).map(|event| event["data"].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_an_endpoint_is_told() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let secret = listen(&app, &receiver.url("/ops")).await;
    let app_id = id_of(&app.client.post("/api/v1/app", json!({ "name": "A", "uid": "a" })).await.expect(201).json());
    let endpoint = app.endpoint_with(&app_id, &receiver.url("/x"), json!({ "uid": "e" })).await;
    let data = json!({ "appId": app_id, "appUid": "a", "endpointId": endpoint, "endpointUid": "e" });
    assert_eq!(told(&receiver, "endpoint.created", 1).await, data);
    let first = receiver.received("/ops").remove(0);
    assert_signed(&first, &secret, first.message_id());

    app.patch_endpoint(&app_id, &endpoint, json!({ "description": "d" })).await;
    assert_eq!(told(&receiver, "endpoint.updated", 1).await, data);
    app.patch_endpoint(&app_id, &endpoint, json!({ "disabled": true })).await;
    let disabled = told(&receiver, "endpoint.disabled", 1).await;
    assert_eq!((&disabled["trigger"], &disabled["reason"]), (&json!("manual"), &json!("manual")));
    app.patch_endpoint(&app_id, &endpoint, json!({ "disabled": false })).await;
    assert_eq!(told(&receiver, "endpoint.enabled", 1).await, data);

    receiver.on("/x", [Reply::status(410)]);
    app.publish_numbered(&app_id, 1).await;
    let disabled = told(&receiver, "endpoint.disabled", 2).await;
    assert_eq!((&disabled["trigger"], &disabled["reason"]), (&json!("automatic"), &json!("gone")));
    app.client.delete(format!("/api/v1/app/{app_id}/endpoint/{endpoint}")).await.expect(204);
    assert_eq!(told(&receiver, "endpoint.deleted", 1).await, data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_is_exhausted_and_recovers_is_told() {
    let app = TestApp::builder().set("delivery.retry_schedule", "1,1,1,1").start().await;
    let receiver = Receiver::start().await;
    listen(&app, &receiver.url("/ops")).await;
    receiver.on("/x", [Reply::status(503)]);
    let app_id = app.application("Failing").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/x")).await;
    let event = json!({ "eventType": "a.b", "eventId": "evt-1", "payload": {} });
    let message = app.publish(&app_id, event).await;
    let failing = told(&receiver, "message.attempt.failing", 1).await;
    assert_eq!((&failing["msgId"], &failing["msgEventId"]), (&json!(message), &json!("evt-1")));
    assert_eq!((&failing["appId"], &failing["endpointId"]), (&json!(app_id), &json!(endpoint)));
    assert_eq!(failing["lastAttempt"]["responseStatusCode"], 503);
    let exhausted = told(&receiver, "message.attempt.exhausted", 1).await;
    let attempts = app.wait_for_attempts(&app_id, &message, 5, SOON).await;
    assert_eq!(failing["lastAttempt"]["id"], attempts[3]["id"], "told after the fourth failure");
    assert_eq!(exhausted["lastAttempt"]["id"], attempts[4]["id"]);
    assert_eq!(exhausted["lastAttempt"]["timestamp"], attempts[4]["timestamp"]);

    receiver.on("/x", [Reply::ok()]);
    app.resend(&app_id, &message, &endpoint).await;
    let recovered = told(&receiver, "message.attempt.recovered", 1).await;
    assert_eq!((&recovered["msgId"], &recovered["lastAttempt"]["responseStatusCode"]), (&json!(message), &json!(200)));
    app.resend(&app_id, &message, &endpoint).await;
    app.wait_for_attempts(&app_id, &message, 7, SOON).await;
    let other = app.publish(&app_id, json!({ "eventType": "a.b", "payload": {} })).await;
    app.wait_for_attempts(&app_id, &other, 1, SOON).await;
    let types: Vec<String> = receiver
        .received("/ops")
        .iter()
        .filter_map(|event| serde_json::from_slice::<Value>(&event.body).ok())
        .filter_map(|event| event["type"].as_str().map(str::to_owned))
        .filter(|name| name.starts_with("message."))
        .collect();
    assert_eq!(types.len(), 3, "each was told once: {types:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operational_endpoints_choose_their_events_and_raise_none() {
    let app = TestApp::builder().set("delivery.retry_schedule", "1").start().await;
    let receiver = Receiver::start().await;
    receiver.on("/ops", [Reply::status(500)]);
    let body = json!({ "url": receiver.url("/ops"), "eventTypes": ["endpoint.created"] });
    app.client.post(OPS, body).await.expect(201);
    let app_id = app.application("Quiet").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/x")).await;
    app.client.delete(format!("/api/v1/app/{app_id}/endpoint/{endpoint}")).await.expect(204);
    // The first attempt and its retry: it is given up then, and nobody is told of it.
    receiver.wait_for("/ops", 2, SOON).await;
    eventually("the delivery is given up", SOON, async || {
        let shape = app.cli(&["queue", "shape", "--json"]);
        let text = String::from_utf8_lossy(&shape.stdout).into_owned();
        text.contains("\"failed\":1").then_some(())
    })
    .await;
    let told = receiver.received("/ops");
    assert_eq!(told.len(), 2);
    for event in told {
        let event: Value = serde_json::from_slice(&event.body).expect("an event");
        assert_eq!(event["type"], "endpoint.created");
    }
}
