//! What a receiver can verify with: rotated secrets, key pairs, names of headers.

use posthouse_signature::standard::{KeyPair, TOLERANCE_S, VerifyingKey, verify};
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::receiver::{Received, Receiver};
use crate::support::signature::{assert_signed, sign};
use crate::support::wait::SOON;

const ONE: &str = "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0";
const TWO: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4";

async fn one_more(app: &TestApp, receiver: &Receiver, app_id: &str) -> (String, Received) {
    let before = receiver.count("/s");
    let message = app.publish_numbered(app_id, before).await;
    let arrived = receiver.wait_for("/s", before + 1, SOON).await;
    (message, arrived[before].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_until_the_grace_period_is_over() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Rotating").await;
    let endpoint = app.endpoint_with(&app_id, &receiver.url("/s"), json!({ "secret": ONE })).await;
    let rotate = format!("/api/v1/app/{app_id}/endpoint/{endpoint}/secret/rotate");
    app.client.post(rotate.clone(), json!({ "key": TWO })).await.expect(200);
    let (message, arrived) = one_more(&app, &receiver, &app_id).await;
    assert_signed(&arrived, ONE, &message);
    assert_signed(&arrived, TWO, &message);
    let first = arrived.header("webhook-signature").and_then(|all| all.split(' ').next()).expect("a signature");
    let timestamp = arrived.header("webhook-timestamp").expect("a time");
    assert_eq!(first, sign(TWO, &message, timestamp, &arrived.body), "the newest comes first");

    let drawn = app.client.post(rotate, json!({ "gracePeriodSeconds": 0 })).await.expect(200).json();
    let (message, arrived) = one_more(&app, &receiver, &app_id).await;
    assert_signed(&arrived, drawn["key"].as_str().expect("a key"), &message);
    let signatures = arrived.header("webhook-signature").expect("signatures");
    assert_eq!(signatures.split(' ').count(), 1, "no grace, no second signature: {signatures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_signs_and_its_public_half_is_served() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Pair").await;
    let pair = KeyPair::from_seed(&[42; 32]);
    let endpoint = app.endpoint_with(&app_id, &receiver.url("/s"), json!({ "secret": pair.expose() })).await;
    assert_eq!(app.secret(&app_id, &endpoint).await, pair.public().shown(), "the seed is never shown");
    let keys = app.get(format!("/jwks/{endpoint}")).await.expect(200).json();
    assert_eq!(keys["keys"][0]["x"], pair.public().jwk().x);
    assert_eq!(keys["keys"][0]["kid"], pair.public().jwk().kid);

    let (message, arrived) = one_more(&app, &receiver, &app_id).await;
    let signatures = arrived.header("webhook-signature").expect("a signature");
    assert!(signatures.starts_with("v1a,") && !signatures.contains(' '), "{signatures}");
    let key = VerifyingKey::parse(&pair.public().shown()).expect("a public key");
    let timestamp = arrived.header("webhook-timestamp").expect("a time");
    let now = timestamp.parse().expect("seconds");
    let verified = verify([&key], &message, timestamp, signatures, &arrived.body, now, TOLERANCE_S);
    assert!(verified.is_ok(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_says_under_which_names_signatures_are_sent() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Names").await;
    app.endpoint_with(&app_id, &receiver.url("/s"), json!({ "secret": ONE })).await;
    for (settings, webhook, svix) in [
        (json!({}), true, false),
        (json!({ "whitelabelHeaders": false }), false, true),
        (json!({ "sendSvixWebhookHeaders": true }), true, true),
    ] {
        app.client.put("/api/v1/management/environment-settings", settings.clone()).await.expect(200);
        let (message, arrived) = one_more(&app, &receiver, &app_id).await;
        for (prefix, is_there) in [("webhook", webhook), ("svix", svix)] {
            let header = |name: &str| arrived.header(&format!("{prefix}-{name}"));
            assert_eq!(header("id"), is_there.then_some(&*message), "{settings}");
            let Some(timestamp) = header("timestamp") else {
                assert!(!is_there && header("signature").is_none(), "{settings}");
                continue;
            };
            assert_eq!(header("signature"), Some(&*sign(ONE, &message, timestamp, &arrived.body)));
        }
    }
}
