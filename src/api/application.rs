//! Applications: create, get, list, patch, put, delete.

use std::sync::Arc;

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer;
use super::call::Call;
use super::change::{self, Rendered};
use super::error::{ApiError, Kind};
use super::json::{Fields, Null};
use super::page::{self, PageQuery};
use super::time::Time;
use super::validate;
use crate::accept::ChangeAccepted;
use crate::model::{AppConfig, Application, ApplicationSpec, Id, IdKind, Metadata};
use crate::store::command::{ApplicationPatch, Change, Changed, Target};
use crate::store::query::Order;

type Answer = Result<Response<Body>, ApiError>;
type Body4<'a> = Fields<'a, 4>;

pub(super) const FIELDS: [&str; 4] = ["name", "uid", "throttleRate", "metadata"];
const RATE: &str = "must be a number from 1 to 65535";

/// An application.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApplicationOut<'a> {
    /// Its id.
    #[schemars(regex(pattern = r"^app_[A-Za-z0-9]{27}$"))]
    id: String,
    /// Your own name for it, unique in its environment.
    uid: Option<&'a str>,
    /// What people call it.
    name: &'a str,
    /// Attempts in a second, over all its endpoints.
    throttle_rate: Option<u16>,
    /// When it was created.
    created_at: Time,
    /// When it was last changed.
    updated_at: Time,
    /// Texts by name that are kept with it.
    metadata: &'a Metadata,
}

impl<'a> ApplicationOut<'a> {
    fn of(app: &'a Application) -> Self {
        Self {
            id: app.id.format(IdKind::Application),
            uid: app.uid.as_deref(),
            name: &app.spec.name,
            throttle_rate: app.spec.throttle_rate,
            created_at: Time(app.created_at),
            updated_at: Time(app.updated_at),
            metadata: &app.spec.metadata,
        }
    }
}

fn render(changed: &Changed) -> Rendered {
    match changed {
        Changed::Application(app, created) => {
            change::rendered(if *created { 201 } else { 200 }, &ApplicationOut::of(app))
        }
        other => change::nothing(other),
    }
}

/// `POST /app`: 201, or 200 with the one of this uid where `get_if_exists` is asked for.
pub(super) async fn create(call: Call, body: Body) -> Answer {
    let mut query = call.query();
    let get_if_exists = query.boolean("get_if_exists", false);
    query.finish()?;
    let body = call.read(body).await?;
    let (uid, spec) = read(&body, call.gateway.limits.json_depth_max)?;
    let create = Change::CreateApplication { env: call.env, uid, spec, get_if_exists };
    change::commit(&call, create, &body, render).await
}

/// `GET /app/{app_id}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let config = call.app().await?;
    Ok(answer::json(StatusCode::OK, &ApplicationOut::of(&config.app)))
}

/// `GET /app`, oldest first unless told otherwise.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Application, Order::Ascending, true);
    let without_endpoints = query.boolean("exclude_apps_with_no_endpoints", false);
    let all_disabled = query.boolean("exclude_apps_with_disabled_endpoints", false);
    query.boolean("exclude_apps_with_svix_play_endpoints", false);
    query.finish()?;
    let rows = call.gateway.queries.applications(call.env, page.page(), without_endpoints, all_disabled).await?;
    let iterator = |app: &Application| app.id.format(IdKind::Application);
    let resume = |key| Id::first_of(key).format(IdKind::Application);
    Ok(page.answer(rows, iterator, resume, |out, app| page::push_json(out, &ApplicationOut::of(app))))
}

/// `PATCH /app/{app_id}`: what is not there stays as it is.
pub(super) async fn patch(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let rate = fields.number("throttleRate", Null::Taken, (0, u16::MAX), "must be a number from 0 to 65535");
    let patch = ApplicationPatch {
        name: fields.text("name", Null::Refused, |text| validate::NAME.check(text)).value(),
        uid: fields.text("uid", Null::Taken, |text| validate::uid(IdKind::Application, text)).patch(),
        throttle_rate: rate.patch().map(|rate| rate.filter(|rate| *rate > 0)),
        metadata: fields.map("metadata", Null::Refused).value(),
    };
    fields.finish()?;
    let app = call.app().await?.app.key();
    change::commit(&call, Change::PatchApplication { app, patch }, &body, render).await
}

