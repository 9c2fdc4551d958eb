//! What goes wrong, whatever bytes come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body::Frame;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::support::{KEY, TestApi};
use crate::accept::NotAccepted;
use crate::api::error::{ApiError, Code};
use crate::store::ReadError;
use crate::store::command::Refusal;
use crate::store::journal::NotTaken;

#[test]
fn codes_are_distinct() {
    let names: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
}

#[test]
fn what_is_not_accepted_has_a_status_of_its_own() {
    for (error, status, code) in [
        (NotAccepted::NotTaken(NotTaken::Full), 503, Code::JournalFull),
        (NotAccepted::NotTaken(NotTaken::Closed), 503, Code::Unavailable),
        (NotAccepted::Closed("stopping"), 503, Code::Unavailable),
        (NotAccepted::Read(ReadError::TooSlow(5)), 503, Code::Unavailable),
        (NotAccepted::Refused(Refusal::Full), 503, Code::StorageFull),
        (NotAccepted::Refused(Refusal::Failed), 503, Code::StorageFailed),
        (NotAccepted::Refused(Refusal::NotFound), 404, Code::NotFound),
    ] {
        let error = ApiError::from(error);
        assert!(matches!(error, ApiError::Coded(found, _) if found == code), "{error:?}");
        let answer = error.into_answer();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
    }
}

#[tokio::test]
async fn a_key_that_was_tried_too_early_opens_once_it_is_made() {
    let api = TestApi::start().await;
    let status = async || {
        let request = Request::builder().uri("/api/v1/app").header("authorization", "Bearer early");
        api.send(request.body(Body::empty()).expect("a request")).await.status.as_u16()
    };
    assert_eq!((status().await, status().await), (401, 401));
    api.environment("other", "early").await;
    assert_eq!(status().await, 200);
}

/// A body that never comes.
struct Never;

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let api = TestApi::start().await;
    let answer = api.call("POST", "/app", Body::new(Never)).await;
    assert_eq!(answer.headers["connection"], "close");
    answer.expect_code(408, "request_timeout");
}

