//! Event types: create, get, list.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::change::{self, Rendered};
use super::error::{ApiError, Kind};
use super::json::{Fields, Given, Null, depth};
use super::page::{self, PageQuery, name_iterator};
use super::time::Time;
use super::validate;
use crate::model::{EventType, EventTypeSpec};
use crate::store::command::{Change, Changed};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 7] =
    ["name", "description", "archived", "deprecated", "schemas", "groupName", "featureFlags"];
/// Levels of schemas, which are kept inside other JSON.
const SCHEMA_DEPTH_MAX: usize = 100;
pub(super) const FEATURE_FLAGS_MAX: usize = 100;

/// An event type.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventTypeOut<'a> {
    /// Its dotted name.
    name: &'a str,
    /// What has happened when it is sent.
    description: &'a str,
    /// Whether lists leave it out.
    archived: bool,
    /// Whether it should no longer be chosen.
    deprecated: bool,
    /// JSON Schemas of its payload, by version.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    schemas: Option<&'a serde_json::Value>,
    /// Under which it is shown.
    group_name: Option<&'a str>,
    /// Kept and shown.
    feature_flags: Option<&'a [String]>,
    /// When it was created.
    created_at: Time,
    /// When it was last changed.
    updated_at: Time,
}

impl<'a> EventTypeOut<'a> {
    fn of(event_type: &'a EventType, with_content: bool) -> Self {
        let spec = &event_type.spec;
        Self {
            name: &event_type.name,
            description: &spec.description,
            archived: spec.archived,
            deprecated: spec.deprecated,
            schemas: spec.schemas.as_ref().filter(|_| with_content),
            group_name: spec.group_name.as_deref(),
            feature_flags: spec.feature_flags.as_deref(),
            created_at: Time(event_type.created_at),
            updated_at: Time(event_type.updated_at),
        }
    }
}

fn render(changed: &Changed) -> Rendered {
    match changed {
        Changed::EventType(event_type) => change::rendered(201, &EventTypeOut::of(event_type, true)),
        other => change::nothing(other),
    }
}

/// `POST /event-type`.
pub(super) async fn create(call: Call, body: Body) -> Answer {
    let body = call.read(body).await?;
    let (name, spec) = read(&body, call.gateway.limits.json_depth_max)?;
    change::commit(&call, Change::CreateEventType { env: call.env, name, spec }, &body, render).await
}

/// `GET /event-type/{event_type_name}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let name = call.param("event_type_name")?;
    let found = call.gateway.queries.event_type(call.env, &name).await?.ok_or(ApiError::not_found())?;
    Ok(answer::json(StatusCode::OK, &EventTypeOut::of(&found, true)))
}

/// `GET /event-type`, by name.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_name(&mut query);
    let archived = query.boolean("include_archived", false);
    let with_content = query.boolean("with_content", false);
    query.finish()?;
    let rows = call.gateway.queries.event_types(call.env, page.page(), archived).await?;
    // Scans of event types are never cut short.
    let resume = |_| String::new();
    Ok(page.answer(
        rows,
        |found: &EventType| name_iterator(&found.name),
        resume,
        |out, found| {
            page::push_json(out, &EventTypeOut::of(found, with_content));
        },
    ))
}

fn read(body: &[u8], depth_max: usize) -> Result<(String, EventTypeSpec), ApiError> {
    let mut fields = Fields::parse(body, &FIELDS, depth_max)?;
    let name = fields.text("name", Null::Refused, |text| validate::EVENT_TYPE.check(text));
    let name = fields.require("name", name);
    let description = fields.text("description", Null::Refused, validate::description);
    let description = fields.require("description", description);
    let flags = fields.texts("featureFlags", (1, FEATURE_FLAGS_MAX), Null::Taken, &validate::EVENT_TYPE);
    let spec = EventTypeSpec {
        description: description.unwrap_or_default(),
        archived: fields.boolean("archived").value().unwrap_or_default(),
        deprecated: fields.boolean("deprecated").value().unwrap_or_default(),
        schemas: schemas(&mut fields),
        group_name: fields.text("groupName", Null::Taken, |text| validate::EVENT_TYPE.check(text)).value(),
        feature_flags: flags.value(),
    };
    fields.finish()?;
    Ok((name.unwrap_or_default(), spec))
}

fn schemas<const N: usize>(fields: &mut Fields<'_, N>) -> Option<serde_json::Value> {
    let Given::Value(raw) = fields.raw("schemas", Null::Taken) else { return None };
    if !raw.get().starts_with('{') {
        fields.problem("schemas", "must be an object", Kind::Type);
        return None;
    }
    if depth(raw.get().as_bytes()) > SCHEMA_DEPTH_MAX {
        fields.problem("schemas", "nests deeper than 100 levels", Kind::Value);
        return None;
    }
    let parsed = serde_json::from_str(raw.get());
    if parsed.is_err() {
        fields.problem("schemas", "holds a text or a number that cannot be kept", Kind::Value);
    }
    parsed.ok()
}
