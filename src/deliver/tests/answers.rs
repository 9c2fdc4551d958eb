//! What answers, and what is none, come to.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{Receiver, attempt, attempt_within, client, read_request};
use crate::model::outcome::OutcomeKind::{Closed, Protocol, Status, Success, Timeout};

/// Short enough to wait for, long enough for a busy machine to connect.
const SHORT: Duration = Duration::from_millis(400);

/// A receiver that writes `head` after each request, then does as `then` says.
async fn receiver<F>(head: &'static str, then: fn(TcpStream) -> F) -> Receiver
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    Receiver::start("127.0.0.1:0", move |mut tcp| async move {
        read_request(&mut tcp).await?;
        tcp.write_all(head.as_bytes()).await?;
        then(tcp).await
    })
    .await
}

async fn hang(tcp: TcpStream) -> io::Result<()> {
    let _open = tcp;
    pending().await
}

async fn close(_: TcpStream) -> io::Result<()> {
    Ok(())
}

async fn reset(tcp: TcpStream) -> io::Result<()> {
    tcp.set_zero_linger()
}

#[tokio::test]
async fn statuses() {
    for (line, kind, status) in [
        ("200 OK", Success, 200),
        ("204 No Content", Success, 204),
        ("299 Odd", Success, 299),
        ("301 Moved\r\nlocation: http://127.0.0.1:1/", Status, 301),
        ("304 Not Modified", Status, 304),
        ("308 Moved\r\nlocation: /", Status, 308),
        ("400 Bad", Status, 400),
        ("410 Gone", Status, 410),
        ("500 Oops", Status, 500),
        ("504 Late", Status, 504),
        ("999 Odd", Status, 999),
    ] {
        let receiver = Receiver::answering(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n")).await;
        let seen = attempt(&client(), &receiver.url()).await;
        assert_eq!((seen.kind, seen.status), (kind, status), "{line}");
        assert_eq!(receiver.accepted(), 1, "{line}");
    }
}

#[tokio::test]
async fn bodies_in_every_framing() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ] {
        let seen = attempt(&client(), &Receiver::answering(answer).await.url()).await;
        assert_eq!((seen.kind, &seen.body[..]), (Success, &b"hello"[..]), "{answer}");
    }
    let to_the_end = receiver("HTTP/1.0 200 OK\r\n\r\nhello", close).await;
    let seen = attempt(&client(), &to_the_end.url()).await;
    assert_eq!((seen.kind, &seen.body[..]), (Success, &b"hello"[..]));
}

#[tokio::test]
async fn a_compressed_body_is_kept_as_what_it_says_or_as_it_came() {
    let brotli = [0x8b, 0x01, 0x80, b's', b'u', b'r', b'e', 0x03];
    for (coding, bytes, kept) in [
        ("br", &brotli[..], &b"sure"[..]),
        ("gzip", &b"\x1f\x8b\x08\xff"[..], &b"\x1f\x8b\x08\xff"[..]),
        ("gzip", &b"plain"[..], &b"plain"[..]),
        ("unknown", &b"plain"[..], &b"plain"[..]),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n", bytes.len());
        let receiver = Receiver::answering([head.as_bytes(), bytes].concat()).await;
        let seen = attempt(&client(), &receiver.url()).await;
        assert_eq!((seen.kind, &seen.body[..]), (Success, kept), "{coding}");
    }
}

#[tokio::test]
async fn one_deadline_covers_head_and_body() {
    async fn drip(mut tcp: TcpStream) -> io::Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            tcp.write_all(b"x").await?;
        }
    }
    async fn drip_interim(mut tcp: TcpStream) -> io::Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            tcp.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").await?;
        }
    }
    let silent = receiver("", hang).await;
    let half_a_head = receiver("HTTP/1.1 200 OK\r\nx-", drip).await;
    let interim = receiver("", drip_interim).await;
    for receiver in [silent, half_a_head, interim] {
        let seen = attempt_within(&client(), &receiver.url(), SHORT).await;
        assert_eq!((seen.kind, seen.status), (Timeout, 0));
        assert!(seen.body.is_empty() && seen.duration_ms >= 400);
    }
    let no_body = receiver("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", hang).await;
    let seen = attempt_within(&client(), &no_body.url(), SHORT).await;
    assert_eq!((seen.kind, seen.status, &seen.body[..]), (Timeout, 200, &b"ab"[..]));
    let slow_body = receiver("HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n", drip).await;
    let seen = attempt_within(&client(), &slow_body.url(), SHORT).await;
    assert_eq!((seen.kind, seen.status), (Timeout, 200));
    assert!(!seen.body.is_empty() && seen.body.len() < 9000);
}

/// A receiver with a thread of its own, which sends faster than it is read, for as long as it can.
fn flood(again: &'static [u8]) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept()?;
        let more = again.repeat((1 << 18) / again.len());
        let _ = tcp.read(&mut [0; 4096])?;
        loop {
            tcp.write_all(&more)?;
        }
        #[expect(unreachable_code, reason = "names the error's type")]
        io::Result::Ok(())
    });
    format!("http://{address}/")
}

