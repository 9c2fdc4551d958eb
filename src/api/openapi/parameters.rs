//! Parameters of paths, queries and heads.

use serde_json::{Value, json};

use super::describe::{Described, Pages, Tag};
use super::values::{id, id_pattern, text};
use crate::api::page::LIMIT_MAX;
use crate::api::{background_task, call, endpoint_list, events, message, overview, searched, stats, validate};
use crate::model::{IdKind, TaskStatus};
use crate::store::search::Standing;

/// All parameters of an operation.
pub(super) fn of(described: &Described) -> Vec<Value> {
    let path = described.path_names().map(|name| {
        let (schema, says) = split(in_path(name));
        json!({ "in": "path", "name": name, "required": true, "schema": schema, "description": says })
    });
    let query = described.query_names().into_iter().map(|name| {
        let (schema, says) = split(in_query(name, described));
        let mut parameter = json!({ "in": "query", "name": name, "schema": schema, "description": says });
        if requires_span(described) && matches!(name, "since" | "until") {
            parameter["required"] = true.into();
        }
        if parameter["schema"]["type"] == "array" {
            // Both forms are taken: repeated, and with commas.
            parameter["explode"] = true.into();
        }
        parameter
    });
    let head = (described.method == http::Method::POST).then(idempotency_key);
    path.chain(query).chain(head).collect()
}

/// A parameter's description stands beside its schema.
fn split(mut schema: Value) -> (Value, Value) {
    let says = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    (schema, says.unwrap_or_default())
}

fn idempotency_key() -> Value {
    json!({
        "in": "header",
        "name": "idempotency-key",
        "schema": {
            "type": "string", "minLength": 1, "maxLength": call::IDEMPOTENCY_KEY_BYTES_MAX, "pattern": "^[!-~]+$",
        },
        "description": "The same key with the same body is answered as it was the first time.",
    })
}

/// What a part of a path takes; `null` if nothing is said of it, which a test finds.
fn in_path(name: &str) -> Value {
    let uid = |says| text(&validate::UID, says);
    match name {
        "app_id" => uid("The application, by id or uid."),
        "endpoint_id" => uid("The endpoint, by id or uid."),
        "source_id" => uid("The source, by id or uid."),
        "msg_id" => uid("The message, by id or `eventId`."),
        "event_type_name" => uid("The event type."),
        "attempt_id" => exact(IdKind::Attempt, "The attempt."),
        "id" => uid("An id, an application's or a source's uid, or the name of an event type."),
        "task_id" => exact(IdKind::Task, "The task."),
        "env_id" => exact(IdKind::Environment, "The environment."),
        "key_id" => exact(IdKind::ApiKey, "The key."),
        _ => Value::Null,
    }
}

/// An id, and no uid.
fn exact(kind: IdKind, says: &str) -> Value {
    let mut of = id(kind);
    of["description"] = says.into();
    of
}

/// Whether the operation asks for a beginning and an end.
fn requires_span(described: &Described) -> bool {
    described.path == "/api/v1/app/{app_id}/stats/attempts"
}

