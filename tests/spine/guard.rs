//! What Posthouse does not connect to.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::http::Response;
use crate::support::receiver::Receiver;
use crate::support::wait::SOON;

/// Ways to write this machine, a private network, or a cloud's metadata.
fn forbidden(port: u16) -> Vec<String> {
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.01",
        "127.255.255.254",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST.",
        "sub.localhost",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "①②⑦.⓪.⓪.①",
        "user:secret@127.0.0.1",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "2852039166",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.100.100.200",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ];
    hosts.iter().map(|host| format!("http://{host}:{port}/hook")).collect()
}

/// Nothing may come of this URL: it is refused, or what is sent to it is recorded as blocked.
async fn assert_blocked(app: &TestApp, app_id: &str, number: usize, url: &str) {
    let body = json!({ "url": url, "channels": [format!("c{number}")] });
    let answer: Response = app.client.post(format!("/api/v1/app/{app_id}/endpoint"), body).await;
    if answer.status == 422 {
        answer.refuses("url");
        return;
    }
    id_of(&answer.expect(201).json());
    let message =
        app.publish(app_id, json!({ "eventType": "e", "payload": {}, "channels": [format!("c{number}")] })).await;
    let attempt: Value = app.wait_for_attempts(app_id, &message, 1, SOON).await.remove(0);
    let facts = (&attempt["status"], &attempt["responseStatusCode"], &attempt["response"]);
    assert_eq!(facts, (&json!(2), &json!(0), &json!("blocked_ip")), "{url}: {attempt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_and_private_networks_are_refused_by_default() {
    let app = TestApp::builder().guarded().set("delivery.connect_timeout_ms", 2000).start().await;
    let receiver = Receiver::start().await;
    let app_id = app.application("Guard").await;
    for (number, url) in forbidden(receiver.port()).iter().enumerate() {
        assert_blocked(&app, &app_id, number, url).await;
    }
    assert_eq!(receiver.connections(), 0, "no connection was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_addresses_stay_refused_whatever_is_allowed() {
    let everything = "0.0.0.0/0,::/0";
    let app = TestApp::builder().set("egress.allow_networks", everything).start().await;
    let receiver = Receiver::start().await;
    let app_id = app.application("Metadata").await;
    let hosts = ["169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "[fd00:ec2::254]", "100.100.100.200"];
    for (number, host) in hosts.iter().enumerate() {
        assert_blocked(&app, &app_id, number, &format!("http://{host}/latest/meta-data")).await;
    }
    app.endpoint_with(&app_id, &receiver.url("/allowed"), json!({ "channels": ["allowed"] })).await;
    app.publish(&app_id, json!({ "eventType": "e", "payload": {}, "channels": ["allowed"] })).await;
    receiver.wait_for("/allowed", 1, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_network_is_delivered_to_and_its_neighbours_are_not() {
    let app = TestApp::builder().set("egress.allow_networks", "127.0.0.1/32").start().await;
    let receiver = Receiver::start().await;
    let app_id = app.application("Allowed").await;
    app.endpoint_with(&app_id, &receiver.url("/in"), json!({ "channels": ["in"] })).await;
    app.publish(&app_id, json!({ "eventType": "e", "payload": {}, "channels": ["in"] })).await;
    receiver.wait_for("/in", 1, SOON).await;
    let before = receiver.connections();
    for (number, host) in ["127.0.0.2", "[::1]", "10.0.0.1"].iter().enumerate() {
        assert_blocked(&app, &app_id, number, &format!("http://{host}:{}/out", receiver.port())).await;
    }
    assert_eq!(receiver.connections(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_url_of_a_webhook_is_refused() {
    let app = TestApp::start().await;
    let app_id = app.application("Urls").await;
    let path = format!("/api/v1/app/{app_id}/endpoint");
    for url in
        ["", "no url", "ftp://example.com/", "file:///etc/passwd", "gopher://x/", "//example.com", "http://", "/x"]
    {
        app.client.post(&path, json!({ "url": url })).await.refuses("url");
    }
    app.client.post(&path, json!({ "url": 7 })).await.refuses("url");
    app.client.post(&path, json!({ "description": "none" })).await.refuses("url");

    let shown = app.client.post(&path, json!({ "url": "https://user:secret@example.com/x" })).await;
    if shown.status != 422 {
        assert!(!shown.expect(201).text().contains("secret@"), "a password in a URL is masked");
    }
    let strict = TestApp::builder().set("egress.https_only", true).start().await;
    let app_id = strict.application("Strict").await;
    let path = format!("/api/v1/app/{app_id}/endpoint");
    strict.client.post(&path, json!({ "url": "http://example.com/x" })).await.refuses("url");
    strict.client.post(&path, json!({ "url": "https://example.com/x" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_is_a_failed_attempt() {
    let app = TestApp::builder().set("delivery.attempt_timeout_ms", 3000).start().await;
    let app_id = app.application("Dns").await;
    app.endpoint(&app_id, "http://does-not-exist.invalid/hook").await;
    let message = app.publish_numbered(&app_id, 1).await;
    let attempt = app.wait_for_attempts(&app_id, &message, 1, SOON).await.remove(0);
    assert_eq!((&attempt["status"], &attempt["responseStatusCode"]), (&json!(2), &json!(0)), "{attempt}");
    let took = Duration::from_millis(attempt["responseDurationMs"].as_u64().unwrap_or(u64::MAX));
    assert!(took <= Duration::from_secs(4), "{took:?}");
}
