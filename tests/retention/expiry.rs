//! A store that has grown old while the server was down.

use rusqlite::Connection;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::store::{assert_sound, database};
use crate::support::wait::{SOON, eventually, when};

const DAYS: i64 = 95;
const MESSAGES: usize = 40;

/// Makes all messages and attempts so much older: their keys begin with their time, the ids of payloads
/// with their last day.
fn age(connection: &Connection, days: i64) {
    let (keys, payloads) = ((days * 86_400_000) << 21, days << 47);
    let sql = format!(
        "UPDATE message SET key = key - {keys}, payload = payload - {payloads};
         UPDATE payload SET id = id - {payloads};
         UPDATE message_by_app SET message = message - {keys};
         UPDATE attempt SET key = key - {keys}, message = message - {keys};
         UPDATE attempt_by_message SET message = message - {keys}, attempt = attempt - {keys};
         UPDATE attempt_by_endpoint SET attempt = attempt - {keys};
         UPDATE endpoint_hour SET hour = hour - {};",
        days * 24
    );
    connection.execute_batch(&sql).expect("aged");
}

fn counts(connection: &Connection) -> Vec<i64> {
    ["message", "payload", "attempt", "message_by_app", "attempt_by_message", "attempt_by_endpoint"]
        .iter()
        .map(|table| {
            let sql = format!("SELECT count(*) FROM {table}");
            connection.query_row(&sql, [], |row| row.get(0)).expect("a count")
        })
        .collect()
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
    let file = database(&app.data_dir);
    let all = MESSAGES as i64;
    {
        let connection = Connection::open(&file).expect("opens");
        eventually("all lists are filled", SOON, async || when(counts(&connection) == [all; 6])).await;
    }
    app.kill9();
    {
        let connection = Connection::open(&file).expect("opens");
        age(&connection, DAYS);
    }
    app.restart().await;
    let new = app.publish(&app_id, json!({ "eventType": "test.event", "payload": { "is": "new" } })).await;
    app.wait_for_attempts(&app_id, &new, 1, SOON).await;
    {
        let connection = Connection::open(&file).expect("opens");
        eventually("only what is new is left", SOON, async || when(counts(&connection) == [1; 6])).await;
    }
    let listed = app.get(format!("/api/v1/app/{app_id}/msg")).await.expect(200).json();
    let ids: Vec<_> = listed["data"].as_array().expect("a list").iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, [&json!(new)]);
    app.get(format!("/api/v1/app/{app_id}/msg/{}", old[0])).await.expect(404);
    app.sigterm(SOON).await;
    assert_sound(&file);
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
    let file = database(&app.data_dir);
    {
        let connection = Connection::open(&file).expect("opens");
        eventually("all lists are filled", SOON, async || when(counts(&connection) == [2; 6])).await;
    }
    app.kill9();
    {
        let connection = Connection::open(&file).expect("opens");
        age(&connection, DAYS);
    }
    app.restart().await;
    {
        let connection = Connection::open(&file).expect("opens");
        eventually("one payload is expired", SOON, async || when(counts(&connection) == [2, 1, 2, 2, 2, 2])).await;
    }
    let listed = app.get(format!("/api/v1/app/{app_id}/msg")).await.expect(200).json();
    assert_eq!(listed["data"][0]["payload"], json!({ "number": 1 }));
    assert_eq!(listed["data"][1]["payload"], json!({ "expired": true }));
}
