//! Recovery, background tasks, and content that is deleted.

use serde_json::{Value, json};

use super::support::{TestApi, answered};

/// An application `a` with an endpoint `e`, and a message.
async fn with_message(api: &TestApi) -> (Value, Value) {
    api.post("/app", r#"{"name":"A","uid":"a"}"#).await.expect(201);
    let endpoint = api.post("/app/a/endpoint", r#"{"url":"https://example.com/","uid":"e"}"#).await.expect(201);
    (endpoint, publish(api, "evt").await)
}

async fn publish(api: &TestApi, event_id: &str) -> Value {
    let body = json!({ "eventType": "a.b", "eventId": event_id, "payload": { "name": "secret" } });
    api.post("/app/a/msg", &body.to_string()).await.expect(202)
}

#[tokio::test]
async fn a_recovery_is_a_task_that_shows_how_far_it_is() {
    let api = TestApi::start().await;
    let (endpoint, message) = with_message(&api).await;
    api.attempt("a", &endpoint, &message, answered(500, b"no")).await;
    let path = "/app/a/endpoint/e/recover";
    let begun = api.post(path, r#"{"since":"2020-01-01T00:00:00Z","more":1}"#).await.expect(202);
    let id = begun["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("qtask_") && id.len() == 33, "{id}");
    assert_eq!(
        begun,
        json!({"id": id, "status": "running", "task": "endpoint.recover", "updatedAt": begun["updatedAt"]})
    );
    let shown = api.get(&format!("/background-task/{id}")).await.expect(200);
    assert_eq!((&shown["status"], &shown["data"]), (&json!("running"), &json!({"messagesSent": 0})));
    api.run_tasks(100).await;
    let shown = api.get(&format!("/background-task/{id}")).await.expect(200);
    assert_eq!((&shown["status"], &shown["data"]), (&json!("finished"), &json!({"messagesSent": 1})));
    assert_eq!((&shown["task"], &shown["progress"]), (&json!("endpoint.recover"), &json!({"done": 1, "total": 1})));

    let second = api.post(path, r#"{"since":"2020-01-01T00:00:00Z","until":"2021-01-01T00:00:00Z"}"#).await.expect(202);
    let list = api.get("/background-task").await.expect(200);
    assert_eq!(
        list["data"],
        json!([{"data": {"messagesSent": 0}, "id": second["id"], "status": "running", "task": "endpoint.recover",
            "updatedAt": second["updatedAt"], "progress": {"done": 0, "total": 0}}, shown])
    );
    for (query, expected) in [
        ("?status=finished", vec![&shown["id"]]),
        ("?status=running&task=endpoint.recover", vec![&second["id"]]),
        ("?task=endpoint.replay", vec![]),
        ("?limit=1&order=ascending", vec![&shown["id"]]),
        (&format!("?order=ascending&iterator={id}"), vec![&second["id"]]),
    ] {
        let list = api.get(&format!("/background-task{query}")).await.expect(200);
        let ids: Vec<_> = list["data"].as_array().expect("a list").iter().map(|task| &task["id"]).collect();
        assert_eq!(ids, expected, "{query}");
    }
}

#[tokio::test]
async fn a_recovery_is_judged_field_by_field_and_repeated_as_it_was_answered() {
    let api = TestApi::start().await;
    with_message(&api).await;
    let path = "/app/a/endpoint/e/recover";
    for (body, field) in [
        ("{}", "since"),
        (r#"{"since":null}"#, "since"),
        (r#"{"since":5}"#, "since"),
        (r#"{"since":"yesterday"}"#, "since"),
        (r#"{"since":"2020-01-01T00:00:00Z","until":"tomorrow"}"#, "until"),
        (r#"{"since":"2020-01-01T00:00:00Z","until":"2019-01-01T00:00:00Z"}"#, "until"),
    ] {
        api.post(path, body).await.expect_invalid(&["body", field]);
    }
    api.post(path, "{").await.expect_code(400, "invalid_json");
    let body = r#"{"since":"2020-01-01T00:00:00Z"}"#;
    api.post("/app/a/endpoint/none/recover", body).await.expect_code(404, "not_found");
    api.post("/app/none/endpoint/e/recover", body).await.expect_code(404, "not_found");
    let key = [("idempotency-key", "again")];
    let first = api.call_with("POST", path, body, &key).await.expect(202);
    assert_eq!(api.call_with("POST", path, body, &key).await.expect(202), first);
    assert_eq!(api.get("/background-task").await.expect(200)["data"].as_array().map(Vec::len), Some(1));
    api.call("PATCH", "/app/a/endpoint/e", r#"{"disabled":true}"#).await.expect(200);
    api.post(path, body).await.expect_code(400, "endpoint_disabled");

    api.get("/background-task?status=done").await.expect_invalid(&["query", "status"]);
    api.get("/background-task?task=none").await.expect_invalid(&["query", "task"]);
    api.get("/background-task/none").await.expect_invalid(&["path", "task_id"]);
    let id = first["id"].as_str().expect("an id");
    let other = id.chars().last().map(|last| if last == '0' { '1' } else { '0' }).expect("a character");
    let wrong = format!("{}{other}", &id[..id.len() - 1]);
    api.get(&format!("/background-task/{wrong}")).await.expect_code(404, "not_found");
    api.environment("other", "other_key").await;
    for path in [format!("/api/v1/background-task/{id}"), "/api/v1/background-task".to_owned()] {
        let request = http::Request::builder().uri(&path).header("authorization", "Bearer other_key");
        let answer = api.send(request.body("".into()).expect("a request")).await.json();
        assert!(answer["code"] == "not_found" || answer["data"] == json!([]), "{path}: {answer}");
    }
}

#[tokio::test]
async fn content_is_deleted_and_the_rest_stays_listed() {
    let api = TestApi::start().await;
    let (endpoint, message) = with_message(&api).await;
    let kept = publish(&api, "kept").await;
    api.attempt("a", &endpoint, &message, answered(200, b"an answer")).await;
    let id = message["id"].as_str().expect("an id").to_owned();
    let attempts = format!("/app/a/attempt/msg/{id}");
    let attempt = api.get(&attempts).await.expect(200)["data"][0].clone();
    assert_eq!(attempt["response"], "an answer");
    let attempt = attempt["id"].as_str().expect("an id").to_owned();
    api.call("DELETE", &format!("/app/a/msg/{id}/attempt/{attempt}/content"), "").await.expect(204);
    api.call("DELETE", &format!("/app/a/msg/{id}/attempt/{attempt}/content"), "").await.expect(204);
    let shown = api.get(&attempts).await.expect(200)["data"][0].clone();
    assert_eq!((&shown["id"], &shown["response"], &shown["status"]), (&json!(attempt), &json!(""), &json!(0)));

    // Also by event id, also twice.
    api.call("DELETE", "/app/a/msg/evt/content", "").await.expect(204);
    api.call("DELETE", &format!("/app/a/msg/{id}/content"), "").await.expect(204);
    let shown = api.get(&format!("/app/a/msg/{id}")).await.expect(200);
    assert_eq!((&shown["payload"], &shown["eventId"]), (&json!({"expired": true}), &json!("evt")));
    let list = api.get("/app/a/msg").await.expect(200);
    assert_eq!(
        (&list["data"][0]["payload"], &list["data"][1]["payload"]),
        (&kept["payload"], &json!({"expired": true}))
    );
    api.post(&format!("/app/a/msg/{id}/endpoint/e/resend"), "{}").await.expect_code(409, "content_expired");

    let unknown = format!("/app/a/msg/{id}/attempt/atmpt_{}/content", "0".repeat(27));
    api.call("DELETE", &unknown, "").await.expect_code(404, "not_found");
    api.call("DELETE", "/app/a/msg/evt/attempt/none/content", "").await.expect_invalid(&["path", "attempt_id"]);
    let other = format!("/app/a/msg/kept/attempt/{attempt}/content");
    api.call("DELETE", &other, "").await.expect_code(404, "not_found");
    api.call("DELETE", "/app/a/msg/none/content", "").await.expect_code(404, "not_found");
    api.post("/app", r#"{"name":"B","uid":"b"}"#).await.expect(201);
    api.call("DELETE", &format!("/app/b/msg/{id}/content"), "").await.expect_code(404, "not_found");
}
