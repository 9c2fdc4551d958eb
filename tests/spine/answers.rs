//! What a receiver's answer means.

use std::time::Duration;

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::receiver::{Received, Receiver};
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, join_all, when};

#[tokio::test(flavor = "multi_thread")]
async fn only_2xx_is_a_success_and_no_redirect_is_followed() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Statuses").await;
    let cases: [(u16, bool); 22] = [
        (200, true),
        (201, true),
        (202, true),
        (204, true),
        (299, true),
        (300, false),
        (301, false),
        (302, false),
        (303, false),
        (304, false),
        (307, false),
        (308, false),
        (400, false),
        (401, false),
        (404, false),
        (418, false),
        (429, false),
        (500, false),
        (502, false),
        (503, false),
        (504, false),
        (599, false),
    ];
    for (status, _) in cases {
        let (path, channel) = (format!("/{status}"), format!("c{status}"));
        receiver.on(&path, [Reply::status(status).with_header("location", &receiver.url("/redirected"))]);
        app.endpoint_with(&app_id, &receiver.url(&path), json!({ "channels": [channel] })).await;
    }
    for (status, success) in cases {
        let body = json!({ "eventType": "e", "payload": {}, "channels": [format!("c{status}")] });
        let message = app.publish(&app_id, body).await;
        let attempt = app.wait_for_attempts(&app_id, &message, 1, SOON).await.remove(0);
        assert_eq!(attempt["responseStatusCode"], json!(status));
        assert_eq!(attempt["status"], if success { 0 } else { 2 }, "{status}");
    }
    assert_eq!(receiver.count("/redirected"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_disables_the_endpoint() {
    let (app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    receiver.on("/gone", [Reply::status(410)]);
    receiver.on("/fence", [Reply::status(500)]);
    let app_id = app.application("Gone").await;
    let endpoint = app.endpoint(&app_id, &receiver.url("/gone")).await;
    let fence = app.application("Fence").await;
    app.endpoint(&fence, &receiver.url("/fence")).await;
    app.publish_numbered(&app_id, 1).await;
    let path = format!("/api/v1/app/{app_id}/endpoint/{endpoint}");
    let shown = eventually("the endpoint is disabled", SOON, async || {
        let shown = app.get(&path).await.expect(200).json();
        (shown["disabled"] == true).then_some(shown)
    });
    let shown = shown.await;
    assert!(shown["disabledReason"].is_string(), "our field says why: {shown}");
    app.publish_numbered(&app_id, 2).await;
    app.publish_numbered(&fence, 1).await;
    receiver.wait_for("/fence", 3, SOON).await;
    assert_eq!(receiver.count("/gone"), 1, "neither a retry nor the next message");
    let listed = app.get(format!("/api/v1/app/{app_id}/msg")).await.expect(200).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "what comes for it is stored all the same");
}

/// The time between the first two requests, when the first was answered so.
async fn gap(app: &TestApp, receiver: &Receiver, name: &str, reply: Reply) -> Duration {
    let path = format!("/{name}");
    receiver.on(&path, [reply, Reply::ok()]);
    let app_id = app.application(name).await;
    app.endpoint(&app_id, &receiver.url(&path)).await;
    app.publish_numbered(&app_id, 1).await;
    let arrived: Vec<Received> = receiver.wait_for(&path, 2, SOON).await;
    arrived[1].at - arrived[0].at
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured_on_429_and_503_and_nonsense_is_ignored() {
    let (app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    let date = |seconds: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    let honoured = 2_900..4_500;
    let by_schedule = 1_000..2_500;
    let cases = [
        ("seconds-503", 503, "3".to_owned(), honoured.clone()),
        ("seconds-429", 429, "3".to_owned(), honoured.clone()),
        // A date has whole seconds: up to one less than asked for.
        ("date-503", 503, date(4), 2_900..5_500),
        ("on-500", 500, "3".to_owned(), by_schedule.clone()),
        ("sooner", 503, "0".to_owned(), by_schedule.clone()),
        ("exponent", 503, "1e300".to_owned(), by_schedule.clone()),
        ("nan", 503, "NaN".to_owned(), by_schedule.clone()),
        ("infinite", 429, "inf".to_owned(), by_schedule.clone()),
        ("negative", 503, "-1".to_owned(), by_schedule.clone()),
        ("huge", 503, "99999999999999".to_owned(), by_schedule.clone()),
        ("year-9999", 503, "Fri, 31 Dec 9999 23:59:59 GMT".to_owned(), by_schedule.clone()),
        ("words", 429, "in a while".to_owned(), by_schedule.clone()),
        ("past", 503, date(-100), by_schedule),
    ];
    let gaps = cases.iter().map(async |(name, status, value, expected)| {
        let gap = gap(&app, &receiver, name, Reply::status(*status).with_header("retry-after", value)).await;
        assert!(expected.contains(&gap.as_millis()), "{name}: {value}: tried again after {gap:?}");
    });
    join_all(gaps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_64_kib_are_kept() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let long = "0123456789abcdef".repeat(1 << 16);
    receiver.on("/long", [Reply::status(500).with_body(long.clone())]);
    receiver.on("/binary", [Reply::status(500).with_body(b"\xff\xfe\x00binary\x80".to_vec())]);
    receiver.on("/endless", [Reply::EndlessBody]);
    let app_id = app.application("Cap").await;
    for path in ["/long", "/binary", "/endless"] {
        app.endpoint_with(&app_id, &receiver.url(path), json!({ "eventTypes": [&path[1..]] })).await;
    }
    let attempt = async |event_type: &str| {
        let message = app.publish(&app_id, json!({ "eventType": event_type, "payload": {} })).await;
        app.wait_for_attempts(&app_id, &message, 1, SOON).await.remove(0)
    };
    let kept = attempt("long").await;
    assert_eq!(kept["response"].as_str(), Some(&long[..65_536]));
    let binary = attempt("binary").await;
    assert!(binary["response"].as_str().is_some_and(|text| text.contains("binary")), "{binary}");
    let endless = attempt("endless").await;
    assert_eq!(endless["response"].as_str().map(str::len), Some(65_536), "and no more is read");
    assert_eq!(endless["responseStatusCode"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_throttle_rate_is_sent_to_an_endpoint() {
    const RATE: usize = 5;
    const MESSAGES: usize = 16;
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Throttle").await;
    let endpoint = app.endpoint_with(&app_id, &receiver.url("/slow"), json!({ "throttleRate": RATE })).await;
    app.endpoint(&app_id, &receiver.url("/free")).await;
    for number in 0..MESSAGES {
        app.publish_numbered(&app_id, number).await;
    }
    let free = receiver.wait_for("/free", MESSAGES, SOON).await;
    let slow = receiver.wait_for("/slow", MESSAGES, SOON).await;
    assert!(free[MESSAGES - 1].at < slow[MESSAGES - 1].at, "the other endpoint waits for nothing");
    // A burst of one second's worth, then the rate: in no second more than twice the rate, and on
    // the whole no faster. A little is granted to the clocks of two processes.
    let took = slow[MESSAGES - 1].at - slow[0].at;
    assert!(took >= Duration::from_millis(2_100), "{took:?} for {MESSAGES} at {RATE}/s with a burst of {RATE}");
    assert!(took < Duration::from_millis(4_500), "{took:?}: slower than asked for");
    let crowded = slow.windows(2 * RATE + 1).any(|w| w[2 * RATE].at - w[0].at < Duration::from_millis(950));
    assert!(!crowded, "more than {} in a second", 2 * RATE);

    // 0 takes the limit away.
    app.patch_endpoint(&app_id, &endpoint, json!({ "throttleRate": 0 })).await;
    let before = std::time::Instant::now();
    for number in 0..MESSAGES {
        app.publish_numbered(&app_id, number).await;
    }
    let slow = receiver.wait_for("/slow", 2 * MESSAGES, SOON).await;
    assert!(slow[2 * MESSAGES - 1].at - before < Duration::from_millis(1_500), "no limit any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_throttle_rate_is_over_all_its_endpoints() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let made = app.client.post("/api/v1/app", json!({ "name": "Both", "throttleRate": 4 })).await.expect(201).json();
    let app_id = crate::support::app::id_of(&made);
    for path in ["/a", "/b"] {
        app.endpoint(&app_id, &receiver.url(path)).await;
    }
    for number in 0..6 {
        app.publish_numbered(&app_id, number).await;
    }
    eventually("both have everything", SOON, async || when(receiver.count("/a") == 6 && receiver.count("/b") == 6))
        .await;
    let mut all: Vec<_> = ["/a", "/b"].iter().flat_map(|path| receiver.received(path)).map(|r| r.at).collect();
    all.sort_unstable();
    let took = all[11] - all[0];
    // Twelve attempts, four at once, then four a second.
    assert!(took >= Duration::from_millis(1_900), "{took:?} for 12 attempts at 4/s with a burst of 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let app_id = app.application("Keep-alive").await;
    app.endpoint(&app_id, &receiver.url("/kept")).await;
    for number in 0..30 {
        app.publish_numbered(&app_id, number).await;
        receiver.wait_for("/kept", number + 1, SOON).await;
    }
    assert!(receiver.connections() <= 5, "{} connections for 30 messages one after the other", receiver.connections());
}
