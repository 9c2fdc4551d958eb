//! Event types: create, get, list, patch, put, delete, and their retry schedules.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer;
use super::call::Call;
use super::change::{self, Rendered};
use super::endpoint_in;
use super::error::{ApiError, Kind};
use super::json::{Fields, Given, Null, depth};
use super::page::{self, PageQuery, name_iterator};
use super::time::Time;
use super::validate;
use crate::model::{EventType, EventTypeSpec};
use crate::store::command::{Change, Changed, EventTypePatch};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 7] =
    ["name", "description", "archived", "deprecated", "schemas", "groupName", "featureFlags"];
pub(super) const SCHEDULE_FIELDS: [&str; 1] = ["retrySchedule"];
/// Bytes of the schemas of one event type: lists of event types hold them all.
pub(super) const SCHEMAS_BYTES_MAX: usize = 128 * 1024;
/// Levels of schemas, which are kept inside other JSON.
pub(super) const SCHEMA_DEPTH_MAX: usize = 100;
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
        Changed::EventType(_, event_type, written) => {
            change::rendered(if written.is_new { 201 } else { 200 }, &EventTypeOut::of(event_type, true))
        }
        other => change::nothing(other),
    }
}

/// `POST /event-type`.
pub(super) async fn create(call: Call, body: Body) -> Answer {
    let body = call.read(body).await?;
    let (name, spec) = read(&body, call.gateway.limits.json_depth_max, None)?;
    change::commit(&call, Change::CreateEventType { env: call.env, name, spec }, &body, render).await
}

/// `GET /event-type/{event_type_name}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let name = call.param("event_type_name")?;
    let found = visible(&call, &name).await?;
    Ok(answer::json(StatusCode::OK, &EventTypeOut::of(&found, true)))
}

/// An event type, as far as the caller's feature flags show it.
pub(super) async fn visible(call: &Call, name: &str) -> Result<EventType, ApiError> {
    let found = call.gateway.queries.event_type(call.env, name).await?.ok_or(ApiError::not_found())?;
    let flags = found.spec.feature_flags.as_deref();
    let shown = match (&call.portal, flags) {
        (Some(token), Some(flags)) => flags.iter().any(|flag| token.feature_flags.contains(flag)),
        _ => true,
    };
    if shown { Ok(found) } else { Err(ApiError::not_found()) }
}

/// `GET /event-type`, by name.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_name(&mut query);
    let archived = query.boolean("include_archived", false);
    let with_content = query.boolean("with_content", false);
    query.finish()?;
    let flags = call.portal.as_ref().map(|token| token.feature_flags.clone());
    let rows = call.gateway.queries.event_types(call.env, page.page(), archived, flags).await?;
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

/// `PATCH /event-type/{event_type_name}`: what is not there stays as it is.
pub(super) async fn patch(call: Call, body: Body) -> Answer {
    let name = call.param("event_type_name")?.into_owned();
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let flags = fields.texts("featureFlags", (1, FEATURE_FLAGS_MAX), Null::Taken, &validate::EVENT_TYPE);
    let patch = EventTypePatch {
        description: fields.text("description", Null::Refused, validate::description).value(),
        archived: fields.boolean("archived").value(),
        deprecated: fields.boolean("deprecated").value(),
        schemas: schemas(&mut fields).patch(),
        group_name: fields.text("groupName", Null::Taken, |text| validate::EVENT_TYPE.check(text)).patch(),
        feature_flags: flags.patch(),
        retry_schedule: None,
    };
    fields.finish()?;
    change::commit(&call, Change::PatchEventType { env: call.env, name, patch }, &body, render).await
}

/// `PUT /event-type/{event_type_name}`: 200, or 201 where it is not there yet.
pub(super) async fn put(call: Call, body: Body) -> Answer {
    let name = call.param("event_type_name")?.into_owned();
    let body = call.read(body).await?;
    let (_, spec) = read(&body, call.gateway.limits.json_depth_max, Some(&name))?;
    change::commit(&call, Change::PutEventType { env: call.env, name, spec }, &body, render).await
}

/// `DELETE /event-type/{event_type_name}`: archived, or gone altogether with `expunge`.
pub(super) async fn delete(call: Call, _: Body) -> Answer {
    let name = call.param("event_type_name")?.into_owned();
    let mut query = call.query();
    let expunge = query.boolean("expunge", false);
    query.finish()?;
    change::commit(&call, Change::DeleteEventType { env: call.env, name, expunge }, &[], change::nothing).await
}

