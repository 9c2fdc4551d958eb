//! Requests of every kind: methods, content types, paths, senders, sizes, and what is answered.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::http::Request;
use crate::support::receiver::Receiver;
use crate::support::wait::{SOON, eventually};
use crate::world::{Source, send};

/// An open source with further fields, and an endpoint at this path.
async fn open_source(app: &TestApp, receiver: &Receiver, fields: serde_json::Value) -> Source {
    let source = Source::with(app, "generic-webhook", json!({}), fields).await;
    app.endpoint(&source.app_id, &receiver.url("/hook")).await;
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn any_content_type_and_method_goes_on() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({})).await;
    let cases: [(&str, Option<&str>, &[u8]); 9] = [
        ("POST", Some("application/json"), b"{ \"a\" : 1.0 }"),
        ("POST", Some("application/x-www-form-urlencoded"), b"a=1&b=%C3%A9+x&a=2"),
        (
            "POST",
            Some("multipart/form-data; boundary=xyz"),
            b"--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\xff\xfe\r\n--xyz--\r\n",
        ),
        ("POST", Some("application/xml; charset=iso-8859-1"), b"<?xml version=\"1.0\"?>\n<a>\xe9</a>"),
        ("POST", Some("application/octet-stream"), b"\x00\x01\xc3\x28\xff\r\n\x80"),
        ("POST", None, b"no type"),
        ("PUT", Some("text/plain"), b"put"),
        ("DELETE", None, b""),
        ("GET", None, b""),
    ];
    for (number, (method, content_type, body)) in cases.into_iter().enumerate() {
        let request = Request::new(method, &source.path).body(body);
        let request = content_type.into_iter().fold(request, |request, value| request.header("Content-Type", value));
        send(&app, request).await.expect(200);
        let arrived = receiver.wait_for("/hook", number + 1, SOON).await.remove(number);
        assert_eq!(arrived.body, body, "case {number}");
        assert_eq!(arrived.method, method, "case {number}");
        if content_type.is_some() {
            assert_eq!(arrived.header("content-type"), content_type, "case {number}");
        }
        assert!(arrived.header("webhook-signature").is_some(), "case {number}: signed by us too");
    }
    assert_eq!((source.settled(&app).await, receiver.count("/hook")), (9, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_and_the_query_go_on_where_that_is_set() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({})).await;
    let deeper = format!("{}/a/b%20c?x=1&y=%26", source.path);
    send(&app, Request::new("POST", &deeper).body("1")).await.expect(200);
    receiver.wait_for("/hook", 1, SOON).await;
    source.patch(&app, json!({ "forwardPath": true })).await;
    send(&app, Request::new("POST", &deeper).body("2")).await.expect(200);
    let arrived = receiver.wait_for("/hook/a/b%20c?x=1&y=%26", 1, SOON).await;
    assert_eq!(arrived[0].body, b"2");
    send(&app, Request::new("POST", &source.path).body("3")).await.expect(200);
    receiver.wait_for("/hook", 2, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_the_connection_does_not_go_on() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({})).await;
    let request = Request::new("POST", &source.path)
        .header("Connection", "x-hop, keep-alive")
        .header("X-Hop", "1")
        .header("TE", "trailers")
        .header("Webhook-Id", "msg_of_the_sender")
        .header("X-Stays", "1")
        .body("{}");
    send(&app, request).await.expect(200);
    let arrived = receiver.wait_for("/hook", 1, SOON).await.remove(0);
    for name in ["x-hop", "te"] {
        assert_eq!(arrived.header(name), None, "{name}");
    }
    assert_eq!(arrived.header("x-stays"), Some("1"));
    assert_eq!(arrived.header("host"), receiver.url("").strip_prefix("http://"));
    assert_eq!(arrived.header("webhook-id"), Some("msg_of_the_sender"), "it can verify the sender's signature again");
    let logged = source.last(&app).await;
    assert_eq!(arrived.header("svix-id"), logged["messageId"].as_str(), "ours goes under other names then");
    assert!(arrived.header("svix-signature").is_some() && arrived.header("webhook-signature").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_from_elsewhere_is_refused() {
    let builder = TestApp::builder().set("server.trusted_proxies", "127.0.0.0/8");
    let (app, receiver) = (builder.start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({ "allowedNetworks": ["203.0.113.0/24", "2001:db8::/32"] })).await;
    let from = |senders: &str| Request::new("POST", &source.path).header("X-Forwarded-For", senders).body(senders);
    let cases = [
        ("203.0.113.9", 200),
        ("2001:db8::9", 200),
        ("198.51.100.1, 203.0.113.9", 200),
        ("203.0.113.9, 127.0.0.1", 200),
        ("203.0.114.9", 403),
        ("203.0.113.9, 198.51.100.1", 403),
        ("nonsense", 403),
    ];
    for (senders, status) in cases {
        let answer = send(&app, from(senders)).await.expect(status);
        assert!(answer.body.is_empty(), "{senders}");
    }
    send(&app, Request::new("POST", &source.path).body("direct")).await.expect(403);
    let refused: Vec<_> = source.log(&app).await.into_iter().filter(|logged| logged["outcome"] == "rejected").collect();
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|logged| logged["cause"] == "address_not_allowed" && logged["status_code"] == 403));
    assert_eq!(source.settled(&app).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_without_a_trusted_proxy_cannot_name_another_address() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({ "allowedNetworks": ["203.0.113.0/24"] })).await;
    let request = Request::new("POST", &source.path).header("X-Forwarded-For", "203.0.113.9").body("x");
    send(&app, request).await.expect(403);
    source.patch(&app, json!({ "allowedNetworks": ["127.0.0.0/8"] })).await;
    send(&app, Request::new("POST", &source.path).body("x")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_fast_is_told_to_wait() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({ "requestsPerSecond": 3 })).await;
    let other = open_source(&app, &receiver, json!({})).await;
    let post = |source: &Source| Request::new("POST", &source.path).body("x");
    let refused = eventually("one is refused", SOON, async || {
        let answer = send(&app, post(&source)).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    let wait: u32 = refused.header("retry-after").and_then(|value| value.parse().ok()).expect("seconds");
    assert!((1..=60).contains(&wait) && refused.body.is_empty(), "{refused:?}");
    assert_ne!(source.last(&app).await["cause"], "rate_limited", "it is counted, and pushes nothing out of the log");
    send(&app, post(&other)).await.expect(200);
    eventually("it goes on later", SOON, async || (send(&app, post(&source)).await.status == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_in_the_log() {
    const LIMIT: usize = 4_096;
    let builder = TestApp::builder().set("limits.body_bytes_max", LIMIT);
    let (app, receiver) = (builder.start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({})).await;
    send(&app, Request::new("POST", &source.path).body("x".repeat(LIMIT))).await.expect(200);
    let answer = send(&app, Request::new("POST", &source.path).body("x".repeat(LIMIT + 1))).await.expect(413);
    assert!(answer.body.is_empty(), "{}", answer.text());
    let logged = source.last(&app).await;
    assert_eq!((&logged["cause"], &logged["status_code"]), (&json!("body_too_large"), &json!(413)));
    assert_eq!(receiver.wait_for("/hook", 1, SOON).await[0].body.len(), LIMIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_may_answer_in_its_own_words() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let words = json!({ "status": 202, "contentType": "text/xml", "body": "<Response/>" });
    let fields = json!({ "answer": words, "dedupe": { "by": "content" } });
    let source = open_source(&app, &receiver, fields).await;
    for outcome in ["accepted", "duplicate"] {
        let answer = send(&app, Request::new("POST", &source.path).body("x")).await.expect(202);
        assert_eq!((answer.header("content-type"), &*answer.text()), (Some("text/xml"), "<Response/>"));
        let logged = source.last(&app).await;
        assert_eq!((&logged["outcome"], &logged["status_code"]), (&json!(outcome), &json!(202)));
    }
    source.patch(&app, json!({ "answer": null })).await;
    let answer = send(&app, Request::new("POST", &source.path).body("y")).await.expect(200);
    assert!(answer.body.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_comes_before_the_delivery() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    receiver.on("/hook", [crate::support::reply::Reply::Hang]);
    let source = open_source(&app, &receiver, json!({})).await;
    send(&app, Request::new("POST", &source.path).body("x")).await.expect(200);
    receiver.wait_for("/hook", 1, SOON).await;
    assert_eq!(source.messages(&app).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_page_by_page() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({ "dedupe": { "by": "content" } })).await;
    for body in ["a", "a", "b", "a", "c", "c", "d"] {
        send(&app, Request::new("POST", &source.path).body(body)).await.expect(200);
    }
    let whole: Vec<_> = source.log(&app).await.iter().map(|logged| logged["id"].clone()).collect();
    assert_eq!(whole.len(), 7);
    let (mut pages, mut iterator) = (Vec::new(), String::new());
    for _ in 0..whole.len() {
        let page = app.get(format!("{}/log?limit=2{iterator}", source.resource())).await.expect(200).json();
        pages.extend(page["data"].as_array().expect("a list").iter().map(|logged| logged["id"].clone()));
        if page["done"] == true {
            break;
        }
        iterator = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
    }
    assert_eq!(pages, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_read_for_its_id_and_goes_on_as_it_came() {
    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let dedupe = json!({ "by": "fields", "fields": ["/id"] });
    let source = open_source(&app, &receiver, json!({ "dedupe": dedupe })).await;
    let gzip = |text: &str, level: u32| {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(text.as_bytes()).expect("encoded");
        encoder.finish().expect("encoded")
    };
    let text = format!("{{\"id\":\"one\",\"pad\":\"{}\"}}", "ab".repeat(2_000));
    let (first, second) = (gzip(&text, 1), gzip(&text, 9));
    assert_ne!(first, second, "other bytes that say the same");
    for body in [&first, &second] {
        let request = Request::new("POST", &source.path).header("Content-Encoding", "gzip").body(body.clone());
        send(&app, request).await.expect(200);
    }
    assert_eq!(source.last(&app).await["outcome"], "duplicate");
    let arrived = receiver.wait_for("/hook", 1, SOON).await.remove(0);
    assert_eq!((arrived.header("content-encoding"), &arrived.body), (Some("gzip"), &first));
    // What is made to fill memory is kept as it is, and not read.
    let bomb = gzip(&format!("{{\"pad\":\"{}\",\"id\":\"one\"}}", "0".repeat(30 << 20)), 9);
    let request = Request::new("POST", &source.path).header("Content-Encoding", "gzip").body(bomb.clone());
    send(&app, request).await.expect(200);
    assert_eq!(receiver.wait_for("/hook", 2, SOON).await.remove(1).body, bomb);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_does_not_show_the_secret_that_a_request_brought() {
    let app = TestApp::start().await;
    let config = json!({ "header": "X-Own-Token", "token": "the-token-of-ours" });
    let source = Source::make(&app, "generic-token", config).await;
    let request = || Request::new("POST", &source.path).header("Authorization", "Bearer somebody").body("{}");
    send(&app, request().header("X-Own-Token", "the-token-of-ours")).await.expect(200);
    send(&app, request().header("X-Other", "is the-token-of-ours")).await.expect(401);
    let log = source.log(&app).await;
    assert_eq!(log.len(), 2);
    for logged in log {
        let text = logged.to_string();
        assert!(!text.contains("the-token-of-ours") && !text.contains("somebody"), "{text}");
        assert!(text.contains("********"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_that_begin_alike_are_not_the_same_content() {
    use std::io::Write as _;

    let (app, receiver) = (TestApp::start().await, Receiver::start().await);
    let source = open_source(&app, &receiver, json!({ "dedupe": { "by": "content" } })).await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"{\"id\":1}").expect("encoded");
    let whole = encoder.finish().expect("encoded");
    // What is behind it cannot be read, and is content all the same.
    let bodies = [[&whole[..], b"one"].concat(), [&whole[..], b"two"].concat()];
    for (number, body) in bodies.iter().enumerate() {
        let request = Request::new("POST", &source.path).header("Content-Encoding", "gzip").body(body.clone());
        send(&app, request).await.expect(200);
        let arrived = receiver.wait_for("/hook", number + 1, SOON).await;
        assert!(arrived.iter().any(|arrived| arrived.body == *body), "{number}");
    }
}
