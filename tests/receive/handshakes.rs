//! What providers ask before they send: answered by itself, in the log, never delivered.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::http::{Request, Response};
use crate::support::receiver::Receiver;
use crate::support::wait::SOON;
use crate::world::{Source, hmac_bytes, hmac_hex, now_s, send};

const SECRET: &str = "a secret of the provider";

/// A request as Slack and Zoom sign it, under their own names.
fn signed_v0(source: &Source, prefix: &str, body: &str) -> Request {
    let at = now_s().to_string();
    let signature = format!("v0={}", hmac_hex(SECRET, format!("v0:{at}:{body}").as_bytes()));
    let (time, name) = match prefix {
        "slack" => ("X-Slack-Request-Timestamp", "X-Slack-Signature"),
        _ => ("x-zm-request-timestamp", "x-zm-signature"),
    };
    Request::new("POST", &source.path).header(time, &at).header(name, &signature).raw_json(body)
}

/// The request is answered as a handshake; the answer.
async fn shakes(app: &TestApp, source: &Source, request: Request) -> Response {
    let answer = send(app, request).await.expect(200);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let logged = source.last(app).await;
    assert_eq!((&logged["outcome"], &logged["status_code"]), (&json!("handshake"), &json!(200)), "{logged}");
    assert_eq!(source.messages(app).await, Vec::<Value>::new(), "no message");
    answer
}

/// The request is refused with this cause.
async fn refuses(app: &TestApp, source: &Source, request: Request, cause: &str) {
    assert_eq!(send(app, request).await.expect(401).text(), "");
    assert_eq!(source.last(app).await["cause"], cause);
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_is_answered_its_challenge_where_it_is_signed() {
    let app = TestApp::start().await;
    let source = Source::make(&app, "slack", json!({ "secret": SECRET })).await;
    let body =
        r#"{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;
    let answer = shakes(&app, &source, signed_v0(&source, "slack", body)).await;
    assert_eq!(answer.text(), "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P");
    assert!(answer.header("content-type").is_some_and(|value| value.starts_with("text/plain")), "{answer:?}");
    refuses(&app, &source, Request::new("POST", &source.path).raw_json(body), "missing_header").await;
    let altered = signed_v0(&source, "slack", body).body(body.replace("3eZ", "4eZ"));
    refuses(&app, &source, altered, "signature_mismatch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_is_answered_its_challenge_where_the_token_is_ours() {
    let app = TestApp::start().await;
    let source = Source::make(&app, "meta", json!({ "secret": SECRET, "verifyToken": "ours" })).await;
    let ask = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
        Request::new("GET", format!("{}?{query}", source.path))
    };
    assert_eq!(shakes(&app, &source, ask("ours")).await.text(), "1158201444");
    refuses(&app, &source, ask("theirs"), "token_mismatch").await;
    refuses(&app, &source, ask(""), "token_mismatch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zoom_and_x_are_answered_with_a_signature_of_their_token() {
    let app = TestApp::start().await;
    let zoom = Source::make(&app, "zoom", json!({ "secret": SECRET })).await;
    let ask =
        |token: &str| json!({ "event": "endpoint.url_validation", "payload": { "plainToken": token } }).to_string();
    let answer = shakes(&app, &zoom, signed_v0(&zoom, "zoom", &ask("qgg8vlvZRS6UYooatFL8Aw"))).await.json();
    let encrypted = hmac_hex(SECRET, b"qgg8vlvZRS6UYooatFL8Aw");
    assert_eq!(answer, json!({ "plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": encrypted }));
    // What would be the signature of a body is never computed.
    let forged = ask(&format!("v0:{}:{{}}", now_s()));
    refuses(&app, &zoom, signed_v0(&zoom, "zoom", &forged), "malformed_challenge").await;

    let x = Source::make(&app, "twitter", json!({ "secret": SECRET })).await;
    let ask = |token: &str| Request::new("GET", format!("{}?crc_token={token}", x.path));
    let token = "9b4507b3-9040-4669-9ca3-6b94edb50553";
    let expected = format!("sha256={}", BASE64_STANDARD.encode(hmac_bytes(SECRET, token.as_bytes())));
    assert_eq!(shakes(&app, &x, ask(token)).await.json(), json!({ "response_token": expected }));
    refuses(&app, &x, ask("%7B%22a%22%3A1%7D"), "malformed_challenge").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_comes_with_the_first_request_is_kept_and_not_replaced() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::make(&app, "asana", json!({})).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    let ask = |secret: &str| Request::new("POST", &source.path).header("X-Hook-Secret", secret).raw_json("{}");
    let event = |secret: &str, body: &str| {
        let signature = hmac_hex(secret, body.as_bytes());
        Request::new("POST", &source.path).header("X-Hook-Signature", &signature).raw_json(body)
    };
    let body = r#"{"events":[{"action":"changed","resource":{"resource_type":"task"}}]}"#;
    assert_eq!(send(&app, event("b537207f20cbfa02357cf448134da559", body)).await.status, 401, "no secret yet");
    let answer = shakes(&app, &source, ask("b537207f20cbfa02357cf448134da559")).await;
    assert_eq!(answer.header("x-hook-secret"), Some("b537207f20cbfa02357cf448134da559"));
    refuses(&app, &source, ask("ffffffffffffffffffffffffffffffff"), "unexpected_handshake").await;
    app.kill9();
    app.restart().await;
    refuses(&app, &source, event("ffffffffffffffffffffffffffffffff", body), "signature_mismatch").await;
    send(&app, event("b537207f20cbfa02357cf448134da559", body)).await.expect(200);
    receiver.wait_for("/hook", 1, SOON).await;
    assert_eq!(source.messages(&app).await[0]["eventType"], "task.changed");

    let whole = json!({ "name": "renamed", "type": "asana", "config": {} });
    app.client.put(source.resource(), whole).await.expect(200);
    refuses(&app, &source, ask("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"), "unexpected_handshake").await;
    send(&app, event("b537207f20cbfa02357cf448134da559", body)).await.expect(200);
    source.patch(&app, json!({ "config": { "secret": null } })).await;
    send(&app, ask("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee")).await.expect(200);
    send(&app, event("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", body)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_echoed_is_plain_text() {
    let app = TestApp::start().await;
    let graph = Source::make(&app, "microsoft-graph", json!({ "secret": SECRET })).await;
    let ask = |token: &str| Request::new("POST", format!("{}?validationToken={token}", graph.path)).body("");
    let answer = shakes(&app, &graph, ask("Validation%3A+Testing+client+application")).await;
    assert_eq!(answer.text(), "Validation: Testing client application");
    assert!(answer.header("content-type").is_some_and(|value| value.starts_with("text/plain")), "{answer:?}");

    let okta = Source::make(&app, "okta", json!({ "secret": SECRET })).await;
    let ask = Request::new("GET", &okta.path).header("X-Okta-Verification-Challenge", "a1b2c3");
    assert_eq!(shakes(&app, &okta, ask).await.json(), json!({ "verification": "a1b2c3" }));
    let dropbox = Source::make(&app, "dropbox", json!({ "secret": SECRET })).await;
    let ask = Request::new("GET", format!("{}?challenge=abc123", dropbox.path));
    assert_eq!(shakes(&app, &dropbox, ask).await.text(), "abc123");
    let trello = Source::make(&app, "trello", json!({ "secret": SECRET })).await;
    shakes(&app, &trello, Request::new("HEAD", &trello.path)).await;
}