/// Part of a schedule, as the contract writes it.
#[derive(Serialize, Deserialize)]
struct Pause {
    secs: u64,
    nanos: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScheduleOut {
    retry_schedule: Option<Vec<Pause>>,
}

impl ScheduleOut {
    fn of(event_type: &EventType) -> Self {
        let schedule = event_type.spec.retry_schedule.as_deref();
        let pause = |seconds: &u32| Pause { secs: u64::from(*seconds), nanos: 0 };
        Self { retry_schedule: schedule.map(|schedule| schedule.iter().map(pause).collect()) }
    }
}

fn render_schedule(changed: &Changed) -> Rendered {
    match changed {
        Changed::EventType(_, event_type, _) => change::rendered(200, &ScheduleOut::of(event_type)),
        other => change::nothing(other),
    }
}

/// `GET /event-type/{event_type_name}/retry-schedule`.
pub(super) async fn schedule(call: Call, _: Body) -> Answer {
    let name = call.param("event_type_name")?;
    let found = call.gateway.queries.event_type(call.env, &name).await?.ok_or(ApiError::not_found())?;
    Ok(answer::json(StatusCode::OK, &ScheduleOut::of(&found)))
}

/// `PUT /event-type/{event_type_name}/retry-schedule`: whole seconds; `null` goes back to the environment's.
pub(super) async fn put_schedule(call: Call, body: Body) -> Answer {
    let name = call.param("event_type_name")?.into_owned();
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &SCHEDULE_FIELDS, call.gateway.limits.json_depth_max)?;
    let expected = "must be an array of objects with secs and nanos";
    let given = fields.read("retrySchedule", Null::Taken, expected, |pauses: &Vec<Pause>| {
        if pauses.iter().any(|pause| pause.nanos != 0) {
            return Err("each must be of whole seconds");
        }
        let seconds: Vec<u32> = pauses.iter().map(|pause| u32::try_from(pause.secs).unwrap_or(u32::MAX)).collect();
        endpoint_in::check_schedule(&seconds)
    });
    let schedule = given.map(|pauses| pauses.iter().map(|pause| pause.secs as u32).collect());
    fields.finish()?;
    let patch = EventTypePatch { retry_schedule: Some(schedule.value()), ..EventTypePatch::default() };
    change::commit(&call, Change::PatchEventType { env: call.env, name, patch }, &body, render_schedule).await
}

/// Reads a whole event type; `named` is the name where the path has it.
fn read(body: &[u8], depth_max: usize, named: Option<&str>) -> Result<(String, EventTypeSpec), ApiError> {
    let mut fields = Fields::parse(body, &FIELDS, depth_max)?;
    let name = if let Some(name) = named {
        Some(name.to_owned())
    } else {
        let name = fields.text("name", Null::Refused, |text| validate::EVENT_TYPE.check(text));
        fields.require("name", name)
    };
    let description = fields.text("description", Null::Refused, validate::description);
    let description = fields.require("description", description);
    let flags = fields.texts("featureFlags", (1, FEATURE_FLAGS_MAX), Null::Taken, &validate::EVENT_TYPE);
    let spec = EventTypeSpec {
        description: description.unwrap_or_default(),
        archived: fields.boolean("archived").value().unwrap_or_default(),
        deprecated: fields.boolean("deprecated").value().unwrap_or_default(),
        schemas: schemas(&mut fields).value(),
        group_name: fields.text("groupName", Null::Taken, |text| validate::EVENT_TYPE.check(text)).value(),
        feature_flags: flags.value(),
        retry_schedule: None,
    };
    fields.finish()?;
    Ok((name.unwrap_or_default(), spec))
}

fn schemas<const N: usize>(fields: &mut Fields<'_, N>) -> Given<serde_json::Value> {
    let raw = match fields.raw("schemas", Null::Taken) {
        Given::Value(raw) => raw,
        Given::Null => return Given::Null,
        Given::Absent => return Given::Absent,
    };
    if !raw.get().starts_with('{') {
        fields.problem("schemas", "must be an object", Kind::Type);
        return Given::Absent;
    }
    if raw.get().len() > SCHEMAS_BYTES_MAX {
        fields.problem("schemas", "is longer than 131072 bytes", Kind::Value);
        return Given::Absent;
    }
    if depth(raw.get().as_bytes()) > SCHEMA_DEPTH_MAX {
        fields.problem("schemas", "nests deeper than 100 levels", Kind::Value);
        return Given::Absent;
    }
    if let Ok(parsed) = serde_json::from_str(raw.get()) {
        Given::Value(parsed)
    } else {
        fields.problem("schemas", "holds a text or a number that cannot be kept", Kind::Value);
        Given::Absent
    }
}
