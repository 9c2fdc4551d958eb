//! Recovery as its users see it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, when};

/// More than one slice of a recovery.
const MESSAGES: usize = 2_400;

async fn recover(app: &TestApp, app_id: &str, endpoint: &str) -> String {
    let path = format!("/api/v1/app/{app_id}/endpoint/{endpoint}/recover");
    let begun = app.client.post(path, json!({ "since": "2020-01-01T00:00:00Z" })).await.expect(202).json();
    assert_eq!((&begun["status"], &begun["task"]), (&json!("running"), &json!("endpoint.recover")));
    begun["id"].as_str().expect("an id").to_owned()
}

async fn finished(app: &TestApp, task: &str) -> Value {
    let path = format!("/api/v1/background-task/{task}");
    let shown = eventually("the task ends", Duration::from_secs(30), async || {
        let shown = app.get(path.as_str()).await.expect(200).json();
        (shown["status"] != "running").then_some(shown)
    });
    shown.await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_and_what_is_held_is_sent_again_also_across_a_crash() {
    let receiver = Receiver::start().await;
    let mut app = TestApp::builder().set("delivery.retry_schedule", "").start().await;
    let app_id = app.application("Recovery").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/hook")).await;
    receiver.on("/hook", [Reply::status(500)]);
    let mut ids = Vec::new();
    for number in 0..MESSAGES / 2 {
        ids.push(app.publish_numbered(&app_id, number).await);
    }
    receiver.wait_for("/hook", MESSAGES / 2, Duration::from_secs(30)).await;
    app.patch_endpoint(&app_id, &endpoint, json!({ "disabled": true })).await;
    for number in MESSAGES / 2..MESSAGES {
        ids.push(app.publish_numbered(&app_id, number).await);
    }
    let path = format!("/api/v1/app/{app_id}/endpoint/{endpoint}/recover");
    let refused = app.client.post(path, json!({ "since": "2020-01-01T00:00:00Z" })).await;
    refused.expect(400);
    app.patch_endpoint(&app_id, &endpoint, json!({ "disabled": false })).await;
    receiver.on("/hook", [Reply::status(200)]);
    let task = recover(&app, &app_id, &endpoint).await;
    app.restart().await;
    let shown = finished(&app, &task).await;
    assert_eq!((&shown["status"], &shown["data"]["messagesSent"]), (&json!("finished"), &json!(MESSAGES)));
    eventually("all have arrived", Duration::from_mins(1), async || {
        let arrived: std::collections::HashSet<String> = receiver
            .received("/hook")
            .iter()
            .skip(MESSAGES / 2)
            .map(|request| request.message_id().to_owned())
            .collect();
        when(ids.iter().all(|id| arrived.contains(id)))
    })
    .await;
    let again = recover(&app, &app_id, &endpoint).await;
    assert_eq!(finished(&app, &again).await["data"]["messagesSent"], 0, "nothing is left to be recovered");
    let attempts = app.wait_for_attempts(&app_id, &ids[0], 2, SOON).await;
    assert_eq!((&attempts[0]["status"], &attempts[1]["status"]), (&json!(2), &json!(0)));
}
