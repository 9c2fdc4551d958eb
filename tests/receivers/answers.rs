//! Answers that are wrong, hostile or merely odd, each with what is to be on record.

use std::time::Duration;

use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, when};
use crate::{assert_recorded, attempt, next_attempt, start};

/// Path, what is answered, and what is on record: success, status, response.
type Case = (&'static str, Reply, bool, u16, &'static str);

fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
    Reply::Raw(bytes.into())
}

fn hang(bytes: impl Into<Vec<u8>>) -> Reply {
    Reply::RawThenHang(bytes.into())
}

/// What is an answer all the same.
fn odd() -> Vec<Case> {
    let many_interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1_000);
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    vec![
        ("nul-in-body", raw(&b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na\0b"[..]), true, 200, "a\0b"),
        ("no-utf-8", raw(&b"HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\na\xffb"[..]), false, 500, "a\u{fffd}b"),
        ("cut-utf-8", raw(&b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\xc3"[..]), true, 200, "ok\u{fffd}"),
        ("interim-flood", raw([&many_interim[..], ok].concat()), true, 200, "ok"),
        ("no-reason", raw("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"), true, 200, ""),
        ("unknown-status", raw("HTTP/1.1 799 Who\r\ncontent-length: 0\r\n\r\n"), false, 799, ""),
        ("not-modified", raw("HTTP/1.1 304 Same\r\ncontent-length: 9\r\n\r\n"), false, 304, ""),
        ("body-of-204", raw("HTTP/1.1 204 None\r\n\r\nwhat is this"), true, 204, ""),
        (
            "same-length-twice",
            raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok"),
            true,
            200,
            "ok",
        ),
        (
            "length-and-chunks",
            raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            true,
            200,
            "ok",
        ),
        (
            "long-extension",
            raw(format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;{}\r\nok\r\n0\r\n\r\n",
                "x".repeat(8_000)
            )),
            true,
            200,
            "ok",
        ),
    ]
}

/// What breaks off, or never ends.
fn broken() -> Vec<Case> {
    vec![
        ("length-too-long", raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"), false, 200, "ab"),
        ("length-too-long-open", hang("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"), false, 200, "ab"),
        ("no-last-chunk", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"), false, 200, "ab"),
        (
            "reset-in-chunk",
            Reply::RawThenReset(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nab".to_vec()),
            false,
            200,
            "ab",
        ),
        ("half-a-head", raw("HTTP/1.1 200 OK\r\ncontent-le"), false, 0, "connection_closed"),
        ("interim-only", raw("HTTP/1.1 102 Processing\r\n\r\n"), false, 0, "connection_closed"),
        ("interim-and-silence", hang("HTTP/1.1 100 Continue\r\n\r\n"), false, 0, "timeout"),
        ("drip-head", Reply::DripHead, false, 0, "timeout"),
        ("drip-body", Reply::DripBody, false, 200, "x"),
    ]
}

/// What is no HTTP, or too much of it.
fn wrong() -> Vec<Case> {
    let no = |name, bytes: Vec<u8>| (name, Reply::RawThenHang(bytes), false, 0, "invalid_response");
    let chunks = |bytes: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{bytes}").into_bytes();
    let bad_chunk = |name, bytes: &str| (name, Reply::RawThenHang(chunks(bytes)), false, 200, "");
    vec![
        no("nul-in-header", b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n".to_vec()),
        no("nul-in-name", b"HTTP/1.1 200 OK\r\nx\0: a\r\n\r\n".to_vec()),
        no("negative-length", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_vec()),
        no("length-with-sign", b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok".to_vec()),
        no("length-overflow", b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551617\r\n\r\nok".to_vec()),
        no("two-lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc".to_vec()),
        no("long-reason", format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(100_000)).into_bytes()),
        no("long-name", format!("HTTP/1.1 200 OK\r\n{}: y\r\n\r\n", "x".repeat(100_000)).into_bytes()),
        no("http-2", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff".to_vec()),
        no("status-0", b"HTTP/1.1 000 Nothing\r\ncontent-length: 0\r\n\r\n".to_vec()),
        (
            "endless-header",
            Reply::Flood(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 1 << 16]),
            false,
            0,
            "invalid_response",
        ),
        ("endless-line-ends", Reply::Flood(Vec::new(), b"\r\n".repeat(1 << 14)), false, 0, "invalid_response"),
        bad_chunk("chunk-size-overflow", "fffffffffffffffff\r\nab"),
        bad_chunk("chunk-size-negative", "-1\r\nab"),
        bad_chunk("chunk-without-end", "2\r\nabcd\r\n0\r\n\r\n"),
        bad_chunk("endless-extension", &format!("2;{}\r\nab\r\n0\r\n\r\n", "x".repeat(100_000))),
        bad_chunk("endless-trailer", &format!("0\r\n{}\r\n", "x: y\r\n".repeat(100_000))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_on_record_as_what_it_was() {
    let (app, receiver) = (start().await, Receiver::start().await);
    for (name, reply, succeeded, status, response) in odd().into_iter().chain(broken()).chain(wrong()) {
        receiver.on(&format!("/{name}"), [reply]);
        let seen = attempt(&app, &receiver.url(&format!("/{name}"))).await;
        // Of a broken answer that is on record by its status, what came of the body may be more.
        let kept = seen["response"].as_str().unwrap_or_default();
        let response = if !succeeded && status == 200 && kept.starts_with(response) { kept } else { response };
        assert_recorded(name, &seen, succeeded, status, response);
        assert_eq!(receiver.count(&format!("/{name}")), 1, "{name}: one attempt is one request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    let (app, receiver) = (start().await, Receiver::start().await);
    let trap = receiver.url("/trap");
    for status in [300, 301, 302, 303, 307, 308] {
        for location in
            [trap.as_str(), "/trap", "//127.0.0.1/trap", "http://169.254.169.254/latest", "file:///etc/passwd"]
        {
            receiver.on("/moved", [Reply::status(status).with_header("location", location).with_body("moved")]);
            let seen = attempt(&app, &receiver.url("/moved")).await;
            assert_recorded(location, &seen, false, status, "moved");
        }
    }
    let refresh = Reply::ok().with_header("refresh", &format!("0; url={trap}")).with_header("content-location", &trap);
    receiver.on("/refresh", [refresh]);
    assert_recorded("refresh", &attempt(&app, &receiver.url("/refresh")).await, true, 200, "");
    assert_eq!(receiver.count("/trap"), 0, "somebody followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_is_no_answer_to_the_next_request() {
    let (app, receiver) = (start().await, Receiver::start().await);
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let smuggled = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
    let later = Duration::from_millis(100);
    for (name, reply) in [
        ("at-once", Reply::RawThenHang([&ok[..], smuggled].concat())),
        ("later", Reply::RawThenMore(ok.to_vec(), later, smuggled.to_vec())),
        ("rest-of-body", Reply::RawThenHang([&ok[..], b"and more than was said"].concat())),
        ("body-of-204", Reply::RawThenHang([b"HTTP/1.1 204 None\r\n\r\n", &smuggled[..]].concat())),
    ] {
        let path = format!("/{name}");
        receiver.on(&path, [reply, Reply::status(500).with_body("the answer")]);
        let app_id = app.application(name).await;
        app.endpoint(&app_id, &receiver.url(&path)).await;
        let first = next_attempt(&app, &app_id).await;
        assert_eq!(first["status"], 0, "{name}: {first}");
        // What comes later is there before the connection would be used again.
        let arrived = receiver.received(&path)[0].at;
        eventually("what comes later is there", SOON, async || when(arrived.elapsed() >= 2 * later)).await;
        let second = next_attempt(&app, &app_id).await;
        assert_recorded(name, &second, false, 500, "the answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_answer_is_kept_for_the_next_request() {
    let (app, receiver) = (start().await, Receiver::start().await);
    let sticky = Reply::ok()
        .with_header("set-cookie", "session=1; path=/")
        .with_header("alt-svc", "h2=\":1\"")
        .with_header("strict-transport-security", "max-age=31536000")
        .with_header("www-authenticate", "Basic realm=\"x\"");
    receiver.on("/sticky", [sticky]);
    let app_id = app.application("Sticky").await;
    app.endpoint(&app_id, &receiver.url("/sticky")).await;
    for _ in 0..3 {
        next_attempt(&app, &app_id).await;
    }
    let requests = receiver.received("/sticky");
    assert_eq!(requests.len(), 3);
    for request in requests {
        for name in ["cookie", "authorization", "upgrade", "accept-encoding"] {
            assert_eq!(request.header(name), None, "{name}");
        }
    }
}
