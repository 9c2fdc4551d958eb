//! Requests whose length is said in more than one way, and what is left of those that were answered early.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::TestApp;
use crate::support::http::Connection;
use crate::support::wait::SOON;

/// Writes a head, and the body when the server has begun to answer; what it says until it closes.
async fn said(app: &TestApp, head: &str, body: &str) -> String {
    let mut tcp = TcpStream::connect(app.address()).await.expect("a connection");
    tcp.write_all(head.as_bytes()).await.expect("written");
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(SOON, tcp.read(&mut answer)).await.expect("an answer").expect("read");
    answer.truncate(read);
    // It may be closed by now, which takes nothing from what was read.
    let _ = tcp.write_all(body.as_bytes()).await;
    let read = tokio::time::timeout(SOON, tcp.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok(), "the connection is not closed: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lengths_are_refused_however_lines_end() {
    let app = TestApp::start().await;
    let body = "e\r\n{\"name\":\"two\"}\r\n0\r\n\r\n";
    for (line, end) in [("\r\n", "\r\n\r\n"), ("\n", "\n\n"), ("\r\n", "\r\n\n"), ("\n", "\n\r\n")] {
        let head = format!(
            "POST /api/v1/app HTTP/1.1{line}host: x{line}authorization: Bearer {}{line}expect: \
             100-continue{line}content-length: 4{line}transfer-encoding: chunked{end}",
            app.key
        );
        let text = said(&app, &head, body).await;
        assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("ambiguous_length"), "{end:?}: {text}");
    }
    assert_eq!(app.get("/api/v1/app").await.expect(200).json()["data"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer_codings_beside_chunks_are_refused() {
    let app = TestApp::start().await;
    for coding in ["gzip, chunked", "identity, chunked", "gzip\r\ntransfer-encoding: chunked"] {
        let head = format!(
            "POST /api/v1/app HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\ntransfer-encoding: {coding}\r\n\r\n",
            app.key
        );
        let text = said(&app, &head, "e\r\n{\"name\":\"two\"}\r\n0\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 415 "), "{coding}: {text}");
    }
}

/// A proxy gives one connection to many clients: what one of them leaves behind is nobody else's request.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_a_body_that_was_not_read() {
    let app = TestApp::start().await;
    let crafted = "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n";
    let head = format!(
        "POST /api/v1/app HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wrong\r\ncontent-length: {}\r\n\r\n",
        crafted.len()
    );
    let text = said(&app, &head, crafted).await;
    assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
    assert!(text.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    // One without a body leaves nothing.
    let mut connection = Connection::open(app.address()).await.expect("a connection");
    for _ in 0..3 {
        let get = b"GET /api/v1/app HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wrong\r\n\r\n";
        connection.exchange(get).await.expect("an answer").expect(401);
    }
}
