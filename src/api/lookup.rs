//! What an id stands for, whatever kind it is of.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::ApiError;
use crate::model::{Id, IdKind};
use crate::store::search::Looked;

/// Kinds of things that are found.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Message,
    Attempt,
    Endpoint,
    Application,
    Source,
    EventType,
}

/// What an id stands for, and what that belongs to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LookupOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct LookupOut {
    /// What it is.
    kind: Kind,
    /// The application.
    app_id: Option<String>,
    /// The endpoint.
    endpoint_id: Option<String>,
    /// The message.
    msg_id: Option<String>,
    /// The source.
    source_id: Option<String>,
}

impl LookupOut {
    fn of(looked: &Looked) -> Self {
        let (kind, app, endpoint, message, source) = match *looked {
            Looked::Message { app, message, source } => (Kind::Message, Some(app), None, Some(message), source),
            Looked::Attempt { app, endpoint, message } => (Kind::Attempt, Some(app), endpoint, Some(message), None),
            Looked::Endpoint { app, endpoint } => (Kind::Endpoint, Some(app), Some(endpoint), None, None),
            Looked::Application { app } => (Kind::Application, Some(app), None, None, None),
            Looked::Source { app, source } => (Kind::Source, app, None, None, Some(source)),
            Looked::EventType => (Kind::EventType, None, None, None, None),
        };
        let format = |id: Option<Id>, kind| id.map(|id: Id| id.format(kind));
        Self {
            kind,
            app_id: format(app, IdKind::Application),
            endpoint_id: format(endpoint, IdKind::Endpoint),
            msg_id: format(message, IdKind::Message),
            source_id: format(source, IdKind::Source),
        }
    }
}

/// `GET /lookup/{id}`.
pub(super) async fn get(call: Call, _: Body) -> Result<Response<Body>, ApiError> {
    let id = call.param("id")?;
    let found = call.gateway.queries.lookup(call.env, &id).await?.ok_or(ApiError::not_found())?;
    Ok(answer::json(StatusCode::OK, &LookupOut::of(&found)))
}
