//! Trying out, testing an endpoint, resending what failed, counting usage, and samples of sources.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::support::{KEY, TestApi, answered};

async fn app(api: &TestApi) -> Value {
    api.post("/app", r#"{"name":"A","uid":"a"}"#).await.expect(201);
    let body = r#"{"url":"https://example.com/","uid":"e","headers":{"x-region":"eu"}}"#;
    api.post("/app/a/endpoint", body).await.expect(201)
}

async fn publish(api: &TestApi, app: &str, event_id: &str) -> Value {
    let body = json!({ "eventType": "a.b", "eventId": event_id, "payload": {"n": 1} });
    api.post(&format!("/app/{app}/msg"), &body.to_string()).await.expect(202)
}

#[tokio::test]
async fn a_url_is_tried_out_and_nothing_is_on_record() {
    let api = TestApi::start().await;
    app(&api).await;
    let message = publish(&api, "a", "m").await;
    let id = message["id"].as_str().expect("an id");
    let tried = api.post("/app/a/msg/m/try", r#"{"url":"https://new.example/hook"}"#).await.expect(200);
    assert_eq!((&tried["status"], &tried["statusText"]), (&json!(0), &json!("success")));
    assert_eq!((&tried["outcome"], &tried["responseStatusCode"]), (&json!("success"), &json!(200)));
    assert_eq!(tried["response"], format!("https://new.example/hook {id} {{}} {{\"n\":1}}"));
    assert!(tried["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{tried}");

    let body = r#"{"url":"https://busy.example/","endpointId":"e"}"#;
    let tried = api.post("/app/a/msg/m/try", body).await.expect(200);
    assert_eq!((&tried["status"], &tried["outcome"]), (&json!(2), &json!("status")));
    assert!(tried["response"].as_str().is_some_and(|text| text.contains("x-region")), "{tried}");
    assert_eq!(tried["secret"], Value::Null, "an endpoint's secret is shown elsewhere");

    assert_eq!(api.get("/app/a/attempt/msg/m").await.expect(200)["data"], json!([]));
    assert_eq!(api.get("/app/a/endpoint/e/msg").await.expect(200)["data"][0]["status"], 1);
    for (body, field) in [
        ("{}", "url"),
        (r#"{"url":"x"}"#, "url"),
        (r#"{"url":"http://127.0.0.1/"}"#, "url"),
        (r#"{"url":"https://a.example/","endpointId":""}"#, "endpointId"),
    ] {
        api.post("/app/a/msg/m/try", body).await.expect_invalid(&["body", field]);
    }
    let named = r#"{"url":"https://a.example/","endpointId":"none"}"#;
    api.post("/app/a/msg/m/try", named).await.expect_code(404, "not_found");
    api.call("DELETE", "/app/a/msg/m/content", "").await.expect(204);
    api.post("/app/a/msg/m/try", r#"{"url":"https://a.example/"}"#).await.expect_code(409, "content_expired");
}

#[tokio::test]
async fn a_test_of_an_endpoint_is_answered_with_its_first_attempt() {
    let api = TestApi::start().await;
    let endpoint = app(&api).await;
    let body = r#"{"eventType":"c.d","payload":{"text":"try"},"eventId":"t"}"#;
    let path = "/app/a/endpoint/e/msg/test-attempt";
    let key = [("idempotency-key", "again")];
    let (answer, ()) = tokio::join!(api.call_with("POST", path, body, &key), async {
        loop {
            let list = api.get("/app/a/msg").await.expect(200);
            if let Some(message) = list["data"].get(0) {
                return api.attempt("a", &endpoint, message, answered(500, b"no")).await;
            }
            tokio::task::yield_now().await;
        }
    });
    let attempt = answer.expect(201);
    assert_eq!((&attempt["responseStatusCode"], &attempt["response"]), (&json!(500), &json!("no")));
    assert_eq!((&attempt["status"], &attempt["endpointId"]), (&json!(2), &endpoint["id"]));
    // The same call is answered with the same attempt.
    assert_eq!(api.call_with("POST", path, body, &key).await.expect(201), attempt);
    api.post(path, "{}").await.expect(422);
    api.call("PATCH", "/app/a/endpoint/e", r#"{"disabled":true}"#).await.expect(200);
    api.post(path, body).await.expect_code(400, "endpoint_disabled");
}

#[tokio::test]
async fn a_customers_test_is_of_a_type_that_he_sees_and_takes_no_event_id() {
    let api = TestApi::start().await;
    let endpoint = app(&api).await;
    for body in
        [r#"{"name":"shown","description":""}"#, r#"{"name":"flagged","description":"","featureFlags":["beta"]}"#]
    {
        api.post("/event-type", body).await.expect(201);
    }
    let token = async |flag: &str| {
        let body = format!(r#"{{"capabilities":["CreateAttempts"],"featureFlags":["{flag}"]}}"#);
        let given = api.post("/auth/app-portal-access/a", &body).await.expect(200);
        format!("Bearer {}", given["token"].as_str().expect("a token"))
    };
    let (plain, flagged) = (token("other").await, token("beta").await);
    let path = "/app/a/endpoint/e/msg/test-attempt";
    let call = async |authorization: &str, body: &str| {
        let request = Request::builder().method("POST").uri(format!("/api/v1{path}"));
        let request = request.header("authorization", authorization);
        api.send(request.body(Body::from(body.to_owned())).expect("a request")).await
    };
    for name in ["flagged", "nobody.made"] {
        let body = format!(r#"{{"eventType":"{name}","payload":{{}}}}"#);
        call(&plain, &body).await.expect_code(404, "not_found");
    }
    let with_event_id = r#"{"eventType":"shown","payload":{},"eventId":"taken"}"#;
    call(&plain, with_event_id).await.expect_invalid(&["body", "eventId"]);
    assert_eq!(api.kept.numbers("SELECT count(*) FROM message"), [[0]]);

    let body = r#"{"eventType":"flagged","payload":{},"tags":["t"],"payloadRetentionPeriod":3}"#;
    let (answer, ()) = tokio::join!(call(&flagged, body), async {
        loop {
            let list = api.get("/app/a/msg").await.expect(200);
            if let Some(message) = list["data"].get(0) {
                return api.attempt("a", &endpoint, message, answered(200, b"")).await;
            }
            tokio::task::yield_now().await;
        }
    });
    answer.expect(201);
    // Its bytes are kept as long as those of a message that asks for the same.
    let same = body.replace("flagged", "shown");
    api.post("/app/a/msg", &same).await.expect(202);
    let days = "SELECT count(*), count(DISTINCT id >> 47) FROM payload";
    assert_eq!(api.kept.numbers(days), [[2, 1]], "an id begins with the day on which it expires");
}

#[tokio::test]
async fn what_failed_is_resent_to_every_endpoint_that_is_enabled() {
    let api = TestApi::start().await;
    let one = app(&api).await;
    let mut others = Vec::new();
    for uid in ["two", "off", "done"] {
        let body = json!({ "url": "https://example.com/", "uid": uid });
        others.push(api.post("/app/a/endpoint", &body.to_string()).await.expect(201));
    }
    let message = publish(&api, "a", "m").await;
    for endpoint in [&one, &others[0], &others[1]] {
        api.attempt("a", endpoint, &message, answered(500, b"")).await;
    }
    api.attempt("a", &others[2], &message, answered(200, b"")).await;
    api.call("PATCH", "/app/a/endpoint/off", r#"{"disabled":true}"#).await.expect(200);
    let key = [("idempotency-key", "again")];
    for _ in 0..2 {
        let resent = api.call_with("POST", "/app/a/msg/m/resend-failed", "{}", &key).await.expect(202);
        assert_eq!(resent, json!({"resent": 2}));
    }
    assert_eq!(api.kept.numbers("SELECT manual, attempts FROM waiting"), [[1, 0], [1, 0]]);
    api.post("/app/a/msg/none/resend-failed", "{}").await.expect_code(404, "not_found");
    api.call("DELETE", "/app/a/msg/m/content", "").await.expect(204);
    api.post("/app/a/msg/m/resend-failed", "{}").await.expect_code(409, "content_expired");
}

async fn data_of(api: &TestApi, task: &Value) -> Value {
    let task = api.get(&format!("/background-task/{}", task["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!(task["status"], "finished", "{task}");
    task["data"].clone()
}

#[tokio::test]
async fn usage_is_counted_by_application() {
    let api = TestApi::start().await;
    let one = app(&api).await;
    let two = api.post("/app/a/endpoint", r#"{"url":"https://example.com/","uid":"two"}"#).await.expect(201);
    let other = api.post("/app", r#"{"name":"B","uid":"b"}"#).await.expect(201);
    publish(&api, "b", "nobody").await;
    let first = api.get("/app/a").await.expect(200);
    for event_id in ["x", "y", "z"] {
        let message = publish(&api, "a", event_id).await;
        api.attempt("a", &one, &message, answered(200, b"")).await;
        if event_id == "x" {
            api.attempt("a", &two, &message, answered(500, b"")).await;
        }
    }
    let span = r#""since":"2020-01-01T00:00:00Z","until":"2100-01-01T00:00:00Z""#;
    let path = "/stats/usage/app";
    let begun = api.post(path, &format!("{{{span}}}")).await.expect(202);
    assert_eq!((&begun["task"], &begun["unresolvedAppIds"]), (&json!("application.stats"), &json!([])));
    api.run_tasks(2).await;
    let counts = |all: &[(&Value, u64)]| -> Vec<Value> {
        let mut all: Vec<Value> =
            all.iter().map(|(app, count)| json!({"appId": app["id"], "messageDestinations": count})).collect();
        all.sort_by_key(|one| one["appId"].as_str().map(str::to_owned));
        all
    };
    assert_eq!(data_of(&api, &begun).await["appStats"], json!(counts(&[(&first, 4), (&other, 0)])));

    let named = format!(r#"{{{span},"appIds":["a","none"]}}"#);
    let begun = api.post(path, &named).await.expect(202);
    assert_eq!(begun["unresolvedAppIds"], json!(["none"]));
    api.run_tasks(100).await;
    assert_eq!(data_of(&api, &begun).await["appStats"], json!(counts(&[(&first, 4)])));
    let before = r#"{"since":"2020-01-01T00:00:00Z","until":"2021-01-01T00:00:00Z","appIds":["a"]}"#;
    let begun = api.post(path, before).await.expect(202);
    api.run_tasks(100).await;
    assert_eq!(data_of(&api, &begun).await["appStats"], json!(counts(&[(&first, 0)])));
    for (body, field) in [
        ("{}".to_owned(), "since"),
        (r#"{"since":"2020-01-01T00:00:00Z","until":"2019-01-01T00:00:00Z"}"#.to_owned(), "until"),
        (format!(r#"{{{span},"appIds":["a","a"]}}"#), "appIds"),
    ] {
        let answer = api.post(path, &body).await.expect(422);
        assert_eq!(answer["detail"][0]["loc"][1], field, "{answer}");
    }
}

#[tokio::test]
async fn event_types_that_endpoints_list_are_counted() {
    let api = TestApi::start().await;
    app(&api).await;
    for types in [r#"["a.b","c.d"]"#, r#"["a.b"]"#] {
        let body = format!(r#"{{"url":"https://example.com/","eventTypes":{types}}}"#);
        api.post("/app/a/endpoint", &body).await.expect(201);
    }
    let begun = api.call("PUT", "/stats/usage/event-types", "").await.expect(202);
    assert_eq!(begun["task"], "event-type.aggregate");
    api.run_tasks(2).await;
    assert_eq!(
        data_of(&api, &begun).await,
        json!({
            "eventTypes": [{"name": "a.b", "endpoints": 2}, {"name": "c.d", "endpoints": 1}],
            "endpointsOfAllTypes": 1,
        })
    );
    let list = api.get("/background-task?task=event-type.aggregate").await.expect(200);
    assert_eq!((&list["data"][0]["data"], &list["data"][0]["progress"]["done"]), (&json!({}), &json!(3)));
}

#[tokio::test]
async fn a_sample_goes_the_way_of_a_real_request() {
    let api = TestApi::start().await;
    for (source_type, config, event_type) in [
        ("github", json!({"secret": "one"}), "sample.sample"),
        ("stripe", json!({"secret": "whsec_0123456789"}), "sample"),
        ("slack", json!({"secret": "abc"}), "sample"),
        ("shopify", json!({"secret": "abc"}), "sample"),
        ("generic-webhook", json!({}), "generic-webhook"),
    ] {
        let body = json!({ "name": source_type, "uid": source_type, "type": source_type, "config": config });
        let source = api.post("//ingest/api/v1/source", &body.to_string()).await.expect(201);
        let sampled = api.post(&format!("//ingest/api/v1/source/{source_type}/sample"), "").await.expect(200);
        assert_eq!((&sampled["verdict"], &sampled["cause"]), (&json!("accepted"), &Value::Null), "{sampled}");
        assert!(sampled["status"].as_u64().is_some_and(|status| (200..300).contains(&status)), "{sampled}");
        let app = source["appId"].as_str().expect("an application");
        let id = sampled["messageId"].as_str().expect("an id");
        let message = api.get(&format!("/app/{app}/msg/{id}")).await.expect(200);
        assert_eq!(message["eventType"], event_type, "{source_type}");
        let log = api.get(&format!("//ingest/api/v1/source/{source_type}/log")).await.expect(200);
        assert!(log["data"][0].to_string().contains("x-posthouse-sample"), "{log}");
    }
    // Nobody else's request is a sample.
    let source = api.get("//ingest/api/v1/source/generic-webhook").await.expect(200);
    let url = source["ingestUrl"].as_str().expect("a URL");
    let path = &url[url.find("/in/").expect("a path")..];
    let request = Request::builder().method("POST").uri(path).header("x-posthouse-sample", "1");
    let answer = api.send(request.header("x-other", "1").body(Body::from("{}")).expect("a request")).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let log = api.get("//ingest/api/v1/source/generic-webhook/log").await.expect(200);
    let newest = log["data"][0].to_string();
    assert!(newest.contains("x-other") && !newest.contains("x-posthouse-sample"), "{newest}");
    // What only the provider can sign cannot be made up.
    let body = json!({ "name": "SNS", "uid": "sns", "type": "cron",
        "config": {"schedule": "0 0 * * *", "payload": "{}"} });
    if api.post("//ingest/api/v1/source", &body.to_string()).await.status == 201 {
        api.post("//ingest/api/v1/source/sns/sample", "").await.expect_invalid(&["path", "source_id"]);
    }
    api.post("//ingest/api/v1/source/none/sample", "").await.expect_code(404, "not_found");
}

/// A document with what its webhooks can have.
fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Pets", "version": "1"},
        "webhooks": {
            "pet.new": {"post": {
                "summary": "A pet is new", "tags": ["pets"], "deprecated": true,
                "x-svix-feature-flags": ["beta"],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}},
            }},
            "pet.gone": {"post": {"description": "A pet is gone", "x-svix-group-name": "gone"}},
        },
        "components": {"schemas": {"Pet": {
            "type": "object",
            "properties": {"parent": {"$ref": "#/components/schemas/Pet"}, "name": {"type": "string"}},
        }}},
    })
}

#[tokio::test]
async fn event_types_come_from_a_document_and_make_the_same_again() {
    let api = TestApi::start().await;
    let path = "/event-type/import/openapi";
    api.post("/event-type", r#"{"name":"old.type","description":"Old"}"#).await.expect(201);
    let dry = json!({ "spec": document(), "dryRun": true }).to_string();
    let answer = api.post(path, &dry).await.expect(200);
    assert_eq!(answer["data"]["modified"], json!([]));
    let to_modify = answer["data"]["to_modify"].as_array().expect("a list");
    assert_eq!(to_modify.iter().map(|one| &one["name"]).collect::<Vec<_>>(), ["pet.gone", "pet.new"]);
    api.get("/event-type/pet.new").await.expect_code(404, "not_found");

    let raw = json!({ "specRaw": document().to_string(), "replaceAll": true }).to_string();
    let answer = api.post(path, &raw).await.expect(200);
    assert_eq!(answer["data"], json!({"modified": ["pet.gone", "pet.new", "old.type"], "to_modify": null}));
    assert_eq!(api.get("/event-type/old.type").await.expect(200)["archived"], true);
    let new = api.get("/event-type/pet.new").await.expect(200);
    assert_eq!((&new["description"], &new["deprecated"]), (&json!("A pet is new"), &json!(true)));
    assert_eq!((&new["groupName"], &new["featureFlags"]), (&json!("pets"), &json!(["beta"])));
    let schema = &new["schemas"]["1"];
    assert_eq!(schema["properties"]["parent"]["$ref"], "#/$defs/Pet");
    assert_eq!(schema["$defs"]["Pet"]["properties"]["parent"]["$ref"], "#/$defs/Pet");
    assert_eq!(api.post(path, &raw).await.expect(200)["data"]["modified"], json!([]), "nothing is new");
    let versions = json!({"1": {"type": "object"}, "2": {"properties": {"a": {"$ref": "#/properties/b"}}}});
    let versions = json!({ "schemas": versions }).to_string();
    api.call("PATCH", "/event-type/pet.gone", versions).await.expect(200);

    // The document that they make leads to the same in another environment.
    let exported = api.get("/event-type/export/openapi").await.expect(200);
    assert_eq!(
        exported["components"]["schemas"]["pet.gone"]["properties"]["a"]["$ref"],
        "#/components/schemas/pet.gone/properties/b"
    );
    let task = api.post("/event-type/export/openapi", "").await.expect(202);
    assert_eq!((&task["status"], &data_of(&api, &task).await), (&json!("finished"), &json!({ "spec": exported })));
    api.environment("other", "other_key").await;
    let other = async |method: &str, path: &str, body: String| {
        let request = http::Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = request.header("authorization", "Bearer other_key").body(body.into());
        api.send(request.expect("a request")).await.expect(200)
    };
    other("POST", path, json!({ "spec": exported }).to_string()).await;
    let again = other("GET", "/event-type/export/openapi", String::new()).await;
    assert_eq!(again, exported, "{KEY}");
    let shown = |list: &Value| -> Vec<Value> {
        let of = |row: &Value| {
            json!([
                row["name"],
                row["description"],
                row["schemas"],
                row["groupName"],
                row["featureFlags"],
                row["deprecated"]
            ])
        };
        list["data"].as_array().expect("a list").iter().map(of).collect()
    };
    let ours = api.get("/event-type?with_content=true").await.expect(200);
    assert_eq!(shown(&other("GET", "/event-type?with_content=true", String::new()).await), shown(&ours));
}

#[tokio::test]
async fn a_document_that_is_wrong_changes_nothing_and_says_where() {
    let api = TestApi::start().await;
    let path = "/event-type/import/openapi";
    let of = |webhooks: Value| json!({ "spec": { "webhooks": webhooks } });
    let good = json!({"post": {"description": "d"}});
    let schema =
        |schema: Value| json!({"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}});
    for (body, loc) in [
        (json!({}), json!(["body", "spec"])),
        (json!({"spec": {"webhooks": {}}}), json!(["body", "spec", "webhooks"])),
        (json!({"spec": 5}), json!(["body", "spec"])),
        (json!({"spec": {}, "specRaw": "{}"}), json!(["body", "specRaw"])),
        (json!({"specRaw": "openapi: 3.1.0\nwebhooks: {}\n"}), json!(["body", "specRaw"])),
        (json!({"specRaw": "[".repeat(100_000)}), json!(["body", "specRaw"])),
        (of(json!({"a.good": good, "not a name": good})), json!(["body", "spec", "not a name"])),
        (of(json!({"a.good": good, "b.bad": {}})), json!(["body", "spec", "b.bad"])),
        (of(json!({"b.bad": schema(json!({"$ref": "https://example.com/x"}))})), json!(["body", "spec", "b.bad"])),
        (of(json!({"b.bad": schema(json!({"$ref": "#/components/schemas/X"}))})), json!(["body", "spec", "b.bad"])),
        (of(json!({"b.bad": schema(json!({"title": "x".repeat(200_000)}))})), json!(["body", "spec", "b.bad"])),
        (of(json!({"b.bad": {"post": {"x-posthouse-schemas": 1}}})), json!(["body", "spec", "b.bad"])),
        (of(json!({"b.bad": {"post": {"x-svix-feature-flags": ["a", "a"]}}})), json!(["body", "spec", "b.bad"])),
    ] {
        let answer = api.post(path, &body.to_string()).await.expect(422);
        assert_eq!(answer["detail"][0]["loc"], loc, "{answer}");
    }
    assert_eq!(api.get("/event-type").await.expect(200)["data"], json!([]));
}
