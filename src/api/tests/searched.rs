//! Messages of an environment with where they stand, what is found in them, and what ids stand for.

use serde_json::{Value, json};

use super::support::{TestApi, answered};
use crate::model::IdKind;

fn texts(page: &Value, field: &str) -> Vec<String> {
    let rows = page["data"].as_array().into_iter().flatten();
    rows.map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// Follows a list to its end.
async fn all(api: &TestApi, path: &str, field: &str) -> Vec<String> {
    let glue = if path.contains('?') { '&' } else { '?' };
    let (mut found, mut iterator) = (Vec::new(), None::<String>);
    loop {
        let at = iterator.map(|iterator| format!("&iterator={iterator}")).unwrap_or_default();
        let page = api.get(&format!("{path}{glue}with_content=false{at}")).await.expect(200);
        found.extend(texts(&page, field));
        assert_eq!(page["searchedTo"].is_null(), page["done"] == true || found.len() % 50 == 0, "{page}");
        iterator = page["iterator"].as_str().map(str::to_owned);
        if page["done"] == true {
            return found;
        }
    }
}

/// An application with endpoints of these event types, and one message of each.
async fn publish(api: &TestApi, app: &str, event_type: &str) -> Value {
    let body = format!(r#"{{"eventType":"{event_type}","payload":{{"of":"{app}"}}}}"#);
    api.post(&format!("/app/{app}/msg"), &body).await.expect(202)
}

#[tokio::test]
async fn rows_say_whose_they_are_and_where_they_stand() {
    let api = TestApi::start().await;
    for app in ["one", "two"] {
        api.post("/app", &format!(r#"{{"name":"Name of {app}","uid":"{app}"}}"#)).await.expect(201);
    }
    let endpoint = |event_types: &str| json!({ "url": "https://a.example/", "eventTypes": [event_types] }).to_string();
    let good = api.post("/app/one/endpoint", &endpoint("good")).await.expect(201);
    let bad = api.post("/app/one/endpoint", &endpoint("bad")).await.expect(201);
    let held = json!({ "url": "https://a.example/", "disabled": true, "eventTypes": ["held", "bad"] });
    api.post("/app/one/endpoint", &held.to_string()).await.expect(201);
    let delivered = publish(&api, "one", "good").await;
    api.attempt("one", &good, &delivered, answered(200, b"")).await;
    let failed = publish(&api, "one", "bad").await;
    api.attempt("one", &bad, &failed, answered(500, b"")).await;
    for event_type in ["held", "good", "nothing"] {
        publish(&api, "one", event_type).await;
    }
    publish(&api, "two", "alone").await;
    let later = r#"{"eventType":"good","payload":{},"deliverAt":"2036-01-01T00:00:00Z"}"#;
    let in_days = later.replace("2036-01-01T00:00:00Z", &in_days(&api, 3));
    api.post("/app/one/msg", &in_days).await.expect(202);

    let page = api.get("/message").await.expect(200);
    assert_eq!(texts(&page, "eventType"), ["good", "alone", "nothing", "good", "held", "bad", "good"]);
    assert_eq!(page["data"][1]["appName"], "Name of two");
    assert_eq!(page["data"][1]["payload"], json!({ "of": "two" }));
    assert_eq!((&page["done"], &page["searchedTo"]), (&true.into(), &Value::Null));
    let counts = |row: usize| {
        let of = &page["data"][row]["deliveries"];
        let all = ["total", "success", "pending", "sending", "fail", "canceled", "held"];
        assert_eq!(of["approximated"], false);
        all.map(|name| of[name].as_u64().expect("a count"))
    };
    assert_eq!(counts(0), [1, 0, 0, 1, 0, 0, 0]);
    assert!(page["data"][0]["nextAttempt"].is_string());
    assert_eq!(counts(1), [0; 7]);
    assert_eq!(counts(3), [1, 0, 1, 0, 0, 0, 0]);
    assert_eq!(counts(4), [1, 0, 0, 0, 0, 0, 1]);
    assert_eq!(counts(5), [2, 0, 0, 0, 1, 0, 1]);
    assert_eq!(counts(6), [1, 1, 0, 0, 0, 0, 0]);
    for (status, expected) in [
        ("success", vec!["good"]),
        ("pending", vec!["good"]),
        ("sending", vec!["good"]),
        ("fail", vec!["bad"]),
        ("held", vec!["held", "bad"]),
        ("canceled", vec![]),
        ("none", vec!["alone", "nothing"]),
    ] {
        for list in ["/message?", "/message?application=one&", "/app/one/message?"] {
            let expected: Vec<&str> =
                expected.iter().copied().filter(|name| *name != "alone" || list == "/message?").collect();
            let found = all(&api, &format!("{list}status={status}"), "eventType").await;
            assert_eq!(found, expected, "{list}status={status}");
        }
    }
    let page = api.get("/message?event_types=good&limit=2").await.expect(200);
    assert_eq!((texts(&page, "eventType").len(), &page["done"]), (2, &false.into()));
    let back = page["prevIterator"].as_str().expect("an iterator");
    assert_eq!(texts(&api.get(&format!("/message?iterator={back}")).await.expect(200), "eventType").len(), 0);
    let rest = page["iterator"].as_str().expect("an iterator");
    let rest = api.get(&format!("/message?event_types=good&iterator={rest}")).await.expect(200);
    assert_eq!(rest["data"][0]["id"], delivered["id"]);
    api.get("/message?application=none").await.expect_invalid(&["query", "application"]);
    api.get("/message?source=none").await.expect_invalid(&["query", "source"]);
    api.get("/message?status=1").await.expect_invalid(&["query", "status"]);
    api.get("/message?text=").await.expect_invalid(&["query", "text"]);
    api.get("/message?text=%ff").await.expect_invalid(&["query", "text"]);
}

/// Some days from now.
fn in_days(api: &TestApi, days: i64) -> String {
    let at = crate::api::time::format(api.gateway.clock.now_ms() + days * 86_400_000);
    String::from_utf8(at.to_vec()).expect("text")
}

#[tokio::test]
async fn an_environment_beside_a_busy_one_sees_its_own() {
    let api = TestApi::start().await;
    api.environment("other", "other_key").await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    publish(&api, "one", "ours").await;
    let theirs = |method: &str, path: &str, body: &str| {
        let request = http::Request::builder().method(method).uri(path).header("authorization", "Bearer other_key");
        api.send(request.body(axum::body::Body::from(body.to_owned())).expect("a request"))
    };
    theirs("POST", "/api/v1/app", r#"{"name":"Theirs","uid":"theirs"}"#).await.expect(201);
    for _ in 0..120 {
        theirs("POST", "/api/v1/app/theirs/msg", r#"{"eventType":"theirs","payload":{}}"#).await.expect(202);
    }
    let first = api.get("/message").await.expect(200);
    assert_eq!((texts(&first, "eventType"), &first["done"]), (vec!["ours".to_owned()], &true.into()));
    assert_eq!(all(&api, "/message", "eventType").await, ["ours"]);
    let page = theirs("GET", "/api/v1/message?limit=250", "").await.expect(200);
    assert_eq!(texts(&page, "eventType").len(), 120);
    // The same rows in pages, there and back, whichever list they are of.
    let (mut there, mut iterator) = (Vec::new(), String::new());
    loop {
        let page = theirs("GET", &format!("/api/v1/message?limit=7{iterator}"), "").await.expect(200);
        there.extend(texts(&page, "id"));
        iterator = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
        if page["done"] == true {
            break;
        }
    }
    assert_eq!(there, texts(&page, "id"));
    let oldest = there.last().expect("a message");
    let back = theirs("GET", &format!("/api/v1/message?limit=250&iterator=-{oldest}"), "").await.expect(200);
    assert_eq!(texts(&back, "id"), there[..119]);
}

#[tokio::test]
async fn a_text_is_found_in_bytes_requests_and_ids() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let message = r#"{"eventType":"a","eventId":"evt-Rare","payload":{"text":"A NeedLe in hay"}}"#;
    let first = api.post("/app/one/msg", message).await.expect(202);
    publish(&api, "one", "b").await;
    let id = first["id"].as_str().expect("an id");
    for text in ["needle", "NEEDLE", "evt-rare", id, &id[4..].to_ascii_lowercase()] {
        assert_eq!(all(&api, &format!("/message?text={text}"), "eventType").await, ["a"], "{text}");
        assert_eq!(all(&api, &format!("/app/one/message?text={text}"), "eventType").await, ["a"], "{text}");
        let search = json!({ "text": text, "with_content": true, "before": null }).to_string();
        let found = api.post("/app/one/msg/search", &search).await.expect(200);
        assert_eq!(texts(&found, "eventType"), ["a"], "{text}");
        assert_eq!(found["data"][0]["payload"]["text"], "A NeedLe in hay");
    }
    assert_eq!(all(&api, "/message?text=needles", "eventType").await, Vec::<String>::new());
    let found = api.post("/app/one/msg/search", "{}").await.expect(200);
    assert_eq!((texts(&found, "eventType"), &found["data"][0]["payload"]), (vec!["b".into(), "a".into()], &json!({})));
    let iterator = found["data"][0]["id"].as_str().expect("an id");
    let next = json!({ "iterator": iterator, "limit": 1, "event_types": ["a"] }).to_string();
    assert_eq!(texts(&api.post("/app/one/msg/search", &next).await.expect(200), "eventType"), ["a"]);
    api.post("/app/one/msg/search", r#"{"limit":0}"#).await.expect_invalid(&["body", "limit"]);
    api.post("/app/one/msg/search", r#"{"iterator":"x"}"#).await.expect_invalid(&["body", "iterator"]);
    api.post("/app/one/msg/search", r#"{"text":""}"#).await.expect_invalid(&["body", "text"]);
    // It is still the name of a message for who reads one.
    api.get("/app/one/msg/search").await.expect(404);
}

#[tokio::test]
async fn what_came_in_by_a_source_is_found_by_it_and_by_its_headers() {
    let api = TestApi::start().await;
    let source = json!({ "name": "Door", "uid": "door", "type": "generic-webhook" }).to_string();
    let source = api.post("//ingest/api/v1/source", &source).await.expect(201);
    let url = source["ingestUrl"].as_str().expect("a URL");
    let path = &url[url.find("/in/").expect("a path")..];
    let request = http::Request::builder().method("POST").uri(format!("{path}/orders?shop=north"));
    let request = request.header("x-region", "Westwards").header("content-type", "application/json");
    let request = request.header("authorization", "Bearer told").header("cookie", "a=b; posthouse_session=phs_held");
    let answer = api.send(request.body(axum::body::Body::from(r#"{"a":1}"#)).expect("a request")).await;
    assert!(answer.status.is_success(), "{answer:?}");
    for query in ["source=door", "text=westwards", "text=X-Region", "text=north", "source=door&text=orders"] {
        let page = api.get(&format!("/message?{query}")).await.expect(200);
        let row = &page["data"][0];
        assert_eq!((&row["sourceId"], &row["sourceName"]), (&source["id"], &"Door".into()), "{query}: {page}");
    }
    for unknown in ["eastwards", "told", "phs_held", "cookie"] {
        let page = api.get(&format!("/message?text={unknown}")).await.expect(200);
        assert_eq!(texts(&page, "id").len(), 0, "{unknown}");
    }
    let app = api.get("/message?text=westwards").await.expect(200)["data"][0]["appId"].clone();
    let app = app.as_str().expect("an id");
    let token = api.post(&format!("/auth/app-portal-access/{app}"), "{}").await.expect(200)["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    // A customer does not see the request, and learns nothing of it piece by piece.
    for (text, expected) in [("westwards", 0), ("x-region", 0), ("north", 0), ("%22a%22", 1)] {
        let request = http::Request::builder().uri(format!("/api/v1/app/{app}/message?text={text}"));
        let request = request.header("authorization", &bearer).body(axum::body::Body::empty()).expect("a request");
        assert_eq!(texts(&api.send(request).await.expect(200), "id").len(), expected, "{text}");
        let body = json!({ "text": text.replace("%22", "\"") }).to_string();
        let request = http::Request::builder().method("POST").uri(format!("/api/v1/app/{app}/msg/search"));
        let request = request.header("authorization", &bearer).body(axum::body::Body::from(body)).expect("a request");
        assert_eq!(texts(&api.send(request).await.expect(200), "id").len(), expected, "{text}");
    }
    let looked = api.get("/lookup/door").await.expect(200);
    assert_eq!((&looked["kind"], &looked["sourceId"]), (&"source".into(), &source["id"]));
}

#[tokio::test]
async fn ids_are_looked_up_whatever_they_are_of() {
    let api = TestApi::start().await;
    let app = api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let endpoint = api.post("/app/one/endpoint", r#"{"url":"https://a.example/"}"#).await.expect(201);
    api.post("/event-type", r#"{"name":"a.b","description":""}"#).await.expect(201);
    let message = publish(&api, "one", "a.b").await;
    api.attempt("one", &endpoint, &message, answered(200, b"")).await;
    let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
    let attempts = api.get(&format!("/app/one/attempt/msg/{}", id(&message))).await.expect(200);
    for (named, kind, endpoint_id, message_id, app_id) in [
        (id(&app), "application", false, false, true),
        ("one".to_owned(), "application", false, false, true),
        (id(&endpoint), "endpoint", true, false, true),
        (id(&message), "message", false, true, true),
        (id(&attempts["data"][0]), "attempt", true, true, true),
        ("a.b".to_owned(), "event-type", false, false, false),
    ] {
        let looked = api.get(&format!("/lookup/{named}")).await.expect(200);
        let given = |is_given: bool, of: &Value| if is_given { of["id"].clone() } else { Value::Null };
        assert_eq!(looked["kind"], kind, "{named}");
        assert_eq!(looked["appId"], given(app_id, &app), "{named}");
        assert_eq!(looked["endpointId"], given(endpoint_id, &endpoint), "{named}");
        assert_eq!(looked["msgId"], given(message_id, &message), "{named}");
    }
    for wrong in ["none", &format!("msg_{}", "0".repeat(27)), &format!("ep_{}", "z".repeat(27))] {
        api.get(&format!("/lookup/{wrong}")).await.expect_code(404, "not_found");
    }
    // The random bits of an id must be right, and the environment its own.
    let forged =
        crate::model::Id { nonce: [1; 12], ..crate::model::Id::parse(IdKind::Message, &id(&message)).expect("an id") };
    api.get(&format!("/lookup/{}", forged.format(IdKind::Message))).await.expect(404);
    api.environment("other", "other_key").await;
    for named in [id(&app), id(&endpoint), id(&message), id(&attempts["data"][0]), "one".into(), "a.b".into()] {
        let request = http::Request::builder().uri(format!("/api/v1/lookup/{named}"));
        let request = request.header("authorization", "Bearer other_key");
        api.send(request.body(axum::body::Body::empty()).expect("a request")).await.expect(404);
    }
}

#[tokio::test]
async fn endpoints_of_all_applications_are_listed_with_their_state() {
    let api = TestApi::start().await;
    for app in ["one", "two"] {
        api.post("/app", &format!(r#"{{"name":"Name of {app}","uid":"{app}"}}"#)).await.expect(201);
        api.post(&format!("/app/{app}/endpoint"), &format!(r#"{{"url":"https://a.example/","uid":"{app}-e"}}"#))
            .await
            .expect(201);
    }
    let off = api.post("/app/two/endpoint", r#"{"url":"https://a.example/","uid":"off","disabled":true}"#).await;
    off.expect(201);
    let message = json!({ "eventType": "a", "payload": {}, "deliverAt": in_days(&api, 2) });
    api.post("/app/one/msg", &message.to_string()).await.expect(202);
    let page = api.get("/endpoint").await.expect(200);
    assert_eq!(texts(&page, "uid"), ["off", "two-e", "one-e"]);
    assert_eq!(texts(&page, "appName"), ["Name of two", "Name of two", "Name of one"]);
    assert_eq!((&page["data"][2]["waiting"], &page["data"][1]["waiting"]), (&1.into(), &0.into()));
    assert!(page["data"][2]["nextAttempt"].is_string() && page["data"][1]["nextAttempt"].is_null());
    assert_eq!(texts(&api.get("/endpoint?state=disabled").await.expect(200), "uid"), ["off"]);
    assert_eq!(texts(&api.get("/endpoint?state=failing").await.expect(200), "uid").len(), 0);
    let first = api.get("/endpoint?limit=2").await.expect(200);
    assert_eq!((texts(&first, "uid").len(), &first["done"]), (2, &false.into()));
    let rest = first["iterator"].as_str().expect("an iterator");
    let rest = api.get(&format!("/endpoint?limit=2&iterator={rest}")).await.expect(200);
    assert_eq!((texts(&rest, "uid"), &rest["done"]), (vec!["one-e".to_owned()], &true.into()));
    api.get("/endpoint?state=broken").await.expect_invalid(&["query", "state"]);
}

#[tokio::test]
async fn events_are_read_on_and_on() {
    let api = TestApi::start().await;
    for app in ["one", "two"] {
        api.post("/app", &format!(r#"{{"name":"{app}","uid":"{app}"}}"#)).await.expect(201);
    }
    let mut iterator = String::new();
    let none = api.get("/events").await.expect(200);
    assert_eq!((&none["data"], &none["done"]), (&json!([]), &true.into()));
    iterator.push_str(none["iterator"].as_str().expect("an iterator"));
    let mut seen = Vec::new();
    for event_type in ["a", "b", "c"] {
        publish(&api, "one", event_type).await;
        publish(&api, "two", event_type).await;
        // With several writers what is newest is held back for some seconds.
        let before = seen.len();
        for _ in 0..200 {
            let page = api.get(&format!("/events?iterator={iterator}&limit=1")).await.expect(200);
            page["iterator"].as_str().expect("an iterator").clone_into(&mut iterator);
            seen.extend(texts(&page, "eventType"));
            if seen.len() == before + 2 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    assert_eq!(seen, ["a", "a", "b", "b", "c", "c"]);
    let of_one = api.get("/app/one/events?event_types=a,c").await.expect(200);
    assert_eq!(texts(&of_one, "eventType"), ["a", "c"]);
    assert_eq!(texts(&api.get("/events?channels=none").await.expect(200), "eventType").len(), 0);
    api.get(&format!("/events?iterator=-{iterator}")).await.expect_invalid(&["query", "iterator"]);
}

#[tokio::test]
async fn attempts_are_counted() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let endpoint = api.post("/app/one/endpoint", r#"{"url":"https://a.example/","uid":"e"}"#).await.expect(201);
    for (event_type, status) in [("a", 200), ("a", 500), ("b", 204), ("b", 404)] {
        let message = publish(&api, "one", event_type).await;
        api.attempt("one", &endpoint, &message, answered(status, b"")).await;
    }
    for (query, count) in [
        ("", 4),
        ("status=0", 2),
        ("status=2", 2),
        ("status=1", 0),
        ("status_code_class=400", 1),
        ("event_types=a", 2),
        ("event_types=b&status=0", 1),
        ("before=2020-01-01T00:00:00Z", 0),
    ] {
        let counted = api.get(&format!("/app/one/attempt/endpoint/e/count?{query}")).await.expect(200);
        assert_eq!(counted, json!({ "count": count, "approximated": false }), "{query}");
    }
}

#[tokio::test]
async fn a_rare_word_is_found_among_very_many() {
    const MESSAGES: usize = 100_000;
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    api.fill("one", MESSAGES, |i| match i {
        700 => r#"{"text":"the only aardvark there is"}"#.into(),
        _ => format!(r#"{{"number":{i},"text":"nothing that anybody looks for, at some length"}}"#),
    })
    .await;
    for list in ["/message?", "/message?application=one&"] {
        let (mut pages, mut iterator, mut last) = (0, String::new(), String::new());
        loop {
            let path = format!("{list}text=AARDVARK&with_content=true{iterator}");
            let page = api.get(&path).await.expect(200);
            pages += 1;
            if page["data"][0].is_object() {
                assert_eq!(page["data"][0]["payload"]["text"], "the only aardvark there is");
                break;
            }
            assert_eq!(page["done"], false, "it was not found");
            let searched_to = page["searchedTo"].as_str().expect("how far").to_owned();
            assert!(last.is_empty() || searched_to <= last, "{searched_to} after {last}");
            last = searched_to;
            iterator = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
            assert!(pages < 2_000, "it goes on and on");
        }
    }
}
