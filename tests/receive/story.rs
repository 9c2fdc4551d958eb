//! The story of an event: verified, stored, routed by its type, passed on as it came, signed by us.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::signature::assert_signed;
use crate::support::wait::SOON;
use crate::world::{
    STRIPE_SECRET, Source, now_s, send, stripe_event, stripe_request, stripe_signature, stripe_unsigned,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stripe_event_arrives_as_it_was_sent() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::stripe(&app).await;
    let endpoint = app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    let body = stripe_event("evt_1", "charge.succeeded");
    let signature = stripe_signature(STRIPE_SECRET, now_s(), body.as_bytes());
    let request = stripe_unsigned(&source.path, &body).header("Stripe-Signature", &signature).header("X-Twice", "1");
    let answer = send(&app, request.header("X-Twice", "2")).await.expect(200);
    assert!(answer.body.is_empty(), "Stripe expects no body: {}", answer.text());

    let arrived = receiver.wait_for("/hook", 1, SOON).await.remove(0);
    assert_eq!(String::from_utf8_lossy(&arrived.body), body, "byte for byte");
    assert_eq!(arrived.method, "POST");
    assert_eq!(arrived.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(arrived.header("stripe-signature"), Some(&*signature), "the application can verify it again");
    assert_eq!(arrived.header("user-agent"), Some("Stripe/1.0 (+https://stripe.com/docs/webhooks)"));
    let named = |name: &str| arrived.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name)).count();
    assert_eq!((named("x-twice"), named("content-type"), named("host")), (2, 1, 1), "{:?}", arrived.headers);

    let logged = source.last(&app).await;
    let message = logged["messageId"].as_str().expect("a message").to_owned();
    assert_signed(&arrived, &app.secret(&source.app_id, &endpoint).await, &message);
    assert_eq!(logged["outcome"], "accepted");
    assert_eq!(logged["status_code"], 200);
    assert_eq!(logged["error_text"], "");
    assert_eq!(logged["source_id"], *source.id);
    assert_eq!(logged["payload"], *body);
    assert_eq!(logged["headers"]["stripe-signature"], *signature);
    let stored = app.get(format!("/api/v1/app/{}/msg/{message}", source.app_id)).await.expect(200).json();
    assert_eq!(stored["eventType"], "charge.succeeded");
    assert_eq!(source.delivered(&app, &message, 1).await[0]["responseStatusCode"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_choose_by_the_providers_event_type() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::stripe(&app).await;
    let wanted = json!({ "url": receiver.url("/charges"), "eventTypes": ["charge.succeeded"] });
    app.client.post(format!("{}/endpoint", source.resource()), wanted).await.expect(201);
    app.endpoint(&source.app_id, &receiver.url("/all")).await;
    for (id, event_type) in [("evt_1", "charge.failed"), ("evt_2", "charge.succeeded"), ("evt_3", "charge")] {
        let body = stripe_event(id, event_type);
        send(&app, stripe_request(&source.path, &body)).await.expect(200);
    }
    receiver.wait_for("/all", 3, SOON).await;
    receiver.wait_for("/charges", 1, SOON).await;
    for (message, attempts) in source.messages(&app).await.iter().zip([1, 2, 1]) {
        source.delivered(&app, message["id"].as_str().expect("an id"), attempts).await;
    }
    let charges = receiver.received("/charges");
    assert_eq!(charges.len(), 1);
    assert_eq!(String::from_utf8_lossy(&charges[0].body), stripe_event("evt_2", "charge.succeeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_of_one_application_share_its_endpoints() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Shared").await;
    app.endpoint(&app_id, &receiver.url("/hook")).await;
    let shared = json!({ "appId": app_id });
    let stripe = Source::with(&app, "stripe", json!({ "secret": STRIPE_SECRET }), shared.clone()).await;
    let open = Source::with(&app, "generic-webhook", json!({}), shared).await;
    assert_eq!((&stripe.app_id, &open.app_id), (&app_id, &app_id));
    let body = stripe_event("evt_1", "charge.succeeded");
    send(&app, stripe_request(&stripe.path, &body)).await.expect(200);
    send(&app, stripe_unsigned(&open.path, &body)).await.expect(200);
    receiver.wait_for("/hook", 2, SOON).await;
    assert_eq!((stripe.log(&app).await.len(), open.log(&app).await.len()), (1, 1), "each has a log of its own");
    app.client.delete(stripe.resource()).await.expect(204);
    app.get(format!("/api/v1/app/{app_id}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_can_be_sent_again_and_survives_a_crash() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::stripe(&app).await;
    let endpoint = app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    let body = stripe_event("evt_1", "charge.succeeded");
    send(&app, stripe_request(&source.path, &body)).await.expect(200);
    let first = receiver.wait_for("/hook", 1, SOON).await.remove(0);
    app.kill9();
    app.restart().await;
    app.resend(&source.app_id, first.message_id(), &endpoint).await;
    let second = receiver.wait_for("/hook", 2, SOON).await.pop().expect("two");
    assert_eq!(second.body, first.body);
    assert_eq!(second.message_id(), first.message_id());
    for name in ["stripe-signature", "content-type", "user-agent"] {
        assert_eq!(second.header(name), first.header(name), "{name}");
    }
}
