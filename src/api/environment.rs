//! Environments: list, create, get, rename, delete. Operators see and change all; others see their own.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::change;
use super::error::{ApiError, Code, Kind};
use super::json::{Fields, Null};
use super::page::{self, PageQuery};
use super::time::Time;
use super::validate::has_form_of;
use crate::model::{EnvKey, Environment, EnvironmentKind, Id, IdKind, Scope};
use crate::store::command::{AccessChange, Change, Changed};
use crate::store::query::{Order, Rows};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 2] = ["name", "type"];
/// Characters of a name.
pub(super) const NAME_BYTES_MAX: usize = 255;
pub(super) const KINDS: [EnvironmentKind; 2] = [EnvironmentKind::Development, EnvironmentKind::Production];

/// An environment.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EnvironmentModelOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvironmentOut<'a> {
    /// Its id.
    #[schemars(regex(pattern = r"^env_[A-Za-z0-9]{27}$"))]
    id: String,
    /// When it was made.
    created_at: Time,
    /// When it was last changed.
    updated_at: Time,
    /// `self-hosted`.
    region: &'static str,
    /// Its unique name.
    name: &'a str,
    /// `development` or `production`.
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> EnvironmentOut<'a> {
    fn of(environment: &'a Environment) -> Self {
        Self {
            id: environment.id.format(IdKind::Environment),
            created_at: Time(environment.created_at),
            updated_at: Time(environment.updated_at),
            region: "self-hosted",
            name: &environment.name,
            kind: environment.kind.as_str(),
        }
    }
}

/// `GET /management/environment`, oldest first unless told otherwise.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Environment, Order::Ascending, true);
    query.finish()?;
    let rows = if is_operator(&call) {
        call.gateway.queries.environments_page(page.page()).await?
    } else {
        let own = call.gateway.queries.environments().await?;
        Rows { rows: own.into_iter().filter(|of| of.id.key == call.env.0).collect(), done: true, resume: None }
    };
    let iterator = |environment: &Environment| environment.id.format(IdKind::Environment);
    let resume = |key| Id::first_of(key).format(IdKind::Environment);
    let push = |out: &mut Vec<u8>, of: &Environment| page::push_json(out, &EnvironmentOut::of(of));
    Ok(page.answer(rows, iterator, resume, push))
}

/// `POST /management/environment`.
pub(super) async fn create(call: Call, body: Body) -> Answer {
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let name = name(&mut fields);
    let given = fields.text("type", Null::Refused, check_kind);
    let kind = fields.require("type", given);
    fields.finish()?;
    let kind = kind.and_then(|text| kind_named(&text)).unwrap_or(EnvironmentKind::Production);
    let change = Change::Access(AccessChange::CreateEnvironment { name: name.unwrap_or_default(), kind });
    change::commit(&call, change, &body, |changed| rendered(201, changed)).await
}

/// `GET /management/environment/{env_id}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let found = named(&call).await?;
    Ok(answer::json(StatusCode::OK, &EnvironmentOut::of(&found)))
}

/// `PUT /management/environment/{env_id}`: another name. The type stays: another one is refused.
pub(super) async fn put(call: Call, body: Body) -> Answer {
    id(&call)?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let name = name(&mut fields).unwrap_or_default();
    let kind = fields.text("type", Null::Refused, check_kind).value();
    fields.finish()?;
    let found = named(&call).await?;
    if kind.is_some_and(|kind| kind != found.kind.as_str()) {
        return Err(ApiError::invalid("body", "type", "cannot be changed", Kind::Value));
    }
    let env = EnvKey(found.id.key);
    change::commit(&call, Change::Access(AccessChange::RenameEnvironment { env, name }), &body, |changed| {
        rendered(200, changed)
    })
    .await
}

/// `DELETE /management/environment/{env_id}`: it goes with all that it holds.
pub(super) async fn delete(call: Call, _: Body) -> Answer {
    let env = EnvKey(named(&call).await?.id.key);
    if call.holder.as_ref().is_some_and(|holder| holder.env == env) {
        let detail = "The key of this call belongs to the environment: delete it with another's";
        return Err(ApiError::Coded(Code::Conflict, detail.into()));
    }
    change::commit(&call, Change::Access(AccessChange::DeleteEnvironment { env }), &[], change::nothing).await
}

fn rendered(status: u16, changed: &Changed) -> change::Rendered {
    match changed {
        Changed::Environment(environment) => change::rendered(status, &EnvironmentOut::of(environment)),
        other => change::nothing(other),
    }
}

fn name<const N: usize>(fields: &mut Fields<'_, N>) -> Option<String> {
    let given = fields.text("name", Null::Refused, check_name);
    fields.require("name", given)
}

/// Names of environments and keys.
pub(super) fn check_name(text: &str) -> Result<(), &'static str> {
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(())
    } else {
        Err("must have 1 to 255 bytes and no control characters")
    }
}

fn check_kind(text: &str) -> Result<(), &'static str> {
    if kind_named(text).is_some() { Ok(()) } else { Err("must be development or production") }
}

fn kind_named(text: &str) -> Option<EnvironmentKind> {
    KINDS.into_iter().find(|kind| kind.as_str() == text)
}

fn is_operator(call: &Call) -> bool {
    call.holder.as_ref().is_some_and(|holder| holder.scopes.has(Scope::Operator))
}

fn id(call: &Call) -> Result<Id, ApiError> {
    let text = call.param("env_id")?;
    if !has_form_of(IdKind::Environment, &text) {
        return Err(ApiError::invalid("path", "env_id", "must match ^env_[A-Za-z0-9]{27}$", Kind::Value));
    }
    Id::parse(IdKind::Environment, &text).ok_or(ApiError::not_found())
}

/// The environment that the path names, if the caller sees it: another's is not there.
pub(super) async fn named(call: &Call) -> Result<Environment, ApiError> {
    let id = id(call)?;
    let found = call.gateway.queries.environment_named(&id.format(IdKind::Environment)).await?;
    let seen = found.filter(|found| found.id == id && (is_operator(call) || found.id.key == call.env.0));
    seen.ok_or(ApiError::not_found())
}
