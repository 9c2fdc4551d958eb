//! What the properties of bodies take, with the bounds of the rules that judge them.

use serde_json::{Value, json};

use super::access;
use super::values::{nullable, number, text, texts};
use crate::api::message::EVENT_TYPES_MAX;
use crate::api::validate::{self, TEXT_BYTES_MAX};
use crate::api::{endpoint_in, event_type, look, message_in, portal, secret, settings, usage};
use crate::model::Capability;
use crate::store::command::HEADERS_MAX;

/// What a property takes; `None` if nothing is said of it.
pub(super) fn property(body: &str, name: &str) -> Option<Value> {
    match body {
        "ApplicationIn" | "ApplicationPatch" => application_property(body, name),
        "EndpointIn"
        | "EndpointUpsertIn"
        | "EndpointPatch"
        | "IngestEndpointIn"
        | "IngestEndpointUpsertIn"
        | "OperationalWebhookEndpointIn"
        | "OperationalWebhookEndpointUpsertIn" => endpoint_property(body, name),
        "EndpointHeadersIn"
        | "EndpointHeadersPatchIn"
        | "IngestEndpointHeadersIn"
        | "OperationalWebhookEndpointHeadersIn" => header_property(body, name),
        "EndpointSecretRotateIn" | "IngestEndpointSecretIn" | "OperationalWebhookEndpointSecretIn" => {
            secret_property(name)
        }
        "EventTypeIn" | "EventTypeUpsertIn" | "EventTypePatch" => event_type_property(name),
        "RecoverIn" | "VerifyAgainIn" | "ReplayIn" | "BulkReplayIn" | "CancelMsgsIn" => recover_property(name),
        "AppUsageStatsIn" => usage_property(name),
        "MessageTryIn" => try_property(name),
        "EventTypeImportOpenApiIn" => import_property(name),
        "EventExampleIn" => example_property(name),
        "RetryScheduleInOut" => schedule_property(name),
        "IngestSourceIn" | "IngestSourcePatch" => source_property(name),
        "MessageIn" => message_property(name),
        "MessageSearchIn" => super::parameters::searched(name),
        "AppPortalAccessIn" => portal_property(name),
        "SessionIn"
        | "OneTimeTokenIn"
        | "ApplicationTokenExpireIn"
        | "EnvironmentModelIn"
        | "EnvironmentModelUpdate"
        | "ApiTokenIn"
        | "ApiTokenUpdate"
        | "ApiTokenPatch"
        | "ApiTokenExpireIn" => access::property(body, name),
        "SettingsInternalIn" | "SettingsInternalPatch" => setting(name),
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
            "propertyNames": { "pattern": "^[^\\x00]*$" },
            "additionalProperties": { "type": "string", "pattern": "^[^\\x00]*$" },
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

fn source_property(name: &str) -> Option<Value> {
    Some(match name {
        "name" => text(&validate::NAME, "What people call it."),
        "uid" => nullable(json!({
            "type": "string", "minLength": 1, "maxLength": 60, "pattern": "^(?!src_)[a-zA-Z0-9_-]+$",
            "description": "Your own name for it, unique among sources; paths take it in place of the id.",
        })),
        "metadata" => common("", name)?,
        "type" => {
            text(&validate::NAME, "Required. The provider's type, as `GET /ingest/api/v1/source-type` lists them.")
        }
        "config" => nullable(json!({
            "type": "object", "additionalProperties": true,
            "description": "The type's configuration; its schema is listed with the type.",
        })),
        "appId" => nullable(text(
            &validate::UID,
            "The application, by id or uid, whose endpoints get what it receives; one of its own if left out. An \
             addition of this server.",
        )),
        "dedupe" => json!({ "$ref": "#/components/schemas/DedupeDto" }),
        "answer" => json!({ "anyOf": [{ "$ref": "#/components/schemas/SourceAnswerDto" }, { "type": "null" }] }),
        "sync" => json!({ "anyOf": [{ "$ref": "#/components/schemas/SourceSyncDto" }, { "type": "null" }] }),
        "allowedNetworks" => json!({
            "type": "array", "items": { "type": "string" }, "maxItems": 1_000,
            "description": "Networks (CIDR) that may send; none means all. An addition of this server.",
        }),
        "requestsPerSecond" => nullable(number(
            (1_u32, 1_000_000),
            "Requests a second beyond which senders are told to wait (429). An addition of this server.",
        )),
        "forwardPath" => json!({
            "type": "boolean",
            "description": "Whether what stands behind the token, and the query, go on to the endpoints. An addition \
                            of this server.",
        }),
        _ => return None,
    })
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
            text(&validate::EVENT_TYPE, "Types of events that it wants, in 32768 bytes at most; null means all."),
            (items_min, endpoint_in::EVENT_TYPES_MAX),
        ),
        "channels" => bounded(
            text(&validate::CHANNEL, "Channels that it wants; null means all."),
            (items_min, endpoint_in::CHANNELS_MAX),
        ),
        "secret" => key(
            "What deliveries are signed with: `whsec_` and base64 of 24 to 64 bytes, or `whsk_` and base64 of a key \
             pair of ed25519. One is drawn if it is left out.",
        ),
        "headers" => nullable(headers("Headers that every delivery carries, none of which is HTTP's or ours.")),
        "retrySchedule" => schedule(
            "Seconds before each retry; null means the schedule of the event type, the environment or the server. An \
             addition of this server.",
        ),
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
            "description": "JSON Schemas of its payload, by version, at most 131072 bytes and 100 levels deep.",
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
            nullable(number((1, message_in::RETENTION_DAYS_MAX), "Days for which the payload is kept."))
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
        "application" => {
            inline_application("The application as it is made where the path names a uid that nobody has.")
        }
        _ => return None,
    })
}

