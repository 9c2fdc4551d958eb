//! What many do at the same time: one, one, one; nothing lost; nothing sent after.

use std::time::Duration;

use serde_json::json;

use crate::support::app::{TestApp, id_of};
use crate::support::http::{Request, Response};
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, when};

/// Sends all requests at once; the answers in their order.
async fn at_once(app: &TestApp, requests: impl Iterator<Item = Request>) -> Vec<Response> {
    let sent: Vec<_> = requests
        .map(|request| {
            let client = app.client.clone();
            tokio::spawn(async move { client.send(request).await })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.expect("an answer"));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_creations_of_one_uid_make_one() {
    let app = TestApp::start().await;
    let create = |path: &str| Request::new("POST", path).json(&json!({ "name": "A", "uid": "one" }));
    let answers = at_once(&app, (0..50).map(|_| create("/api/v1/app"))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((made, refused), (1, 49));
    let answers = at_once(&app, (0..50).map(|_| create("/api/v1/app?get_if_exists=true"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.json()["uid"] == "one"));
    let put = |_| Request::new("PUT", "/api/v1/app/two").json(&json!({ "name": "B" }));
    let answers = at_once(&app, (0..50).map(put)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 49);
    let listed = app.get("/api/v1/app").await.expect(200).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_patches_of_different_fields_lose_nothing() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Patched").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/p")).await;
    let path = format!("/api/v1/app/{app_id}/endpoint/{endpoint}");
    for round in 0..5_u16 {
        let fields = [
            json!({ "description": format!("d{round}") }),
            json!({ "throttleRate": 100 + round }),
            json!({ "eventTypes": [format!("t{round}")] }),
            json!({ "channels": [format!("c{round}")] }),
            json!({ "metadata": { "round": round.to_string() } }),
            json!({ "retrySchedule": [round + 1] }),
            json!({ "uid": format!("u{round}") }),
        ];
        let requests = (0..50).map(|i| Request::new("PATCH", path.clone()).json(&fields[i % fields.len()]));
        for answer in at_once(&app, requests).await {
            answer.expect(200);
        }
        let headers = (0..50).map(|i| {
            let set = json!({ "headers": { format!("x-{i}"): round.to_string() } });
            Request::new("PATCH", format!("{path}/headers")).json(&set)
        });
        for answer in at_once(&app, headers).await {
            answer.expect(204);
        }
        let now = app.get(path.clone()).await.expect(200).json();
        for field in fields {
            let (name, value) = field.as_object().and_then(|field| field.iter().next()).expect("a field");
            assert_eq!(&now[name], value, "round {round}");
        }
        let now = app.get(format!("{path}/headers")).await.expect(200).json();
        assert_eq!(now["headers"].as_object().map(serde_json::Map::len), Some(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_after_a_deletion_was_answered() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    receiver.on("/d", [Reply::ok().after(Duration::from_millis(20))]);
    let kept = app.application("Kept").await;
    let gone = app.application("Gone").await;
    let slow = json!({ "throttleRate": 20 });
    let endpoint = app.endpoint_with(&kept, &receiver.url("/d"), slow.clone()).await;
    app.endpoint_with(&gone, &receiver.url("/d"), slow).await;
    for number in 0..300 {
        app.publish_numbered(&kept, number).await;
        app.publish_numbered(&gone, number).await;
    }
    app.client.delete(format!("/api/v1/app/{kept}/endpoint/{endpoint}")).await.expect(204);
    app.client.delete(format!("/api/v1/app/{gone}")).await.expect(204);
    // What is under way then has begun before, and may still arrive.
    let answered = std::time::Instant::now();
    eventually("all is delivered or dropped", SOON, async || {
        when(app.metric("posthouse_in_flight").await == 0 && app.metric("posthouse_deliveries_in_memory").await == 0)
    })
    .await;
    let late: Vec<_> =
        receiver.received("/d").iter().map(|request| request.at.saturating_duration_since(answered)).collect();
    let worst = late.iter().max().copied().unwrap_or_default();
    assert!(worst < Duration::from_millis(250), "something was sent {worst:?} after the deletion");
    assert!(late.len() < 600, "the deletion came too late to prove anything");
    app.get(format!("/api/v1/app/{gone}")).await.expect(404);
    let made = app.client.post("/api/v1/app", json!({ "name": "Again" })).await.expect(201).json();
    assert_ne!(id_of(&made), gone);
}
