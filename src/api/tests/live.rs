//! The live list: what is new, and what becomes of it.

use serde_json::{Value, json};

use super::support::{KEY, TestApi, answered};
use crate::model::{EnvKey, Scope, Scopes};
use crate::store::command::{AccessChange, Change};

fn types(event: &Value) -> Vec<&str> {
    event["data"].as_array().into_iter().flatten().filter_map(|row| row["eventType"].as_str()).collect()
}

async fn publish(api: &TestApi, event_type: &str) -> Value {
    let body = json!({ "eventType": event_type, "payload": {} }).to_string();
    api.post("/app/one/msg", &body).await.expect(202)
}

#[tokio::test]
async fn new_messages_come_and_so_does_what_becomes_of_them() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let endpoint = api.post("/app/one/endpoint", r#"{"url":"https://a.example/"}"#).await.expect(201);
    publish(&api, "before").await;
    let bearer = format!("Bearer {KEY}");
    for path in ["/message/live", "/message/live?application=one", "/app/one/message/live"] {
        let mut stream = api.stream(path, &bearer).await;
        let first = stream.next().await.expect("an event");
        assert!(types(&first).contains(&"before") && first.get("skipped").is_none(), "{first}");
        let message = publish(&api, "new").await;
        let event = stream.next().await.expect("an event");
        assert_eq!((types(&event), &event["skipped"]), (vec!["new"], &false.into()), "{path}");
        assert_eq!(event["data"][0]["deliveries"]["pending"], 1);
        api.attempt("one", &endpoint, &message, answered(200, b"")).await;
        let event = stream.next().await.expect("an event");
        assert_eq!(types(&event), ["new"], "{path}");
        assert_eq!(event["data"][0]["deliveries"]["success"], 1, "{path}");
    }
    let mut filtered = api.stream("/message/live?event_types=wanted", &bearer).await;
    assert_eq!(types(&filtered.next().await.expect("an event")), Vec::<&str>::new());
    publish(&api, "other").await;
    publish(&api, "wanted").await;
    assert_eq!(types(&filtered.next().await.expect("an event")), ["wanted"]);
    for _ in 0..120 {
        publish(&api, "wanted").await;
    }
    let mut skipped = false;
    let mut newest = 0;
    while newest < 50 || !skipped {
        let event = filtered.next().await.expect("an event");
        newest = newest.max(types(&event).len());
        assert!(newest <= 50, "{newest} rows");
        skipped |= event["skipped"] == true;
    }
}

#[tokio::test]
async fn what_fails_later_comes_to_who_follows_failures() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let endpoint = api.post("/app/one/endpoint", r#"{"url":"https://a.example/"}"#).await.expect(201);
    let message = publish(&api, "a").await;
    publish(&api, "b").await;
    let mut stream = api.stream("/message/live?status=fail", &format!("Bearer {KEY}")).await;
    assert_eq!(types(&stream.next().await.expect("an event")), Vec::<&str>::new());
    api.attempt("one", &endpoint, &message, answered(500, b"")).await;
    assert_eq!(types(&stream.next().await.expect("an event")), ["a"]);
}

#[tokio::test]
async fn streams_are_limited_and_end_with_the_server() {
    let api = TestApi::start().await;
    let bearer = format!("Bearer {KEY}");
    let mut open = Vec::new();
    for _ in 0..crate::api::STREAMS_MAX {
        open.push(api.stream("/message/live", &bearer).await);
    }
    api.get("/message/live").await.expect_code(429, "rate_limited");
    let mut first = open.swap_remove(0);
    assert!(first.next().await.is_some());
    // Who goes makes room.
    drop(open);
    let room = u32::try_from(crate::api::STREAMS_MAX - 1).expect("few");
    let until = std::time::Duration::from_secs(10);
    let made = tokio::time::timeout(until, api.gateway.streams.acquire_many(room)).await.expect("room is made in time");
    drop(made);
    api.get("/message/live?status=nonsense").await.expect_invalid(&["query", "status"]);
    api.gateway.admission.drain();
    assert_eq!(first.next().await, None);
}

#[tokio::test]
async fn customers_leave_streams_to_their_operator() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let token = api.post("/auth/app-portal-access/one", "{}").await.expect(200)["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    let mut open = Vec::new();
    for _ in 0..crate::api::STREAMS_MAX / 2 {
        open.push(api.stream("/app/one/message/live", &bearer).await);
    }
    let request = http::Request::builder().uri("/api/v1/app/one/message/live").header("authorization", &bearer);
    let refused = api.send(request.body(axum::body::Body::empty()).expect("a request")).await;
    refused.expect_code(429, "rate_limited");
    open.push(api.stream("/message/live", &format!("Bearer {KEY}")).await);
}

#[tokio::test]
async fn long_contents_come_piece_by_piece() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let bearer = format!("Bearer {KEY}");
    let mut stream = api.stream("/message/live", &bearer).await;
    assert_eq!(types(&stream.next().await.expect("an event")).len(), 0);
    api.fill("one", 8, |_| format!(r#"{{"a":"{}"}}"#, "x".repeat(400_000))).await;
    let event = stream.next().await.expect("an event");
    let (rows, bytes) = (types(&event).len(), event.to_string().len());
    assert!((1..=2).contains(&rows) && bytes < 1 << 20, "{rows} rows of {bytes} bytes");
    let mut again = api.stream("/message/live?status=none", &bearer).await;
    assert_eq!(types(&again.next().await.expect("an event")).len(), 2, "two have room");
    // The same are not new again.
    publish(&api, "other").await;
    let event = again.next().await.expect("an event");
    assert_eq!(types(&event), ["other"], "nothing came between");
}

#[tokio::test]
async fn a_stream_ends_when_its_key_may_less() {
    let api = TestApi::start().await;
    let id = api.key("reading_key", &[Scope::Read]).await;
    let mut stream = api.stream("/message/live", "Bearer reading_key").await;
    assert!(stream.next().await.is_some());
    let env = EnvKey(api.kept.numbers("SELECT key FROM environment")[0][0]);
    let scopes = Some(Scopes::of([Scope::Publish]));
    api.change(Change::Access(AccessChange::PatchApiKey { env, id, name: None, scopes })).await;
    tokio::time::pause();
    assert_eq!(stream.next().await, None);
}
