//! Several requests in one write.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::TestApp;
use crate::support::wait::SOON;

const GET: &str = "GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n";

/// Writes bytes and reads until the server closes; what it said.
async fn said(app: &TestApp, bytes: &[u8]) -> String {
    let mut tcp = TcpStream::connect(app.address()).await.expect("a connection");
    tcp.write_all(bytes).await.expect("written");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(SOON, tcp.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok(), "the connection is not closed: {text}");
    text
}

/// The statuses of answers, in order.
fn statuses(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect()
}

fn publish(app: &TestApp, app_id: &str, framing: &str, body: &str) -> String {
    format!(
        "POST /api/v1/app/{app_id}/msg HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{framing}\r\n\r\n{body}",
        app.key
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_answered_in_its_turn() {
    let app = TestApp::start().await;
    let app_id = app.application("Pipelined").await;
    let body = r#"{"eventType":"e","payload":{}}"#;
    let message = publish(&app, &app_id, &format!("content-length: {}", body.len()), body);
    let last = "GET /api/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let text = said(&app, [&GET.repeat(30), &message, GET, &message, last].concat().as_bytes()).await;
    let mut wanted = vec!["204"; 30];
    wanted.extend(["202", "204", "202", "204"]);
    assert_eq!(statuses(&text), wanted, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_behind_a_request_ends_the_connection() {
    let app = TestApp::start().await;
    let noise = vec![0xff; 40_000];
    let garbage: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /api/v1/health HTTP/9.9\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /api/v1/app HTTP/1.1\r\nhost: x\r\ncontent-length: nine\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &noise,
    ];
    for bytes in garbage {
        let text = said(&app, &[GET.as_bytes(), bytes].concat()).await;
        let statuses = statuses(&text);
        assert_eq!(statuses.first(), Some(&"204"), "{text}");
        let refused = statuses[1..].iter().all(|status| status.starts_with('4'));
        assert!(statuses.len() <= 2 && refused, "{bytes:?}: {text}");
    }
    app.get("/api/v1/app").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_request_with_two_lengths_is_refused_too() {
    let app = TestApp::start().await;
    let app_id = app.application("Smuggle").await;
    let body = r#"{"eventType":"e","payload":{}}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let whole = publish(&app, &app_id, &format!("content-length: {}", body.len()), body);
    let in_chunks = publish(&app, &app_id, "transfer-encoding: chunked", &chunked);
    for framing in
        ["content-length: 5\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 5"]
    {
        let both = publish(&app, &app_id, framing, &chunked);
        for first in [GET, &whole, &in_chunks] {
            let text = said(&app, [first, &both, GET].concat().as_bytes()).await;
            let statuses = statuses(&text);
            assert_eq!(statuses.len(), 2, "the connection ends with it: {text}");
            assert_eq!(statuses[1], "400", "{text}");
        }
        // Its head comes in two parts, of which the first is behind another request.
        let (start, rest) = both.split_at(both.find("transfer-encoding").expect("there"));
        let mut tcp = TcpStream::connect(app.address()).await.expect("a connection");
        tcp.set_nodelay(true).expect("set");
        tcp.write_all([GET, start].concat().as_bytes()).await.expect("written");
        let mut answer = vec![0; 4096];
        let count = tcp.read(&mut answer).await.expect("an answer");
        assert!(answer[..count].starts_with(b"HTTP/1.1 204"));
        tcp.write_all(rest.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(SOON, tcp.read_to_end(&mut answer)).await;
        read.expect("the connection ends").expect("read");
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    }
    let listed = app.get(format!("/api/v1/app/{app_id}/msg")).await.expect(200).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(4), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_may_follow_one_another() {
    let app = TestApp::start().await;
    let app_id = app.application("Chunked").await;
    let body = r#"{"eventType":"e","payload":{}}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let request = publish(&app, &app_id, "transfer-encoding: chunked", &chunked);
    let mut connection = crate::support::http::Connection::open(app.address()).await.expect("a connection");
    for _ in 0..5 {
        connection.exchange(request.as_bytes()).await.expect("an answer").expect(202);
    }
}
