//! The handshakes of further providers, through a running server: the answer, the entry in the log, no message.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::http::{Request, Response};
use crate::world::{Source, hex, hmac_hex, now_s, send};

const SECRET: &str = "a secret of the provider";

/// The request is answered as a handshake with this status, and becomes no message; the answer.
async fn shakes(app: &TestApp, source: &Source, request: Request, status: u16) -> Response {
    let answer = send(app, request).await.expect(status);
    let logged = source.last(app).await;
    assert_eq!((&logged["outcome"], &logged["status_code"]), (&json!("handshake"), &json!(status)), "{logged}");
    assert_eq!(source.messages(app).await, Vec::<Value>::new(), "no message");
    answer
}

/// The request is refused with this cause, and its sender learns nothing.
async fn refuses(app: &TestApp, source: &Source, request: Request, cause: &str) {
    let answer = send(app, request).await.expect(401);
    assert_eq!(answer.text(), "");
    let logged = source.last(app).await;
    assert_eq!((&logged["outcome"], &logged["cause"]), (&json!("rejected"), &json!(cause)), "{logged}");
}

/// The content type without its parameters, and the text.
fn body(answer: &Response) -> (String, String) {
    let content_type = answer.header("content-type").unwrap_or_default();
    (content_type.split(';').next().unwrap_or_default().to_owned(), answer.text())
}

