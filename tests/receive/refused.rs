//! What is not verified: the sender learns nothing, the log says why, nothing is delivered.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::http::Request;
use crate::support::receiver::Receiver;
use crate::support::wait::SOON;
use crate::world::{
    STRIPE_SECRET, Source, now_s, send, stripe_event, stripe_request, stripe_signature, stripe_unsigned,
};

const HOUR_S: i64 = 3_600;

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_gets_401_and_the_log_gets_the_cause() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::stripe(&app).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    let body = stripe_event("evt_1", "charge.succeeded");
    let good = stripe_signature(STRIPE_SECRET, now_s(), body.as_bytes());
    let signed = |signature: &str| stripe_unsigned(&source.path, &body).header("Stripe-Signature", signature);
    let cases: [(Request, &str, &str); 7] = [
        (stripe_unsigned(&source.path, &body), "missing_header", "stripe-signature"),
        (signed(""), "missing_header", ""),
        (signed("sha256=00"), "malformed_header", ""),
        (signed(&stripe_signature("whsec_another", now_s(), body.as_bytes())), "signature_mismatch", ""),
        (signed(&stripe_signature(STRIPE_SECRET, now_s() - HOUR_S, body.as_bytes())), "timestamp_expired", "36"),
        (
            stripe_unsigned(&source.path, &format!("{body} ")).header("Stripe-Signature", &good),
            "signature_mismatch",
            "",
        ),
        (signed(&good.replace("v1=", "v0=")), "unsupported_version", ""),
    ];
    for (number, (request, cause, hint)) in cases.into_iter().enumerate() {
        let answer = send(&app, request).await.expect(401);
        assert_eq!(answer.text(), "", "case {number}: the sender learns nothing");
        let told = answer.headers.iter().any(|(_, value)| value.contains(cause));
        assert!(!told, "case {number}: {:?}", answer.headers);
        let logged = source.last(&app).await;
        assert_eq!(logged["outcome"], "rejected", "case {number}");
        assert_eq!(logged["status_code"], 401, "case {number}");
        assert_eq!(logged["cause"], cause, "case {number}");
        let text = logged["error_text"].as_str().expect("text");
        assert!(text.starts_with(cause) && text.contains(hint), "case {number}: {text}");
        assert!(!text.contains(STRIPE_SECRET), "case {number}: no secret in a log: {text}");
        assert_eq!(logged["payload"].as_str().map(str::trim_end), Some(&*body), "case {number}: kept");
    }
    send(&app, stripe_request(&source.path, &body)).await.expect(200);
    receiver.wait_for("/hook", 1, SOON).await;
    assert_eq!(source.settled(&app).await, 1, "only what was verified is a message");
    assert_eq!(receiver.count("/hook"), 1);
    assert_eq!(source.log(&app).await.len(), 8, "everything that came is in the log");
    assert!(!app.log_text().contains(STRIPE_SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_another_provider_is_recognised() {
    let app = TestApp::start().await;
    let source = Source::stripe(&app).await;
    let request = stripe_unsigned(&source.path, "{}").header("X-Hub-Signature-256", "sha256=00");
    send(&app, request).await.expect(401);
    let logged = source.last(&app).await;
    assert_eq!(logged["cause"], "missing_header");
    assert!(logged["error_text"].as_str().is_some_and(|text| text.contains("GitHub")), "{logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_secrets_serve_while_one_is_replaced() {
    let app = TestApp::start().await;
    let both = json!({ "secrets": ["whsec_new", "whsec_old"] });
    let source = Source::make(&app, "stripe", both).await;
    for (number, (secret, status)) in [("whsec_new", 200), ("whsec_old", 200), ("whsec_older", 401)].iter().enumerate()
    {
        let body = stripe_event(&format!("evt_{number}"), "charge.succeeded");
        let signature = stripe_signature(secret, now_s(), body.as_bytes());
        send(&app, stripe_unsigned(&source.path, &body).header("Stripe-Signature", &signature)).await.expect(*status);
    }
    source.patch(&app, json!({ "config": { "secret": "whsec_new" } })).await;
    let body = stripe_event("evt_9", "charge.succeeded");
    let signature = stripe_signature("whsec_old", now_s(), body.as_bytes());
    send(&app, stripe_unsigned(&source.path, &body).header("Stripe-Signature", &signature)).await.expect(401);
}
