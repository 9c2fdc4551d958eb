//! Every operation with every kind of credential: nothing of others is read or changed.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::{Answer, KEY, TestApi, answered};
use crate::api::routes::{Needs, Operation, implemented};
use crate::model::Capability;
use crate::store::command::{Change, Changed, Target};

/// What must not be seen by others, and must not change.
struct Victim {
    app: String,
    endpoint: String,
    message: String,
    attempt: String,
}

impl Victim {
    async fn make(api: &TestApi) -> Self {
        let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
        let app = api.post("/app", r#"{"name":"victim-name","uid":"victim"}"#).await.expect(201);
        let endpoint = json!({
            "url": "https://victim.example/", "description": "victim-text", "headers": {"x-a": "victim-header"},
            "secret": "whsec_dmljdGltLXNlY3JldC12aWN0aW0tc2VjcmV0LTEyMzQ=",
        });
        let endpoint = api.post("/app/victim/endpoint", &endpoint.to_string()).await.expect(201);
        let message = r#"{"eventType":"e","payload":{"text":"victim-payload"}}"#;
        let message = api.post("/app/victim/msg", message).await.expect(202);
        api.attempt("victim", &endpoint, &message, answered(500, b"victim-answer")).await;
        let attempts = api.get(&format!("/app/victim/attempt/msg/{}", id(&message))).await.expect(200);
        let attempt = id(&attempts["data"][0]);
        Self { app: id(&app), endpoint: id(&endpoint), message: id(&message), attempt }
    }

    fn path(&self, pattern: &str) -> String {
        pattern
            .replace("{app_id}", &self.app)
            .replace("{endpoint_id}", &self.endpoint)
            .replace("{msg_id}", &self.message)
            .replace("{attempt_id}", &self.attempt)
            .replace("{event_type_name}", "victim.type")
            .replace("{task_id}", &format!("qtask_{}", "0".repeat(27)))
    }

    /// All that an owner sees.
    async fn picture(&self, api: &TestApi) -> String {
        let mut all = String::new();
        for pattern in [
            "/app?limit=250",
            "/app/{app_id}",
            "/app/{app_id}/endpoint",
            "/app/{app_id}/endpoint/{endpoint_id}",
            "/app/{app_id}/endpoint/{endpoint_id}/secret",
            "/app/{app_id}/endpoint/{endpoint_id}/headers",
            "/app/{app_id}/msg?with_content=true",
            "/app/{app_id}/msg/{msg_id}",
            "/app/{app_id}/attempt/msg/{msg_id}?with_content=true",
            "/event-type?include_archived=true&with_content=true",
            "/event-type/{event_type_name}/retry-schedule",
            "/management/environment-settings",
            "/operational-webhook/endpoint",
        ] {
            let seen = api.get(&self.path(pattern)).await.expect(200);
            all.push_str(&seen.to_string());
        }
        all
    }
}

async fn token(api: &TestApi, app: &str, text: &str, capabilities: &[Capability], lifetime: Duration) -> String {
    let made = api
        .change(Change::CreatePortalToken {
            env: api.app(app).await.app.env,
            target: Target::Uid(app.to_owned()),
            create: None,
            hash: Sha256::digest(text).into(),
            capabilities: capabilities.to_vec(),
            feature_flags: Vec::new(),
            session_id: None,
            lifetime_ms: lifetime.as_millis() as i64,
        })
        .await;
    assert!(matches!(made, Changed::PortalToken(..)));
    text.to_owned()
}

/// A body that the operation takes, so that nothing but the credential stands in its way.
fn body(operation: &Operation) -> &'static str {
    match (&operation.method, operation.path) {
        (&Method::GET | &Method::DELETE, _) => "",
        (_, path) if path.ends_with("/endpoint") || path.ends_with("/{endpoint_id}") => {
            r#"{"url":"https://taken.example/","description":"taken"}"#
        }
        (_, path) if path.ends_with("/headers") => r#"{"headers":{"x-a":"taken"}}"#,
        (_, path) if path.ends_with("/app") || path.ends_with("/{app_id}") && !path.contains("portal") => {
            r#"{"name":"taken"}"#
        }
        (_, path) if path.ends_with("/msg") => r#"{"eventType":"e","payload":{"text":"taken"}}"#,
        (_, path) if path.ends_with("/event-type") => r#"{"name":"taken.type","description":"taken"}"#,
        (_, path) if path.contains("retry-schedule") => r#"{"retrySchedule":[{"secs":1,"nanos":0}]}"#,
        (_, path) if path.contains("event-type") => r#"{"description":"taken"}"#,
        (_, path) if path.contains("recover") => r#"{"since":"2020-01-01T00:00:00Z"}"#,
        (_, path) if path.contains("send-example") => r#"{"eventType":"victim.type"}"#,
        (_, path) if path.contains("environment-settings") => r#"{"whitelabelHeaders":false}"#,
        _ => "{}",
    }
}

async fn call(api: &TestApi, victim: &Victim, operation: &Operation, authorization: Option<&str>) -> Answer {
    let mut request = Request::builder().method(&operation.method).uri(victim.path(operation.path));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    api.send(request.body(Body::from(body(operation))).expect("a request")).await
}