#[tokio::test]
async fn only_a_known_key_opens_anything() {
    let api = TestApi::start().await;
    let long = format!("Bearer {}", "k".repeat(5_000));
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer unknown",
        KEY,
        "Basic dGVzdF9rZXk6",
        "Bearer  \t",
        "Bearer test_key test_key",
        &long,
    ] {
        let request = Request::builder().method("POST").uri("/api/v1/app").header("authorization", value);
        // The body is not looked at.
        let answer = api.send(request.body(Body::from("{")).expect("a request")).await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        answer.expect_code(401, "authentication_failed");
    }
    let request = Request::builder().uri("/api/v1/app/%ff").body(Body::empty());
    api.send(request.expect("a request")).await.expect_code(401, "authentication_failed");
    let request = Request::builder().uri("/api/v1/app").header("authorization", format!("bearer {KEY}"));
    api.send(request.body(Body::empty()).expect("a request")).await.expect(200);
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_say_so() {
    let api = TestApi::start().await;
    api.get("/nothing").await.expect_code(404, "not_found");
    api.get("//nothing").await.expect_code(404, "not_found");
    let answer = api.call("DELETE", "/app", "").await;
    assert_eq!(answer.headers["allow"], "GET, POST, HEAD");
    answer.expect_code(405, "method_not_allowed");
    api.get("/app/one/destination").await.expect_code(501, "not_implemented");
    // A name that is also an operation of its own is still a name.
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    api.post("/app/one/msg", r#"{"eventType":"a","payload":{},"eventId":"search"}"#).await.expect(202);
    assert_eq!(api.get("/app/one/msg/search").await.expect(200)["eventId"], "search");
    assert_eq!(api.post("/app/one/msg/search", "{}").await.expect(200)["data"][0]["eventId"], "search");
    api.post("/app/one/msg/bulk-expunge", "{}").await.expect_code(501, "not_implemented");
}

#[tokio::test]
async fn health_is_for_everybody() {
    let api = TestApi::start().await;
    for path in ["/health", "/health/ping"] {
        for method in ["GET", "HEAD"] {
            let request = Request::builder().method(method).uri(format!("/api/v1{path}")).body(Body::empty());
            api.send(request.expect("a request")).await.expect(204);
        }
    }
    let ready = api.get("/health/ready").await.expect(200);
    assert_eq!((&ready["status"], &ready["accepting"]), (&"ready".into(), &true.into()));
    let metrics = api.get("//metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.headers["content-type"].to_str().is_ok_and(|value| value.starts_with("application/openmetrics-text"))
    );
    api.gateway.admission.drain();
    let ready = api.get("/health/ready").await.expect(503);
    assert_eq!((&ready["draining"], &ready["accepting"]), (&true.into(), &false.into()));
    api.post("/app", r#"{"name":"in flight"}"#).await.expect(201);
    api.gateway.admission.set_disk_low(true);
    api.post("/app", r#"{"name":"b","uid":"b"}"#).await.expect(201);
    let answer = api.post("/app/b/msg", r#"{"eventType":"a","payload":{}}"#).await;
    assert_eq!(answer.headers["retry-after"], "1");
    answer.expect_code(503, "unavailable");
}

#[tokio::test]
async fn bodies_that_are_not_json_are_refused() {
    let api = TestApi::start().await;
    for body in ["", "{", "{]", r#"{"name":"a"} x"#, r#"{"name":"a"}{}"#, "\u{feff}{}", "{\"name\":\"\u{1}\"}", "nul"] {
        api.post("/app", body).await.expect_code(400, "invalid_json");
    }
    api.call("POST", "/app", &b"{\"name\":\"\xff\"}"[..]).await.expect_code(400, "invalid_json");
    for open in ["[", "{\"a\":"] {
        api.post("/app", &open.repeat(100_000)).await.expect_invalid(&["body"]);
        api.post("/app", &format!("{{\"x\":{}", open.repeat(128))).await.expect_invalid(&["body"]);
    }
    let deep = |levels: usize| format!(r#"{{"name":"a","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    api.post("/app", &deep(127)).await.expect(201);
    api.post("/app", &deep(128)).await.expect_invalid(&["body"]);
    let brackets = format!(r#"{{"name":"{}\"{}"}}"#, "[".repeat(500), "{".repeat(500));
    api.post("/app", &brackets).await.expect(201);
    let long = format!(r#"{{"name":"a","x":"{}"}}"#, "x".repeat(1 << 20));
    let answer = api.post("/app", &long).await;
    assert_eq!(answer.headers["connection"], "close");
    answer.expect_code(413, "payload_too_large");
}

#[tokio::test]
async fn names_in_paths_are_judged_after_the_key() {
    let api = TestApi::start().await;
    for name in ["%00", "%ff", "a%20b", "a%2Fb", "%ed%a0%80", "%F0%9F%92%A9", "%", &"a".repeat(257)] {
        for rest in ["", "/endpoint", "/msg"] {
            api.get(&format!("/app/{name}{rest}")).await.expect_invalid(&["path", "app_id"]);
        }
        api.get(&format!("/event-type/{name}")).await.expect_invalid(&["path", "event_type_name"]);
    }
}

/// No input gives a 5xx.
#[test]
fn any_bytes_are_answered_with_a_reason() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let api = runtime.block_on(async {
        let api = TestApi::start().await;
        api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
        api
    });
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        r#"\{"(name|url|eventType|payload|uid|metadata)":(null|0|-1|1e999|""|"\\u0000"|"\\ud800"|\[\]|\{\}|\[\[\]\]),?"?\}?"#
            .prop_map(String::into_bytes),
    ];
    let path = prop_oneof![
        Just("/app".to_owned()),
        Just("/event-type".to_owned()),
        Just("/app/one/endpoint".to_owned()),
        Just("/app/one/msg".to_owned()),
        "/app/[a-z%0-9.~-]{0,6}(/(msg|endpoint|attempt/msg)(/[a-z%0-9]{0,6})?)?(\\?[a-z_]{1,8}=[%a-z0-9,+-]{0,8})?",
    ];
    let method = proptest::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]);
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(method, path, body), |(method, path, body)| {
        let uri = format!("/api/v1{path}");
        if uri.parse::<http::Uri>().is_err() || (method, path.as_str()) == ("DELETE", "/app/one") {
            return Ok(());
        }
        let answer = runtime.block_on(api.call(method, &path, body));
        prop_assert!(answer.status.as_u16() < 500 || answer.status == 501, "{method} {path}: {answer:?}");
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    let _guard = runtime.enter();
    drop(api);
}
