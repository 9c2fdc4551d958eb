//! The endpoints of all applications of an environment.

use axum::body::Body;
use http::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::endpoint::EndpointOut;
use super::error::{ApiError, Kind};
use super::page::{self, PageQuery};
use super::time::Time;
use crate::model::url::masked;
use crate::model::{Id, IdKind};
use crate::record::health::disabled_at;
use crate::store::query::Order;
use crate::store::search::{EndpointRow, EndpointsIn};

/// What can be asked for.
pub(super) const STATES: [(&str, EndpointsIn); 3] =
    [("any", EndpointsIn::Any), ("failing", EndpointsIn::Failing), ("disabled", EndpointsIn::Disabled)];

/// What a row has behind the endpoint.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointStanding")]
#[serde(rename_all = "camelCase")]
pub(super) struct StandingOut<'a> {
    /// The application.
    #[schemars(regex(pattern = r"^app_[A-Za-z0-9]{27}$"))]
    app_id: String,
    /// What people call it.
    app_name: &'a str,
    /// The source whose own the application is.
    source_id: Option<String>,
    /// When the first of what waits is due.
    next_attempt: Option<Time>,
    /// Deliveries that wait for their time; 1000 means that many or more.
    waiting: u32,
    /// When it will be disabled if it goes on failing.
    disable_at: Option<Time>,
}

impl<'a> StandingOut<'a> {
    fn of(row: &'a EndpointRow) -> Self {
        let endpoint = &row.endpoint;
        let failing = endpoint.failing.filter(|_| endpoint.spec.disabled.is_none());
        Self {
            app_id: row.app.id.format(IdKind::Application),
            app_name: &row.app.name,
            source_id: row.source.map(|source| source.format(IdKind::Source)),
            next_attempt: row.next_attempt.map(Time),
            waiting: row.waiting,
            disable_at: failing.map(|failing| Time(disabled_at(failing))),
        }
    }
}

/// `GET /endpoint`, newest first.
pub(super) async fn list(call: Call, _: Body) -> Result<Response<Body>, ApiError> {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Endpoint, Order::Descending, false);
    let mut state = EndpointsIn::Any;
    if let Some(text) = query.text("state") {
        match STATES.iter().find(|(name, _)| *name == text) {
            Some((_, named)) => state = *named,
            None => query.problem("state", "must be any, failing or disabled", Kind::Value),
        }
    }
    query.finish()?;
    let rows = call.gateway.queries.endpoints_in(call.env, page.page(), state).await?;
    let iterator = |row: &EndpointRow| row.endpoint.id.format(IdKind::Endpoint);
    let resume = |key| Id::first_of(key).format(IdKind::Endpoint);
    Ok(page.answer(rows, iterator, resume, |out, row| {
        page::push_json(out, &EndpointOut::of(&row.endpoint, &masked(&row.endpoint.spec.url)));
        out.pop();
        let brace = out.len();
        page::push_json(out, &StandingOut::of(row));
        out[brace] = b',';
    }))
}
