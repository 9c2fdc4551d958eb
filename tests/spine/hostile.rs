//! Receivers that do what they should not: every attempt ends in time, and nobody else notices.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::memory::resident_kib;
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, when};

const DEADLINE: Duration = Duration::from_secs(1);
/// What an attempt may take beyond its deadline.
const GRACE: Duration = Duration::from_secs(1);
/// Endpoints of each kind, so that they strike together.
const EACH: usize = 4;
const MEMORY_GROWTH_KIB_MAX: u64 = 32 * 1024;

/// What is done to us, and whether it counts as delivered all the same.
fn misdeeds() -> Vec<(&'static str, Reply, bool)> {
    let raw = |text: &str| Reply::Raw(text.as_bytes().to_vec());
    let hang = |text: &str| Reply::RawThenHang(text.as_bytes().to_vec());
    let mut latin = b"HTTP/1.1 200 OK\r\nx-name: caf\xe9 \xff\r\ncontent-length: 2\r\n\r\nok".to_vec();
    latin.extend_from_slice(b"");
    vec![
        ("hang", Reply::Hang, false),
        ("hang-in-head", hang("HTTP/1.1 200 OK\r\ncontent-le"), false),
        ("hang-in-body", hang("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), false),
        ("hang-in-chunk", hang("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"), false),
        ("drip-head", Reply::DripHead, false),
        ("drip-body", Reply::DripBody, false),
        ("reset", Reply::Reset, false),
        ("reset-in-body", Reply::RawThenReset(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec()), false),
        ("close", raw(""), false),
        ("lying-length", Reply::lying_length(), false),
        ("garbage", Reply::garbage(), false),
        ("bad-chunk", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n"), false),
        ("status-line", raw("HTTP/1.1 99999 What\r\n\r\n"), false),
        ("endless-information", Reply::EndlessInformation, false),
        ("many-headers", Reply::ManyHeaders(100_000), false),
        ("long-header", raw(&format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20))), false),
        ("odd-header", Reply::Raw(latin), true),
        ("endless-body", Reply::EndlessBody, true),
        ("until-closed", raw("HTTP/1.1 200 OK\r\n\r\nok"), true),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_attempt_ends_by_its_deadline_whatever_the_receiver_does() {
    let how = TestApp::builder().set("delivery.attempt_timeout_ms", DEADLINE.as_millis());
    let app = how.set("delivery.retry_schedule", "600").start().await;
    let (receiver, good) = (Receiver::start().await, Receiver::start().await);
    let (hostile, healthy) = (app.application("Hostile").await, app.application("Healthy").await);
    app.endpoint(&healthy, &good.url("/good")).await;
    for (name, reply, _) in misdeeds() {
        receiver.on(&format!("/{name}"), [reply]);
        for _ in 0..EACH {
            app.endpoint_with(&hostile, &receiver.url(&format!("/{name}")), json!({ "channels": [name] })).await;
        }
    }
    // A receiver that is not there.
    app.endpoint_with(&hostile, "http://127.0.0.1:1/", json!({ "channels": ["refused"] })).await;
    for number in 0..20 {
        app.publish_numbered(&healthy, number).await;
    }
    good.wait_for("/good", 20, SOON).await;
    let resident_before = resident_kib(app.pid());

    let mut sent = Vec::new();
    for (name, _, succeeds) in misdeeds().into_iter().chain([("refused", Reply::Hang, false)]) {
        let body = json!({ "eventType": "e", "payload": {}, "channels": [name] });
        sent.push((name, succeeds, Instant::now(), app.publish(&hostile, body).await));
    }
    // Meanwhile, the neighbour.
    let mut slowest = Duration::ZERO;
    for number in 0..40 {
        let before = Instant::now();
        app.publish_numbered(&healthy, number).await;
        let arrived = good.wait_for("/good", 21 + number, SOON).await;
        slowest = slowest.max(arrived[20 + number].at - before);
    }
    assert!(slowest < Duration::from_millis(500), "a neighbour's message took {slowest:?}");

    for (name, succeeds, before, message) in sent {
        let count = if name == "refused" { 1 } else { EACH };
        let attempts = app.wait_for_attempts(&hostile, &message, count, SOON).await;
        let limit = (DEADLINE + GRACE).as_millis() as i64;
        for attempt in attempts {
            let took = attempt["responseDurationMs"].as_i64().unwrap_or(i64::MAX);
            assert!(took <= limit, "{name} took {took} ms");
            assert_eq!(attempt["status"], if succeeds { 0 } else { 2 }, "{name}: {attempt}");
            let kept = attempt["response"].as_str().map_or(0, str::len);
            assert!(kept <= 64 * 1024, "{name}: {kept} bytes kept");
        }
        assert!(before.elapsed() < SOON);
    }
    eventually("no attempt is in flight any more", SOON, async || {
        when(app.metric("posthouse_attempts_in_flight").await == 0)
    })
    .await;
    let grown = resident_kib(app.pid()).saturating_sub(resident_before);
    assert!(grown <= MEMORY_GROWTH_KIB_MAX, "{grown} KiB more in memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_closes_a_kept_connection_gets_each_message_once() {
    // It answers, keeps the connection, and closes it as soon as the next request comes: that attempt
    // failed, and is on record as one; nothing is sent behind our back.
    let (app, receiver) = (TestApp::start_retrying().await, Receiver::start().await);
    receiver.on("/closing", [Reply::ok(), Reply::Reset, Reply::ok(), Reply::Raw(Vec::new()), Reply::ok()]);
    let app_id = app.application("Closing").await;
    app.endpoint(&app_id, &receiver.url("/closing")).await;
    let mut attempts = 0;
    for number in 0..3 {
        let message = app.publish_numbered(&app_id, number).await;
        let expected = if number == 0 { 1 } else { 2 };
        app.wait_for_attempts(&app_id, &message, expected, SOON).await;
        attempts += expected;
    }
    assert_eq!(receiver.count("/closing"), attempts, "one attempt is one request");
}
