//! The bodies that are taken. Which properties one has is read from the names that its reader
//! knows; what each of them takes is said here, with the bounds of the rules that judge it.

use serde_json::{Map, Value, json};

use super::values::{nullable, number, text, texts};
use crate::api::validate::{self, TEXT_BYTES_MAX};
use crate::api::{application, endpoint_in, event_type, message_in};

/// A body.
pub(in crate::api) struct BodyOf {
    pub(in crate::api) name: &'static str,
    /// The names that the reader knows.
    pub(in crate::api) fields: &'static [&'static str],
    /// Those of them that this body may hold and that change nothing.
    pub(in crate::api) passed_over: &'static [&'static str],
    pub(in crate::api) required: &'static [&'static str],
    /// One that is taken as it stands.
    pub(in crate::api) example: Value,
}

/// Every body.
pub(in crate::api) fn all() -> Vec<BodyOf> {
    let body = |name, fields, required, example| BodyOf { name, fields, passed_over: &[], required, example };
    let endpoint: &[&str] = &endpoint_in::FIELDS;
    let kept = &["secret", "headers"];
    let url = "https://example.com/webhooks";
    vec![
        body("ApplicationIn", &application::FIELDS, &["name"], json!({ "name": "Acme", "uid": "acme" })),
        body("ApplicationPatch", &application::FIELDS, &[], json!({ "throttleRate": 100 })),
        body("EndpointIn", endpoint, &["url"], json!({ "url": url, "eventTypes": ["invoice.paid"] })),
        BodyOf {
            passed_over: kept,
            ..body("EndpointUpsertIn", endpoint, &["url"], json!({ "url": url, "description": "Billing" }))
        },
        BodyOf { passed_over: kept, ..body("EndpointPatch", endpoint, &[], json!({ "disabled": true })) },
        body(
            "EventTypeIn",
            &event_type::FIELDS,
            &["name", "description"],
            json!({ "name": "invoice.paid", "description": "An invoice was paid in full." }),
        ),
        body(
            "MessageIn",
            &message_in::FIELDS,
            &["eventType", "payload"],
            json!({ "eventType": "invoice.paid", "payload": { "invoice": "in_1", "amount": 4200 } }),
        ),
    ]
}

impl BodyOf {
    /// The names of its properties.
    pub(in crate::api) fn properties(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().copied().filter(|name| !self.passed_over.contains(name))
    }

    /// Its schema; a property that nothing is said of is `null`, which a test finds.
    pub(in crate::api) fn schema(&self) -> Value {
        let of = |name: &'static str| (name.to_owned(), property(self.name, name).unwrap_or_default());
        let properties: Map<String, Value> = self.properties().map(of).collect();
        let mut schema = json!({ "type": "object", "properties": properties, "examples": [self.example] });
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        schema
    }
}

/// What a property takes.
fn property(body: &str, name: &str) -> Option<Value> {
    match body {
        "ApplicationIn" | "ApplicationPatch" => application_property(body, name),
        "EndpointIn" | "EndpointUpsertIn" | "EndpointPatch" => endpoint_property(body, name),
        "EventTypeIn" => event_type_property(name),
        "MessageIn" => message_property(name),
        _ => None,
    }
}

/// What several bodies have.
fn common(body: &str, name: &str) -> Option<Value> {
    let is_patch = body.ends_with("Patch");
    Some(match name {
        "uid" => nullable(text(
            &validate::UID,
            "Your own name for it, unique among its kind; paths take it in place of the id. It must not have the \
             form of an id.",
        )),
        "metadata" => json!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "description": format!("Texts by name that are kept with it, {TEXT_BYTES_MAX} bytes together."),
        }),
        "throttleRate" if is_patch => {
            nullable(number((0, u16::MAX), "Attempts in a second, with a burst of one second; null and 0 remove it."))
        }
        "throttleRate" => nullable(number((1, u16::MAX), "Attempts in a second, with a burst of one second.")),
        _ => return None,
    })
}

fn application_property(body: &str, name: &str) -> Option<Value> {
    match name {
        "name" => Some(text(&validate::NAME, "What people call it.")),
        _ => common(body, name),
    }
}

