//! Every operation with every kind of credential: nothing of others is read or changed.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::{Answer, KEY, TestApi, answered};
use crate::api::routes::{Needs, Operation, implemented};
use crate::model::{Capability, Scope};
use crate::store::command::{Change, Changed, Target};

/// What must not be seen by others, and must not change.
struct Victim {
    app: String,
    endpoint: String,
    message: String,
    attempt: String,
    env: String,
    key: String,
    task: String,
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
        let env = api.get("/auth/session").await.expect(200)["envId"].as_str().expect("an id").to_owned();
        let keys = api.get(&format!("/management/authentication/{env}/api-token")).await.expect(200);
        let key = id(&keys["data"][0]);
        let path = "/app/victim/endpoint/".to_owned() + &id(&endpoint) + "/recover";
        let task = api.post(&path, r#"{"since":"2020-01-01T00:00:00Z"}"#).await.expect(202);
        Self { app: id(&app), endpoint: id(&endpoint), message: id(&message), attempt, env, key, task: id(&task) }
    }

    /// Names of nothing.
    fn nobody() -> Self {
        let id = |prefix: &str| format!("{prefix}_{}", "0".repeat(27));
        let (app, endpoint) = (id("app"), id("ep"));
        let (env, key, task) = (id("env"), id("key"), id("qtask"));
        Self { app, endpoint, message: id("msg"), attempt: id("atmpt"), env, key, task }
    }

    fn path(&self, pattern: &str) -> String {
        pattern
            .replace("{app_id}", &self.app)
            .replace("{endpoint_id}", &self.endpoint)
            .replace("{msg_id}", &self.message)
            .replace("{attempt_id}", &self.attempt)
            .replace("{env_id}", &self.env)
            .replace("{key_id}", &self.key)
            .replace("{event_type_name}", "victim.type")
            .replace("{task_id}", &self.task)
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
            "/management/environment",
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
        (_, path) if path.contains("recover") || path.contains("replay") => r#"{"since":"2020-01-01T00:00:00Z"}"#,
        (_, path) if path.ends_with("/test-attempt") => r#"{"eventType":"victim.type","payload":{"text":"taken"}}"#,
        (_, path) if path.ends_with("/try") => r#"{"url":"https://taken.example/"}"#,
        (_, path) if path.ends_with("/import/openapi") => {
            r#"{"spec":{"webhooks":{"taken.type":{"post":{"description":"taken"}}}}}"#
        }
        (_, path) if path.ends_with("/usage/app") => {
            r#"{"since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z"}"#
        }
        (_, path) if path.contains("cancel-msgs") => r#"{"createdBefore":"2020-01-01T00:00:00Z"}"#,
        (_, path) if path.contains("send-example") => r#"{"eventType":"victim.type"}"#,
        (_, path) if path.ends_with("/environment") => r#"{"name":"taken","type":"production"}"#,
        (_, path) if path.contains("{env_id}") => r#"{"name":"taken"}"#,
        (_, path) if path.contains("environment-settings") => r#"{"whitelabelHeaders":false}"#,
        (_, path) if path.contains("event-type") => r#"{"description":"taken"}"#,
        _ => "{}",
    }
}

