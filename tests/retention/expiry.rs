//! A store that has grown old while the server was down.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::store::{Rows, assert_store_sound};
use crate::support::wait::{SOON, eventually, when};

/// 95 days.
const DAYS_MS: i64 = 95 * 86_400_000;
const MESSAGES: usize = 40;

const TABLES: [&str; 6] =
    ["message", "payload", "attempt", "message_by_app", "attempt_by_message", "attempt_by_endpoint"];

/// Waits until the tables have so many rows.
async fn wait_for_rows(app: &TestApp, what: &str, rows: [usize; 6]) {
    let expected: Vec<_> = TABLES.into_iter().zip(rows).collect();
    eventually(what, SOON, async || when(Rows::of(&app.data_dir).counts_are(&expected))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_its_days_goes_and_the_rest_stays() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Old").await;
    app.endpoint(&app_id, &receiver.url("/hook")).await;
    let mut old = Vec::new();
    for number in 0..MESSAGES {
        old.push(app.publish_numbered(&app_id, number).await);
    }
    for id in &old {
        app.wait_for_attempts(&app_id, id, 1, SOON).await;
    }
    wait_for_rows(&app, "all lists are filled", [MESSAGES; 6]).await;
    app.kill9();
    Rows::of(&app.data_dir).make_older(DAYS_MS);
    app.restart().await;
    let new = app.publish(&app_id, json!({ "eventType": "test.event", "payload": { "is": "new" } })).await;
    app.wait_for_attempts(&app_id, &new, 1, SOON).await;
    wait_for_rows(&app, "only what is new is left", [1; 6]).await;
    let listed = app.get(format!("/api/v1/app/{app_id}/msg")).await.expect(200).json();
    let ids: Vec<_> = listed["data"].as_array().expect("a list").iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, [&json!(new)]);
    app.get(format!("/api/v1/app/{app_id}/msg/{}", old[0])).await.expect(404);
    app.sigterm(SOON).await;
    assert_store_sound(&app.data_dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_as_they_are_configured() {
    let receiver = Receiver::start().await;
    let mut app = TestApp::builder()
        .set("retention.payload_days", 200)
        .set("retention.attempt_days", 200)
        .set("retention.message_days", 200)
        .start()
        .await;
    let app_id = app.application("Kept").await;
    app.endpoint(&app_id, &receiver.url("/hook")).await;
    let message = json!({ "eventType": "test.event", "payload": { "a": 1 }, "payloadRetentionPeriod": 90 });
    let short = app.publish(&app_id, message).await;
    let long = app.publish_numbered(&app_id, 1).await;
    for id in [&short, &long] {
        app.wait_for_attempts(&app_id, id, 1, SOON).await;
    }
    wait_for_rows(&app, "all lists are filled", [2; 6]).await;
    app.kill9();
    Rows::of(&app.data_dir).make_older(DAYS_MS);
    app.restart().await;
    wait_for_rows(&app, "one payload is expired", [2, 1, 2, 2, 2, 2]).await;
    let listed = app.get(format!("/api/v1/app/{app_id}/msg")).await.expect(200).json();
    assert_eq!(listed["data"][0]["payload"], json!({ "number": 1 }));
    assert_eq!(listed["data"][1]["payload"], json!({ "expired": true }));
}
