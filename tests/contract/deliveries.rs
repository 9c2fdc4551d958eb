//! Deliveries as lists, examples and raw bytes, in the contract's shapes.

use serde_json::{Value, json};

use crate::operations::check;
use crate::schema::contract;
use crate::support::app::{TestApp, id_of};
use crate::support::http::Request;
use crate::support::receiver::Receiver;
use crate::support::wait::{SOON, eventually, when};

const MESSAGES: &str = "/app/{app_id}/endpoint/{endpoint_id}/msg";
const DESTINATIONS: &str = "/app/{app_id}/msg/{msg_id}/endpoint";
const STATS: &str = "/app/{app_id}/endpoint/{endpoint_id}/stats";
const RAW: &str = "/app/{app_id}/msg/{msg_id}/raw";
const EXAMPLE: &str = "/app/{app_id}/endpoint/{endpoint_id}/send-example";

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_shown_in_the_contracts_shapes() {
    let Some(contract) = contract("deliveries") else { return };
    let (app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    let ask = async |method: &'static str, below: &'static str, path: String, body: Option<Value>, status: u16| {
        let mut request = Request::new(method, format!("/api/v1{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        check(&contract, &app, request, (method, below), status).await
    };
    let app_id = app.application("Deliveries").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/x")).await;
    let disabled = json!({ "disabled": true, "channels": ["red"], "eventTypes": ["e"] });
    app.endpoint_with(&app_id, &receiver.url("/y"), disabled).await;
    let message = json!({ "eventType": "e", "payload": { "a": 1 }, "channels": ["red"], "tags": ["t"] });
    let message = app.publish(&app_id, message).await;
    app.wait_for_attempts(&app_id, &message, 1, SOON).await;

    let destinations = ask("GET", DESTINATIONS, format!("/app/{app_id}/msg/{message}/endpoint"), None, 200).await;
    let statuses: Vec<&Value> =
        destinations["data"].as_array().expect("rows").iter().map(|row| &row["status"]).collect();
    assert_eq!(statuses, [1, 0], "held, and delivered");
    ask("GET", DESTINATIONS, format!("/app/{app_id}/msg/none/endpoint"), None, 404).await;
    let messages = format!("/app/{app_id}/endpoint/{endpoint}/msg");
    let listed = ask("GET", MESSAGES, messages.clone(), None, 200).await;
    assert_eq!(listed["data"][0]["statusText"], "success");
    ask("GET", MESSAGES, format!("{messages}?status=7"), None, 422).await;
    ask("GET", MESSAGES, format!("/app/{app_id}/endpoint/none/msg"), None, 404).await;
    let stats = ask("GET", STATS, format!("/app/{app_id}/endpoint/{endpoint}/stats"), None, 200).await;
    assert_eq!(stats["success"], 1);
    ask("GET", STATS, format!("/app/{app_id}/endpoint/{endpoint}/stats?since=now"), None, 422).await;
    ask("GET", STATS, format!("/app/{app_id}/endpoint/none/stats"), None, 404).await;
    let raw = ask("GET", RAW, format!("/app/{app_id}/msg/{message}/raw"), None, 200).await;
    assert_eq!(raw["payload"], r#"{"a":1}"#);
    ask("GET", RAW, format!("/app/{app_id}/msg/none/raw"), None, 404).await;

    let schemas = json!({ "1": { "properties": { "id": { "type": "string", "format": "uuid" } } } });
    let event_type = json!({ "name": "user.made", "description": "d", "schemas": schemas });
    app.client.post("/api/v1/event-type", event_type).await.expect(201);
    let example = format!("/app/{app_id}/endpoint/{endpoint}/send-example");
    let sent = ask("POST", EXAMPLE, example.clone(), Some(json!({ "eventType": "user.made" })), 202).await;
    assert!(sent["payload"]["id"].is_string(), "{sent}");
    ask("POST", EXAMPLE, example.clone(), Some(json!({ "eventType": "none" })), 404).await;
    ask("POST", EXAMPLE, example, Some(json!({})), 422).await;
    let sent = id_of(&sent);
    eventually("the example arrives", SOON, async || {
        let listed = app.get(format!("/api/v1{messages}?status=0")).await.expect(200).json();
        when(listed["data"][0]["id"] == json!(sent))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_retry_has_its_time() {
    let Some(contract) = contract("deliveries") else { return };
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Waiting").await;
    let later = json!({ "retrySchedule": [3600] });
    let closed = receiver.url("/x").replace("http://", "https://");
    let endpoint = app.endpoint_with(&app_id, &closed, later).await;
    let message = app.publish_numbered(&app_id, 0).await;
    app.wait_for_attempts(&app_id, &message, 1, SOON).await;
    let request = Request::new("GET", format!("/api/v1/app/{app_id}/endpoint/{endpoint}/msg?status=3"));
    let listed = check(&contract, &app, request, ("GET", MESSAGES), 200).await;
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["statusText"]), (&json!(message), &json!("sending")));
    assert!(listed["data"][0]["nextAttempt"].is_string(), "{listed}");
}
