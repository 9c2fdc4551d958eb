//! An example of an event type, sent to one endpoint to try it.

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer;
use super::call::Call;
use super::error::{ApiError, Code, Kind};
use super::event_type;
use super::json::{Fields, Null};
use super::message;
use super::validate;
use crate::accept::Accepted;
use crate::model::example::{NoExample, example_of, newest};
use crate::model::{Envelope, EventType, Message};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 2] = ["eventType", "exampleIndex"];

/// `POST /app/{app_id}/endpoint/{endpoint_id}/send-example`: 202 after the commit. It goes to this
/// endpoint alone, whatever that filters.
pub(super) async fn send(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let body = call.read(body).await?;
    let (name, index) = read(&body, call.gateway.limits.json_depth_max)?;
    call.idempotency_key()?;
    let (app, endpoint) = call.endpoint().await?;
    let idempotency = call.idempotency(Some(&app), &body)?;
    let found = event_type::visible(&call, &name).await?;
    let payload = payload(&found, index)?;
    if endpoint.spec.disabled.is_some() {
        return Err(ApiError::Coded(Code::EndpointDisabled, "the endpoint is disabled".into()));
    }
    let envelope = Envelope {
        event_type: name,
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        deliver_at: None,
        content_type: None,
    };
    let key = endpoint.key();
    let accepted = call.gateway.publish_to(app.clone(), key, envelope.clone(), payload.clone(), None, idempotency);
    let message = match accepted.await? {
        Accepted::New(id) => {
            Message { id, app: app.app.key(), envelope, source: None, payload: Some(payload), received: None }
        }
        Accepted::Repeated(first) => *first,
    };
    let mut out = Vec::with_capacity(1024);
    message::push(&mut out, &message, true);
    Ok(answer::bytes(StatusCode::ACCEPTED, "application/json", out))
}

fn read(body: &[u8], depth_max: usize) -> Result<(String, usize), ApiError> {
    let mut fields = Fields::parse(body, &FIELDS, depth_max)?;
    let name = fields.text("eventType", Null::Refused, |text| validate::EVENT_TYPE.check(text));
    let name = fields.require("eventType", name);
    let bounds = (0, u16::MAX);
    let index = fields.number("exampleIndex", Null::Refused, bounds, "must be a number from 0 to 65535").value();
    fields.finish()?;
    Ok((name.unwrap_or_default(), usize::from(index.unwrap_or(0))))
}

/// What the newest schema of the event type describes; where there is none, a small object.
fn payload(event_type: &EventType, index: usize) -> Result<Bytes, ApiError> {
    let schema = event_type.spec.schemas.as_ref().and_then(newest);
    let example = schema.map_or(Ok(None), |schema| example_of(schema, index)).map_err(|error| match error {
        NoExample::NoSuchIndex { listed } => {
            let msg = format!("the schema lists {listed} examples, counted from 0");
            ApiError::invalid("body", "exampleIndex", msg, Kind::Value)
        }
    })?;
    let example: Value = example.unwrap_or_else(|| json!({ "type": event_type.name, "data": { "example": true } }));
    // A tree of strings and numbers: serialising it cannot fail.
    Ok(serde_json::to_vec(&example).unwrap_or_default().into())
}
