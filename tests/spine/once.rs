//! The same request twice is one message: idempotency keys and event ids.

use std::collections::HashSet;

use serde_json::json;

use crate::support::app::{TestApp, id_of};
use crate::support::http::{Request, Response};
use crate::support::receiver::Receiver;
use crate::support::wait::SOON;

fn keyed(app_id: &str, key: &str, body: &str) -> Request {
    Request::new("POST", format!("/api/v1/app/{app_id}/msg")).header("idempotency-key", key).raw_json(body)
}

const BODY: &str = r#"{"eventType":"e","payload":{"amount":1.0}}"#;
const OTHER: &str = r#"{"eventType":"e","payload":{"amount":2.0}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_one_message_and_one_answer_also_over_a_crash() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Once").await;
    app.endpoint(&app_id, &receiver.url("/once")).await;
    let first = app.client.send(keyed(&app_id, "key-1", BODY)).await.expect(202);
    let again = app.client.send(keyed(&app_id, "key-1", BODY)).await.expect(202);
    assert_eq!(first.text(), again.text());
    app.client.send(keyed(&app_id, "key-1", OTHER)).await.error(409);
    let second = app.client.send(keyed(&app_id, "key-2", BODY)).await.expect(202);
    assert_ne!(id_of(&first.json()), id_of(&second.json()), "another key is another message");
    let none = app.publish_raw(&app_id, BODY).await.expect(202);
    assert_ne!(id_of(&first.json()), id_of(&none.json()));

    // The key belongs to method and path: another application's messages know nothing of it.
    let other = app.application("Other").await;
    let elsewhere = app.client.send(keyed(&other, "key-1", OTHER)).await.expect(202);
    assert_ne!(id_of(&first.json()), id_of(&elsewhere.json()));

    app.kill9();
    app.restart().await;
    let after = app.client.send(keyed(&app_id, "key-1", BODY)).await.expect(202);
    assert_eq!(first.json(), after.json(), "the key outlives a crash");
    app.client.send(keyed(&app_id, "key-1", OTHER)).await.error(409);
    let listed = app.get(format!("/api/v1/app/{app_id}/msg")).await.expect(200).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(3), "{listed}");
    receiver.wait_for("/once", 3, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_posts_of_one_key_at_once_are_one_message_and_one_answer() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Race").await;
    app.endpoint(&app_id, &receiver.url("/race")).await;
    for round in 0..10 {
        let key = format!("race-{round}");
        let posts: Vec<_> = (0..50)
            .map(|_| {
                let (client, request) = (app.client.clone(), keyed(&app_id, &key, BODY));
                tokio::spawn(async move { client.send(request).await })
            })
            .collect();
        let mut answers: HashSet<String> = HashSet::new();
        for post in posts {
            answers.insert(post.await.expect("an answer").expect(202).text());
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
    }
    let listed = app.get(format!("/api/v1/app/{app_id}/msg?limit=250")).await.expect(200).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(10));
    // A message of its own is delivered after them: what was sent twice would have come before.
    let last = app.publish_numbered(&app_id, 1).await;
    let arrived = receiver.wait_for("/race", 11, SOON).await;
    assert_eq!(arrived.len(), 11);
    assert!(arrived.iter().any(|r| r.message_id() == last));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_bodies_for_one_key_at_once_one_wins() {
    let app = TestApp::start().await;
    let app_id = app.application("Rivals").await;
    for round in 0..10 {
        let key = format!("rivals-{round}");
        let posts: Vec<_> = (0..20)
            .map(|n| {
                let (client, request) =
                    (app.client.clone(), keyed(&app_id, &key, if n % 2 == 0 { BODY } else { OTHER }));
                tokio::spawn(async move { (n % 2, client.send(request).await) })
            })
            .collect();
        let (mut accepted, mut refused) = (HashSet::new(), HashSet::new());
        for post in posts {
            let (side, answer) = post.await.expect("an answer");
            match answer.status {
                202 => accepted.insert((side, id_of(&answer.json()))),
                _ => refused.insert((side, answer.error(409))),
            };
        }
        assert_eq!((accepted.len(), refused.len()), (1, 1), "{accepted:?} {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_on_every_post_and_has_a_bound() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let post = async |path: &str, key: &str, body: serde_json::Value| -> Response {
        app.client.send(Request::new("POST", path).header("idempotency-key", key).json(&body)).await
    };
    let first = post("/api/v1/app", "auto_1", json!({ "name": "One" })).await.expect(201);
    let again = post("/api/v1/app", "auto_1", json!({ "name": "One" })).await.expect(201);
    assert_eq!(first.json(), again.json());
    post("/api/v1/app", "auto_1", json!({ "name": "Two" })).await.error(409);
    let app_id = id_of(&first.json());
    let path = format!("/api/v1/app/{app_id}/endpoint");
    let endpoint = json!({ "url": receiver.url("/x") });
    let first = post(&path, "auto_1", endpoint.clone()).await.expect(201);
    assert_eq!(first.json(), post(&path, "auto_1", endpoint.clone()).await.expect(201).json());
    let listed = app.get(&path).await.expect(200).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");

    // An answer that is no success is not remembered: the same key may be used again, corrected.
    post(&path, "auto_2", json!({ "url": 7 })).await.expect(422);
    post(&path, "auto_2", endpoint).await.expect(201);

    post("/api/v1/app", &"k".repeat(256), json!({ "name": "Longest" })).await.expect(201);
    let refused = post("/api/v1/app", &"k".repeat(257), json!({ "name": "Too long" })).await;
    assert!(matches!(refused.status, 400 | 422), "{} {}", refused.status, refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_id_is_unique_in_its_application() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let (one, two) = (app.application("One").await, app.application("Two").await);
    app.endpoint(&one, &receiver.url("/event")).await;
    let message = json!({ "eventType": "e", "payload": {}, "eventId": "event-1" });
    let id = app.publish(&one, message.clone()).await;
    app.client.post(format!("/api/v1/app/{one}/msg"), message.clone()).await.error(409);
    app.publish(&two, message.clone()).await;
    let posts: Vec<_> = (0..20)
        .map(|n| {
            let (client, path) = (app.client.clone(), format!("/api/v1/app/{one}/msg"));
            let body = json!({ "eventType": "e", "payload": { "n": n }, "eventId": "event-2" });
            tokio::spawn(async move { client.post(path, body).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for post in posts {
        statuses.push(post.await.expect("an answer"));
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (202, &[409; 19][..]));

    app.kill9();
    app.restart().await;
    app.client.post(format!("/api/v1/app/{one}/msg"), message).await.error(409);
    let by_event = app.get(format!("/api/v1/app/{one}/msg/event-1")).await.expect(200).json();
    assert_eq!(by_event["id"], json!(id));
    receiver.wait_for("/event", 2, SOON).await;
}
