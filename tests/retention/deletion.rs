//! What is deleted is not sent, and its rows go.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::store::Rows;
use crate::support::wait::{SOON, eventually, when};

async fn expunge(app: &TestApp, app_id: &str, message: &str) {
    app.client.delete(format!("/api/v1/app/{app_id}/msg/{message}/content")).await.expect(204);
}

async fn payload(app: &TestApp, app_id: &str, message: &str) -> Value {
    app.get(format!("/api/v1/app/{app_id}/msg/{message}")).await.expect(200).json()["payload"].clone()
}

/// The messages that a path has received.
fn arrived(receiver: &Receiver, path: &str) -> Vec<String> {
    receiver.received(path).iter().map(|request| request.message_id().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_not_sent_though_it_is_in_the_lanes_memory() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Memory").await;
    app.endpoint(&app_id, &receiver.url("/slow")).await;
    receiver.on("/slow", [Reply::ok().after(Duration::from_secs(1))]);
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(app.publish_numbered(&app_id, number).await);
    }
    // Two are under way; the others wait in memory.
    let gone = ids.remove(6);
    expunge(&app, &app_id, &gone).await;
    assert_eq!(payload(&app, &app_id, &gone).await, json!({ "expired": true }));
    eventually("the others have arrived", SOON, async || {
        let arrived = arrived(&receiver, "/slow");
        when(ids.iter().all(|id| arrived.contains(id)))
    })
    .await;
    assert!(!arrived(&receiver, "/slow").contains(&gone), "it went on after its content was deleted");
    assert!(app.attempts(&app_id, &gone).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_cancelled_with_its_content_also_across_a_crash() {
    let receiver = Receiver::start().await;
    let mut app = TestApp::builder().set("delivery.retry_schedule", "2").start().await;
    let app_id = app.application("Retry").await;
    app.endpoint(&app_id, &receiver.url("/fails")).await;
    receiver.on("/fails", [Reply::status(500)]);
    let gone = app.publish_numbered(&app_id, 1).await;
    app.wait_for_attempts(&app_id, &gone, 1, SOON).await;
    expunge(&app, &app_id, &gone).await;
    app.restart().await;
    // One that is published later is retried later.
    let other = app.publish_numbered(&app_id, 2).await;
    app.wait_for_attempts(&app_id, &other, 2, SOON).await;
    let arrived = arrived(&receiver, "/fails");
    assert_eq!(arrived.iter().filter(|id| **id == gone).count(), 1, "{arrived:?}");
    assert_eq!(app.attempts(&app_id, &gone).await.len(), 1);
    let states = Rows::of(&app.data_dir).numbers("SELECT state FROM parked ORDER BY message");
    assert_eq!(states.first(), Some(&3), "it is listed as cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_deleted_application_go() {
    let receiver = Receiver::start().await;
    let app = TestApp::builder().set("delivery.retry_schedule", "3600").start().await;
    receiver.on("/fails", [Reply::status(500)]);
    let (gone, kept) = (app.application("Gone").await, app.application("Kept").await);
    for app_id in [&gone, &kept] {
        app.endpoint(app_id, &receiver.url("/works")).await;
        app.endpoint(app_id, &receiver.url("/fails")).await;
        for number in 0..20 {
            let message = app.publish_numbered(app_id, number).await;
            app.wait_for_attempts(app_id, &message, 2, SOON).await;
        }
    }
    app.client.delete(format!("/api/v1/app/{gone}")).await.expect(204);
    let rows = Rows::of(&app.data_dir);
    let expected = [("message", 20), ("payload", 20), ("attempt", 40), ("waiting", 20), ("message_by_app", 20)];
    // Rows that no list holds yet are looked at again some seconds later.
    eventually("its rows are gone", Duration::from_secs(40), async || when(rows.counts_are(&expected))).await;
    let listed = app.get(format!("/api/v1/app/{kept}/msg")).await.expect(200).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(20));
}