fn endpoint_property(body: &str, name: &str) -> Option<Value> {
    let items_min = usize::from(!body.ends_with("Patch"));
    let bounded = |of: Value, bounds| nullable(texts(of, bounds));
    Some(match name {
        "url" => json!({
            "type": "string", "format": "uri", "minLength": 1, "maxLength": endpoint_in::URL_BYTES_MAX,
            "description": "Where messages are posted to, by `https` or `http`.",
        }),
        "description" => description("What people call it."),
        "disabled" => boolean("Whether nothing is sent to it. What it would have got is held."),
        "eventTypes" => bounded(
            text(&validate::EVENT_TYPE, "Types of events that it wants; null means all."),
            (items_min, endpoint_in::EVENT_TYPES_MAX),
        ),
        "channels" => bounded(
            text(&validate::CHANNEL, "Channels that it wants; null means all."),
            (items_min, endpoint_in::CHANNELS_MAX),
        ),
        "secret" => nullable(json!({
            "type": "string", "pattern": "^(whsec_)?[a-zA-Z0-9+/=]{32,100}$",
            "description": "What deliveries are signed with: base64 of 24 to 64 bytes. One is drawn if it is left out.",
        })),
        "headers" => nullable(json!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "maxProperties": endpoint_in::HEADERS_MAX,
            "description": "Headers that every delivery carries, none of which is HTTP's or ours.",
        })),
        "retrySchedule" => nullable(json!({
            "type": "array",
            "maxItems": endpoint_in::RETRIES_MAX,
            "items": { "type": "integer", "minimum": 1, "maximum": endpoint_in::RETRY_S_MAX },
            "description": "Seconds before each retry; null means the schedule of the event type or of the server. \
                            An addition of this server.",
        })),
        _ => return common(body, name),
    })
}

fn event_type_property(name: &str) -> Option<Value> {
    Some(match name {
        "name" => text(&validate::EVENT_TYPE, "A dotted name."),
        "description" => description("What has happened when it is sent."),
        "archived" => boolean("Whether lists leave it out."),
        "deprecated" => boolean("Whether it should no longer be chosen."),
        "schemas" => nullable(json!({
            "type": "object", "additionalProperties": true,
            "description": "JSON Schemas of its payload, by version, at most 100 levels deep.",
        })),
        "groupName" => nullable(text(&validate::EVENT_TYPE, "Under which it is shown.")),
        "featureFlags" => nullable(texts(
            text(&validate::EVENT_TYPE, "Kept and shown; nobody is refused for it."),
            (1, event_type::FEATURE_FLAGS_MAX),
        )),
        _ => return None,
    })
}

fn message_property(name: &str) -> Option<Value> {
    Some(match name {
        "eventType" => text(&validate::EVENT_TYPE, "Need not be registered."),
        "payload" => json!({
            "type": "object", "additionalProperties": true, "description": "What is signed and sent, byte for byte.",
        }),
        "eventId" => nullable(text(&validate::UID, "Your own id of the event, unique in its application.")),
        "channels" => nullable(texts(
            text(&validate::CHANNEL, "Only endpoints of one of these channels, or of none, get it."),
            (1, message_in::CHANNELS_MAX),
        )),
        "tags" => nullable(texts(text(&validate::TAG, "By which it can be found."), (0, message_in::TAGS_MAX))),
        "deliverAt" => nullable(json!({
            "type": "string", "format": "date-time",
            "description": "Not to be sent before, at most 90 days ahead; the past means now.",
        })),
        "payloadRetentionPeriod" => {
            nullable(number((1, crate::accept::PAYLOAD_DAYS), "Days for which the payload is kept."))
        }
        "payloadRetentionHours" => nullable(number(
            (1, message_in::RETENTION_HOURS_MAX),
            "Hours for which the payload is kept, rounded up to days; comes before days.",
        )),
        "transformationsParams" => nullable(json!({
            "type": "object", "additionalProperties": true,
            "description": "`rawPayload` is a text that is sent in place of the payload, and `headers.content-type` \
                            its media type.",
        })),
        "application" => nullable(json!({
            "type": "object", "additionalProperties": true,
            "description": "An application to be made where the path names none.",
        })),
        _ => return None,
    })
}

fn boolean(says: &str) -> Value {
    json!({ "type": "boolean", "description": says })
}

fn description(says: &str) -> Value {
    json!({ "type": "string", "maxLength": TEXT_BYTES_MAX, "pattern": validate::TEXT_PATTERN, "description": says })
}
