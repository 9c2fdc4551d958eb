//! Deliveries as lists: the messages that went to an endpoint, and the endpoints that a message
//! went to, each with where it stands.

use axum::body::Body;
use http::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::error::ApiError;
use super::message;
use super::page::{self, PageQuery};
use super::time::Time;
use crate::model::url::masked;
use crate::model::{AppConfig, DeliveryState, DeliveryStatus, Endpoint, EndpointKey, Id, IdKind, Message};
use crate::store::query::{DeliveryFilter, Order};

type Answer = Result<Response<Body>, ApiError>;

/// What is held waits for its endpoint.
const HELD_REASON: &str = "endpoint_disabled";
/// What is quarantined failed inside us.
const QUARANTINED_REASON: &str = "internal_error";
/// What was cancelled at the request of a caller.
const WITHDRAWN_REASON: &str = "cancelled_by_request";
/// What is cancelled has lost its content: expired, or deleted.
const CANCELLED_REASON: &str = "content_gone";

/// Where a delivery stands: fields of a row.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryState")]
#[serde(rename_all = "camelCase")]
pub(super) struct StateOut {
    /// 0 succeeded, 1 pending, 2 failed, 3 being sent, 4 cancelled.
    #[schemars(range(min = 0, max = 4))]
    status: u16,
    /// The same as a word.
    status_text: &'static str,
    /// When it is tried again.
    next_attempt: Option<Time>,
    /// Why it is held. An addition of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_reason: Option<&'static str>,
    /// Why it was given up without having failed. An addition of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl StateOut {
    fn of(state: DeliveryState) -> Self {
        let (status, status_text) = on_the_wire(state.status());
        let next_attempt = match state {
            DeliveryState::Waiting { due } => Some(Time(due)),
            _ => None,
        };
        let held_reason = (state == DeliveryState::Held).then_some(HELD_REASON);
        let reason = match state {
            DeliveryState::Quarantined => Some(QUARANTINED_REASON),
            DeliveryState::Cancelled => Some(CANCELLED_REASON),
            DeliveryState::Withdrawn => Some(WITHDRAWN_REASON),
            _ => None,
        };
        Self { status, status_text, next_attempt, held_reason, reason }
    }
}

/// The number and the name of a status in the contract.
const fn on_the_wire(status: DeliveryStatus) -> (u16, &'static str) {
    match status {
        DeliveryStatus::Success => (0, "success"),
        DeliveryStatus::Pending => (1, "pending"),
        DeliveryStatus::Fail => (2, "fail"),
        DeliveryStatus::Sending => (3, "sending"),
        DeliveryStatus::Cancelled => (4, "canceled"),
    }
}

/// The statuses, each at its number.
pub(super) const STATUSES: [DeliveryStatus; 5] = [
    DeliveryStatus::Success,
    DeliveryStatus::Pending,
    DeliveryStatus::Fail,
    DeliveryStatus::Sending,
    DeliveryStatus::Cancelled,
];

/// An endpoint in the list of those that a message went to. It has no metadata there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageEndpointOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct DestinationOut<'a> {
    /// The endpoint's id.
    #[schemars(regex(pattern = r"^ep_[A-Za-z0-9]{27}$"))]
    id: String,
    /// Your own name for it.
    uid: Option<&'a str>,
    /// Where messages are posted to; a password in it is masked.
    url: &'a str,
    /// What people call it.
    description: &'a str,
    /// Attempts in a second.
    throttle_rate: Option<u16>,
    /// Whether nothing is sent to it.
    disabled: bool,
    /// Types of events that it wants; null means all.
    event_types: Option<&'a [String]>,
    /// Channels that it wants; null means all.
    channels: Option<&'a [String]>,
    /// When it was created.
    created_at: Time,
    /// When it was last changed.
    updated_at: Time,
}

impl<'a> DestinationOut<'a> {
    fn of(endpoint: &'a Endpoint, url: &'a str) -> Self {
        let spec = &endpoint.spec;
        Self {
            id: endpoint.id.format(IdKind::Endpoint),
            uid: endpoint.uid.as_deref(),
            url,
            description: &spec.description,
            throttle_rate: spec.throttle_rate,
            disabled: spec.disabled.is_some(),
            event_types: spec.event_types.as_deref(),
            channels: spec.channels.as_deref(),
            created_at: Time(endpoint.created_at),
            updated_at: Time(endpoint.updated_at),
        }
    }
}

/// `GET /app/{app_id}/endpoint/{endpoint_id}/msg`, newest first.
pub(super) async fn messages(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Message, Order::Descending, false);
    let status = query.one_of("status", &[0, 1, 2, 3, 4]);
    query.boolean("expanded_statuses", false);
    let message = message::filter(&mut query);
    query.finish()?;
    let (app, endpoint) = call.endpoint().await?;
    let with_content = message.with_content;
    let filter = DeliveryFilter { status: status.map(|number| STATUSES[usize::from(number)]), message };
    let rows = call.gateway.queries.deliveries_to(app.app.key(), endpoint.key(), page.page(), filter).await?;
    let iterator = |(message, _): &(Message, DeliveryState)| message.id.format(IdKind::Message);
    let resume = |key| Id::first_of(key).format(IdKind::Message);
    Ok(page.answer(rows, iterator, resume, |out, (message, state)| {
        message::push(out, message, with_content);
        push_state(out, *state);
    }))
}

/// `GET /app/{app_id}/msg/{msg_id}/endpoint`, newest endpoint first. Endpoints that are gone are not there.
pub(super) async fn destinations(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("msg_id")?;
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Endpoint, Order::Descending, false);
    query.finish()?;
    let app = call.app().await?;
    let message = call.message(&app, false).await?.key();
    let endpoints = app.endpoints.iter().map(|endpoint| endpoint.key()).collect();
    let rows = call.gateway.queries.deliveries_of(message, endpoints, page.page()).await?;
    let iterator = |(endpoint, _): &(EndpointKey, DeliveryState)| id_of(&app, *endpoint).format(IdKind::Endpoint);
    let resume = |key| Id::first_of(key).format(IdKind::Endpoint);
    Ok(page.answer(rows, iterator, resume, |out, (endpoint, state)| {
        if let Some(endpoint) = app.endpoint(*endpoint) {
            page::push_json(out, &DestinationOut::of(endpoint, &masked(&endpoint.spec.url)));
            push_state(out, *state);
        }
    }))
}

/// The public id of an endpoint of the application.
fn id_of(app: &AppConfig, endpoint: EndpointKey) -> Id {
    app.endpoint(endpoint).map_or(Id::first_of(endpoint.0), |found| found.id)
}

/// Reopens the object that was just written, and adds where its delivery stands.
fn push_state(out: &mut Vec<u8>, state: DeliveryState) {
    out.pop();
    let brace = out.len();
    page::push_json(out, &StateOut::of(state));
    out[brace] = b',';
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_stands_at_its_number() {
        for (number, status) in (0..).zip(STATUSES) {
            assert_eq!(on_the_wire(status).0, number, "{status:?}");
        }
    }
}
