//! Replays, their counts, and cancelling: what is sent again, what is left, and how far it is.

use serde_json::{Value, json};

use super::support::{TestApi, answered};
use crate::model::Next;

const SINCE: &str = r#"{"since":"2020-01-01T00:00:00Z"}"#;

async fn publish(api: &TestApi, event_id: &str, event_type: &str) -> Value {
    let body = json!({ "eventType": event_type, "eventId": event_id, "payload": {}, "channels": [event_id] });
    api.post("/app/a/msg", &body.to_string()).await.expect(202)
}

async fn endpoint(api: &TestApi, uid: &str, types: &Value) -> Value {
    let body = json!({ "url": "https://example.com/", "uid": uid, "eventTypes": types });
    api.post("/app/a/endpoint", &body.to_string()).await.expect(201)
}

/// Where the messages stand that go to an endpoint: event id and status, oldest first.
async fn standing(api: &TestApi, endpoint: &str) -> Vec<(String, u64)> {
    let list = api.get(&format!("/app/a/endpoint/{endpoint}/msg?order=ascending")).await.expect(200);
    let mut all: Vec<_> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (row["eventId"].as_str().expect("an id").to_owned(), row["status"].as_u64().expect("a status")))
        .collect();
    all.sort();
    all
}

fn stands(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect()
}

