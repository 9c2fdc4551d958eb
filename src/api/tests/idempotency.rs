//! What an idempotency key stands for: one call of one caller, on what is there.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::support::{Answer, TestApi};

const MESSAGE: &str = r#"{"eventType":"e","payload":{}}"#;

async fn once(api: &TestApi, path: &str, body: &str) -> Answer {
    api.call_with("POST", path, body.to_owned(), &[("idempotency-key", "once")]).await
}

/// A portal token of the application `a`.
async fn token(api: &TestApi, capability: &str) -> String {
    let body = json!({ "capabilities": [capability] }).to_string();
    let link = api.post("/auth/app-portal-access/a", &body).await.expect(200);
    link["token"].as_str().expect("a token").to_owned()
}

async fn with_token(api: &TestApi, token: &str, method: &str, path: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", "once");
    api.send(request.body(Body::from(if method == "POST" { "{}" } else { "" })).expect("a request")).await
}

#[tokio::test]
async fn an_application_is_one_however_it_is_named() {
    let api = TestApi::start().await;
    let app = api.post("/app", r#"{"name":"a","uid":"a"}"#).await.expect(201);
    let first = once(&api, "/app/a/msg", MESSAGE).await.expect(202);
    for name in [app["id"].as_str().expect("an id"), "%61", "a/"] {
        let path = if name == "a/" { "/app/a/msg/".to_owned() } else { format!("/app/{name}/msg") };
        assert_eq!(once(&api, &path, MESSAGE).await.expect(202), first, "{path}");
    }
}

#[tokio::test]
async fn what_is_made_anew_under_a_name_shares_nothing_with_the_one_before() {
    let api = TestApi::start().await;
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..2 {
        api.post("/app", r#"{"name":"a","uid":"a"}"#).await.expect(201);
        api.post("/app/a/endpoint", r#"{"url":"https://example.com/","uid":"e"}"#).await.expect(201);
        let message = once(&api, "/app/a/msg", MESSAGE).await.expect(202);
        let rotated = once(&api, "/app/a/endpoint/e/secret/rotate", "{}").await.expect(200);
        assert_eq!(api.get("/app/a/endpoint/e/secret").await.expect(200), rotated);
        let link = once(&api, "/auth/app-portal-access/a", "{}").await.expect(200);
        let token = link["token"].as_str().expect("a token");
        with_token(&api, token, "GET", "/app/a").await.expect(200);
        assert!(![&message, &rotated, &link].iter().any(|answer| seen.contains(answer)));
        seen.extend([message, rotated, link]);
        api.call("DELETE", "/app/a", "").await.expect(204);
    }
}

#[tokio::test]
async fn an_application_that_is_made_on_the_way_has_the_key_in_its_scope() {
    let api = TestApi::start().await;
    let message = r#"{"eventType":"e","payload":{},"application":{"name":"A"}}"#;
    let access = r#"{"application":{"name":"B"}}"#;
    for (path, body, status) in [("/app/a/msg", message, 202), ("/auth/app-portal-access/b", access, 200)] {
        let first = once(&api, path, body).await.expect(status);
        assert_eq!(once(&api, path, body).await.expect(status), first, "{path}");
    }
    // What was sent to another application hinders nothing, and nothing is left half made.
    let other = r#"{"eventType":"other","payload":{},"application":{"name":"C"}}"#;
    once(&api, "/app/a/msg", other).await.expect_code(409, "idempotency_conflict");
    once(&api, "/app/c/msg", other).await.expect(202);
    let bad = [("idempotency-key", "a b")];
    api.call_with("POST", "/app/d/msg", other, &bad).await.expect_invalid(&["header", "idempotency-key"]);
    api.get("/app/d").await.expect_code(404, "not_found");
}

#[tokio::test]
async fn nobody_gets_what_another_caller_was_answered() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"a","uid":"a"}"#).await.expect(201);
    api.post("/app/a/endpoint", r#"{"url":"https://example.com/","uid":"e"}"#).await.expect(201);
    let path = "/app/a/endpoint/e/secret/rotate";
    let rotated = once(&api, path, "{}").await.expect(200);
    let token = token(&api, "ManageEndpointSecret").await;
    with_token(&api, &token, "GET", "/app/a/endpoint/e/secret").await.expect_code(403, "permission_denied");
    // Its own rotation, of which it does not see the secret.
    with_token(&api, &token, "POST", path).await.expect(204);
    assert_ne!(api.get("/app/a/endpoint/e/secret").await.expect(200), rotated);
}
