//! Endpoints: create, get, list, patch, put, delete. Those of an application, and those of an
//! environment that take operational webhooks, which are endpoints of the environment's own.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::application::target;
use super::call::{Call, endpoint_named};
use super::change::{self, Rendered};
use super::endpoint_in;
use super::error::ApiError;
use super::page::{self, PageQuery};
use super::time::Time;
use crate::model::url::masked;
use crate::model::{DisabledReason, Endpoint, Id, IdKind, Metadata};
use crate::store::command::{Became, Change, Changed};
use crate::store::query::Order;

type Answer = Result<Response<Body>, ApiError>;

/// An endpoint.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointOut<'a> {
    /// Its id.
    #[schemars(regex(pattern = r"^ep_[A-Za-z0-9]{27}$"))]
    id: String,
    /// Your own name for it, unique in its application.
    uid: Option<&'a str>,
    /// Where messages are posted to; a password in it is masked.
    url: &'a str,
    /// What people call it.
    description: &'a str,
    /// Attempts in a second.
    throttle_rate: Option<u16>,
    /// Whether nothing is sent to it.
    disabled: bool,
    /// Why it is disabled. An addition of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<DisabledReason>,
    /// Since when nothing has arrived there, where that is so. An addition of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Time>,
    /// Types of events that it wants; null means all.
    event_types: Option<&'a [String]>,
    /// Channels that it wants; null means all.
    channels: Option<&'a [String]>,
    /// Seconds before each retry, where it has a schedule of its own. An addition of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_schedule: Option<&'a [u32]>,
    /// Texts by name that are kept with it.
    metadata: &'a Metadata,
    /// When it was created.
    created_at: Time,
    /// When it was last changed.
    updated_at: Time,
}

impl<'a> EndpointOut<'a> {
    pub(super) fn of(endpoint: &'a Endpoint, url: &'a str) -> Self {
        let spec = &endpoint.spec;
        Self {
            id: endpoint.id.format(IdKind::Endpoint),
            uid: endpoint.uid.as_deref(),
            url,
            description: &spec.description,
            throttle_rate: spec.throttle_rate,
            disabled: spec.disabled.is_some(),
            disabled_reason: spec.disabled,
            failing_since: endpoint.failing.map(|failing| Time(failing.since)),
            event_types: spec.event_types.as_deref(),
            channels: spec.channels.as_deref(),
            retry_schedule: spec.retry_schedule.as_deref(),
            metadata: &spec.metadata,
            created_at: Time(endpoint.created_at),
            updated_at: Time(endpoint.updated_at),
        }
    }
}

fn render(changed: &Changed) -> Rendered {
    match changed {
        Changed::Endpoint(endpoint, became) => {
            let url = masked(&endpoint.spec.url);
            change::rendered(if *became == Became::New { 201 } else { 200 }, &EndpointOut::of(endpoint, &url))
        }
        other => change::nothing(other),
    }
}

/// `POST /app/{app_id}/endpoint`.
pub(super) async fn create(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    let body = call.read(body).await?;
    let gateway = &call.gateway;
    let endpoint = endpoint_in::read(&body, gateway.limits.json_depth_max, &gateway.guard, true, None)?;
    let app = call.app().await?.app.key();
    let (uid, spec, secret) = (endpoint.uid, Box::new(endpoint.spec), endpoint.secret);
    change::commit(&call, Change::CreateEndpoint { app, uid, spec, secret }, &body, render).await
}

/// `GET /app/{app_id}/endpoint/{endpoint_id}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let (_, endpoint) = call.endpoint().await?;
    Ok(answer::json(StatusCode::OK, &EndpointOut::of(&endpoint, &masked(&endpoint.spec.url))))
}

/// `GET /app/{app_id}/endpoint`, newest first unless told otherwise.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Endpoint, Order::Descending, true);
    call.param("app_id")?;
    query.finish()?;
    let app = call.app().await?.app.key();
    let rows = call.gateway.queries.endpoints(app, page.page()).await?;
    let iterator = |endpoint: &Endpoint| endpoint.id.format(IdKind::Endpoint);
    let resume = |key| Id::first_of(key).format(IdKind::Endpoint);
    Ok(page.answer(rows, iterator, resume, |out, endpoint| {
        page::push_json(out, &EndpointOut::of(endpoint, &masked(&endpoint.spec.url)));
    }))
}

/// `PATCH /app/{app_id}/endpoint/{endpoint_id}`.
pub(super) async fn patch(call: Call, body: Body) -> Answer {
    let name = call.param("endpoint_id")?.into_owned();
    let app = call.app_if_any().await?;
    let existing = app.as_ref().and_then(|app| endpoint_named(app, &name));
    let body = call.read(body).await?;
    let gateway = &call.gateway;
    let depth_max = gateway.limits.json_depth_max;
    let patch = endpoint_in::read_patch(&body, depth_max, &gateway.guard, existing.as_deref())?;
    let endpoint = existing.ok_or(ApiError::not_found())?;
    let patch = Change::PatchEndpoint { app: endpoint.app, endpoint: endpoint.key(), patch: Box::new(patch) };
    change::commit(&call, patch, &body, render).await
}

/// `PUT /app/{app_id}/endpoint/{endpoint_id}`: 200, or 201 where the path names a uid that is not
/// there yet. Secret and headers stay as they are.
pub(super) async fn put(call: Call, body: Body) -> Answer {
    let name = call.param("endpoint_id")?.into_owned();
    let app = call.app_if_any().await?;
    let existing = app.as_ref().and_then(|app| endpoint_named(app, &name));
    let body = call.read(body).await?;
    let gateway = &call.gateway;
    let depth_max = gateway.limits.json_depth_max;
    let endpoint = endpoint_in::read(&body, depth_max, &gateway.guard, false, existing.as_deref())?;
    let app = app.ok_or(ApiError::not_found())?.app.key();
    let target = target(IdKind::Endpoint, name)?;
    let (uid, spec, secret) = (endpoint.uid, Box::new(endpoint.spec), endpoint.secret);
    change::commit(&call, Change::PutEndpoint { app, target, uid, spec, secret }, &body, render).await
}

/// `DELETE /app/{app_id}/endpoint/{endpoint_id}`.
pub(super) async fn delete(call: Call, _: Body) -> Answer {
    let (app, endpoint) = call.endpoint().await?;
    let delete = Change::DeleteEndpoint { app: app.app.key(), endpoint: endpoint.key() };
    change::commit(&call, delete, &[], change::nothing).await
}
