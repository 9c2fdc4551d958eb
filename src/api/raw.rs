//! The bytes of a message as they were accepted.

use axum::body::Body;
use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::ApiError;

type Answer = Result<Response<Body>, ApiError>;

/// What stands where the bytes are gone.
const EXPIRED: &[u8] = b"{\"expired\":true}";
const BYTES: &str = "application/octet-stream";

/// The bytes of a message as a text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageRawPayloadOut")]
pub(super) struct RawOut<'a> {
    /// What is no UTF-8 in it reads U+FFFD.
    payload: &'a str,
}

/// `GET /app/{app_id}/msg/{msg_id}/raw`: the bytes as a text in JSON, or, to who accepts
/// `application/octet-stream` or asks for a download, the bytes themselves with their media type.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("msg_id")?;
    let mut query = call.query();
    let download = query.boolean("download", false);
    query.finish()?;
    let app = call.app().await?;
    let message = call.message(&app, true).await?;
    if !download && !accepts_bytes(&call.parts.headers) {
        let bytes = message.payload.as_deref().unwrap_or(EXPIRED);
        let mut answer = answer::json(StatusCode::OK, &RawOut { payload: &String::from_utf8_lossy(bytes) });
        answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        return Ok(answer);
    }
    let (bytes, content_type) = match message.payload {
        Some(bytes) => (bytes, message.envelope.content_type),
        None => (EXPIRED.into(), None),
    };
    let mut answer = answer::bytes(StatusCode::OK, "application/json", bytes);
    let headers = answer.headers_mut();
    if let Some(content_type) = content_type.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    // The bytes and their type are those of who sent them: no browser is to run them as ours.
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}

/// Whether the request names the media type of mere bytes, and does not refuse it.
fn accepts_bytes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case(BYTES));
        let refused = |part: &str| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
        };
        named && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_for_those_who_name_them() {
        for (accept, expected) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["application/json"], false),
            (&["application/octet-stream"], true),
            (&["text/html, Application/Octet-Stream; q=0.1"], true),
            (&["application/octet-stream;q=0"], false),
            (&["application/octet-stream; Q=0.000, application/json"], false),
            (&["application/json", "application/octet-stream"], true),
            (&["application/octet-streams"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(accepts_bytes(&headers), expected, "{accept:?}");
        }
    }
}
