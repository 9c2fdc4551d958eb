//! Every example payload that GitHub's own community keeps, signed by GitHub's own library, arrives byte
//! for byte, with its event type, once. `.ci/prepare` installs both packages (tests/receive/js).

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::http::Request;
use crate::support::receiver::{Received, Receiver};
use crate::support::wait::join_all;
use crate::world::{Source, provider};

const SECRET: &str = "It's a Secret to Everybody";
/// The examples of the pinned packages, counted once.
const EXAMPLES_MIN: usize = 200;
const SENDERS: usize = 8;
/// All of them, on a busy machine.
const ARRIVAL_TIME_MAX: Duration = Duration::from_mins(1);

/// The examples with what GitHub would send beside them.
fn examples() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receive/js");
    let installed = folder.join("node_modules/lock.installed");
    assert!(installed.exists(), "{} is missing: `make test` installs it (.ci/prepare)", installed.display());
    let output = Command::new("node").arg(folder.join("sign.mjs")).arg(SECRET).output().expect("node starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn text<'a>(example: &'a Value, name: &str) -> &'a str {
    example[name].as_str().unwrap_or_else(|| panic!("{name}: {example}"))
}

fn request(source: &Source, example: &Value) -> Request {
    Request::new("POST", &source.path)
        .header("Accept", "*/*")
        .header("User-Agent", "GitHub-Hookshot/044aadd")
        .header("Content-Type", "application/json")
        .header("X-GitHub-Delivery", text(example, "delivery"))
        .header("X-GitHub-Event", text(example, "event"))
        .header("X-Hub-Signature-256", text(example, "signature"))
        .body(text(example, "body"))
}

/// Sends each of them, and then each of them again, as GitHub does where an answer is lost.
async fn send_twice(app: &TestApp, source: &Source, examples: &[Value]) {
    for _ in 0..2 {
        let (client, next) = (provider(app), AtomicUsize::new(0));
        join_all((0..SENDERS).map(|_| async {
            while let Some(example) = examples.get(next.fetch_add(1, SeqCst)) {
                client.send(request(source, example)).await.expect(200);
            }
        }))
        .await;
    }
}

fn assert_same(example: &Value, arrived: &Received) {
    assert_eq!(String::from_utf8_lossy(&arrived.body), text(example, "body"), "byte for byte");
    for (header, field) in [("x-github-event", "event"), ("x-hub-signature-256", "signature")] {
        assert_eq!(arrived.header(header), Some(text(example, field)), "{header}");
    }
    assert_eq!(arrived.header("content-type"), Some("application/json"));
}

/// The event type of each message, over all pages.
async fn event_types(app: &TestApp, source: &Source, count: usize) -> HashMap<String, String> {
    let (mut found, mut iterator) = (HashMap::new(), String::new());
    // A page may hold few where the machine is slow.
    for _ in 0..=count {
        let page = app.get(format!("/api/v1/app/{}/msg?limit=250{iterator}", source.app_id)).await.expect(200).json();
        for message in page["data"].as_array().expect("a list") {
            found.insert(text(message, "id").to_owned(), text(message, "eventType").to_owned());
        }
        if page["done"] == true {
            break;
        }
        iterator = format!("&iterator={}", text(&page, "iterator"));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_arrives_once_as_it_was_signed() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = Source::make(&app, "github", json!({ "secret": SECRET })).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    let examples = examples();
    assert!(examples.len() >= EXAMPLES_MIN, "{} examples", examples.len());
    send_twice(&app, &source, &examples).await;
    let arrived = receiver.wait_for("/hook", examples.len(), ARRIVAL_TIME_MAX).await;

    let delivery = |received: &Received| received.header("x-github-delivery").expect("a delivery").to_owned();
    let by_delivery: HashMap<_, _> = arrived.iter().map(|received| (delivery(received), received)).collect();
    let types = event_types(&app, &source, examples.len()).await;
    for example in &examples {
        let arrived = by_delivery[text(example, "delivery")];
        assert_same(example, arrived);
        let body: Value = serde_json::from_str(text(example, "body")).expect("JSON");
        let event = text(example, "event");
        let expected = body["action"].as_str().map_or(event.to_owned(), |action| format!("{event}.{action}"));
        assert_eq!(types[arrived.message_id()], expected);
    }
    assert_eq!(types.len(), examples.len(), "each is one message");
    assert_eq!(receiver.count("/hook"), examples.len(), "each is delivered once");
    assert_eq!(app.metric("posthouse_source_requests_duplicate_total").await, examples.len() as i64);
}
