//! Headers that are sent with each attempt of an endpoint: get (masked), put, patch.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{HeaderName, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::change;
use super::error::{ApiError, Kind};
use super::json::{Fields, Null};
use super::json_visit::TextMap;
use super::validate;
use crate::model::trace::is_sensitive;
use crate::store::command::{Change, HEADER_BYTES_MAX, HEADERS_MAX, HeadersPatch};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const PUT_FIELDS: [&str; 1] = ["headers"];
pub(super) const PATCH_FIELDS: [&str; 2] = ["headers", "deleteHeaders"];
/// Headers that we or HTTP own, and prefixes of such.
const RESERVED: [&str; 9] =
    ["host", "connection", "content-length", "transfer-encoding", "expect", "trailer", "upgrade", "te", "keep-alive"];
const RESERVED_PREFIXES: [&str; 3] = ["proxy-", "webhook-", "svix-"];

/// Headers that every delivery carries.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointHeadersOut")]
pub(super) struct HeadersOut<'a> {
    /// Those that can be shown.
    headers: BTreeMap<&'a str, &'a str>,
    /// The names of those that cannot.
    sensitive: Vec<&'a str>,
}

/// `GET …/endpoint/{endpoint_id}/headers`: of sensitive ones the names only.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let (_, endpoint) = call.endpoint().await?;
    let mut out = HeadersOut { headers: BTreeMap::new(), sensitive: Vec::new() };
    for (name, value) in &endpoint.spec.headers {
        if is_sensitive(name) {
            out.sensitive.push(name);
        } else {
            out.headers.insert(name, value);
        }
    }
    Ok(answer::json(StatusCode::OK, &out))
}

/// `PUT …/endpoint/{endpoint_id}/headers`: these and no others.
pub(super) async fn put(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &PUT_FIELDS, call.gateway.limits.json_depth_max)?;
    let given = fields.map("headers", Null::Refused);
    let headers = fields.require("headers", given).unwrap_or_default();
    check(&mut fields, &headers);
    fields.finish()?;
    let set = headers.into_iter().map(|(name, value)| (name, Some(value))).collect();
    commit(&call, &body, HeadersPatch { replace: true, set }).await
}

/// `PATCH …/endpoint/{endpoint_id}/headers`: these too; `null`, or being listed in `deleteHeaders`, removes.
pub(super) async fn patch(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &PATCH_FIELDS, call.gateway.limits.json_depth_max)?;
    let msg = "must be an object of strings and nulls";
    let given = fields.read("headers", Null::Refused, msg, |map: &TextMap<Option<String>>| {
        if map.has_duplicates {
            Err("has a name twice")
        } else if map.texts.len() > 2 * HEADERS_MAX {
            Err("has too many names")
        } else {
            Ok(())
        }
    });
    let mut set = fields.require("headers", given).map(|map| map.texts).unwrap_or_default();
    let named: BTreeMap<String, String> =
        set.iter().map(|(name, value)| (name.clone(), value.clone().unwrap_or_default())).collect();
    check(&mut fields, &named);
    let removed = fields.texts("deleteHeaders", (0, HEADERS_MAX), Null::Taken, &validate::HEADER_NAME);
    set.extend(removed.value().unwrap_or_default().into_iter().map(|name| (name, None)));
    fields.finish()?;
    commit(&call, &body, HeadersPatch { replace: false, set }).await
}

async fn commit(call: &Call, body: &[u8], patch: HeadersPatch) -> Answer {
    let (app, endpoint) = call.endpoint().await?;
    let change = Change::SetHeaders { app: app.app.key(), endpoint: endpoint.key(), patch };
    change::commit(call, change, body, change::nothing).await
}

/// Notes what is wrong with headers that are to be sent.
pub(super) fn check<const N: usize>(fields: &mut Fields<'_, N>, headers: &BTreeMap<String, String>) {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        fields.problem("headers", "must be at most 64 headers and 16384 bytes", Kind::Value);
    }
    let mut seen: Vec<HeaderName> = Vec::new();
    for (name, value) in headers.iter().take(HEADERS_MAX) {
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            fields.problem_in("headers", name.clone(), "is not a name of a header");
            continue;
        };
        let text = parsed.as_str();
        if RESERVED.contains(&text) || RESERVED_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            fields.problem_in("headers", name.clone(), "is a header that cannot be set");
        } else if !value.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte)) {
            fields.problem_in("headers", name.clone(), "its value must be visible ASCII");
        } else if seen.contains(&parsed) {
            fields.problem_in("headers", name.clone(), "is given twice");
        }
        seen.push(parsed);
    }
}
