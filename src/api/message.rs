//! Messages: create (the hot path), get, list.

use std::ops::Range;

use axum::body::Body;
use http::{Response, StatusCode};

use super::answer::{self, push_str, push_strs};
use super::application;
use super::call::Call;
use super::error::ApiError;
use super::json;
use super::message_in;
use super::page::PageQuery;
use super::query::Query;
use super::time;
use super::validate;
use crate::accept::{Accepted, NotAccepted};
use crate::model::id::key_time;
use crate::model::{Envelope, Id, IdKind, Message, UnixMs};
use crate::store::query::{MessageFilter, Order};

type Answer = Result<Response<Body>, ApiError>;

/// Event types that a list can be filtered by.
pub(super) const EVENT_TYPES_MAX: usize = 500;
/// Levels of a payload that is shown.
const DEPTH_MAX: usize = 128;

/// `POST /app/{app_id}/msg`: 202 after the commit.
pub(super) async fn create(call: Call, body: Body) -> Answer {
    let mut query = call.query();
    let with_content = query.boolean("with_content", true);
    query.finish()?;
    let config = call.app_if_any().await?;
    let body = call.read(body).await?;
    let gateway = &call.gateway;
    let name = call.param("app_id")?;
    let named = config.is_none().then_some(&*name);
    let message = message_in::read(&body, gateway.limits.json_depth_max, gateway.clock.now_ms(), named)?;
    call.idempotency_key()?;
    let config = match (config, message.application) {
        (Some(config), _) => config,
        (None, Some(spec)) => {
            // It is not made for a message that is refused.
            gateway.admission.check().map_err(NotAccepted::Closed)?;
            application::make(&call, &name, spec).await?
        }
        (None, None) => return Err(ApiError::not_found()),
    };
    // In the scope of an application that was just made no key was used before.
    let idempotency = call.idempotency(Some(&config), &body)?;
    let is_shown = with_content && is_shown(&message.envelope, &message.payload);
    let mut out = Vec::with_capacity(message.payload.len() + 384);
    let shown = push_envelope(&mut out, &message.envelope, if is_shown { &message.payload } else { b"{}" });
    let accepted = gateway.publish(config, message.envelope, message.payload, message.payload_days, idempotency);
    let id = match accepted.await? {
        Accepted::New(id) => id,
        Accepted::Repeated(first) => {
            // The same body, read at another time: a `deliverAt` that was ahead may be past by now.
            let before = std::mem::take(&mut out);
            push_envelope(&mut out, &first.envelope, &before[shown]);
            first.id
        }
    };
    push_end(&mut out, id);
    Ok(answer::bytes(StatusCode::ACCEPTED, "application/json", out))
}

/// `GET /app/{app_id}/msg/{msg_id}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("msg_id")?;
    let mut query = call.query();
    let with_content = query.boolean("with_content", true);
    query.finish()?;
    let app = call.app().await?;
    let message = call.message(&app, with_content).await?;
    let mut out = Vec::with_capacity(1024);
    push(&mut out, &message, with_content);
    Ok(answer::bytes(StatusCode::OK, "application/json", out))
}

/// `GET /app/{app_id}/msg`, newest first.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Message, Order::Descending, false);
    let filter = filter(&mut query);
    query.finish()?;
    let app = call.app().await?.app.key();
    let with_content = filter.with_content;
    let rows = call.gateway.queries.messages_of(app, page.page(), filter).await?;
    let iterator = |message: &Message| message.id.format(IdKind::Message);
    let resume = |key| Id::first_of(key).format(IdKind::Message);
    Ok(page.answer(rows, iterator, resume, |out, message| push(out, message, with_content)))
}

/// The filters of lists of messages.
pub(super) fn filter(query: &mut Query<'_>) -> MessageFilter {
    MessageFilter { with_content: query.boolean("with_content", true), ..envelope_filter(query) }
}

/// Those that lists of messages and of attempts share.
pub(super) fn envelope_filter(query: &mut Query<'_>) -> MessageFilter {
    MessageFilter {
        channel: query.ruled("channel", &validate::CHANNEL),
        tag: query.ruled("tag", &validate::TAG),
        event_types: query.list("event_types", EVENT_TYPES_MAX, &validate::EVENT_TYPE),
        before: query.time("before"),
        after: query.time("after"),
        ..MessageFilter::default()
    }
}

/// Writes a message. Its bytes are shown as they are where they are a JSON object; where they are
/// gone, that is said.
pub(super) fn push(out: &mut Vec<u8>, message: &Message, with_content: bool) {
    let payload: &[u8] = match &message.payload {
        _ if !with_content => b"{}",
        None => b"{\"expired\":true}",
        Some(payload) if is_shown(&message.envelope, payload) => payload,
        Some(_) => b"{}",
    };
    push_envelope(out, &message.envelope, payload);
    push_end(out, message.id);
}

/// What came as `payload` was found to be an object when it was accepted; raw bytes may be one.
fn is_shown(envelope: &Envelope, payload: &[u8]) -> bool {
    match envelope.content_type {
        None => payload.starts_with(b"{"),
        Some(_) => json::is_object(payload, DEPTH_MAX),
    }
}

/// Writes all but what only the journal knows; says where the payload is.
fn push_envelope(out: &mut Vec<u8>, envelope: &Envelope, payload: &[u8]) -> Range<usize> {
    out.extend_from_slice(b"{\"eventType\":");
    push_str(out, &envelope.event_type);
    out.extend_from_slice(b",\"eventId\":");
    match &envelope.event_id {
        Some(event_id) => push_str(out, event_id),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"channels\":");
    push_strs(out, &envelope.channels);
    out.extend_from_slice(b",\"tags\":");
    push_strs(out, &envelope.tags);
    out.extend_from_slice(b",\"deliverAt\":");
    match envelope.deliver_at {
        Some(at) => push_time(out, at),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"payload\":");
    let start = out.len();
    out.extend_from_slice(payload);
    start..out.len()
}

fn push_end(out: &mut Vec<u8>, id: Id) {
    out.extend_from_slice(b",\"id\":\"");
    out.extend_from_slice(id.format(IdKind::Message).as_bytes());
    out.extend_from_slice(b"\",\"timestamp\":");
    push_time(out, key_time(id.key));
    out.push(b'}');
}

fn push_time(out: &mut Vec<u8>, at: UnixMs) {
    out.push(b'"');
    out.extend_from_slice(&time::format(at));
    out.push(b'"');
}