fn closed() -> impl Iterator<Item = Operation> {
    implemented().into_iter().filter(|operation| operation.needs != Needs::Nobody)
}

#[tokio::test]
async fn no_operation_shows_or_changes_anything_of_others() {
    let api = TestApi::start().await;
    let victim = Victim::make(&api).await;
    api.post("/event-type", r#"{"name":"victim.type","description":"d"}"#).await.expect(201);
    api.post("/app", r#"{"name":"b","uid":"b"}"#).await.expect(201);
    api.environment("other", "other_key").await;
    let week = Duration::from_hours(168);
    let foreign = token(&api, "b", "appsk_foreign", &Capability::ALL, week).await;
    let expired = token(&api, "victim", "appsk_expired", &Capability::ALL, Duration::ZERO).await;
    let revoked = token(&api, "victim", "appsk_revoked", &Capability::ALL, week).await;
    let logout = Request::builder()
        .method("POST")
        .uri("/api/v1/auth/logout")
        .header("authorization", format!("Bearer {revoked}"))
        .body(Body::empty());
    api.send(logout.expect("a request")).await.expect(204);
    let before = victim.picture(&api).await;

    for operation in closed() {
        let told = format!("{} {}", operation.method, operation.path);
        for wrong in [
            None,
            Some(format!("Basic {KEY}")),
            Some(format!("Token {KEY}")),
            Some(KEY.to_owned()),
            Some(format!("Bearer {KEY}x")),
            Some(format!("Bearer {expired}")),
            Some(format!("Bearer {revoked}")),
            Some("Bearer ".to_owned()),
        ] {
            let answer = call(&api, &victim, &operation, wrong.as_deref()).await;
            assert_eq!(answer.status, 401, "{told} with {wrong:?}");
        }
        for stranger in [format!("Bearer {foreign}"), "Bearer other_key".to_owned()] {
            if operation.path.ends_with("/logout") {
                continue;
            }
            let answer = call(&api, &victim, &operation, Some(&stranger)).await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!text.contains("victim-"), "{told} shows a stranger {text}");
            if operation.path.contains("{app_id}") && !operation.path.contains("app-portal-access") {
                assert!(matches!(answer.status.as_u16(), 403 | 404), "{told}: {} {text}", answer.status);
            }
        }
    }
    assert_eq!(victim.picture(&api).await, before, "a stranger changed something");
}

#[tokio::test]
async fn a_portal_token_opens_what_its_capabilities_say_and_no_more() {
    let api = TestApi::start().await;
    let victim = Victim::make(&api).await;
    api.post("/event-type", r#"{"name":"victim.type","description":"d"}"#).await.expect(201);
    let week = Duration::from_hours(168);
    let read_only = token(&api, "victim", "appsk_read", &[Capability::ViewBase], week).await;
    let nothing = token(&api, "victim", "appsk_nothing", &[], week).await;
    let before = victim.picture(&api).await;
    for operation in closed().filter(|operation| operation.needs != Needs::Token) {
        let told = format!("{} {}", operation.method, operation.path);
        let answer = call(&api, &victim, &operation, Some(&format!("Bearer {nothing}"))).await;
        assert_eq!(answer.status, 403, "{told} with no capability");
        let answer = call(&api, &victim, &operation, Some(&format!("Bearer {read_only}"))).await;
        if operation.needs == Needs::Portal(Capability::ViewBase) {
            assert_eq!(operation.method, Method::GET, "{told}: reading changes nothing");
            assert_eq!(answer.status, 200, "{told}: {:?}", answer.body);
        } else {
            answer.expect_code(403, "permission_denied");
        }
    }
    assert_eq!(victim.picture(&api).await, before);

    let all = token(&api, "victim", "appsk_all", &Capability::ALL, week).await;
    for operation in closed() {
        let answer = match operation.needs {
            Needs::Key => call(&api, &victim, &operation, Some(&format!("Bearer {all}"))).await,
            _ => continue,
        };
        assert_eq!(answer.status, 403, "{} {}", operation.method, operation.path);
    }
    // What must stay closed whatever a token may do.
    let table: Vec<String> = closed()
        .filter(|operation| operation.needs == Needs::Key)
        .map(|operation| format!("{} {}", operation.method, operation.path))
        .collect();
    for shut in [
        "GET /api/v1/app",
        "POST /api/v1/app",
        "PUT /api/v1/app/{app_id}",
        "DELETE /api/v1/app/{app_id}",
        "POST /api/v1/app/{app_id}/msg",
        "POST /api/v1/event-type",
        "PUT /api/v1/event-type/{event_type_name}",
        "POST /api/v1/auth/app-portal-access/{app_id}",
        "POST /api/v1/operational-webhook/endpoint",
        "GET /api/v1/operational-webhook/endpoint/{endpoint_id}/secret",
        "GET /api/v1/management/environment-settings",
        "GET /metrics",
    ] {
        assert!(table.iter().any(|operation| operation == shut), "{shut}");
    }

    api.call("DELETE", "/app/victim", "").await.expect(204);
    let gone = implemented().into_iter().find(|operation| operation.path.ends_with("/event-type")).expect("a list");
    assert_eq!(
        call(&api, &victim, &gone, Some(&format!("Bearer {all}"))).await.status,
        401,
        "it ends with its application"
    );
}