async fn app(api: &TestApi) {
    api.post("/app", r#"{"name":"A","uid":"a"}"#).await.expect(201);
}

#[tokio::test]
async fn what_an_endpoint_wants_and_never_got_is_sent_once() {
    let api = TestApi::start().await;
    app(&api).await;
    for (event_id, event_type) in [("one", "a.b"), ("other", "c.d"), ("two", "a.b"), ("gone", "a.b")] {
        publish(&api, event_id, event_type).await;
    }
    api.call("DELETE", "/app/a/msg/gone/content", "").await.expect(204);
    let made = endpoint(&api, "e", &json!(["a.b"])).await;
    let three = publish(&api, "three", "a.b").await;
    publish(&api, "four", "a.b").await;
    api.attempt("a", &made, &three, answered(200, b"")).await;

    let path = "/app/a/endpoint/e/replay-missing";
    let counted = api.post(&format!("{path}/count"), SINCE).await.expect(200);
    assert_eq!(counted, json!({"count": 2, "approximated": false}));
    let begun = api.post(path, SINCE).await.expect(202);
    assert_eq!((&begun["task"], &begun["status"]), (&json!("endpoint.replay"), &json!("running")));
    let slices = api.run_tasks(1).await;
    assert!(slices.iter().all(|slice| slice.rows <= 1), "{slices:?}");
    let task = api.get(&format!("/background-task/{}", begun["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!(
        (&task["status"], &task["progress"], &task["data"]),
        (&json!("finished"), &json!({"done": 2, "total": 2}), &json!({"messagesSent": 2}))
    );
    assert_eq!(standing(&api, "e").await, stands(&[("four", 1), ("one", 3), ("three", 0), ("two", 3)]));
    // Nothing is missing any more.
    assert_eq!(api.post(&format!("{path}/count"), SINCE).await.expect(200)["count"], 0);
    api.post(path, SINCE).await.expect(202);
    assert_eq!(api.run_tasks(100).await.iter().map(|slice| slice.rows).sum::<usize>(), 0);
}

#[tokio::test]
async fn what_was_tried_at_one_endpoint_alone_is_missing_at_no_other() {
    let api = TestApi::start().await;
    app(&api).await;
    endpoint(&api, "tried", &json!(["a.b"])).await;
    api.post("/event-type", r#"{"name":"a.b","description":""}"#).await.expect(201);
    let sent = api.post("/app/a/endpoint/tried/send-example", r#"{"eventType":"a.b"}"#).await.expect(202);
    publish(&api, "real", "a.b").await;
    endpoint(&api, "other", &json!(["a.b"])).await;
    let path = "/app/a/endpoint/other/replay-missing";
    assert_eq!(api.post(&format!("{path}/count"), SINCE).await.expect(200)["count"], 1);
    api.post(path, SINCE).await.expect(202);
    api.run_tasks(100).await;
    assert_eq!(standing(&api, "other").await, stands(&[("real", 3)]));
    // It came in by no source.
    let found = api.get(&format!("/lookup/{}", sent["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!((&found["kind"], &found["sourceId"]), (&json!("message"), &Value::Null));
    let all = api.get("/message").await.expect(200);
    let rows = all["data"].as_array().expect("a list");
    assert!(rows.len() == 2 && rows.iter().all(|row| row["sourceId"].is_null()), "{all}");
}

#[tokio::test]
async fn what_matches_is_replayed_whatever_became_of_it() {
    let api = TestApi::start().await;
    app(&api).await;
    publish(&api, "before", "a.b").await;
    let made = endpoint(&api, "e", &Value::Null).await;
    let (done, failed) = (publish(&api, "done", "a.b").await, publish(&api, "failed", "c.d").await);
    let retried = publish(&api, "retried", "a.b").await;
    publish(&api, "pending", "a.b").await;
    api.attempt("a", &made, &done, answered(200, b"")).await;
    api.attempt("a", &made, &failed, answered(500, b"")).await;
    let later = api.gateway.clock.now_ms() + 3_600_000;
    let next = Next::Retry { due: later, attempts: 3 };
    api.attempt_then("a", &made, &retried, answered(404, b""), next).await;

    let path = "/app/a/endpoint/e/bulk-replay";
    for (filter, count) in [
        (json!({}), 3),
        (json!({"status": 0}), 1),
        (json!({"status": 2}), 1),
        (json!({"status": 3}), 1),
        (json!({"status": 1}), 0),
        (json!({"statusCodeClass": 500}), 1),
        (json!({"statusCodeClass": 400}), 1),
        (json!({"statusCodeClass": 0}), 0),
        (json!({"eventTypes": ["c.d", "x"]}), 1),
        (json!({"channel": "retried"}), 1),
        (json!({"tag": "none"}), 0),
        (json!({"eventTypes": null, "channel": null, "tag": null, "status": null, "statusCodeClass": null}), 3),
        (json!({"until": "2021-01-01T00:00:00Z"}), 0),
    ] {
        let mut body = filter.clone();
        body["since"] = json!("2020-01-01T00:00:00Z");
        let counted = api.post(&format!("{path}/count"), &body.to_string()).await.expect(200);
        assert_eq!(counted, json!({"count": count, "approximated": false}), "{filter}");
    }
    let begun = api.post(path, SINCE).await.expect(202);
    assert_eq!(begun["task"], "endpoint.bulk-replay");
    let slices = api.run_tasks(1).await;
    let moved: Vec<_> = slices.iter().flat_map(|slice| &slice.moved_up).collect();
    assert_eq!(moved.len(), 1, "only the retry that waits has another place: {moved:?}");
    assert!(slices.iter().filter(|slice| slice.rows > 0).all(|slice| slice.recovered.is_some()));
    // What the receiver has it has.
    assert_eq!(standing(&api, "e").await, stands(&[("done", 0), ("failed", 3), ("pending", 1), ("retried", 3)]));
    let waiting = api.kept.numbers("SELECT attempts, CASE WHEN due < 0 THEN 1 ELSE 0 END FROM waiting");
    assert_eq!(waiting, vec![vec![0, 0]; 3], "with their schedules from the start, and each once");
    let late = api.kept.numbers(&format!("SELECT count(*) FROM waiting WHERE due >= {later}"));
    assert_eq!(late, [[0]]);
    // What is in line is not put there again.
    assert_eq!(api.post(&format!("{path}/count"), SINCE).await.expect(200)["count"], 0);
}

#[tokio::test]
async fn what_is_not_ended_is_cancelled_and_nothing_else() {
    let api = TestApi::start().await;
    app(&api).await;
    let (made, other) = (endpoint(&api, "e", &Value::Null).await, endpoint(&api, "other", &Value::Null).await);
    let mut messages = Vec::new();
    for event_id in ["pending", "retried", "failed", "done", "resent"] {
        messages.push(publish(&api, event_id, "a.b").await);
    }
    let later = api.gateway.clock.now_ms() + 3_600_000;
    let next = Next::Retry { due: later, attempts: 3 };
    api.attempt_then("a", &made, &messages[1], answered(500, b""), next).await;
    api.attempt("a", &made, &messages[2], answered(500, b"")).await;
    api.attempt("a", &made, &messages[3], answered(200, b"")).await;
    api.attempt("a", &made, &messages[4], answered(200, b"")).await;
    api.post("/app/a/msg/resent/endpoint/e/resend", "{}").await.expect(202);
    api.call("PATCH", "/app/a/endpoint/e", r#"{"disabled":true}"#).await.expect(200);
    publish(&api, "held", "a.b").await;
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    let before = String::from_utf8(crate::api::time::format(api.gateway.clock.now_ms()).to_vec()).expect("a time");
    publish(&api, "young", "a.b").await;
    api.attempt("a", &other, &messages[0], answered(200, b"")).await;

    let path = "/app/a/endpoint/e/cancel-msgs";
    for body in ["{}", r#"{"createdBefore":null}"#, r#"{"createdBefore":"soon"}"#] {
        api.post(path, body).await.expect_invalid(&["body", "createdBefore"]);
    }
    api.post(path, &json!({ "createdBefore": before }).to_string()).await.expect(204);
    let slices = api.run_tasks(1).await;
    // The one that was held is nowhere in memory.
    assert_eq!(slices.iter().map(|slice| slice.withdrawn.len()).sum::<usize>(), 3);
    assert_eq!(
        standing(&api, "e").await,
        stands(&[("done", 0), ("failed", 2), ("held", 4), ("pending", 4), ("resent", 0), ("retried", 4), ("young", 1)])
    );
    assert!(standing(&api, "other").await.contains(&("pending".to_owned(), 0)));
    let list = api.get("/app/a/endpoint/e/msg?status=4").await.expect(200);
    assert!(list["data"].as_array().expect("a list").iter().all(|row| row["reason"] == "cancelled_by_request"));
    // The contract has no word for it: it is listed where it is asked for.
    assert_eq!(api.get("/background-task").await.expect(200)["data"], json!([]));
    let list = api.get("/background-task?task=endpoint.cancel").await.expect(200);
    assert_eq!(list["data"][0]["data"], json!({"deliveriesCancelled": 4}));
    assert_eq!(list["data"][0]["status"], "finished");
    assert_eq!(api.kept.numbers("SELECT count(*) FROM waiting"), [[0]]);
}

#[tokio::test]
async fn what_is_replayed_is_judged_field_by_field() {
    let api = TestApi::start().await;
    app(&api).await;
    endpoint(&api, "e", &Value::Null).await;
    let path = "/app/a/endpoint/e/bulk-replay";
    for (field, value) in [
        ("status", json!(5)),
        ("status", json!("fail")),
        ("statusCodeClass", json!(250)),
        ("statusCodeClass", json!(600)),
        ("eventTypes", json!("a.b")),
        ("channel", json!("")),
        ("tag", json!(1)),
        ("until", json!("2019-01-01T00:00:00Z")),
    ] {
        let mut body = json!({"since": "2020-01-01T00:00:00Z"});
        body[field] = value;
        api.post(path, &body.to_string()).await.expect_invalid(&["body", field]);
        api.post(&format!("{path}/count"), &body.to_string()).await.expect_invalid(&["body", field]);
    }
    for path in ["/app/a/endpoint/none/replay-missing", "/app/none/endpoint/e/bulk-replay"] {
        api.post(path, SINCE).await.expect_code(404, "not_found");
        api.post(&format!("{path}/count"), SINCE).await.expect_code(404, "not_found");
    }
    api.call("PATCH", "/app/a/endpoint/e", r#"{"disabled":true}"#).await.expect(200);
    for path in ["replay-missing", "bulk-replay"] {
        api.post(&format!("/app/a/endpoint/e/{path}"), SINCE).await.expect_code(400, "endpoint_disabled");
    }
    // What is held there can be given up.
    api.post("/app/a/endpoint/e/cancel-msgs", r#"{"createdBefore":"2020-01-01T00:00:00Z"}"#).await.expect(204);
    let key = [("idempotency-key", "again")];
    api.call("PATCH", "/app/a/endpoint/e", r#"{"disabled":false}"#).await.expect(200);
    let first = api.call_with("POST", path, SINCE, &key).await.expect(202);
    assert_eq!(api.call_with("POST", path, SINCE, &key).await.expect(202), first);
}