async fn call(api: &TestApi, victim: &Victim, operation: &Operation, authorization: Option<&str>) -> Answer {
    let mut path = victim.path(operation.path);
    if operation.path.ends_with("/stats/attempts") {
        path.push_str("?since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00Z");
    }
    let mut request = Request::builder().method(&operation.method).uri(path);
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
            let names = ["{app_id}", "{env_id}", "{task_id}"];
            let is_named = names.iter().any(|name| operation.path.contains(name));
            if is_named && !operation.path.contains("app-portal-access") {
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
    let open_to_all = [Needs::Token, Needs::Anybody];
    for operation in closed().filter(|operation| !open_to_all.contains(&operation.needs)) {
        let told = format!("{} {}", operation.method, operation.path);
        let answer = call(&api, &victim, &operation, Some(&format!("Bearer {nothing}"))).await;
        assert_eq!(answer.status, 403, "{told} with no capability");
        let answer = call(&api, &victim, &operation, Some(&format!("Bearer {read_only}"))).await;
        if operation.needs == Needs::Portal(Capability::ViewBase) {
            let only_reads = operation.method == Method::GET || operation.path.ends_with("/msg/search");
            assert!(only_reads, "{told}: reading changes nothing");
            assert_eq!(answer.status, 200, "{told}: {:?}", answer.body);
        } else {
            answer.expect_code(403, "permission_denied");
        }
    }
    assert_eq!(victim.picture(&api).await, before);

    let all = token(&api, "victim", "appsk_all", &Capability::ALL, week).await;
    for operation in closed() {
        let answer = match operation.needs {
            Needs::Key | Needs::Holder | Needs::Operator => {
                call(&api, &victim, &operation, Some(&format!("Bearer {all}"))).await
            }
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
        "GET /api/v1/management/environment",
        "POST /api/v1/management/authentication/{env_id}/api-token",
        "POST /api/v1/auth/app/{app_id}/expire-all",
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

/// What a caller sends to be known.
enum Sent {
    Nothing,
    Bearer(String),
    /// A session's cookie, perhaps with the origin of a page of ours.
    Cookie(String, bool),
}

impl Sent {
    fn on(&self, mut request: http::request::Builder) -> http::request::Builder {
        request = request.header("host", "posthouse.test");
        match self {
            Self::Nothing => request,
            Self::Bearer(token) => request.header("authorization", format!("Bearer {token}")),
            Self::Cookie(token, is_own) => {
                let request = request.header("cookie", format!("posthouse_session={token}"));
                if *is_own { request.header("origin", "http://posthouse.test") } else { request }
            }
        }
    }
}

/// Who may: the scopes that one holder of a key has, or the capabilities of a portal token.
enum Who {
    Nobody,
    Holder(Scope),
    Portal(Vec<Capability>),
}

/// The same rules as the code's, told anew from their description: by scope and by path.
fn may(who: &Who, operation: &Operation) -> bool {
    let path = operation.path;
    let reads = operation.method == Method::GET
        || operation.method == Method::POST && (path.ends_with("/msg/search") || path.ends_with("/count"));
    let publishes = matches!(
        (operation.method.as_str(), path),
        ("POST", "/api/v1/app" | "/api/v1/app/{app_id}/msg") | ("GET", "/api/v1/app/{app_id}")
    );
    match (who, operation.needs) {
        (Who::Nobody, needs) => needs == Needs::Nobody,
        (_, Needs::Nobody | Needs::Anybody) | (Who::Holder(_), Needs::Holder) => true,
        // A try sends a message to a place of the caller's choice: it is both an attempt and an endpoint.
        (Who::Portal(has), Needs::Portal(_)) if path.ends_with("/try") => {
            has.contains(&Capability::CreateAttempts) && has.contains(&Capability::ManageEndpoint)
        }
        (Who::Portal(has), Needs::Portal(needed)) => has.contains(&needed),
        (Who::Portal(_), needs) => needs == Needs::Token,
        (Who::Holder(scope), Needs::Operator) => *scope == Scope::Operator,
        (Who::Holder(scope), needs) => {
            let allows = match scope {
                Scope::Full | Scope::Operator => true,
                Scope::Read => reads,
                Scope::Publish => publishes,
            };
            allows && needs != Needs::Token
        }
    }
}

#[tokio::test]
async fn every_credential_opens_what_it_says_and_no_more() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"own","uid":"own"}"#).await.expect(201);
    let nobody = Victim::nobody();
    let mut all: Vec<(String, Sent, Who)> = vec![
        ("nothing".to_owned(), Sent::Nothing, Who::Nobody),
        ("a wrong key".to_owned(), Sent::Bearer("phk_wrong".to_owned()), Who::Nobody),
        ("a wrong session".to_owned(), Sent::Bearer("phs_wrong".to_owned()), Who::Nobody),
        ("a wrong cookie".to_owned(), Sent::Cookie("phs_wrong".to_owned(), true), Who::Nobody),
        ("a key as a cookie".to_owned(), Sent::Cookie(KEY.to_owned(), true), Who::Nobody),
    ];
    for scope in Scope::ALL {
        let key = format!("{}_key", scope.as_str());
        api.key(&key, &[scope]).await;
        let session = api.gateway.sign_in_with_key(&key).await.expect("a read").expect("a session");
        all.push((key.clone(), Sent::Bearer(key.clone()), Who::Holder(scope)));
        all.push((format!("a session of {key}"), Sent::Bearer(session.clone()), Who::Holder(scope)));
        all.push((format!("a cookie of {key}"), Sent::Cookie(session.clone(), true), Who::Holder(scope)));
        all.push((format!("a foreign page with a cookie of {key}"), Sent::Cookie(session, false), Who::Holder(scope)));
    }
    let week = Duration::from_hours(168);
    for capability in Capability::ALL {
        let text = format!("appsk_{}", capability.as_str());
        let token = token(&api, "own", &text, &[capability], week).await;
        all.push((text, Sent::Bearer(token), Who::Portal(vec![capability])));
    }
    let two = [Capability::CreateAttempts, Capability::ManageEndpoint];
    let both = token(&api, "own", "appsk_both", &two, week).await;
    all.push(("appsk_both".to_owned(), Sent::Bearer(both), Who::Portal(two.to_vec())));
    let empty = token(&api, "own", "appsk_empty", &[], week).await;
    all.push(("appsk_empty".to_owned(), Sent::Bearer(empty), Who::Portal(Vec::new())));
    let over = token(&api, "own", "appsk_over", &Capability::ALL, Duration::ZERO).await;
    all.push(("appsk_over".to_owned(), Sent::Bearer(over), Who::Nobody));

    for (name, sent, who) in &all {
        for operation in closed() {
            let ends_it = operation.path.ends_with("/logout") || operation.path.ends_with("/auth/session");
            if ends_it && operation.method != Method::GET && may(who, &operation) {
                continue;
            }
            let told = format!("{name}: {} {}", operation.method, operation.path);
            // It is about nothing that is there: who may is told 404, or what is wrong, or gets a list.
            let request = Request::builder().method(&operation.method).uri(nobody.path(operation.path));
            let body = if operation.method == Method::GET { "" } else { "{}" };
            let answer = api.send(sent.on(request).body(Body::from(body)).expect("a request")).await;
            let is_foreign = matches!(sent, Sent::Cookie(_, false)) && operation.method != Method::GET;
            let expected = match who {
                Who::Nobody => Some(401),
                _ if is_foreign || !may(who, &operation) => Some(403),
                _ => None,
            };
            let status = answer.status.as_u16();
            match expected {
                Some(expected) => assert_eq!(status, expected, "{told}"),
                None => assert!(!matches!(status, 401 | 403) && status < 500, "{told}: {status}"),
            }
        }
    }
}
