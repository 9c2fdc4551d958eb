//! How answers are built. Every one says `nosniff` and, as all of it is data, `no-store`.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;

/// A JSON answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // Structs of strings and numbers: serialising them cannot fail.
    bytes(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

/// An answer whose body is ready.
pub(super) fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::from(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    *headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    common(headers);
    answer
}

/// 204.
pub(super) fn no_content() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    common(answer.headers_mut());
    answer
}

fn common(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Appends a JSON string.
pub(super) fn push_str(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// Appends a JSON array of strings; `null` where there are none.
pub(super) fn push_strs(out: &mut Vec<u8>, texts: &[String]) {
    if texts.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    for (i, text) in texts.iter().enumerate() {
        out.push(if i == 0 { b'[' } else { b',' });
        push_str(out, text);
    }
    out.push(b']');
}
