//! Examples of event types.

use serde_json::{Value, json};

use super::support::TestApi;

const SEND: &str = "/app/one/endpoint/e/send-example";

/// An endpoint that takes nothing of what is sent, beside one that takes all.
async fn fixture() -> TestApi {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let narrow = r#"{"url":"https://example.com/","uid":"e","eventTypes":["other"],"channels":["c"]}"#;
    api.post("/app/one/endpoint", narrow).await.expect(201);
    api.post("/app/one/endpoint", r#"{"url":"https://example.com/all","uid":"all"}"#).await.expect(201);
    api
}

async fn event_type(api: &TestApi, name: &str, schemas: Value) {
    let body = json!({ "name": name, "description": "", "schemas": schemas });
    api.post("/event-type", &body.to_string()).await.expect(201);
}

#[tokio::test]
async fn an_example_goes_to_its_endpoint_alone() {
    let api = fixture().await;
    let old = json!({ "properties": { "old": { "type": "string" } } });
    let new = json!({ "properties": { "id": { "type": "integer", "minimum": 7 }, "at": { "format": "date" } } });
    event_type(&api, "user.made", json!({ "2": old, "10": new })).await;
    let sent = api.post(SEND, r#"{"eventType":"user.made"}"#).await.expect(202);
    assert_eq!(sent["payload"], json!({ "id": 7, "at": "2030-01-31" }));
    assert_eq!((&sent["eventType"], &sent["channels"]), (&json!("user.made"), &Value::Null));
    let id = sent["id"].as_str().expect("an id");
    assert_eq!(api.get(&format!("/app/one/msg/{id}")).await.expect(200), sent);
    let destinations = api.get(&format!("/app/one/msg/{id}/endpoint")).await.expect(200);
    let named: Vec<&Value> = destinations["data"].as_array().expect("rows").iter().map(|row| &row["uid"]).collect();
    assert_eq!(named, ["e"]);
    assert_eq!(api.get("/app/one/endpoint/all/msg").await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn without_a_schema_a_small_object_is_sent() {
    let api = fixture().await;
    event_type(&api, "none", Value::Null).await;
    event_type(&api, "a.text", json!({ "1": { "type": "string" } })).await;
    for name in ["none", "a.text"] {
        let sent = api.post(SEND, &json!({ "eventType": name }).to_string()).await.expect(202);
        assert_eq!(sent["payload"], json!({ "type": name, "data": { "example": true } }));
    }
}

#[tokio::test]
async fn one_of_the_examples_can_be_chosen() {
    let api = fixture().await;
    event_type(&api, "t", json!({ "1": { "examples": [{ "a": 1 }, { "a": 2 }] } })).await;
    for (index, a) in [(json!(0), 1), (json!(1), 2)] {
        let body = json!({ "eventType": "t", "exampleIndex": index });
        let sent = api.post(SEND, &body.to_string()).await.expect(202);
        assert_eq!(sent["payload"], json!({ "a": a }));
    }
    for index in [json!(2), json!(-1), json!(70_000), json!("0"), json!(null), json!(0.5)] {
        let body = json!({ "eventType": "t", "exampleIndex": index });
        api.post(SEND, &body.to_string()).await.expect_invalid(&["body", "exampleIndex"]);
    }
}

#[tokio::test]
async fn what_an_example_needs_must_be_there() {
    let api = fixture().await;
    event_type(&api, "t", Value::Null).await;
    let body = r#"{"eventType":"t"}"#;
    api.post(SEND, r#"{"eventType":"unknown"}"#).await.expect_code(404, "not_found");
    api.post("/app/one/endpoint/none/send-example", body).await.expect_code(404, "not_found");
    api.post("/app/none/endpoint/e/send-example", body).await.expect_code(404, "not_found");
    api.post(SEND, "{}").await.expect_invalid(&["body", "eventType"]);
    api.post(SEND, r#"{"eventType":"a b"}"#).await.expect_invalid(&["body", "eventType"]);
    assert_eq!(api.get("/app/one/msg").await.expect(200)["data"], json!([]));
    api.call("PATCH", "/app/one/endpoint/e", r#"{"disabled":true}"#).await.expect(200);
    api.post(SEND, body).await.expect_code(400, "endpoint_disabled");
}

#[tokio::test]
async fn a_repeated_example_is_answered_like_the_first() {
    let api = fixture().await;
    event_type(&api, "t", Value::Null).await;
    let send = || api.call_with("POST", SEND, r#"{"eventType":"t"}"#, &[("idempotency-key", "k")]);
    let (first, second) = (send().await, send().await);
    assert_eq!((first.status.as_u16(), &first.body), (202, &second.body));
    assert_eq!(api.get("/app/one/msg").await.expect(200)["data"].as_array().map(Vec::len), Some(1));
}
