//! Secrets, headers, retry schedules, settings, access links, operational endpoints.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::support::TestApi;

const ONE: &str = "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0";
const TWO: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4";

async fn with_endpoint(api: &TestApi) -> String {
    api.post("/app", r#"{"name":"a","uid":"a"}"#).await.expect(201);
    let body = json!({"url": "https://example.com/", "uid": "e", "secret": ONE}).to_string();
    api.post("/app/a/endpoint", &body).await.expect(201);
    "/app/a/endpoint/e".to_owned()
}

#[tokio::test]
async fn a_secret_is_rotated_and_the_one_before_goes_on_for_its_grace_period() {
    let api = TestApi::start().await;
    let path = with_endpoint(&api).await;
    let rotated = api.post(&format!("{path}/secret/rotate"), &json!({"key": TWO}).to_string()).await.expect(200);
    assert_eq!(rotated, json!({"key": TWO}));
    assert_eq!(api.get(&format!("{path}/secret")).await.expect(200), json!({"key": TWO}));
    let secrets = |app: &crate::model::AppConfig| app.endpoints[0].secrets.clone();
    let now = api.gateway.clock.now_ms();
    let held = secrets(&*api.app("a").await);
    assert_eq!(held.len(), 2);
    assert!(held[0].expires_at.is_none() && held[1].signs_at(now + 86_000_000) && !held[1].signs_at(now + 86_500_000));

    let drawn = api.post(&format!("{path}/secret/rotate"), r#"{"gracePeriodSeconds":0}"#).await.expect(200);
    assert!(drawn["key"].as_str().is_some_and(|key| key.starts_with("whsec_") && key != TWO));
    let held = secrets(&*api.app("a").await);
    assert!(held.iter().skip(1).all(|secret| !secret.signs_at(now + 5_000)), "no grace ends the ones before at once");

    for (body, field) in [
        (r#"{"key":"short"}"#, "key"),
        (r#"{"key":"whsk_AAAA"}"#, "key"),
        (r#"{"key":"whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#, "key"),
        (r#"{"gracePeriodSeconds":604801}"#, "gracePeriodSeconds"),
        (r#"{"gracePeriodSeconds":-1}"#, "gracePeriodSeconds"),
    ] {
        api.post(&format!("{path}/secret/rotate"), body).await.expect_invalid(&["body", field]);
    }
}

#[tokio::test]
async fn a_repeated_rotation_gets_the_first_secret() {
    let api = TestApi::start().await;
    let path = format!("{}/secret/rotate", with_endpoint(&api).await);
    let key = [("idempotency-key", "once")];
    let first = api.call_with("POST", &path, "{}", &key).await.expect(200);
    let second = api.call_with("POST", &path, "{}", &key).await.expect(200);
    assert_eq!(first, second);
    assert_eq!(api.app("a").await.endpoints[0].secrets.len(), 2, "it was rotated once");
}

#[tokio::test]
async fn public_keys_of_asymmetric_secrets_are_served_without_a_key() {
    let api = TestApi::start().await;
    let path = with_endpoint(&api).await;
    let pair = posthouse_signature::standard::KeyPair::from_seed(&[7; 32]);
    let rotate = json!({"key": pair.expose()}).to_string();
    let shown = api.post(&format!("{path}/secret/rotate"), &rotate).await.expect(200);
    assert_eq!(shown, json!({"key": pair.public().shown()}), "the public half is what the receiver needs");
    let endpoint = api.get(&path).await.expect(200);
    let request = Request::builder().uri(format!("/jwks/{}", endpoint["id"].as_str().expect("an id")));
    let served = api.send(request.body(Body::empty()).expect("a request")).await.expect(200);
    assert_eq!(served["keys"].as_array().map(Vec::len), Some(1));
    let jwk = &served["keys"][0];
    assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
    for unknown in ["ep_0000", &format!("ep_{}", "0".repeat(27))] {
        let request = Request::builder().uri(format!("/jwks/{unknown}")).body(Body::empty()).expect("a request");
        api.send(request).await.expect_code(404, "not_found");
    }
}

#[tokio::test]
async fn headers_are_set_changed_and_masked() {
    let api = TestApi::start().await;
    let path = format!("{}/headers", with_endpoint(&api).await);
    let whole = r#"{"headers":{"X-One":"1","X-Two":"2","Authorization":"Bearer hush","X-Api-Key":"hush"}}"#;
    api.call("PUT", &path, whole).await.expect(204);
    let seen = json!({"headers": {"X-One": "1", "X-Two": "2"}, "sensitive": ["Authorization", "X-Api-Key"]});
    assert_eq!(api.get(&path).await.expect(200), seen);
    let part = r#"{"headers":{"x-one":"eins","X-Two":null,"X-Three":"3"},"deleteHeaders":["x-api-key"]}"#;
    api.call("PATCH", &path, part).await.expect(204);
    let seen = json!({"headers": {"x-one": "eins", "X-Three": "3"}, "sensitive": ["Authorization"]});
    assert_eq!(api.get(&path).await.expect(200), seen);
    for (method, body, loc) in [
        ("PUT", "{}", vec!["body", "headers"]),
        ("PUT", r#"{"headers":{"webhook-id":"x"}}"#, vec!["body", "headers", "webhook-id"]),
        ("PUT", r#"{"headers":{"Host":"x"}}"#, vec!["body", "headers", "Host"]),
        ("PUT", r#"{"headers":{"a":"1","A":"2"}}"#, vec!["body", "headers", "a"]),
        ("PATCH", r#"{"headers":{"Proxy-Authorization":"x"}}"#, vec!["body", "headers", "Proxy-Authorization"]),
        ("PUT", r#"{"headers":{"x":"é"}}"#, vec!["body", "headers", "x"]),
        ("PATCH", r#"{"headers":{"x":"a\nb"}}"#, vec!["body", "headers", "x"]),
        ("PATCH", r#"{"headers":{},"deleteHeaders":["a b"]}"#, vec!["body", "deleteHeaders", "[0]"]),
    ] {
        api.call(method, &path, body).await.expect_invalid(&loc);
    }
    let many: serde_json::Map<String, Value> = (0..62).map(|i| (format!("x-{i}"), json!("v"))).collect();
    api.call("PATCH", &path, json!({ "headers": many }).to_string())
        .await
        .expect_code(409, "too_many_endpoint_headers");
    assert_eq!(api.get(&path).await.expect(200), seen, "nothing of a refused change is kept");
}

#[tokio::test]
async fn an_event_type_is_changed_replaced_archived_and_expunged() {
    let api = TestApi::start().await;
    let put = api.call("PUT", "/event-type/a.b", r#"{"description":"one","groupName":"g"}"#).await.expect(201);
    assert_eq!((&put["name"], &put["groupName"]), (&json!("a.b"), &json!("g")));
    let patched = api.call("PATCH", "/event-type/a.b", r#"{"deprecated":true,"groupName":null}"#).await.expect(200);
    assert_eq!((&patched["deprecated"], &patched["groupName"]), (&json!(true), &Value::Null));
    assert_eq!(patched["description"], "one");

    let schedule = "/event-type/a.b/retry-schedule";
    assert_eq!(api.get(schedule).await.expect(200), json!({"retrySchedule": null}));
    let given = json!({"retrySchedule": [{"secs": 5, "nanos": 0}, {"secs": 60, "nanos": 0}]});
    assert_eq!(api.call("PUT", schedule, given.to_string()).await.expect(200), given);
    let put = api.call("PUT", "/event-type/a.b", r#"{"description":"two"}"#).await.expect(200);
    assert_eq!((&put["description"], &put["deprecated"]), (&json!("two"), &json!(false)));
    assert_eq!(api.get(schedule).await.expect(200), given, "a PUT of the type leaves its schedule alone");
    for body in [
        r#"{"retrySchedule":[{"secs":0,"nanos":0}]}"#,
        r#"{"retrySchedule":[{"secs":1,"nanos":5}]}"#,
        r#"{"retrySchedule":[5]}"#,
        r#"{"retrySchedule":[{"secs":2592001,"nanos":0}]}"#,
    ] {
        api.call("PUT", schedule, body).await.expect_invalid(&["body", "retrySchedule"]);
    }
    assert_eq!(api.call("PUT", schedule, "{}").await.expect(200), json!({"retrySchedule": null}));

    api.call("DELETE", "/event-type/a.b", "").await.expect(204);
    assert_eq!(api.get("/event-type/a.b").await.expect(200)["archived"], true);
    assert_eq!(api.get("/event-type").await.expect(200)["data"], json!([]));
    api.call("DELETE", "/event-type/a.b?expunge=true", "").await.expect(204);
    api.get("/event-type/a.b").await.expect_code(404, "not_found");
    for (method, path) in [("DELETE", "/event-type/a.b"), ("PATCH", "/event-type/a.b"), ("PUT", schedule)] {
        api.call(method, path, "{}").await.expect_code(404, "not_found");
    }
}

#[tokio::test]
async fn settings_are_changed_as_far_as_they_can_be() {
    let api = TestApi::start().await;
    let path = "/management/environment-settings";
    let before = api.get(path).await.expect(200);
    assert_eq!((&before["whitelabelHeaders"], &before["retryPolicy"]), (&json!(true), &Value::Null));
    assert_eq!((&before["enforceHttps"], &before["disableEndpointOnFailure"]), (&json!(false), &json!(true)));
    let patched = api.call("PATCH", path, r#"{"retryPolicy":[1,2],"sendSvixWebhookHeaders":true}"#).await.expect(200);
    assert_eq!((&patched["retryPolicy"], &patched["sendSvixWebhookHeaders"]), (&json!([1, 2]), &json!(true)));
    let patched = api.call("PATCH", path, r#"{"whitelabelHeaders":false}"#).await.expect(200);
    assert_eq!((&patched["retryPolicy"], &patched["whitelabelHeaders"]), (&json!([1, 2]), &json!(false)));
    assert_eq!(api.get(path).await.expect(200), patched);
    for (field, value) in [
        ("enableTransformations", "true"),
        ("enforceHttps", "true"),
        ("customBaseFontSize", "12"),
        ("advancedEndpointTypes", "[\"x\"]"),
        ("disableEndpointOnFailure", "false"),
        ("retryPolicy", "[0]"),
        ("whitelabelHeaders", "null"),
    ] {
        let body = format!("{{\"{field}\":{value}}}");
        api.call("PATCH", path, body).await.expect_invalid(&["body", field]);
    }
    let whole = api.call("PUT", path, before.to_string()).await.expect(200);
    assert_eq!(whole, before, "what was read can be written");
    api.call("PATCH", path, r#"{"retryPolicy":[9]}"#).await.expect(200);
    assert_eq!(api.call("PUT", path, "{}").await.expect(200), before);
}

#[tokio::test]
async fn an_access_link_opens_one_application_until_it_is_revoked() {
    let api = TestApi::start().await;
    let access = |name: &str| format!("/auth/app-portal-access/{name}");
    api.post(&access("new"), "{}").await.expect_code(404, "not_found");
    let body = r#"{"application":{"name":"New"},"capabilities":["ViewBase"],"featureFlags":["beta"]}"#;
    let link = api.post(&access("new"), body).await.expect(200);
    let token = link["token"].as_str().expect("a token").to_owned();
    assert!(token.starts_with("appsk_") && token.len() > 64);
    assert_eq!(link["url"], format!("http://127.0.0.1:8080/portal#token={token}"));
    assert_eq!(api.get("/app/new").await.expect(200)["name"], "New");
    let again = api.post(&access("new"), r#"{"application":{"name":"Other"}}"#).await.expect(200);
    assert_ne!(again["token"], token);
    assert_eq!(api.get("/app/new").await.expect(200)["name"], "New", "one that is there stays as it is");

    for (name, flags) in [("shown", "[\"beta\"]"), ("hidden", "[\"other\"]")] {
        let body = format!(r#"{{"name":"{name}","description":"d","featureFlags":{flags}}}"#);
        api.post("/event-type", &body).await.expect(201);
    }
    let with = async |method: &str, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {token}"));
        api.send(request.body(Body::empty()).expect("a request")).await
    };
    assert_eq!(with("GET", "/app/new").await.expect(200)["uid"], "new");
    let types = with("GET", "/event-type").await.expect(200);
    assert_eq!(types["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(types["data"][0]["name"], "shown");
    with("GET", "/event-type/hidden").await.expect_code(404, "not_found");
    with("POST", "/auth/logout").await.expect(204);
    with("GET", "/app/new").await.expect_code(401, "authentication_failed");

    for (body, loc) in [
        (r#"{"expiry":3599}"#, vec!["body", "expiry"]),
        (r#"{"expiry":604801}"#, vec!["body", "expiry"]),
        (r#"{"capabilities":["Everything"]}"#, vec!["body", "capabilities"]),
        (r#"{"capabilities":["ViewBase","ViewBase"]}"#, vec!["body", "capabilities"]),
        (r#"{"featureFlags":[]}"#, vec!["body", "featureFlags"]),
        (r#"{"sessionId":""}"#, vec!["body", "sessionId"]),
        (r#"{"readOnly":1}"#, vec!["body", "readOnly"]),
        (r#"{"application":5}"#, vec!["body", "application"]),
        (r#"{"application":{"name":""}}"#, vec!["body", "application", "name"]),
    ] {
        api.post(&access("new"), body).await.expect_invalid(&loc);
    }
}

#[tokio::test]
async fn an_inline_application_is_compared_with_the_path_where_it_is_to_be_made() {
    let api = TestApi::start().await;
    let body = r#"{"application":{"name":"A","uid":"a"}}"#;
    let field = ["body", "application", "uid"];
    api.post("/auth/app-portal-access/other", body).await.expect_invalid(&field);
    api.get("/app/other").await.expect_code(404, "not_found");
    api.post("/auth/app-portal-access/a", body).await.expect(200);
    let id = api.get("/app/a").await.expect(200)["id"].as_str().expect("an id").to_owned();
    api.post(&format!("/auth/app-portal-access/{id}"), body).await.expect(200);
    let unknown = format!("/auth/app-portal-access/app_{}", "0".repeat(27));
    api.post(&unknown, r#"{"application":{"name":"A"}}"#).await.expect_code(404, "not_found");
}

#[tokio::test]
async fn operational_endpoints_are_of_the_environment_and_never_of_an_application() {
    let api = TestApi::start().await;
    let base = "/operational-webhook/endpoint";
    let body = r#"{"url":"https://example.com/ops","uid":"ops","eventTypes":["endpoint.created"]}"#;
    let made = api.post(base, body).await.expect(201);
    let id = made["id"].as_str().expect("an id");
    let listed = api.get(base).await.expect(200);
    assert_eq!(listed["data"], json!([made]));
    assert_eq!(api.get(&format!("{base}/{id}")).await.expect(200), made);
    let put = api.call("PUT", &format!("{base}/ops"), r#"{"url":"https://example.com/2"}"#).await.expect(200);
    assert_eq!((&put["id"], &put["url"]), (&json!(id), &json!("https://example.com/2")));
    api.call("PUT", &format!("{base}/ops/headers"), r#"{"headers":{"x-a":"1"}}"#).await.expect(204);
    assert_eq!(api.get(&format!("{base}/ops/headers")).await.expect(200)["headers"], json!({"x-a": "1"}));
    api.post(&format!("{base}/ops/secret/rotate"), &json!({"key": TWO}).to_string()).await.expect(204);
    assert_eq!(api.get(&format!("{base}/ops/secret")).await.expect(200), json!({"key": TWO}));
    assert_eq!(api.get("/app").await.expect(200)["data"], json!([]), "the environment's own is no application");

    api.environment("other", "other_key").await;
    let other = Request::builder().uri(format!("/api/v1{base}/{id}")).header("authorization", "Bearer other_key");
    api.send(other.body(Body::empty()).expect("a request")).await.expect_code(404, "not_found");
    api.call("DELETE", &format!("{base}/ops"), "").await.expect(204);
    api.get(&format!("{base}/{id}")).await.expect_code(404, "not_found");
}
