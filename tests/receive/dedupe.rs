//! Duplicates: answered well, in the log with the first, delivered once.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::http::Request;
use crate::support::receiver::Receiver;
use crate::support::store::Rows;
use crate::support::wait::{SOON, join_all};
use crate::world::{Source, provider, send, stripe_event, stripe_request};

const AT_ONCE: usize = 50;
/// Rounds with a crash in each.
const CRASHES: usize = 5;

/// An open source with a policy, and an endpoint.
async fn open_source(app: &TestApp, receiver: &Receiver, dedupe: Value) -> Source {
    let source = Source::with(app, "generic-webhook", json!({}), json!({ "dedupe": dedupe })).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    source
}

fn outcomes(log: &[Value]) -> Vec<&str> {
    log.iter().rev().map(|logged| logged["outcome"].as_str().expect("an outcome")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_event_id_tells_duplicates() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let (source, other) = (Source::stripe(&app).await, Source::stripe(&app).await);
    for source in [&source, &other] {
        app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    }
    let body = stripe_event("evt_1", "charge.succeeded");
    // The provider signs every attempt anew, and may say more in the second.
    let again = body.replace("2000.00", "2000.01");
    let is_first = send(&app, stripe_request(&source.path, &body)).await.expect(200);
    let is_second = send(&app, stripe_request(&source.path, &again)).await.expect(200);
    assert_eq!((is_first.text(), is_first.headers.len()), (is_second.text(), is_second.headers.len()));
    send(&app, stripe_request(&other.path, &body)).await.expect(200);
    send(&app, stripe_request(&source.path, &stripe_event("evt_2", "charge.succeeded"))).await.expect(200);

    let log = source.log(&app).await;
    assert_eq!(outcomes(&log), ["accepted", "duplicate", "accepted"]);
    assert_eq!(log[1]["messageId"], log[2]["messageId"], "the log points to the first");
    assert_eq!((&log[1]["status_code"], &log[1]["error_text"]), (&json!(200), &json!("")));
    assert_eq!(
        (&log[1]["payload"], &log[2]["payload"]),
        (&json!(""), &json!(body)),
        "the first is kept, the second told"
    );
    app.kill9();
    app.restart().await;
    send(&app, stripe_request(&source.path, &body)).await.expect(200);
    assert_eq!(source.last(&app).await["messageId"], log[2]["messageId"], "also after a crash");
    receiver.wait_for("/hook", 3, SOON).await;
    assert_eq!((source.settled(&app).await, other.settled(&app).await), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_tells_duplicates() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({ "by": "content" })).await;
    for body in ["a", "b", "a", "a ", "", ""] {
        send(&app, Request::new("POST", &source.path).body(body)).await.expect(200);
    }
    let expected = ["accepted", "accepted", "duplicate", "accepted", "accepted", "duplicate"];
    assert_eq!(outcomes(&source.log(&app).await), expected);
    assert_eq!(source.settled(&app).await, 4);
    assert_eq!(receiver.count("/hook"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_fields_tell_duplicates() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let fields = json!({ "by": "fields", "fields": ["header:X-Shop", "/order/id"] });
    let source = open_source(&app, &receiver, fields).await;
    let order = |shop: &str, body: &str| Request::new("POST", &source.path).header("X-Shop", shop).body(body);
    let one = r#"{"order":{"id":1,"state":"open"}}"#;
    let one_later = r#"{ "order": { "state": "paid", "id": 1 } }"#;
    let cases = [
        (order("a", one), "accepted"),
        (order("a", one_later), "duplicate"),
        (order("b", one), "accepted"),
        (order("a", r#"{"order":{"id":"1"}}"#), "accepted"),
        // Without any of the fields there is nothing to tell by.
        (Request::new("POST", &source.path).body("{}"), "accepted"),
        (Request::new("POST", &source.path).body("{}"), "accepted"),
        // One of them missing is another value.
        (Request::new("POST", &source.path).body(one), "accepted"),
        (Request::new("POST", &source.path).body(one_later), "duplicate"),
    ];
    for (number, (request, outcome)) in cases.into_iter().enumerate() {
        send(&app, request).await.expect(200);
        assert_eq!(source.last(&app).await["outcome"], outcome, "case {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_off_nothing_is_a_duplicate() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::stripe(&app).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    source.patch(&app, json!({ "dedupe": { "by": "off" } })).await;
    let body = stripe_event("evt_1", "charge.succeeded");
    for _ in 0..2 {
        send(&app, stripe_request(&source.path, &body)).await.expect(200);
    }
    receiver.wait_for("/hook", 2, SOON).await;
    assert_eq!(outcomes(&source.log(&app).await), ["accepted", "accepted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_one_within_the_window_only() {
    let mut app = TestApp::start().await;
    let short = json!({ "dedupe": { "by": "content", "windowSeconds": 60 } });
    let source = Source::with(&app, "generic-webhook", json!({}), short).await;
    let long = json!({ "dedupe": { "by": "content" } });
    let day = Source::with(&app, "generic-webhook", json!({}), long).await;
    for (since_ms, expected) in
        [(0, ("accepted", "accepted")), (0, ("duplicate", "duplicate")), (61_000, ("accepted", "duplicate"))]
    {
        if since_ms > 0 {
            app.kill9();
            Rows::of(&app.data_dir).make_older(since_ms);
            app.restart().await;
        }
        for source in [&source, &day] {
            send(&app, Request::new("POST", &source.path).body("same")).await.expect(200);
        }
        let (short, long) = (source.last(&app).await, day.last(&app).await);
        assert_eq!((&short["outcome"], &long["outcome"]), (&json!(expected.0), &json!(expected.1)), "{since_ms}");
    }
}

/// Sends the same event so many times at once; how many were answered 200.
async fn send_at_once(app: &TestApp, source: &Source, body: &str) -> usize {
    let client = provider(app);
    let answered = std::sync::atomic::AtomicUsize::new(0);
    join_all((0..AT_ONCE).map(|_| {
        let (client, request, answered) = (&client, stripe_request(&source.path, body), &answered);
        async move {
            // In a crash no answer comes.
            if let Ok(answer) = client.try_send(&request).await {
                assert_eq!(answer.status, 200, "{}", answer.text());
                answered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    }))
    .await;
    answered.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_at_once_are_delivered_once() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::stripe(&app).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    let body = stripe_event("evt_1", "charge.succeeded");
    assert_eq!(send_at_once(&app, &source, &body).await, AT_ONCE);
    receiver.wait_for("/hook", 1, SOON).await;
    assert_eq!(source.settled(&app).await, 1);
    assert_eq!(receiver.count("/hook"), 1);
    let log = source.log(&app).await;
    let duplicates = log.iter().filter(|logged| logged["outcome"] == "duplicate").count();
    assert_eq!((duplicates, log.len()), (AT_ONCE - 1, AT_ONCE));
    assert!(log.iter().all(|logged| logged["messageId"] == log[0]["messageId"]), "all point to the first");
    assert_eq!(app.metric("posthouse_source_requests_duplicate_total").await, AT_ONCE as i64 - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_with_crashes_in_between_are_one_message() {
    let (mut app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::stripe(&app).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    for round in 0..CRASHES {
        let body = stripe_event(&format!("evt_{round}"), "charge.succeeded");
        let pid = app.pid();
        // The crash comes while they are on their way: after the first delivery.
        let seen = receiver.count("/hook");
        let crash = async {
            receiver.wait_for("/hook", seen + 1, SOON).await;
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a signal");
        };
        let (answered, ()) = tokio::join!(send_at_once(&app, &source, &body), crash);
        app.restart().await;
        // Providers send again what was not answered.
        assert_eq!(send_at_once(&app, &source, &body).await, AT_ONCE, "round {round}, {answered} before the crash");
        assert_eq!(source.settled(&app).await, round + 1, "one message for each event");
    }
    let ids: std::collections::BTreeSet<_> =
        receiver.received("/hook").iter().map(|received| received.message_id().to_owned()).collect();
    assert_eq!(ids.len(), CRASHES, "one message for each event at the receiver");
}
