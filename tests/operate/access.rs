//! Signing in to the shipped binary by the link that it prints.

use std::time::Duration;

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::http::Request;

/// The one line that `posthouse login` prints.
fn link(app: &TestApp) -> String {
    let output = app.cli(&["login"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

fn token(link: &str) -> &str {
    link.split_once("/login#token=").expect("a link").1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_once_and_leaves_no_trace_in_the_log() {
    let mut app = TestApp::start().await;
    let link = link(&app);
    assert!(link.starts_with(&app.url()), "{link}");
    let client = app.client.with_key(None);
    let post = async |origin: &str| {
        let body = json!({ "oneTimeToken": token(&link) });
        client.send(Request::new("POST", "/api/v1/auth/session").header("origin", origin).json(&body)).await
    };
    post("http://evil.example").await.expect(403);
    let answer = post("http://posthouse.test").await.expect(204);
    let cookie = answer.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
    post("http://posthouse.test").await.expect(401);

    let get = |path: &str| Request::new("GET", path).header("cookie", &cookie);
    let seen = client.send(get("/api/v1/auth/session")).await.expect(200).json();
    assert_eq!(seen["scopes"], json!(["operator"]));
    let forged = Request::new("POST", "/api/v1/app").header("cookie", &cookie).json(&json!({ "name": "forged" }));
    client.send(forged).await.expect(403);
    client.send(get("/")).await.expect(200);
    let log = app.log_text();
    for secret in [token(&link), cookie.split_once('=').expect("a pair").1] {
        assert!(!log.contains(secret), "{log}");
    }

    app.restart().await;
    client_of(&app).send(get("/api/v1/app")).await.expect(200);
    app.sigterm(Duration::from_secs(10)).await;
    let offline = self::link(&app);
    app.restart().await;
    let body = json!({ "oneTimeToken": token(&offline) });
    let exchanged = client_of(&app).post("/api/v1/auth/one-time-token", body).await.expect(200).json();
    assert!(exchanged["token"].as_str().expect("a token").starts_with("phs_"));
}

fn client_of(app: &TestApp) -> crate::support::http::Client {
    app.client.with_key(None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_with_scopes() {
    let app = TestApp::start().await;
    let output = app.cli(&["key", "create", "--scope", "publish"]);
    let key = String::from_utf8(output.stdout).expect("text").trim_end().to_owned();
    let client = app.client.with_key(Some(&key));
    client.post("/api/v1/app", json!({ "name": "a", "uid": "a" })).await.expect(201);
    client.get("/api/v1/app").await.expect(403);
    let wrong = app.cli(&["key", "create", "--scope", "everything"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", String::from_utf8_lossy(&wrong.stderr));
}
