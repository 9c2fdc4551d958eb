//! Receivers that misbehave: what each attempt comes to is told as it was, in time and within
//! bounds, and the neighbours stay quick.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod beside;
mod bombs;
mod retry_after;
mod tls;

use std::time::Duration;

use serde_json::Value;

use support::app::TestApp;
use support::wait::SOON;

/// One attempt, and what it may take beyond that.
const DEADLINE: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_secs(1);

/// A server whose attempts have [`DEADLINE`], and are not repeated within any test.
async fn start() -> TestApp {
    let how = TestApp::builder().set("delivery.attempt_timeout_ms", DEADLINE.as_millis());
    how.set("delivery.retry_schedule", "600").set("log.attempts", "none").start().await
}

/// Publishes to a new application with one endpoint there; the first attempt, which ended in time.
async fn attempt(app: &TestApp, url: &str) -> Value {
    let app_id = app.application(url).await;
    app.endpoint(&app_id, url).await;
    next_attempt(app, &app_id).await
}

/// Publishes to an application with one endpoint; the first attempt, which ended in time.
async fn next_attempt(app: &TestApp, app_id: &str) -> Value {
    let message = app.publish_numbered(app_id, 1).await;
    let attempt = app.wait_for_attempts(app_id, &message, 1, SOON).await.remove(0);
    assert_in_time(&attempt);
    attempt
}

#[track_caller]
fn assert_in_time(attempt: &Value) {
    let took = attempt["responseDurationMs"].as_u64().unwrap_or(u64::MAX);
    assert!(u128::from(took) <= (DEADLINE + GRACE).as_millis(), "{attempt}");
}

/// What an attempt is on record as: success, status, response.
#[track_caller]
fn assert_recorded(what: &str, attempt: &Value, succeeded: bool, status: u16, response: &str) {
    let wanted = (if succeeded { 0 } else { 2 }, u64::from(status), response);
    let number = |field: &str| attempt[field].as_u64().unwrap_or(u64::MAX);
    let seen = (number("status"), number("responseStatusCode"), attempt["response"].as_str().unwrap_or_default());
    assert_eq!(seen, wanted, "{what}: {attempt}");
}