fn plain(text: &str) -> (String, String) {
    ("text/plain".to_owned(), text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn twitch_is_answered_its_challenge_where_it_is_signed() {
    let app = TestApp::start().await;
    let source = Source::make(&app, "twitch", json!({ "secret": SECRET })).await;
    let ask = |kind: &str, secret: &str| {
        let (id, at) = ("e76c6bd4-55c9-4987-8304-da1588d8988b", jiff::Timestamp::now().to_string());
        let body = r#"{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":{"type":"channel.follow"}}"#;
        let signature = hmac_hex(secret, format!("{id}{at}{body}").as_bytes());
        Request::new("POST", &source.path)
            .header("Twitch-Eventsub-Message-Id", id)
            .header("Twitch-Eventsub-Message-Timestamp", &at)
            .header("Twitch-Eventsub-Message-Signature", &format!("sha256={signature}"))
            .header("Twitch-Eventsub-Message-Type", kind)
            .header("Twitch-Eventsub-Subscription-Type", "channel.follow")
            .raw_json(body)
    };
    let answer = shakes(&app, &source, ask("webhook_callback_verification", SECRET), 200).await;
    assert_eq!(body(&answer), plain("pogchamp-kappa-360noscope-vohiyo"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    refuses(&app, &source, ask("webhook_callback_verification", "another"), "signature_mismatch").await;
    assert_eq!(send(&app, ask("notification", SECRET)).await.expect(200).text(), "");
    assert_eq!(source.messages(&app).await[0]["eventType"], "channel.follow");
}

#[tokio::test(flavor = "multi_thread")]
async fn discord_is_answered_its_ping_where_it_is_signed() {
    let app = TestApp::start().await;
    let pair = Ed25519KeyPair::generate().expect("a key");
    let config = json!({ "publicKey": hex(pair.public_key().as_ref()) });
    let source = Source::make(&app, "discord", config).await;
    let signed = |pair: &Ed25519KeyPair, body: &str| {
        let at = now_s().to_string();
        let signature = hex(pair.sign(format!("{at}{body}").as_bytes()).as_ref());
        Request::new("POST", &source.path)
            .header("X-Signature-Ed25519", &signature)
            .header("X-Signature-Timestamp", &at)
            .raw_json(body)
    };
    let ask = |body: &str| signed(&pair, body);
    let answer = shakes(&app, &source, ask(r#"{"id":"1","type":1}"#), 200).await;
    assert_eq!(body(&answer), ("application/json".to_owned(), r#"{"type":1}"#.to_owned()));
    let answer = shakes(&app, &source, ask(r#"{"version":1,"application_id":"2","type":0}"#), 204).await;
    assert_eq!(answer.text(), "");
    // As Discord tries whether a receiver looks at signatures.
    let forged = signed(&Ed25519KeyPair::generate().expect("a key"), r#"{"id":"1","type":1}"#);
    refuses(&app, &source, forged, "signature_mismatch").await;
    let altered = ask(r#"{"id":"1","type":1}"#).body(r#"{"id":"2","type":1}"#);
    refuses(&app, &source, altered, "signature_mismatch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn braintree_is_answered_with_a_signature_of_its_challenge() {
    let app = TestApp::start().await;
    let config = json!({ "secret": SECRET, "publicKeyId": "public_1" });
    let source = Source::make(&app, "braintree", config).await;
    let ask = |challenge: &str| Request::new("GET", format!("{}?bt_challenge={challenge}", source.path));
    let answer = shakes(&app, &source, ask("20f9f8ed05f77439fe955c977e4c8a53"), 200).await;
    // As the library of Braintree answers.
    assert_eq!(body(&answer), plain("public_1|0ae42f8c4922b29ec8cb51b184f49f00e7114000"));
    refuses(&app, &source, ask("PG5vdGlmaWNhdGlvbj4"), "malformed_challenge").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_notion_is_kept_as_the_secret() {
    let app = TestApp::start().await;
    let source = Source::make(&app, "notion", json!({})).await;
    let token = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl";
    let ask = |token: &str| {
        let body = json!({ "verification_token": token }).to_string();
        Request::new("POST", &source.path).raw_json(body)
    };
    assert_eq!(shakes(&app, &source, ask(token), 200).await.text(), "");
    refuses(&app, &source, ask("secret_other"), "unexpected_handshake").await;
    let event = r#"{"id":"367cba44-b6f3-4c92-81e7-6a2e9659efd4","type":"page.created"}"#;
    let signed = |secret: &str| {
        let signature = format!("sha256={}", hmac_hex(secret, event.as_bytes()));
        Request::new("POST", &source.path).header("X-Notion-Signature", &signature).raw_json(event)
    };
    refuses(&app, &source, signed("secret_other"), "signature_mismatch").await;
    send(&app, signed(token)).await.expect(200);
    assert_eq!(source.messages(&app).await[0]["eventType"], "page.created");
}

#[tokio::test(flavor = "multi_thread")]
async fn monday_is_answered_a_lone_challenge() {
    let app = TestApp::start().await;
    let source = Source::make(&app, "monday", json!({ "secret": SECRET })).await;
    let ask = |body: &str| Request::new("POST", &source.path).raw_json(body);
    let answer = shakes(&app, &source, ask(r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd"}"#), 200).await;
    let expected = r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd"}"#;
    assert_eq!(body(&answer), ("application/json".to_owned(), expected.to_owned()));
    let beside = r#"{"challenge":"a","event":{"type":"create_pulse"}}"#;
    refuses(&app, &source, ask(beside), "missing_header").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adobe_sign_is_answered_its_client_id() {
    let app = TestApp::start().await;
    let source = Source::make(&app, "adobe-sign", json!({ "clientId": "CBJCHBCAABAA" })).await;
    let from = |method: &'static str, client: &str| {
        Request::new(method, &source.path).header("X-AdobeSign-ClientId", client).body("")
    };
    let answer = shakes(&app, &source, from("GET", "CBJCHBCAABAA"), 200).await;
    assert_eq!(answer.header("x-adobesign-clientid"), Some("CBJCHBCAABAA"));
    refuses(&app, &source, from("GET", "another"), "token_mismatch").await;
    refuses(&app, &source, Request::new("GET", &source.path), "missing_header").await;
    let event = from("POST", "CBJCHBCAABAA").raw_json(r#"{"webhookNotificationId":"1","event":"AGREEMENT_CREATED"}"#);
    let answer = send(&app, event).await.expect(200);
    assert_eq!(answer.header("x-adobesign-clientid"), Some("CBJCHBCAABAA"), "so is every event");
    assert_eq!(source.messages(&app).await[0]["eventType"], "AGREEMENT_CREATED");
}