/// `PUT /app/{app_id}`: 200, or 201 where the path names a uid that is not there yet.
pub(super) async fn put(call: Call, body: Body) -> Answer {
    let name = call.param("app_id")?.into_owned();
    let body = call.read(body).await?;
    let (uid, spec) = read(&body, call.gateway.limits.json_depth_max)?;
    let target = target(IdKind::Application, name)?;
    let put = Change::PutApplication { env: call.env, target, uid, spec };
    change::commit(&call, put, &body, render).await
}

/// `DELETE /app/{app_id}`, with its endpoints.
pub(super) async fn delete(call: Call, _: Body) -> Answer {
    let app = call.app().await?.app.key();
    change::commit(&call, Change::DeleteApplication { app }, &[], change::nothing).await
}

/// What a `PUT` names: a text with the form of an id is one.
pub(super) fn target(kind: IdKind, name: String) -> Result<Target, ApiError> {
    match Id::parse(kind, &name) {
        Some(id) => Ok(Target::Id(id)),
        None if validate::has_form_of(kind, &name) => Err(ApiError::not_found()),
        None => Ok(Target::Uid(name)),
    }
}

/// Makes the application that a body brings along, if nobody else has made it by now. What is named
/// by an id cannot be made.
pub(super) async fn make(call: &Call, name: &str, spec: ApplicationSpec) -> Result<Arc<AppConfig>, ApiError> {
    if validate::has_form_of(IdKind::Application, name) {
        return Err(ApiError::not_found());
    }
    let (env, uid) = (call.env, Some(name.to_owned()));
    let create = Change::CreateApplication { env, uid, spec, get_if_exists: true };
    let ChangeAccepted::New(changed) = call.gateway.change(create, None).await? else {
        return Err(ApiError::not_found());
    };
    let Changed::Application(app, _) = *changed else { return Err(ApiError::not_found()) };
    call.gateway.snapshots.app(app.key()).await?.ok_or(ApiError::not_found())
}

/// Reads an application that travels inside another body. Where none is there yet, it is to be made
/// under the name `named`. What is wrong is said of the field `name` of `outer`.
pub(super) fn read_inline<const N: usize>(
    raw: &RawValue,
    named: Option<&str>,
    outer: &mut Fields<'_, N>,
    name: &'static str,
) -> Option<ApplicationSpec> {
    // Its depth was judged with the whole body's.
    match read(raw.get().as_bytes(), usize::MAX) {
        Ok((Some(uid), _)) if named.is_some_and(|named| named != uid) => {
            outer.problem_in(name, "uid".to_owned(), "must be what the path names");
            None
        }
        Ok((_, spec)) => Some(spec),
        Err(ApiError::Invalid(problems)) => {
            outer.nest(name, problems);
            None
        }
        Err(_) => {
            outer.problem(name, "must be an object", Kind::Type);
            None
        }
    }
}

fn read(body: &[u8], depth_max: usize) -> Result<(Option<String>, ApplicationSpec), ApiError> {
    let mut fields: Body4<'_> = Fields::parse(body, &FIELDS, depth_max)?;
    let name = fields.text("name", Null::Refused, |text| validate::NAME.check(text));
    let name = fields.require("name", name);
    let uid = fields.text("uid", Null::Taken, |text| validate::uid(IdKind::Application, text)).value();
    let throttle_rate = fields.number("throttleRate", Null::Taken, (1, u16::MAX), RATE).value();
    let metadata = fields.map("metadata", Null::Refused).value().unwrap_or_default();
    fields.finish()?;
    Ok((uid, ApplicationSpec { name: name.unwrap_or_default(), throttle_rate, metadata }))
}
