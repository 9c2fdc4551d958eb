//! The SDKs of version 1, which call two fields of endpoints and applications by older names and
//! require one that is no more. They are known by their `User-Agent`. What they send is renamed
//! before it is read, and what they get is completed; all else sees the names of today only.
//!
//! Without this a limit to event types would be passed over as an unknown field, and the endpoint
//! would be sent everything.

use std::fmt;

use axum::body::Body;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Older names, and what they are called today.
const RENAMED: [(&str, &str); 2] = [EVENT_TYPES, ("rateLimit", "throttleRate")];
const EVENT_TYPES: (&str, &str) = ("filterTypes", "eventTypes");
/// The version of an endpoint's form, which these SDKs require of an answer.
const VERSION: (&str, u8) = ("version", 1);
/// The ends of the paths whose bodies and answers are applications or endpoints, or lists of them.
const PATHS: [&str; 4] = ["/app", "/app/{app_id}", "/endpoint", "/endpoint/{endpoint_id}"];
/// Paths with such an end whose answers are something else.
const OTHERS: [&str; 1] = ["/attempt/endpoint/{endpoint_id}"];

/// Whether a request to this operation is by such an SDK and of what they name otherwise.
pub(super) fn concerned(pattern: &str, headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"svix-libs/1."));
    agent && PATHS.iter().any(|end| pattern.ends_with(end)) && !OTHERS.iter().any(|end| pattern.ends_with(end))
}

/// A body with the names of today; an older one counts where that of today is not there, or null. One
/// that is no JSON object stays as it is: what is wrong with it is said where all bodies are read, as is
/// a name that comes twice.
pub(super) fn read(body: Bytes) -> Bytes {
    let Ok(Members(mut members)) = serde_json::from_slice(&body) else { return body };
    let mut renamed = false;
    for (old, new) in RENAMED {
        if !members.iter().any(|(name, _)| name == old) {
            continue;
        }
        renamed = true;
        let is_given = members.iter().any(|(name, value)| name == new && value.get() != "null");
        members.retain(|(name, _)| name != if is_given { old } else { new });
        for (name, _) in members.iter_mut().filter(|(name, _)| name == old) {
            new.clone_into(name);
        }
    }
    // What is not renamed keeps its bytes, and with them what only they show.
    if renamed { serde_json::to_vec(&Members(members)).map_or(body.clone(), Bytes::from) } else { body }
}

/// The members of a JSON object as they came, also those whose name comes twice. No more than the body
/// has bytes.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MembersVisitor)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// An answer with the older names beside those of today.
pub(super) async fn answer(answer: Response<Body>) -> Response<Body> {
    let (mut parts, mut body) = answer.into_parts();
    let mut whole = Vec::new();
    // What we answer is in memory already; it ends.
    while let Some(Ok(frame)) = body.frame().await {
        whole.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    if let Ok(mut value) = serde_json::from_slice(&whole) {
        amend(parts.status, &mut value);
        whole = serde_json::to_vec(&value).unwrap_or(whole);
        parts.headers.remove(http::header::CONTENT_LENGTH);
    }
    Response::from_parts(parts, Body::from(whole))
}

fn amend(status: StatusCode, value: &mut Value) {
    if status.is_success() {
        match value.get_mut("data") {
            Some(Value::Array(rows)) => rows.iter_mut().filter_map(Value::as_object_mut).for_each(complete),
            _ => value.as_object_mut().into_iter().for_each(complete),
        }
    } else if let Some(Value::Array(problems)) = value.get_mut("detail") {
        for part in problems.iter_mut().filter_map(|problem| problem["loc"].as_array_mut()).flatten() {
            // The other name of today is known to the newer ones of them, and may be what was sent.
            if part == EVENT_TYPES.1 {
                *part = EVENT_TYPES.0.into();
            }
        }
    }
}

/// Writes an application or endpoint as these SDKs read it.
fn complete(row: &mut Map<String, Value>) {
    for (old, new) in RENAMED {
        if let Some(value) = row.get(new).cloned() {
            row.insert(old.to_owned(), value);
        }
    }
    if row.contains_key("url") {
        row.insert(VERSION.0.to_owned(), VERSION.1.into());
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_first_sdks_are_concerned_and_only_with_what_they_name_otherwise() {
        let by = |pattern: &str, agent: &'static str| {
            let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(agent))]);
            concerned(pattern, &headers)
        };
        for (pattern, agent, expected) in [
            ("/api/v1/app/{app_id}/endpoint", "svix-libs/1.99.1/python", true),
            ("/api/v1/app/{app_id}/msg/{msg_id}/endpoint", "svix-libs/1.60.0/javascript", true),
            ("/api/v1/operational-webhook/endpoint/{endpoint_id}", "svix-libs/1.4.0/rust", true),
            ("/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}", "svix-libs/1.99.1/python", false),
            ("/api/v1/app/{app_id}/msg", "svix-libs/1.99.1/python", false),
            ("/api/v1/app/{app_id}/endpoint", "svix-libs/2.9.1/python", false),
            ("/api/v1/app/{app_id}/endpoint", "svix-libs/10.0.0/python", false),
            ("/api/v1/app/{app_id}/endpoint", "curl/8.0", false),
        ] {
            assert_eq!(by(pattern, agent), expected, "{pattern} {agent}");
        }
        assert!(!concerned("/api/v1/app", &HeaderMap::new()));
    }

    #[test]
    fn older_names_are_read_as_those_of_today() {
        for (sent, read_as) in [
            (r#"{"filterTypes":["a"],"rateLimit":3}"#, r#"{"eventTypes":["a"],"throttleRate":3}"#),
            (r#"{"rateLimit":3,"throttleRate":4}"#, r#"{"throttleRate":4}"#),
            (r#"{"url": 1, "url": 2}"#, r#"{"url": 1, "url": 2}"#),
            (r#"{"url":1,"url":2,"filterTypes":["x"]}"#, r#"{"url":1,"url":2,"eventTypes":["x"]}"#),
            (r#"{"filterTypes":1,"filterTypes":2}"#, r#"{"eventTypes":1,"eventTypes":2}"#),
            (r#"{"filterTypes":["old"],"eventTypes":null}"#, r#"{"eventTypes":["old"]}"#),
            ("[1]", "[1]"),
            ("{", "{"),
        ] {
            assert_eq!(read(Bytes::from_static(sent.as_bytes())), read_as, "{sent}");
        }
    }

    #[test]
    fn answers_have_both_names_and_a_version() {
        let mut page = json!({"data": [{"url": "u", "eventTypes": null, "throttleRate": 2}], "done": true});
        amend(StatusCode::OK, &mut page);
        let row = json!({"url": "u", "eventTypes": null, "filterTypes": null, "throttleRate": 2, "rateLimit": 2, "version": 1});
        assert_eq!(page, json!({"data": [row], "done": true}));
        let mut app = json!({"name": "n", "throttleRate": null});
        amend(StatusCode::CREATED, &mut app);
        assert_eq!(app, json!({"name": "n", "throttleRate": null, "rateLimit": null}));
        let mut refused = json!({"detail": [{"loc": ["body", "eventTypes", "0"], "msg": "m", "type": "t"}]});
        amend(StatusCode::UNPROCESSABLE_ENTITY, &mut refused);
        assert_eq!(refused["detail"][0]["loc"], json!(["body", "filterTypes", "0"]));
    }
}