fn boolean(says: &str) -> Value {
    json!({ "type": "boolean", "description": says })
}

fn description(says: &str) -> Value {
    json!({ "type": "string", "maxLength": TEXT_BYTES_MAX, "pattern": validate::TEXT_PATTERN, "description": says })
}

fn inline_application(says: &str) -> Value {
    json!({
        "anyOf": [{ "$ref": "#/components/schemas/ApplicationIn" }, { "type": "null" }],
        "description": says,
    })
}

fn recover_property(name: &str) -> Option<Value> {
    let time = |says: &str| json!({ "type": "string", "format": "date-time", "description": says });
    match name {
        "since" => Some(time("What is older is left as it is.")),
        "until" => Some(nullable(time("What is younger is left as it is; now, if left out. After `since`."))),
        "createdBefore" => Some(time("What is younger is left as it is.")),
        "eventTypes" => Some(nullable(texts(
            text(&validate::EVENT_TYPE, "Of these types; all, if left out."),
            (0, EVENT_TYPES_MAX),
        ))),
        "channel" => Some(nullable(text(&validate::CHANNEL, "With this channel."))),
        "tag" => Some(nullable(text(&validate::TAG, "With this tag."))),
        "status" => Some(nullable(number((0_u16, 4), "Whose delivery to the endpoint stands so."))),
        "statusCodeClass" => Some(json!({
            "type": ["integer", "null"], "enum": [0, 100, 200, 300, 400, 500, null],
            "description": "Whose last attempt was answered with this class; 0 without an answer.",
        })),
        _ => None,
    }
}

fn usage_property(name: &str) -> Option<Value> {
    let time = |says: &str| json!({ "type": "string", "format": "date-time", "description": says });
    match name {
        "since" => Some(time("Messages made from then on are counted.")),
        "until" => Some(time("And before then.")),
        "appIds" => Some(nullable(texts(
            text(&validate::UID, "Only these applications, by id or uid; all, if left out."),
            (0, usage::APPS_MAX),
        ))),
        _ => None,
    }
}

fn try_property(name: &str) -> Option<Value> {
    match name {
        "url" => Some(json!({
            "type": "string", "format": "uri", "minLength": 1, "maxLength": endpoint_in::URL_BYTES_MAX,
            "description": "Where the message is posted to, once.",
        })),
        "endpointId" => {
            Some(nullable(text(&validate::UID, "Whose secret and headers are used; without one a secret is drawn.")))
        }
        _ => None,
    }
}

fn import_property(name: &str) -> Option<Value> {
    match name {
        "dryRun" => Some(json!({ "type": "boolean", "description": "Nothing is changed." })),
        "replaceAll" => Some(
            json!({ "type": "boolean", "description": "Event types that the document does not have are archived." }),
        ),
        "spec" => Some(nullable(json!({
            "type": "object", "additionalProperties": true,
            "description": "An OpenAPI 3.1 document; its `webhooks` (or `x-webhooks`) are read.",
        }))),
        "specRaw" => Some(json!({ "type": ["string", "null"], "description": "The same as a text of JSON." })),
        _ => None,
    }
}

fn example_property(name: &str) -> Option<Value> {
    match name {
        "eventType" => Some(text(&validate::EVENT_TYPE, "A registered event type.")),
        "exampleIndex" => Some(number((0, u16::MAX), "Which of the examples that its newest schema lists.")),
        _ => None,
    }
}