#[tokio::test]
async fn a_flood_without_a_head_keeps_no_thread() {
    for (again, kind) in [
        (&b"HTTP/1.1 102 Processing\r\n\r\n"[..], Protocol),
        (&b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"[..], Protocol),
        (&b"\r\n"[..], Protocol),
    ] {
        let url = flood(again);
        let seen = attempt_within(&client(), &url, 5 * SHORT).await;
        assert_eq!((seen.kind, seen.status), (kind, 0), "{}", String::from_utf8_lossy(again));
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_status_decides() {
    async fn endless(mut tcp: TcpStream) -> io::Result<()> {
        loop {
            tcp.write_all(&[b'x'; 8192]).await?;
        }
    }
    for (head, kind) in
        [("HTTP/1.1 200 OK\r\n\r\n", Success), ("HTTP/1.1 500 Oops\r\ncontent-length: 99999999999\r\n\r\n", Status)]
    {
        let receiver = receiver(head, endless).await;
        let client = client();
        let seen = attempt(&client, &receiver.url()).await;
        assert_eq!((seen.kind, seen.body.len()), (kind, 64 * 1024));
        assert_eq!(client.idle_count(), 0);
    }
}

#[tokio::test]
async fn a_body_in_tiny_chunks_is_cut_too() {
    async fn tiny_chunks(mut tcp: TcpStream) -> io::Result<()> {
        loop {
            tcp.write_all(&b"1\r\nx\r\n".repeat(1_000)).await?;
        }
    }
    let url = flood(b"1\r\nx\r\n");
    let seen = attempt(&client(), &url).await;
    assert_eq!((seen.kind, seen.status), (Protocol, 0), "no head at all");
    let receiver = receiver("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", tiny_chunks).await;
    let seen = attempt(&client(), &receiver.url()).await;
    assert_eq!((seen.kind, seen.status), (Success, 200));
    assert!((1_000..=64 * 1024).contains(&seen.body.len()), "{} bytes kept", seen.body.len());
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_whole() {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n".to_vec();
    answer.resize(answer.len() + 65536, b'x');
    let (receiver, client) = (Receiver::answering(answer).await, client());
    let seen = attempt(&client, &receiver.url()).await;
    assert_eq!((seen.kind, seen.body.len()), (Success, 65536));
    assert_eq!(client.idle_count(), 1);
}

#[tokio::test]
async fn connections_that_end_early() {
    for (head, status) in [
        ("", 0),
        ("HTTP/1.1 20", 0),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", 200),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", 200),
    ] {
        let receiver = receiver(head, close).await;
        let seen = attempt(&client(), &receiver.url()).await;
        assert_eq!((seen.kind, seen.status), (Closed, status), "{head}");
        assert_eq!(receiver.accepted(), 1, "never sent again: {head}");
    }
    for head in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"] {
        let receiver = receiver(head, reset).await;
        let seen = attempt(&client(), &receiver.url()).await;
        assert_eq!(seen.kind, Closed, "{head}");
        assert_eq!(receiver.accepted(), 1, "never sent again: {head}");
    }
}

#[tokio::test]
async fn what_is_not_http() {
    let many = "a: b\r\n".repeat(100_000);
    let some = "a: b\r\n".repeat(101);
    let long = format!("a: {}\r\n", "b".repeat(70_000));
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(),
        "\0\u{1}\u{2}\u{3}\r\n\r\n".to_owned(),
        "HTTP/1.1 abc\r\n\r\n".to_owned(),
        "HTTP/1.1 20\r\n\r\n".to_owned(),
        "HTTP/2.0 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\n{some}\r\n"),
        format!("HTTP/1.1 200 OK\r\n{long}\r\n"),
    ] {
        let receiver = Receiver::answering(answer.clone()).await;
        let seen = attempt(&client(), &receiver.url()).await;
        assert_eq!(seen.kind, Protocol, "{:?}", &answer[..answer.len().min(80)]);
        assert_eq!(receiver.accepted(), 1);
    }
}

#[tokio::test]
async fn retry_after_counts_on_429_and_503() {
    for (head, wanted) in [
        ("429 Slow\r\nretry-after: 120", Some(120)),
        ("503 Busy\r\nretry-after: 7", Some(7)),
        ("503 Busy\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
        ("503 Busy\r\nretry-after: 1e300", None),
        ("503 Busy\r\nretry-after: \u{e9}", None),
        ("503 Busy", None),
        ("500 Oops\r\nretry-after: 7", None),
        ("200 OK\r\nretry-after: 7", None),
    ] {
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
        let seen = attempt(&client(), &Receiver::answering(answer).await.url()).await;
        assert_eq!(seen.retry_after_s, wanted, "{head}");
    }
}

#[tokio::test]
async fn the_request_as_it_is_sent() {
    let (sent, mut requests) = tokio::sync::mpsc::channel(1);
    let receiver = Receiver::start("127.0.0.1:0", move |mut tcp| {
        let sent = sent.clone();
        async move {
            let request = read_request(&mut tcp).await?;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
            let _ = sent.send(request).await;
            let more = tcp.read(&mut [0; 16]).await?;
            assert_eq!(more, 0, "nothing after the one request");
            Ok(())
        }
    })
    .await;
    let url = format!("http://user:p%40ss@{}/a%20b?c=d#e", receiver.address);
    assert_eq!(attempt(&client(), &url).await.kind, Success);
    let request = String::from_utf8(requests.recv().await.expect("a request")).expect("text");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<_> = head.lines().collect();
    lines[1..].sort_unstable();
    let host = format!("host: {}", receiver.address);
    let wanted = ["POST /a%20b?c=d HTTP/1.1", "authorization: Basic dXNlcjpwQHNz", "content-length: 2", &host];
    assert_eq!((&lines[..], body), (&wanted[..], "{}"));
}
