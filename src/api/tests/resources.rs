//! Applications, endpoints, event types.

use serde_json::{Value, json};

use super::support::TestApi;

#[tokio::test]
async fn an_application_is_made_found_changed_and_deleted() {
    let api = TestApi::start().await;
    let made = api.post("/app", r#"{"name":"One","uid":"one","metadata":{"a":"b"},"unknown":[1]}"#).await.expect(201);
    let id = made["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("app_") && id.len() == 31);
    assert_eq!(made["metadata"], json!({"a": "b"}));
    assert_eq!(made["throttleRate"], Value::Null);
    assert_eq!(made["createdAt"].as_str().map(str::len), Some(24));
    api.post("/app", r#"{"name":"Two","uid":"one"}"#).await.expect_code(409, "conflict");
    let again = api.post("/app?get_if_exists=true", r#"{"name":"Two","uid":"one"}"#).await.expect(200);
    assert_eq!(again, made);
    for path in ["/app/one", "/app/one/", &format!("/app/{id}")] {
        assert_eq!(api.get(path).await.expect(200), made);
    }

    let patched = api.call("PATCH", "/app/one", r#"{"throttleRate":7}"#).await.expect(200);
    assert_eq!((&patched["name"], &patched["throttleRate"]), (&json!("One"), &json!(7)));
    let patched = api.call("PATCH", "/app/one", r#"{"throttleRate":0,"uid":null}"#).await.expect(200);
    assert_eq!((&patched["uid"], &patched["throttleRate"]), (&Value::Null, &Value::Null));
    api.get("/app/one").await.expect_code(404, "not_found");

    let put = api.call("PUT", "/app/three", r#"{"name":"Three"}"#).await.expect(201);
    assert_eq!(put["uid"], "three");
    let put = api.call("PUT", "/app/three", r#"{"name":"3"}"#).await.expect(200);
    assert_eq!((&put["name"], &put["uid"]), (&json!("3"), &json!("three")));
    let unknown = format!("/app/app_{}", "0".repeat(27));
    api.call("PUT", &unknown, r#"{"name":"3"}"#).await.expect_code(404, "not_found");
    api.call("PUT", &format!("/app/app_{}", "z".repeat(27)), r#"{"name":"3"}"#).await.expect_code(404, "not_found");

    api.call("DELETE", "/app/three", "").await.expect(204);
    api.call("DELETE", "/app/three", "").await.expect_code(404, "not_found");
    api.environment("other", "other_key").await;
    let other = http::Request::builder().uri(format!("/api/v1/app/{id}")).header("authorization", "Bearer other_key");
    api.send(other.body("".into()).expect("a request")).await.expect_code(404, "not_found");
}

#[tokio::test]
async fn bodies_of_applications_are_judged_field_by_field() {
    let api = TestApi::start().await;
    let form = format!(r#"{{"name":"a","uid":"app_{}"}}"#, "a".repeat(27));
    let long = format!(r#"{{"name":"a","metadata":{{"k":"{}"}}}}"#, "v".repeat(65_536));
    for (body, loc) in [
        ("{}", vec!["body", "name"]),
        (r#"{"name":""}"#, vec!["body", "name"]),
        (r#"{"name":5}"#, vec!["body", "name"]),
        (r#"{"name":null}"#, vec!["body", "name"]),
        (r#"{"name":"\ud800"}"#, vec!["body", "name"]),
        (r#"{"name":"a\u0000"}"#, vec!["body", "name"]),
        (r#"{"name":"a","name":"b"}"#, vec!["body", "name"]),
        (r#"{"name":"a","uid":"a b"}"#, vec!["body", "uid"]),
        (&form, vec!["body", "uid"]),
        (r#"{"name":"a","throttleRate":0}"#, vec!["body", "throttleRate"]),
        (r#"{"name":"a","throttleRate":65536}"#, vec!["body", "throttleRate"]),
        (r#"{"name":"a","metadata":{"a":1}}"#, vec!["body", "metadata"]),
        (r#"{"name":"a","metadata":{"a":"1","a":"2"}}"#, vec!["body", "metadata"]),
        (r#"{"name":"a","metadata":null}"#, vec!["body", "metadata"]),
        (&long, vec!["body", "metadata"]),
        ("[]", vec!["body"]),
        ("\"\"", vec!["body"]),
    ] {
        api.post("/app", body).await.expect_invalid(&loc);
    }
}

#[tokio::test]
async fn an_endpoint_is_made_found_changed_and_deleted() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let made = api
        .post(
            "/app/one/endpoint",
            r#"{"url":"https://u:pass@Example.com","uid":"e","eventTypes":["a.b"],"channels":["c:1"],
                "headers":{"X-Own":"1"},"retrySchedule":[1,2],"secret":"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}"#,
        )
        .await
        .expect(201);
    assert_eq!(made["url"], "https://u:***@example.com/");
    assert_eq!(made["eventTypes"], json!(["a.b"]));
    assert_eq!(made["retrySchedule"], json!([1, 2]));
    assert_eq!((&made["disabled"], &made["disabledReason"]), (&json!(false), &Value::Null));
    let secret = api.get("/app/one/endpoint/e/secret").await.expect(200);
    assert_eq!(secret, json!({"key": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}));
    api.post("/app/one/endpoint", r#"{"url":"https://example.com","uid":"e"}"#).await.expect_code(409, "conflict");

    let kept = r#"{"url":"https://u:***@example.com/","disabled":true,"eventTypes":[],"channels":null}"#;
    let patched = api.call("PATCH", "/app/one/endpoint/e", kept).await.expect(200);
    assert_eq!((&patched["disabled"], &patched["disabledReason"]), (&json!(true), &json!("manual")));
    assert_eq!((&patched["eventTypes"], &patched["channels"]), (&Value::Null, &Value::Null));
    let config = api.app("one").await;
    assert_eq!(config.endpoints[0].spec.url, "https://u:pass@example.com/");

    let put = api.call("PUT", "/app/one/endpoint/f", r#"{"url":"http://example.com/"}"#).await.expect(201);
    assert_eq!(put["uid"], "f");
    let secret = api.get("/app/one/endpoint/f/secret").await.expect(200);
    assert_eq!(secret["key"].as_str().map(str::len), Some(38));
    api.call("PUT", "/app/one/endpoint/f", r#"{"url":"http://example.com/2"}"#).await.expect(200);
    assert_eq!(api.get("/app/one/endpoint/f/secret").await.expect(200), secret);
    for _ in 0..3 {
        api.post("/app/one/endpoint", r#"{"url":"https://example.com"}"#).await.expect(201);
    }
    api.post("/app/one/endpoint", r#"{"url":"https://example.com"}"#).await.expect_code(409, "too_many_endpoints");
    api.call("DELETE", "/app/one/endpoint/f", "").await.expect(204);
    api.get("/app/one/endpoint/f").await.expect_code(404, "not_found");
    api.get("/app/none/endpoint/f").await.expect_code(404, "not_found");
}

#[tokio::test]
async fn bodies_of_endpoints_are_judged_field_by_field() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let url = |rest: &str| format!(r#"{{"url":"https://example.com"{rest}}}"#);
    for (body, loc) in [
        ("{}".into(), vec!["body", "url"]),
        (r#"{"url":"ftp://example.com"}"#.into(), vec!["body", "url"]),
        (r#"{"url":"http://10.0.0.1"}"#.into(), vec!["body", "url"]),
        (r#"{"url":"example.com"}"#.into(), vec!["body", "url"]),
        (url(r#","description":null"#), vec!["body", "description"]),
        (url(r#","disabled":1"#), vec!["body", "disabled"]),
        (url(r#","eventTypes":[]"#), vec!["body", "eventTypes"]),
        (url(r#","eventTypes":["a","a"]"#), vec!["body", "eventTypes"]),
        (url(r#","eventTypes":["a b"]"#), vec!["body", "eventTypes", "[0]"]),
        (url(r#","channels":["1","2","3","4","5","6","7","8","9","10","11"]"#), vec!["body", "channels"]),
        (url(r#","secret":"whsec_c2hvcnQ=""#), vec!["body", "secret"]),
        (url(r#","secret":"whsk_C2FVsBQIhrscChlQIMV+b5sSYspob7oD""#), vec!["body", "secret"]),
        (url(r#","headers":{"Webhook-Id":"1"}"#), vec!["body", "headers", "Webhook-Id"]),
        (url(r#","headers":{"HOST":"1"}"#), vec!["body", "headers", "HOST"]),
        (url(r#","headers":{"a b":"1"}"#), vec!["body", "headers", "a b"]),
        (url(r#","headers":{"a":"\n"}"#), vec!["body", "headers", "a"]),
        (url(r#","retrySchedule":[0]"#), vec!["body", "retrySchedule"]),
        (url(r#","retrySchedule":[1.5]"#), vec!["body", "retrySchedule"]),
        (url(r#","throttleRate":0"#), vec!["body", "throttleRate"]),
    ] {
        api.post("/app/one/endpoint", &body).await.expect_invalid(&loc);
    }
}

#[tokio::test]
async fn an_event_type_is_made_once() {
    let api = TestApi::start().await;
    let body = r#"{"name":"a.b","description":"","schemas":{"1":{"type":"object"}},"featureFlags":["x"]}"#;
    let made = api.post("/event-type", body).await.expect(201);
    assert_eq!(made["schemas"]["1"]["type"], "object");
    assert_eq!(made["deprecated"], false);
    api.post("/event-type", body).await.expect_code(409, "conflict");
    assert_eq!(api.get("/event-type/a.b").await.expect(200), made);
    api.get("/event-type/a.c").await.expect_code(404, "not_found");
    api.post("/event-type", r#"{"name":"old","description":"d","archived":true}"#).await.expect(201);
    let listed = api.get("/event-type").await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["data"][0]["schemas"], Value::Null);
    let listed = api.get("/event-type?include_archived=true&with_content=true").await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(listed["data"][0]["schemas"]["1"]["type"], "object");
    let deep = format!(r#"{{"name":"d","description":"","schemas":{{"1":{}{}}}}}"#, "[".repeat(110), "]".repeat(110));
    api.post("/event-type", &deep).await.expect_invalid(&["body", "schemas"]);
    api.post("/event-type", r#"{"name":"d","description":"","schemas":[]}"#).await.expect_invalid(&["body", "schemas"]);
    api.post("/event-type", r#"{"name":"d"}"#).await.expect_invalid(&["body", "description"]);
}

#[tokio::test]
async fn a_repeated_change_is_answered_like_the_first() {
    let api = TestApi::start().await;
    let key = [("idempotency-key", "k1")];
    let first = api.call_with("POST", "/app", r#"{"name":"a"}"#, &key).await;
    let second = api.call_with("POST", "/app/", r#"{"name":"a"}"#, &key).await;
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    api.call_with("POST", "/app", r#"{"name":"b"}"#, &key).await.expect_code(409, "idempotency_conflict");
    for wrong in ["", "a b", &"k".repeat(257)] {
        let answer = api.call_with("POST", "/app", r#"{"name":"b"}"#, &[("idempotency-key", wrong)]).await;
        answer.expect_invalid(&["header", "idempotency-key"]);
    }
}

#[tokio::test]
async fn a_schedule_of_retries_stays_where_a_put_does_not_say_it() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let path = "/app/one/endpoint/e";
    let made = api.call("PUT", path, r#"{"url":"https://example.com/","retrySchedule":[9]}"#).await.expect(201);
    assert_eq!(made["retrySchedule"], json!([9]));
    let put = api.call("PUT", path, r#"{"url":"https://example.com/2"}"#).await.expect(200);
    assert_eq!((&put["url"], &put["retrySchedule"]), (&json!("https://example.com/2"), &json!([9])));
    let put = api.call("PUT", path, r#"{"url":"https://example.com/","retrySchedule":null}"#).await.expect(200);
    assert_eq!(put["retrySchedule"], Value::Null);
}

#[tokio::test]
async fn what_is_held_in_memory_for_others_is_bounded_in_bytes() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let names: Vec<String> = (0..130).map(|i| format!("{i:0250}")).collect();
    let endpoint = |names: &[String]| json!({"url": "https://example.com/", "eventTypes": names}).to_string();
    api.post("/app/one/endpoint", &endpoint(&names[..130])).await.expect(201);
    let more: Vec<String> = (0..132).map(|i| format!("{i:0250}")).collect();
    api.post("/app/one/endpoint", &endpoint(&more)).await.expect_invalid(&["body", "eventTypes"]);
    let schemas = |items: usize| {
        let schema = json!({"1": {"enum": vec![0; items]}});
        json!({"name": "big", "description": "d", "schemas": schema}).to_string()
    };
    api.post("/event-type", &schemas(66_000)).await.expect_invalid(&["body", "schemas"]);
    api.post("/event-type", &schemas(65_000)).await.expect(201);
}
