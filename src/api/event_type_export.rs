//! Event types as an `OpenAPI` document: its webhooks, each with the newest of its schemas. All versions, which
//! `OpenAPI` has no place for, are beside them under a name of ours, so that an import makes the same again.

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::answer;
use super::background_task::begun;
use super::call::Call;
use super::change;
use super::error::{ApiError, Code};
use crate::model::example::newest;
use crate::model::{EventType, TaskAsk};
use crate::store::command::NewTask;
use crate::store::query::{Order, Page};

type Answer = Result<Response<Body>, ApiError>;

/// Bytes of schemas in one document.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// Event types in one document.
const TYPES_MAX: usize = 10_000;
/// Event types read at once.
const PAGE: usize = 250;

/// Schemas by version, as they are kept.
pub(super) const SCHEMAS: &str = "x-posthouse-schemas";
/// The group, as hosted services read it.
pub(super) const GROUP: &str = "x-svix-group-name";
/// Feature flags, as hosted services read them.
pub(super) const FLAGS: &str = "x-svix-feature-flags";
/// Under which references are resolved.
pub(super) const COMPONENTS: &str = "#/components/schemas/";

/// `GET /event-type/export/openapi`: the document.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let document = document(&all(&call).await?);
    Ok(answer::json(StatusCode::OK, &document))
}

/// `POST /event-type/export/openapi`: 202 with a task that has the document, and is finished as it begins.
pub(super) async fn start(call: Call, body: Body) -> Answer {
    let body = call.read(body).await?;
    let document = document(&all(&call).await?).to_string();
    let (env, ask, found) = (call.env, TaskAsk::Document, Some(document));
    let task = NewTask { env, endpoint: None, ask, since: 0, until: 0, total: None, found };
    change::commit(&call, task.into_change(), &body, begun).await
}

/// All event types of the environment that are not archived, by name.
pub(super) async fn all(call: &Call) -> Result<Vec<EventType>, ApiError> {
    let (mut all, mut bytes, mut after): (Vec<EventType>, usize, Option<String>) = (Vec::new(), 0, None);
    loop {
        let page = Page { after, order: Order::Ascending, limit: PAGE };
        let rows = call.gateway.queries.event_types(call.env, page, false, None).await?;
        bytes += rows.rows.iter().map(weight).sum::<usize>();
        all.extend(rows.rows);
        if bytes > DOCUMENT_BYTES_MAX || all.len() > TYPES_MAX {
            let detail = "the event types are more than one document may hold: list them page by page";
            return Err(ApiError::Coded(Code::Conflict, detail.into()));
        }
        if rows.done {
            return Ok(all);
        }
        after = all.last().map(|last| last.name.clone());
    }
}

fn weight(event_type: &EventType) -> usize {
    event_type.name.len() + event_type.spec.weight()
}

/// The document. The same event types make the same bytes.
fn document(types: &[EventType]) -> Value {
    let (mut webhooks, mut components) = (Map::new(), Map::new());
    for event_type in types {
        if let Some(schema) = event_type.spec.schemas.as_ref().and_then(newest) {
            let mut schema = schema.clone();
            rebase(&mut schema, "#", &format!("{COMPONENTS}{}", event_type.name));
            components.insert(event_type.name.clone(), schema);
        }
        webhooks.insert(event_type.name.clone(), json!({ "post": operation(event_type) }));
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Event types", "version": "1" },
        "webhooks": webhooks,
        "components": { "schemas": components },
    })
}

fn operation(event_type: &EventType) -> Value {
    let spec = &event_type.spec;
    let mut operation = json!({
        "description": spec.description,
        "responses": { "2XX": { "description": "The event was received." } },
    });
    if spec.deprecated {
        operation["deprecated"] = json!(true);
    }
    if let Some(group) = &spec.group_name {
        operation["tags"] = json!([group]);
        operation[GROUP] = json!(group);
    }
    if let Some(flags) = &spec.feature_flags {
        operation[FLAGS] = json!(flags);
    }
    if let Some(schemas) = &spec.schemas {
        operation[SCHEMAS] = schemas.clone();
        if newest(schemas).is_some() {
            let schema = json!({ "$ref": format!("{COMPONENTS}{}", event_type.name) });
            operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
        }
    }
    operation
}

/// What a schema holds beside schemas: values, in which a reference is a mere text.
const OF_VALUES: [&str; 5] = ["const", "default", "enum", "example", "examples"];

/// References that begin with `from` begin with `to` instead. Schemas nest as deep as they may be kept, and no deeper.
pub(super) fn rebase(schema: &mut Value, from: &str, to: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| rebase(item, from, to)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut().filter(|(name, _)| !OF_VALUES.contains(&name.as_str())) {
                match member {
                    Value::String(reference) if name == "$ref" => {
                        if let Some(rest) = reference.strip_prefix(from) {
                            *reference = format!("{to}{rest}");
                        }
                    }
                    member => rebase(member, from, to),
                }
            }
        }
        _ => {}
    }
}

/// All references of a schema.
pub(super) fn references<'v>(schema: &'v Value, found: &mut Vec<&'v str>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            for (name, member) in members.iter().filter(|(name, _)| !OF_VALUES.contains(&name.as_str())) {
                match member {
                    Value::String(reference) if name == "$ref" => found.push(reference),
                    member => references(member, found),
                }
            }
        }
        _ => {}
    }
}
