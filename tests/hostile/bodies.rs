//! Bodies that are no use: refused for what they are, and without a share of what others need.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::attacks::{colliding_keys, deep_json};
use crate::support::app::TestApp;
use crate::support::http::{Connection, Request};
use crate::support::wait::{SOON, eventually};

/// What a megabyte may take that was made to be slow.
const HOSTILE_BODY_TIME_MAX: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_refused() {
    let app = TestApp::start().await;
    let app_id = app.application("Compressed").await;
    let path = format!("/api/v1/app/{app_id}/msg");
    let body = json!({ "eventType": "e", "payload": {} });
    for coding in ["gzip", "br", "zstd", "deflate", "GZIP", "gzip, identity", "identity, gzip", "x"] {
        let request = Request::new("POST", &path).header("content-encoding", coding).json(&body);
        assert_eq!(app.client.send(request).await.error(415), "unsupported_encoding", "{coding}");
    }
    let twice = Request::new("POST", &path).header("content-encoding", "identity").header("content-encoding", "br");
    app.client.send(twice.json(&body)).await.error(415);
    let identity = Request::new("POST", &path).header("content-encoding", "identity").json(&body);
    app.client.send(identity).await.expect(202);
    let listed = app.get(path).await.expect(200).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_made_to_hurt_takes_no_longer_than_other_json() {
    let app = TestApp::start().await;
    let app_id = app.application("Json").await;
    let many_names = format!(
        r#"{{"eventType":"e","payload":{{{}}}}}"#,
        (0..60_000).map(|n| format!("\"{n:x}\":{n}")).collect::<Vec<_>>().join(",")
    );
    let unknown = format!(
        r#"{{"eventType":"e","payload":{{}},{}}}"#,
        (0..60_000).map(|n| format!("\"{n:x}\":{n}")).collect::<Vec<_>>().join(",")
    );
    let number = format!(r#"{{"eventType":"e","payload":{{"n":1{}}}}}"#, "0".repeat(900_000));
    let escapes = format!(r#"{{"eventType":"e","payload":{{"s":"{}"}}}}"#, "\\ud83d\\ude00".repeat(70_000));
    for (name, body, status) in [
        ("deep", deep_json(1_000_000), 422),
        ("colliding", colliding_keys(1_000_000), 202),
        ("many names", many_names.into_bytes(), 202),
        ("many unknown fields", unknown.into_bytes(), 202),
        ("one long number", number.into_bytes(), 202),
        ("escapes", escapes.into_bytes(), 202),
    ] {
        let before = Instant::now();
        let answer = app.publish_raw(&app_id, body).await;
        let took = before.elapsed();
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(took <= HOSTILE_BODY_TIME_MAX, "{name} took {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_leave_room_for_others() {
    let how = TestApp::builder().set("limits.body_bytes_in_memory_max", 4 << 20);
    let app = how.start().await;
    let app_id = app.application("Slow bodies").await;
    // They announce 64 MiB and send 6 MiB, and then no more: more than all room there is.
    let head = format!(
        "POST /api/v1/app/{app_id}/msg HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000000\r\n\r\n",
        app.key
    );
    let beginning = [head.as_bytes(), &vec![b' '; 100_000]].concat();
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut tcp = TcpStream::connect(app.address()).await.expect("a connection");
        // Those that find no room are told so, and closed.
        let _ = tcp.write_all(&beginning).await;
        slow.push(tcp);
    }
    let large = format!(r#"{{"eventType":"e","payload":{{"long":"{}"}}}}"#, "x".repeat(1_000_000));
    let path = format!("/api/v1/app/{app_id}/msg");
    let began = Instant::now();
    eventually("there is room for a large body again", SOON, async || {
        let mut connection = Connection::open(app.address()).await.expect("a connection");
        let request = Request::new("POST", &path).raw_json(large.as_bytes()).to_bytes(Some(&app.key));
        let answer = connection.exchange(&request).await.expect("an answer");
        assert!(matches!(answer.status, 202 | 503), "{} {}", answer.status, answer.text());
        (answer.status == 202).then_some(())
    })
    .await;
    let waited = began.elapsed();
    println!("room for a large body after {waited:?}");
    assert!(waited < Duration::from_secs(5), "room only after {waited:?}, when slow bodies are given up anyway");
    // Small bodies never wait.
    for number in 0..20 {
        app.publish_numbered(&app_id, number).await;
    }
}
