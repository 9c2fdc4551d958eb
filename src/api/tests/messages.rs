//! Messages and attempts.

use serde_json::{Value, json};

use super::support::{TestApi, answered};
use crate::model::{Outcome, OutcomeKind};

async fn with_endpoint() -> (TestApi, Value) {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let endpoint = api.post("/app/one/endpoint", r#"{"url":"https://u:p@example.com/","uid":"e"}"#).await.expect(201);
    (api, endpoint)
}

#[tokio::test]
async fn a_message_is_shown_byte_for_byte() {
    let (api, _) = with_endpoint().await;
    let payload = r#"{ "b" : 1.50, "a":"\ud800é",  "a":2}"#;
    let body = format!(
        r#"{{"eventType":"a.b","payload":  {payload} ,"eventId":"ev-1","channels":["c:1"],"tags":["t\\u"],"x":[]}}"#
    );
    let made = api.post("/app/one/msg", &body).await;
    assert_eq!(made.status, 202);
    let text = String::from_utf8_lossy(&made.body).into_owned();
    assert!(text.contains(&format!("\"payload\":{payload},")), "{text}");
    let shown = api.post("/app/one/msg", r#"{"eventType":"a","payload":{}}"#).await.expect(202);
    assert_eq!(shown["payload"], json!({}));
    assert_eq!(
        (&shown["eventId"], &shown["channels"], &shown["deliverAt"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );

    let id = text.split("\"id\":\"").nth(1).and_then(|rest| rest.get(..31)).expect("an id").to_owned();
    for path in [format!("/app/one/msg/{id}"), "/app/one/msg/ev-1".into()] {
        assert_eq!(api.get(&path).await.body, made.body);
        let without = api.get(&format!("{path}?with_content=false")).await.expect(200);
        assert_eq!(without["payload"], json!({}));
        assert_eq!(without["tags"], json!(["t\\u"]));
    }
    api.post("/app/one/msg", &body).await.expect_code(409, "event_exists");
    let without = api.post("/app/one/msg?with_content=false", r#"{"eventType":"a","payload":{"a":1}}"#).await;
    assert_eq!(without.expect(202)["payload"], json!({}));
    api.get("/app/one/msg/unknown").await.expect_code(404, "not_found");
    api.get(&format!("/app/one/msg/msg_{}", "1".repeat(27))).await.expect_code(404, "not_found");
}

#[tokio::test]
async fn raw_payloads_keep_their_bytes_and_type() {
    let (api, _) = with_endpoint().await;
    let raw = |raw: &str, headers: &str| {
        format!(r#"{{"eventType":"a","payload":{{}},"transformationsParams":{{"rawPayload":{raw}{headers},"x":1}}}}"#)
    };
    let made =
        api.post("/app/one/msg", &raw(r#""<a/>""#, r#","headers":{"content-type":"text/xml"}"#)).await.expect(202);
    assert_eq!(made["payload"], json!({}));
    let app = api.app("one").await;
    let stored = api.gateway.queries.messages_of(
        app.app.key(),
        crate::store::query::Page { after: None, order: crate::store::query::Order::Descending, limit: 1 },
        crate::store::query::MessageFilter { with_content: true, ..Default::default() },
    );
    let stored = stored.await.expect("a read").rows.remove(0);
    assert_eq!(stored.payload.as_deref(), Some(&b"<a/>"[..]));
    assert_eq!(stored.envelope.content_type.as_deref(), Some("text/xml"));
    let object = api.post("/app/one/msg", &raw(r#""{\"a\": 1}""#, "")).await.expect(202);
    assert_eq!(object["payload"], json!({"a": 1}));
    let no_object = api.post("/app/one/msg", &raw(r#""{]""#, "")).await.expect(202);
    assert_eq!(no_object["payload"], json!({}));
    for wrong in [raw("5", ""), raw(r#""\udfff""#, "")] {
        let loc = ["body", "transformationsParams", "rawPayload"];
        api.post("/app/one/msg", &wrong).await.expect_invalid(&loc);
    }
    for headers in [r#","headers":{"content-type":"a\nb"}"#, r#","headers":{"content-type":5}"#] {
        let loc = ["body", "transformationsParams", "headers"];
        api.post("/app/one/msg", &raw("\"\"", headers)).await.expect_invalid(&loc);
    }
}

#[tokio::test]
async fn bodies_of_messages_are_judged_field_by_field() {
    let (api, _) = with_endpoint().await;
    let with = |rest: &str| format!(r#"{{"eventType":"a","payload":{{}}{rest}}}"#);
    for (body, loc) in [
        (r#"{"payload":{}}"#.into(), vec!["body", "eventType"]),
        (r#"{"eventType":"a b","payload":{}}"#.into(), vec!["body", "eventType"]),
        (r#"{"eventType":"a"}"#.into(), vec!["body", "payload"]),
        (r#"{"eventType":"a","payload":[]}"#.into(), vec!["body", "payload"]),
        (r#"{"eventType":"a","payload":null}"#.into(), vec!["body", "payload"]),
        (r#"{"eventType":"a","payload":{},"payload":{}}"#.into(), vec!["body", "payload"]),
        (with(r#","eventId":"a b""#), vec!["body", "eventId"]),
        (with(r#","channels":[]"#), vec!["body", "channels"]),
        (with(r#","tags":["1","2","3","4","5","6"]"#), vec!["body", "tags"]),
        (with(r#","tags":["a:b"]"#), vec!["body", "tags", "[0]"]),
        (with(r#","deliverAt":"2999-01-01T00:00:00Z""#), vec!["body", "deliverAt"]),
        (with(r#","deliverAt":"soon""#), vec!["body", "deliverAt"]),
        (with(r#","deliverAt":5"#), vec!["body", "deliverAt"]),
        (with(r#","payloadRetentionPeriod":91"#), vec!["body", "payloadRetentionPeriod"]),
        (with(r#","payloadRetentionHours":2161"#), vec!["body", "payloadRetentionHours"]),
        (with(r#","transformationsParams":[]"#), vec!["body", "transformationsParams"]),
    ] {
        api.post("/app/one/msg", &body).await.expect_invalid(&loc);
    }
    let past = api.post("/app/one/msg", &with(r#","deliverAt":"2001-01-01T00:00:00Z""#)).await.expect(202);
    assert_eq!(past["deliverAt"], Value::Null);
    api.post("/app/none/msg", &with("")).await.expect_code(404, "not_found");
    api.post("/app/none/msg", &with(r#","application":null"#)).await.expect_code(404, "not_found");
}

#[tokio::test]
async fn an_application_is_made_with_its_first_message() {
    let (api, _) = with_endpoint().await;
    let with = |application: &str| format!(r#"{{"eventType":"a","payload":{{}},"application":{application}}}"#);
    // What is wrong with either of them makes neither.
    for (application, loc) in [
        ("5", vec!["body", "application"]),
        ("{}", vec!["body", "application", "name"]),
        (r#"{"name":""}"#, vec!["body", "application", "name"]),
        (r#"{"name":"N","uid":"other"}"#, vec!["body", "application", "uid"]),
        (r#"{"name":"N","throttleRate":0}"#, vec!["body", "application", "throttleRate"]),
        (r#"{"name":"N","metadata":{"a":1}}"#, vec!["body", "application", "metadata"]),
    ] {
        api.post("/app/new/msg", &with(application)).await.expect_invalid(&loc);
    }
    let wrong = r#"{"eventType":"a","payload":[],"application":{"name":"N"}}"#;
    api.post("/app/new/msg", wrong).await.expect_invalid(&["body", "payload"]);
    api.get("/app/new").await.expect_code(404, "not_found");

    let full = r#"{"name":"New","uid":"new","throttleRate":7,"metadata":{"a":"b"}}"#;
    let message = api.post("/app/new/msg", &with(full)).await.expect(202);
    let made = api.get("/app/new").await.expect(200);
    assert_eq!((&made["name"], &made["uid"], &made["throttleRate"]), (&json!("New"), &json!("new"), &json!(7)));
    assert_eq!(made["metadata"], json!({"a": "b"}));
    assert_eq!(api.get("/app/new/msg").await.expect(200)["data"][0]["id"], message["id"]);
    // One that is there stays as it is; an id names one that is there.
    api.post("/app/new/msg", &with(r#"{"name":"Newer"}"#)).await.expect(202);
    assert_eq!(api.get("/app/new").await.expect(200)["name"], "New");
    api.post("/app/new/msg", &with(r#"{"name":""}"#)).await.expect_invalid(&["body", "application", "name"]);
    let by_id = format!("/app/{}/msg", made["id"].as_str().expect("an id"));
    api.post(&by_id, &with(full)).await.expect(202);
    let unknown = format!("/app/app_{}/msg", "0".repeat(27));
    api.post(&unknown, &with(r#"{"name":"N"}"#)).await.expect_code(404, "not_found");
    api.post("/app/plain/msg", &with(r#"{"name":"Plain"}"#)).await.expect(202);
    assert_eq!(api.get("/app/plain").await.expect(200)["uid"], "plain");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_messages_make_one_application() {
    let api = std::sync::Arc::new(TestApi::start().await);
    let calls: Vec<_> = (0..50)
        .map(|i| {
            let api = std::sync::Arc::clone(&api);
            let body = format!(r#"{{"eventType":"a","payload":{{"n":{i}}},"application":{{"name":"N{i}"}}}}"#);
            tokio::spawn(async move { api.post("/app/together/msg", &body).await.expect(202)["id"].clone() })
        })
        .collect();
    let mut ids = Vec::new();
    for call in calls {
        ids.push(call.await.expect("answered").as_str().expect("an id").to_owned());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 50);
    assert_eq!(api.get("/app").await.expect(200)["data"].as_array().map(Vec::len), Some(1));
    let listed = api.get("/app/together/msg?limit=250").await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(50));
}

#[tokio::test]
async fn a_repeated_message_is_answered_like_the_first() {
    let (api, _) = with_endpoint().await;
    let body = r#"{"eventType":"a","payload":{"a":1}}"#;
    let send = |body: &'static str| api.call_with("POST", "/app/one/msg", body, &[("idempotency-key", "auto_1")]);
    let first = send(body).await;
    let second = send(body).await;
    assert_eq!((first.status.as_u16(), &first.body), (202, &second.body));
    send(r#"{"eventType":"a","payload":{"a":2}}"#).await.expect_code(409, "idempotency_conflict");
    let listed = api.get("/app/one/msg").await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn attempts_are_listed_found_and_filtered() {
    let (api, endpoint) = with_endpoint().await;
    let first = api.post("/app/one/msg", r#"{"eventType":"a","payload":{"a":1},"eventId":"m1","tags":["t"]}"#).await;
    let first = first.expect(202);
    let second = api.post("/app/one/msg", r#"{"eventType":"b","payload":{"a":1}}"#).await.expect(202);
    api.attempt("one", &endpoint, &first, answered(200, b"thanks \xff")).await;
    api.attempt("one", &endpoint, &second, Outcome::without_answer(OutcomeKind::Timeout, 1_700_000_000_000, 15)).await;

    let all = api.get("/app/one/attempt/endpoint/e?with_msg=true").await.expect(200);
    let (newest, oldest) = (&all["data"][0], &all["data"][1]);
    assert_eq!(oldest["response"], "thanks \u{fffd}");
    assert_eq!((&oldest["status"], &oldest["statusText"]), (&json!(0), &json!("success")));
    assert_eq!((&oldest["responseStatusCode"], &oldest["responseDurationMs"]), (&json!(200), &json!(12)));
    assert_eq!((&oldest["msgId"], &oldest["endpointId"]), (&first["id"], &endpoint["id"]));
    assert_eq!((&oldest["url"], &oldest["triggerType"]), (&json!("https://u:***@example.com/"), &json!(0)));
    assert_eq!((&oldest["msg"]["id"], &oldest["msg"]["payload"]), (&first["id"], &json!({})));
    assert_eq!((&newest["response"], &newest["responseStatusCode"]), (&json!("timeout"), &json!(0)));
    assert_eq!((&newest["status"], &newest["statusText"]), (&json!(2), &json!("fail")));
    assert_eq!(newest["timestamp"], "2023-11-14T22:13:20.000Z");

    for (query, count) in [
        ("attempt/endpoint/e?status=0", 1),
        ("attempt/endpoint/e?status=2", 1),
        ("attempt/endpoint/e?status=1", 0),
        ("attempt/endpoint/e?status_code_class=200", 1),
        ("attempt/endpoint/e?status_code_class=0", 1),
        ("attempt/endpoint/e?status_code_class=500", 0),
        ("attempt/endpoint/e?event_types=a,b", 2),
        ("attempt/endpoint/e?event_types=a&event_types=c", 1),
        ("attempt/endpoint/e?tag=t", 1),
        ("attempt/endpoint/e?channel=c", 0),
        ("attempt/endpoint/e?before=2000-01-01T00:00:00Z", 0),
        ("attempt/endpoint/e?after=2000-01-01T00:00:00Z&with_content=false&expanded_statuses=true", 2),
        ("attempt/msg/m1", 1),
        ("attempt/msg/m1?endpoint_id=e", 1),
        ("attempt/msg/m1?status=2", 0),
    ] {
        let listed = api.get(&format!("/app/one/{query}")).await.expect(200);
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(count), "{query}");
    }
    api.get("/app/one/attempt/msg/m1?endpoint_id=f").await.expect_code(404, "not_found");
    api.get("/app/one/attempt/msg/none").await.expect_code(404, "not_found");
    let id = oldest["id"].as_str().expect("an id");
    let mut one = api.get(&format!("/app/one/msg/m1/attempt/{id}")).await.expect(200);
    one["msg"] = oldest["msg"].clone();
    assert_eq!(&one, oldest);
    let other = second["id"].as_str().expect("an id");
    api.get(&format!("/app/one/msg/{other}/attempt/{id}")).await.expect_code(404, "not_found");
    api.get("/app/one/msg/m1/attempt/atmpt_1").await.expect_invalid(&["path", "attempt_id"]);
    for (query, name) in
        [("status=5", "status"), ("status_code_class=600", "status_code_class"), ("status=00", "status")]
    {
        api.get(&format!("/app/one/attempt/endpoint/e?{query}")).await.expect_invalid(&["query", name]);
    }
}

#[tokio::test]
async fn a_resend_needs_an_endpoint_that_is_enabled() {
    let (api, _) = with_endpoint().await;
    api.post("/app/one/msg", r#"{"eventType":"a","payload":{},"eventId":"m1"}"#).await.expect(202);
    assert_eq!(api.post("/app/one/msg/m1/endpoint/e/resend", "").await.expect(202), json!({}));
    api.post("/app/one/msg/m2/endpoint/e/resend", "").await.expect_code(404, "not_found");
    api.post("/app/one/msg/m1/endpoint/f/resend", "").await.expect_code(404, "not_found");
    api.call("PATCH", "/app/one/endpoint/e", r#"{"disabled":true}"#).await.expect(200);
    api.post("/app/one/msg/m1/endpoint/e/resend", "").await.expect_code(400, "endpoint_disabled");
}
