//! Names and certificates on the way out, by a name server and an authority of the tests' own.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::names::NameServer;
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::tls::Authority;
use crate::support::wait::SOON;

/// Publishes to a new application with one endpoint there; the first attempt.
async fn attempt(app: &TestApp, url: &str) -> Value {
    let app_id = app.application(url).await;
    app.endpoint(&app_id, url).await;
    let message = app.publish_numbered(&app_id, 1).await;
    app.wait_for_attempts(&app_id, &message, 1, SOON).await.remove(0)
}

fn assert_blocked(attempt: &Value) {
    let facts = (&attempt["status"], &attempt["responseStatusCode"], &attempt["response"]);
    assert_eq!(facts, (&json!(2), &json!(0), &json!("blocked_ip")), "{attempt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_name_resolves_to_is_judged() {
    let names = NameServer::start(&[
        ("here.test", &[&["127.0.0.1"]]),
        ("private.test", &[&["10.0.0.1"]]),
        ("mixed.test", &[&["127.0.0.1", "10.0.0.1"]]),
        ("many.test", &[&["127.0.0.1", "127.0.0.1", "127.0.0.1", "169.254.169.254"]]),
        ("empty.test", &[&[]]),
    ])
    .await;
    let how = TestApp::builder().set("egress.allow_networks", "127.0.0.1/32").set("egress.dns_servers", names.address);
    let app = how.set("delivery.attempt_timeout_ms", 2000).start().await;
    let receiver = Receiver::start().await;
    let url = |name: &str| format!("http://{name}:{}/hook", receiver.port());

    assert_eq!(attempt(&app, &url("here.test")).await["status"], 0);
    let arrived = receiver.received("/hook").remove(0);
    assert_eq!(arrived.header("host"), Some(format!("here.test:{}", receiver.port()).as_str()));
    let before = receiver.connections();
    for name in ["private.test", "mixed.test", "many.test"] {
        assert_blocked(&attempt(&app, &url(name)).await);
    }
    for name in ["empty.test", "unknown.test", "silent.test"] {
        let failed = attempt(&app, &url(name)).await;
        assert_eq!((&failed["status"], &failed["responseStatusCode"]), (&json!(2), &json!(0)), "{name}: {failed}");
        let took = failed["responseDurationMs"].as_i64().unwrap_or(i64::MAX);
        assert!(took <= 3000, "{name}: {took} ms");
    }
    assert_eq!(receiver.connections(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_after_it_was_judged_leads_nowhere_else() {
    let here: &[&str] = &["127.0.0.1"];
    let there: &[&str] = &["127.0.0.2"];
    let names = NameServer::start(&[("flip.test", &[here, there, here, there, there])]).await;
    let how = TestApp::builder().set("egress.allow_networks", "127.0.0.1/32").set("egress.dns_servers", names.address);
    let app = how.set("delivery.retry_schedule", "600").start().await;
    let receiver = Receiver::start().await;
    // The forbidden address, at the same port.
    let forbidden = tokio::net::TcpListener::bind(("127.0.0.2", receiver.port())).await.expect("a port");
    // Connections are not kept, so that each attempt looks the name up again.
    let closing = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    receiver.on("/flip", [Reply::Raw(closing.to_vec())]);
    for _ in 0..8 {
        let attempt = attempt(&app, &format!("http://flip.test:{}/flip", receiver.port())).await;
        if attempt["status"] != 0 {
            assert_blocked(&attempt);
        }
    }
    let connected = tokio::time::timeout(std::time::Duration::from_millis(50), forbidden.accept()).await;
    assert!(connected.is_err(), "the forbidden address was connected to");
    assert!(receiver.connections() >= 1 && names.asked("flip.test") >= 2, "it was no test");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_verified() {
    let authority = Authority::make();
    let here: &[&[&str]] = &[&["127.0.0.1"]];
    let names = NameServer::start(&[("good.test", here), ("other.test", here), ("expired.test", here)]).await;
    let good = authority.receiver("good.test", false).await.port();
    let expired = authority.receiver("expired.test", true).await.port();
    let how = TestApp::builder().set("egress.dns_servers", names.address).set("delivery.retry_schedule", "600");
    let ca_file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    std::fs::write(ca_file.path(), authority.pem()).expect("written");

    let stranger = how.clone().start().await;
    let unknown = attempt(&stranger, &format!("https://good.test:{good}/")).await;
    assert_eq!((&unknown["status"], &unknown["responseStatusCode"]), (&json!(2), &json!(0)), "{unknown}");

    let app = how.set("egress.extra_ca_file", ca_file.path().display()).start().await;
    let delivered = attempt(&app, &format!("https://good.test:{good}/")).await;
    assert_eq!((&delivered["status"], &delivered["responseStatusCode"]), (&json!(0), &json!(200)), "{delivered}");
    let refused = [
        format!("https://other.test:{good}/"),
        format!("https://expired.test:{expired}/"),
        format!("http://good.test:{good}/"),
    ];
    for url in refused {
        let attempt = attempt(&app, &url).await;
        assert_eq!((&attempt["status"], &attempt["responseStatusCode"]), (&json!(2), &json!(0)), "{url}: {attempt}");
    }
}