/// A schedule as the API writes it: seconds.
fn schedule(says: &str) -> Value {
    nullable(json!({
        "type": "array",
        "maxItems": endpoint_in::RETRIES_MAX,
        "items": { "type": "integer", "minimum": 1, "maximum": endpoint_in::RETRY_S_MAX },
        "description": says,
    }))
}

/// A schedule as the contract writes those of event types.
fn schedule_property(name: &str) -> Option<Value> {
    let (secs, nanos) = (number((1, endpoint_in::RETRY_S_MAX), "Seconds."), number((0_u16, 0), "Only whole seconds."));
    (name == "retrySchedule").then(|| {
        nullable(json!({
            "type": "array",
            "maxItems": endpoint_in::RETRIES_MAX,
            "items": {
                "type": "object",
                "properties": { "secs": secs, "nanos": nanos },
                "required": ["secs", "nanos"],
            },
            "description": "The time before each retry; null means the schedule of the environment or of the server.",
        }))
    })
}

fn headers(says: &str) -> Value {
    json!({
        "type": "object",
        "additionalProperties": { "type": "string" },
        "maxProperties": HEADERS_MAX,
        "description": says,
    })
}

fn header_property(body: &str, name: &str) -> Option<Value> {
    let is_patch = body.ends_with("PatchIn");
    Some(match name {
        "headers" if is_patch => {
            let mut of = headers("Headers to set; null removes one.");
            of["additionalProperties"]["type"] = json!(["string", "null"]);
            of
        }
        "headers" => headers("Every header that deliveries carry from now on, none of which is HTTP's or ours."),
        "deleteHeaders" => nullable(texts(text(&validate::HEADER_NAME, "Headers to remove."), (0, HEADERS_MAX))),
        _ => return None,
    })
}

/// A secret that signs.
fn key(says: &str) -> Value {
    nullable(json!({
        "type": "string", "pattern": "^(whsec_|whsk_)?[a-zA-Z0-9+/=]{32,100}$", "description": says,
    }))
}

fn secret_property(name: &str) -> Option<Value> {
    Some(match name {
        "key" => key("The new secret. One is drawn if it is left out."),
        "gracePeriodSeconds" => {
            let mut of = number((0, secret::GRACE_S_MAX), "How long the secret before goes on signing as well.");
            of["default"] = secret::GRACE_S.into();
            nullable(of)
        }
        _ => return None,
    })
}

fn portal_property(name: &str) -> Option<Value> {
    let capabilities = Capability::ALL.map(Capability::as_str);
    Some(match name {
        "application" => {
            inline_application("The application as it is made where the path names a uid that nobody has.")
        }
        "readOnly" => {
            let mut of = nullable(boolean("The same as the capability `ViewBase` alone, over `capabilities`."));
            of["deprecated"] = true.into();
            of
        }
        "capabilities" => nullable(texts(
            json!({ "type": "string", "enum": capabilities, "description": "What the token allows; all if left out." }),
            (0, capabilities.len()),
        )),
        "featureFlags" => nullable(texts(
            text(&validate::EVENT_TYPE, "Event types with one of these flags are shown, too."),
            (1, portal::FEATURE_FLAGS_MAX),
        )),
        "expiry" => {
            let mut of = number((portal::EXPIRY_S_MIN, portal::EXPIRY_S), "Seconds until the token ends.");
            of["default"] = portal::EXPIRY_S.into();
            nullable(of)
        }
        "sessionId" => nullable(text(&validate::SESSION, "Names a session, whose tokens can be ended together.")),
        _ => return None,
    })
}

/// A setting of an environment, taken and shown.
pub(super) fn setting(name: &str) -> Option<Value> {
    if !settings::FIELDS.contains(&name) {
        return None;
    }
    Some(match name {
        "retryPolicy" => schedule("Seconds before each retry; null means the schedule of the server."),
        "whitelabelHeaders" => boolean("`webhook-*` headers where true, `svix-*` where false."),
        "sendSvixWebhookHeaders" => boolean("Whether both kinds of headers are sent."),
        "enforceHttps" => {
            boolean("What `egress.https_only` of the server's configuration says; nothing else is taken.")
        }
        name if look::NAMES.contains(&name) => return access::of_look(name),
        _ => {
            let value = settings::fixed(name);
            let kind = match &value {
                Value::Null => "null",
                Value::Array(_) => "array",
                _ => "boolean",
            };
            json!({ "type": kind, "const": value, "description": "Has this one value here." })
        }
    })
}