/// What a query parameter takes; `null` if nothing is said of it, which a test finds.
fn in_query(name: &str, described: &Described) -> Value {
    let pages = described.pages;
    let is_required = requires_span(described);
    // Two operations have a parameter of this name.
    let is_counted = described.path.starts_with("/api/v1/stats/");
    let flag = |default: bool, says: &str| json!({ "type": "boolean", "default": default, "description": says });
    let time = |says: &str| json!({ "type": "string", "format": "date-time", "description": says });
    match name {
        "limit" => json!({
            "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": crate::api::page::LIMIT_DEFAULT,
            "description": "Rows of the page.",
        }),
        "iterator" => iterator(pages),
        "order" => json!({
            "type": "string", "enum": ["ascending", "descending"], "description": "Which way the list runs.",
        }),
        "get_if_exists" => flag(false, "Whether one that has the uid already is answered in place of 409."),
        "exclude_apps_with_no_endpoints" => flag(false, "Leaves out applications without endpoints."),
        "exclude_apps_with_disabled_endpoints" => {
            flag(false, "Leaves out applications all of whose endpoints are disabled.")
        }
        "exclude_apps_with_svix_play_endpoints" => flag(false, "Taken and without effect: there are none here."),
        "expunge" => flag(false, "Whether it is gone altogether, and not only archived."),
        "include_archived" => flag(false, "Whether archived ones are there, too."),
        "with_content" if pages == Some(Pages::Names) => flag(false, "Whether schemas are shown."),
        "with_content" => flag(true, "Whether payloads, or answers of receivers, are shown; else they are empty."),
        "with_msg" => flag(false, "Whether each row also shows its message."),
        "expanded_statuses" => flag(false, "Taken and without effect: an attempt has succeeded or failed."),
        "status" if pages == Some(Pages::Ids(IdKind::Task)) => json!({
            "type": "string", "enum": TaskStatus::ALL.map(TaskStatus::as_str), "description": "Only tasks that are so.",
        }),
        "task" => json!({
            "type": "string", "enum": background_task::TYPES, "description": "Only tasks of this kind.",
        }),
        "download" => flag(false, "Whether the bytes themselves are sent, for a browser to keep as a file."),
        "since" if is_required => time("What is older does not count."),
        "until" if is_required => time("What is younger does not count."),
        "since" => time("What is older does not count; 28 days before the end if left out."),
        "until" | "endDate" => time("What is younger does not count; now if left out."),
        "status" if described.is_search => json!({
            "type": "string", "enum": Standing::ALL.map(Standing::as_str),
            "description": "Only messages with a delivery that stands so; `none`: no endpoint wanted it.",
        }),
        "status" => json!({
            "type": "integer", "enum": [0, 1, 2, 3, 4],
            "description": "0 succeeded, 1 pending, 2 failed, 3 being sent, 4 cancelled.",
        }),
        "status_code_class" => json!({
            "type": "integer", "enum": [0, 100, 200, 300, 400, 500],
            "description": "Of the receiver's answer; 0 where there was none.",
        }),
        "channel" => text(&validate::CHANNEL, "Only messages of this channel."),
        "tag" => text(&validate::TAG, "Only messages with this tag."),
        "event_types" => json!({
            "type": "array", "items": text(&validate::EVENT_TYPE, "A name."), "maxItems": message::EVENT_TYPES_MAX,
            "description": "Only messages of these types; repeated, or with commas.",
        }),
        "application" => text(&validate::UID, "Only messages of this application, by id or uid."),
        "source" => text(&validate::UID, "Only messages that came in by this source, by id or uid."),
        "text" => json!({
            "type": "string", "minLength": 1, "maxLength": searched::TEXT_BYTES_MAX,
            "description": "Only messages that have this text in their bytes, in the request that they came in with, \
                            or in an id; letters of ASCII are the same in both cases.",
        }),
        "channels" => json!({
            "type": "array", "items": text(&validate::CHANNEL, "A channel."), "maxItems": events::CHANNELS_MAX,
            "description": "Only messages of one of these channels; repeated, or with commas.",
        }),
        "state" => json!({
            "type": "string", "enum": endpoint_list::STATES.map(|(name, _)| name), "default": "any",
            "description": "Only endpoints that do nothing but fail, or that are disabled.",
        }),
        "endpoint_id" => text(&validate::UID, "Only attempts at this endpoint, by id or uid."),
        "startDate" => time("What is older does not count; 24 hours before the end if left out."),
        "exclude_svix_play" => flag(true, "Leaves out endpoints at https://play.svix.com/."),
        "exclude_disabled" => flag(true, "Leaves out applications all of whose endpoints are disabled."),
        "period" if is_counted => json!({
            "type": "string", "enum": stats::BUCKETS.map(|(name, _)| name), "default": stats::BUCKETS[1].0,
            "description": "How long a bucket is.",
        }),
        "period" => json!({
            "type": "string", "enum": overview::PERIODS.map(|(name, ..)| name), "default": overview::PERIODS[0].0,
            "description": "How far back.",
        }),
        "before" => time("Only what is older."),
        "after" => time("Only what is newer."),
        _ => Value::Null,
    }
}

/// What a field of a search's body takes: what the parameter of its name takes, or `null`.
pub(super) fn searched(name: &str) -> Option<Value> {
    let of = Described::new(http::Method::POST, "", "", Tag::Message).pages(Pages::Ids(IdKind::Message));
    let mut schema = Some(in_query(name, &of)).filter(|schema| !schema.is_null())?;
    if name == "with_content" {
        schema["default"] = false.into();
    } else {
        schema["type"] = json!([schema["type"], "null"]);
    }
    Some(schema)
}

fn iterator(pages: Option<Pages>) -> Value {
    let pattern = match pages {
        Some(Pages::Ids(kind)) => format!("^-?{}$", id_pattern(kind)),
        Some(Pages::Names) => r"^-?(\./-)?[a-zA-Z0-9\-_.]+$".to_owned(),
        None => return Value::Null,
    };
    json!({
        "type": "string",
        "pattern": pattern,
        "description": "The `iterator` of a page leads to what follows it, its `prevIterator` to what comes before.",
    })
}
