//! One message from its publishing to its end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::signature::assert_signed;
use crate::support::wait::{SOON, eventually, when};

/// JSON that no serialiser would write like this: keys twice, 1.0, exponents, escapes that need
/// none, digits beyond any number type, unicode raw and escaped, whitespace of every kind.
const ODD_JSON: &str = "{ \"b\":1.0,\"a\" : \"\\u00e9\\/\\\"\", \"a\":2,\t\"e\":1E+02,\"tiny\":-0.0e-0,\r\n \
    \"big\":123456789012345678901234567890, \"\\u0061\": [ 1 ,2,[ ] , { } ],\
    \"unicode\":\"grüße 日本 😀 \\ud83d\\ude00\",\"html\":\"<&>\",\"empty\":\"\" , \"n\" : null }";

/// The time of a contract's `date-time`, in milliseconds since 1970.
pub(crate) fn unix_ms(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("a time: {value}"));
    text.parse::<jiff::Timestamp>().unwrap_or_else(|e| panic!("{text}: {e}")).as_millisecond()
}

/// A time so many seconds from now, as the API takes it.
pub(crate) fn in_seconds(seconds: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_signed_and_byte_for_byte() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Bytes").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/hook?tenant=7")).await;
    let secret = app.secret(&app_id, &endpoint).await;

    let answer = app.publish_raw(&app_id, format!(r#"{{"eventType":"odd.json" , "payload" : {ODD_JSON} }}"#)).await;
    let message = id_of(&answer.expect(202).json());

    let arrived = receiver.wait_for("/hook?tenant=7", 1, SOON).await.remove(0);
    assert_eq!(String::from_utf8_lossy(&arrived.body), ODD_JSON);
    assert_eq!(arrived.method, "POST");
    assert!(arrived.header("content-type").is_some_and(|value| value.starts_with("application/json")));
    assert_eq!(arrived.header("content-length"), Some(ODD_JSON.len().to_string().as_str()));
    assert!(arrived.header("user-agent").is_some(), "{:?}", arrived.headers);
    assert_signed(&arrived, &secret, &message);

    let shown = app.get(format!("/api/v1/app/{app_id}/msg/{message}")).await.expect(200);
    assert!(shown.text().contains(ODD_JSON), "the payload is shown as it came: {}", shown.text());
    let listed = app.get(format!("/api/v1/app/{app_id}/msg")).await.expect(200);
    assert!(listed.text().contains(ODD_JSON), "the payload is listed as it came: {}", listed.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_payload_arrives_with_its_own_content_type() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Raw").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/raw")).await;
    let text = "<invoice>\r\n  paid \u{1F600}\n</invoice>";
    let raw = json!({ "rawPayload": text, "headers": { "content-type": "text/xml" } });
    let message =
        app.publish(&app_id, json!({ "eventType": "raw", "payload": {}, "transformationsParams": raw })).await;
    let arrived = receiver.wait_for("/raw", 1, SOON).await.remove(0);
    assert_eq!(String::from_utf8_lossy(&arrived.body), text);
    assert_eq!(arrived.header("content-type"), Some("text/xml"));
    assert_signed(&arrived, &app.secret(&app_id, &endpoint).await, &message);
    let shown = app.get(format!("/api/v1/app/{app_id}/msg/{message}")).await.expect(200).json();
    assert_eq!(shown["payload"], json!({}), "what is no JSON object reads {{}}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_receiver_is_tried_again_by_the_schedule_until_it_succeeds() {
    // The hanging answer ends by the deadline, which this server keeps short.
    let short = TestApp::builder().set("delivery.retry_schedule", "1,1,1").set("delivery.attempt_timeout_ms", 500);
    let (app, receiver) = (short.start().await, Receiver::start().await);
    receiver.on("/flaky", [Reply::status(500).with_body("oh no"), Reply::Hang, Reply::ok().with_body("at last")]);
    let app_id = app.application("Retry").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/flaky")).await;
    let message = app.publish_numbered(&app_id, 1).await;

    let attempts = app.wait_for_attempts(&app_id, &message, 3, SOON).await;
    let facts: Vec<_> = attempts
        .iter()
        .map(|a| (a["status"].as_i64(), a["statusText"].as_str(), a["responseStatusCode"].as_i64()))
        .collect();
    let (failed, done) = ((Some(2), Some("fail")), (Some(0), Some("success")));
    assert_eq!(facts, [(failed.0, failed.1, Some(500)), (failed.0, failed.1, Some(0)), (done.0, done.1, Some(200)),]);
    assert_eq!(attempts[0]["response"], "oh no");
    assert_eq!(attempts[2]["response"], "at last");
    for attempt in &attempts {
        assert_eq!(attempt["msgId"], json!(message));
        assert_eq!(attempt["endpointId"], json!(endpoint));
        assert_eq!(attempt["url"], json!(receiver.url("/flaky")));
        assert_eq!(attempt["triggerType"], 0);
    }
    assert!(attempts[1]["responseDurationMs"].as_i64().is_some_and(|ms| (450..1500).contains(&ms)), "{}", attempts[1]);

    // Each retry comes no earlier than its second after the end of the attempt before it.
    let arrived = receiver.wait_for("/flaky", 3, SOON).await;
    let gaps: Vec<_> = arrived.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(gaps[0] >= Duration::from_secs(1) && gaps[0] < Duration::from_millis(2200), "{gaps:?}");
    assert!(gaps[1] >= Duration::from_millis(1450) && gaps[1] < Duration::from_millis(2800), "{gaps:?}");
    assert!(arrived.windows(2).all(|pair| pair[0].body == pair[1].body));
    assert!(arrived.iter().all(|r| r.message_id() == message));

    let by_endpoint = app.get(format!("/api/v1/app/{app_id}/attempt/endpoint/{endpoint}")).await.expect(200).json();
    let mut newest_first = attempts.clone();
    newest_first.reverse();
    assert_eq!(by_endpoint["data"].as_array(), Some(&newest_first), "the same attempts by message and by endpoint");
    for attempt in &attempts {
        let path = format!("/api/v1/app/{app_id}/msg/{message}/attempt/{}", id_of(attempt));
        assert_eq!(app.get(path).await.expect(200).json(), *attempt);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_message_is_listed_as_failed_and_can_be_sent_again() {
    let (app, receiver) =
        (TestApp::builder().set("delivery.retry_schedule", "1").start().await, Receiver::start().await);
    receiver.on("/down", [Reply::status(503)]);
    let app_id = app.application("Exhausted").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/down")).await;
    let message = app.publish_numbered(&app_id, 1).await;
    app.wait_for_attempts(&app_id, &message, 2, SOON).await;

    // The other endpoint's second attempt of a later message is the proof that nothing more comes.
    receiver.on("/other", [Reply::status(500)]);
    let other_app = app.application("Other").await;
    app.endpoint(&other_app, &receiver.url("/other")).await;
    app.publish_numbered(&other_app, 2).await;
    receiver.wait_for("/other", 2, SOON).await;
    assert_eq!(receiver.count("/down"), 2, "the schedule is over");
    let failed = app.get(format!("/api/v1/app/{app_id}/attempt/endpoint/{endpoint}?status=2")).await.expect(200).json();
    assert_eq!(failed["data"].as_array().map(Vec::len), Some(2), "{failed}");

    // A resend that fails starts no schedule.
    app.resend(&app_id, &message, &endpoint).await;
    let attempts = app.wait_for_attempts(&app_id, &message, 3, SOON).await;
    assert_eq!((attempts[2]["triggerType"].as_i64(), attempts[2]["status"].as_i64()), (Some(1), Some(2)));
    app.publish_numbered(&other_app, 3).await;
    receiver.wait_for("/other", 4, SOON).await;
    assert_eq!(receiver.count("/down"), 3, "one manual attempt");

    // One that succeeds is the end; and what was delivered can be sent again too.
    receiver.on("/down", [Reply::status(204)]);
    for count in [4, 5] {
        app.resend(&app_id, &message, &endpoint).await;
        let attempts = app.wait_for_attempts(&app_id, &message, count, SOON).await;
        let last = &attempts[count - 1];
        assert_eq!((last["triggerType"].as_i64(), last["status"].as_i64()), (Some(1), Some(0)), "{last}");
    }
    assert!(receiver.received("/down").windows(2).all(|pair| pair[0].body == pair[1].body));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_that_succeeds_ends_the_waiting_retry() {
    let (app, receiver) =
        (TestApp::builder().set("delivery.retry_schedule", "3").start().await, Receiver::start().await);
    receiver.on("/once", [Reply::status(500), Reply::ok()]);
    receiver.on("/fence", [Reply::status(500)]);
    let app_id = app.application("Resend").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/once")).await;
    let message = app.publish_numbered(&app_id, 1).await;
    app.wait_for_attempts(&app_id, &message, 1, SOON).await;
    app.resend(&app_id, &message, &endpoint).await;
    app.wait_for_attempts(&app_id, &message, 2, SOON).await;

    // A failure that is younger has had its retry, so the older one's would have come.
    let fence_app = app.application("Fence").await;
    app.endpoint(&fence_app, &receiver.url("/fence")).await;
    app.publish_numbered(&fence_app, 2).await;
    receiver.wait_for("/fence", 2, SOON).await;
    assert_eq!(receiver.count("/once"), 2, "no retry of what was delivered by hand");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_holds_and_enabling_sends_nothing_by_itself() {
    let (app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    receiver.on("/held", [Reply::status(500)]);
    receiver.on("/fence", [Reply::status(500)]);
    let app_id = app.application("Held").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/held")).await;
    let fence = app.application("Fence").await;
    app.endpoint(&fence, &receiver.url("/fence")).await;

    // One waits for its retry, one comes while the endpoint is disabled: both are held.
    let waiting = app.publish_numbered(&app_id, 1).await;
    app.wait_for_attempts(&app_id, &waiting, 1, SOON).await;
    let patched = app.patch_endpoint(&app_id, &endpoint, json!({ "disabled": true })).await;
    assert_eq!(patched["disabled"], true);
    let held = app.publish_numbered(&app_id, 2).await;
    app.publish_numbered(&fence, 1).await;
    receiver.wait_for("/fence", 2, SOON).await;
    assert_eq!(receiver.count("/held"), 1, "a disabled endpoint gets nothing");
    assert!(app.attempts(&app_id, &held).await.is_empty());

    receiver.on("/held", [Reply::ok()]);
    app.patch_endpoint(&app_id, &endpoint, json!({ "disabled": false })).await;
    let next = app.publish_numbered(&app_id, 3).await;
    receiver.wait_for("/held", 2, SOON).await;
    app.publish_numbered(&fence, 2).await;
    receiver.wait_for("/fence", 6, SOON).await;
    let got: Vec<_> = receiver.received("/held").iter().map(|r| r.message_id().to_owned()).collect();
    assert_eq!(got, [waiting.clone(), next], "enabling sends none of what was held");

    for message in [&held, &waiting] {
        app.resend(&app_id, message, &endpoint).await;
    }
    let got: Vec<_> =
        receiver.wait_for("/held", 4, SOON).await[2..].iter().map(|r| r.message_id().to_owned()).collect();
    assert!(got.contains(&held) && got.contains(&waiting), "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_later_is_held_back_until_then_also_over_a_crash() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Later").await;
    app.endpoint(&app_id, &receiver.url("/later")).await;
    let message = |number: i64, deliver_at: String| json!({ "eventType": "e", "payload": { "n": number }, "deliverAt": deliver_at });
    let due = in_seconds(3);
    let later = app.publish(&app_id, message(1, due.clone())).await;
    let now = app.publish(&app_id, message(2, in_seconds(-3600))).await;
    let first = receiver.wait_for("/later", 1, SOON).await.remove(0);
    assert_eq!(first.message_id(), now, "a time in the past means now");
    app.wait_for_attempts(&app_id, &now, 1, SOON).await;
    let shown = app.get(format!("/api/v1/app/{app_id}/msg/{later}")).await.expect(200).json();
    assert_eq!(unix_ms(&shown["deliverAt"]), unix_ms(&json!(due)));

    app.kill9();
    app.restart().await;
    let second = receiver.wait_for("/later", 2, SOON).await.remove(1);
    assert_eq!(second.message_id(), later);
    let early_ms = unix_ms(&json!(due)) - second.at_unix_ms;
    assert!(early_ms <= 0, "{early_ms} ms too early");
    assert!(early_ms > -3_000, "{} ms late", -early_ms);

    let path = format!("/api/v1/app/{app_id}/msg");
    app.client.post(&path, message(3, in_seconds(91 * 24 * 3600))).await.refuses("deliverAt");
    app.client.post(&path, message(3, "tomorrow".to_owned())).await.refuses("deliverAt");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_deleted_endpoint_or_application() {
    let (app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    receiver.on("/endpoint", [Reply::status(500)]);
    receiver.on("/application", [Reply::status(500)]);
    receiver.on("/fence", [Reply::status(500)]);
    let (one, two, fence) =
        (app.application("One").await, app.application("Two").await, app.application("Fence").await);
    let endpoint = app.endpoint(&one, &receiver.url("/endpoint")).await;
    app.endpoint(&two, &receiver.url("/application")).await;
    app.endpoint(&fence, &receiver.url("/fence")).await;
    for (app_id, path) in [(&one, "/endpoint"), (&two, "/application")] {
        let waiting = app.publish_numbered(app_id, 1).await;
        let body = json!({ "eventType": "e", "payload": {}, "deliverAt": in_seconds(2) });
        app.publish(app_id, body).await;
        app.wait_for_attempts(app_id, &waiting, 1, SOON).await;
        assert_eq!(receiver.count(path), 1);
    }
    app.client.delete(format!("/api/v1/app/{one}/endpoint/{endpoint}")).await.expect(204);
    app.client.delete(format!("/api/v1/app/{two}")).await.expect(204);
    app.get(format!("/api/v1/app/{one}/endpoint/{endpoint}")).await.error(404);
    app.get(format!("/api/v1/app/{two}")).await.error(404);

    // All that was due has been due once the fence had all its retries.
    app.publish_numbered(&fence, 1).await;
    receiver.wait_for("/fence", 4, SOON).await;
    assert_eq!((receiver.count("/endpoint"), receiver.count("/application")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_endpoint_holds_for_the_next_message() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Changes").await;
    let headers = json!({ "headers": { "x-tenant": "seven" }, "description": "first" });
    let endpoint = app.endpoint_with(&app_id, &receiver.url("/0"), headers).await;
    for number in 0..20 {
        let path = format!("/{number}");
        app.patch_endpoint(&app_id, &endpoint, json!({ "url": receiver.url(&path) })).await;
        let message = app.publish_numbered(&app_id, number).await;
        let arrived = receiver.wait_for(&path, 1, SOON).await;
        assert_eq!(arrived[0].message_id(), message);
        assert_eq!(arrived[0].header("x-tenant"), Some("seven"));
    }
    let shown = app.get(format!("/api/v1/app/{app_id}/endpoint/{endpoint}")).await.expect(200).json();
    assert_eq!(shown["description"], "first", "a PATCH leaves alone what it does not name");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_before_a_crash_is_delivered_after_it() {
    let (mut app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    receiver.on("/crash", [Reply::Hang]);
    let app_id = app.application("Crash").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/crash")).await;
    let mut sent = Vec::new();
    for number in 0..20 {
        sent.push(app.publish_numbered(&app_id, number).await);
    }
    app.kill9();
    receiver.on("/crash", [Reply::ok()]);
    app.restart().await;
    eventually("every message arrives after the crash", SOON, async || {
        let arrived = receiver.received("/crash");
        when(sent.iter().all(|id| arrived.iter().filter(|r| r.message_id() == id).count() >= 1))
    })
    .await;
    let secret = app.secret(&app_id, &endpoint).await;
    for message in &sent {
        eventually("its success is on record", SOON, async || {
            let attempts = app.attempts(&app_id, message).await;
            when(attempts.last().is_some_and(|a| a["status"] == 0))
        })
        .await;
    }
    let last = receiver.received("/crash").pop().expect("one");
    assert_signed(&last, &secret, last.message_id());
}
