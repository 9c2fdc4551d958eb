//! Trying out: a message to a URL, without a delivery; and a message to one endpoint whose first attempt is the
//! answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use posthouse_signature::standard::SigningKey;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use super::answer;
use super::attempt::{AttemptOut, TimingsOut};
use super::call::{Call, endpoint_named};
use super::endpoint_in;
use super::error::{ApiError, Code, Kind};
use super::event_type;
use super::json::{Fields, Null};
use super::message_in;
use super::validate;
use crate::accept::Accepted;
use crate::dispatch::runner::Letter;
use crate::model::url::masked;
use crate::model::{
    AppConfig, Attempt, Capability, Endpoint, EndpointSpec, Id, IdKind, MessageKey, Outcome, SigningSecret,
};
use crate::store::query::{AttemptFilter, AttemptsOf, Order, Page};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 2] = ["url", "endpointId"];
/// How often it is looked whether the first attempt is on record.
const LOOK: Duration = Duration::from_millis(50);
/// Beyond the deadline of an attempt: what its record may take, and waiting for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
const TOO_MANY: &str = "too many attempts are being tried out: try again in a moment";

/// What trying a URL out came to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageTryOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct TryOut<'a> {
    /// 0 succeeded, 2 failed.
    #[schemars(range(min = 0, max = 2))]
    status: u16,
    /// The same as a word.
    status_text: &'static str,
    /// The answer's status; 0 where there was none.
    response_status_code: u16,
    /// The answer as far as it is kept; without one, how the attempt ended.
    response: Cow<'a, str>,
    /// How long it took.
    response_duration_ms: u32,
    /// How it ended: `success`, `status`, `timeout`, `dns_failed`, `connect_failed`, `tls_failed`,
    /// `connection_closed`, `invalid_response`, `blocked_ip` or `internal_error`.
    outcome: &'static str,
    /// Where the time went.
    timings: TimingsOut,
    /// What it was signed with, where no endpoint was named: drawn for this attempt, and used for nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl<'a> TryOut<'a> {
    fn of(outcome: &'a Outcome, secret: Option<String>) -> Self {
        let (status, status_text) = if outcome.is_success() { (0, "success") } else { (2, "fail") };
        let response = match outcome.status {
            0 => outcome.kind.as_str().into(),
            _ => String::from_utf8_lossy(&outcome.body),
        };
        Self {
            status,
            status_text,
            response_status_code: outcome.status,
            response,
            response_duration_ms: outcome.duration_ms,
            outcome: outcome.kind.as_str(),
            timings: outcome.timings.into(),
            secret,
        }
    }
}

/// `POST /app/{app_id}/msg/{msg_id}/try`: one attempt at a URL, on no record.
pub(super) async fn try_out(call: Call, body: Body) -> Answer {
    // The table asks for the one; whoever may change endpoints and start no attempts may not do this.
    if call.portal.as_ref().is_some_and(|token| !token.allows(Capability::CreateAttempts)) {
        return Err(ApiError::Coded(Code::PermissionDenied, "This key does not allow that".into()));
    }
    // It is tried as often as it is asked for, but a key that is none is a mistake.
    call.idempotency_key()?;
    call.param("app_id")?;
    call.param("msg_id")?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let url = endpoint_in::url(&mut fields, &call.gateway.guard, None);
    let url = fields.require("url", url);
    let named = fields.text("endpointId", Null::Taken, |text| validate::UID.check(text)).value();
    fields.finish()?;
    let app = call.app().await?;
    let tried = match named {
        Some(name) => Some(endpoint_named(&app, &name).ok_or(ApiError::not_found())?),
        None => None,
    };
    let message = call.message(&app, true).await?;
    let gone = || ApiError::Coded(Code::ContentExpired, "the content of the message has expired".into());
    let payload = message.payload.as_ref().ok_or_else(gone)?;
    let policy = call.gateway.snapshots.policy(app.app.env).await?;
    let is_named = tried.is_some();
    let endpoint = Arc::new(on_trial(&app, tried, url.unwrap_or_default()));
    let id = message.id.format(IdKind::Message);
    let letter = Letter {
        id: &id,
        payload,
        content_type: message.envelope.content_type.as_deref(),
        received: message.received.as_deref(),
        awaited: None,
        signature_headers: policy.settings.signature_headers(),
    };
    let outcome = call.gateway.trying.attempt(&endpoint, letter).await;
    let outcome = outcome.ok_or(ApiError::Coded(Code::TooBusy, TOO_MANY.into()))?;
    let drawn = endpoint.secrets.first().filter(|_| !is_named);
    let secret = drawn.and_then(|secret| SigningKey::from_stored(secret.key.expose()).ok()).map(|key| key.shown());
    Ok(answer::json(StatusCode::OK, &TryOut::of(&outcome, secret)))
}

/// An endpoint that is nowhere: with secrets and headers of one that is, or a secret of its own.
fn on_trial(app: &AppConfig, named: Option<Arc<Endpoint>>, url: String) -> Endpoint {
    let id = Id { key: 0, nonce: [0; 12] };
    let (secrets, headers) = match named {
        Some(endpoint) => (endpoint.secrets.clone(), endpoint.spec.headers.clone()),
        None => (vec![SigningSecret::current(endpoint_in::new_secret())], std::collections::BTreeMap::new()),
    };
    Endpoint {
        id,
        app: app.app.key(),
        uid: None,
        spec: EndpointSpec { url, headers, ..EndpointSpec::default() },
        secrets,
        url_id: 0,
        failing: None,
        created_at: 0,
        updated_at: 0,
    }
}

/// `POST /app/{app_id}/endpoint/{endpoint_id}/msg/test-attempt`: a message to this endpoint alone, whatever that
/// filters; 201 with its first attempt, when that is on record. With a portal token of a type that this sees, and
/// without an `eventId`.
pub(super) async fn test_attempt(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let body = call.read(body).await?;
    let gateway = &call.gateway;
    let mut message = message_in::read(&body, gateway.limits.json_depth_max, gateway.clock.now_ms(), None)?;
    // It is tried now.
    message.envelope.deliver_at = None;
    call.idempotency_key()?;
    if call.portal.is_some() && message.envelope.event_id.is_some() {
        let msg = "must not be given with a portal token: ids of events are their publisher's";
        return Err(ApiError::invalid("body", "eventId", msg, Kind::Value));
    }
    let (app, endpoint) = call.endpoint().await?;
    let idempotency = call.idempotency(Some(&app), &body)?;
    if call.portal.is_some() {
        // Who publishes may use types that nobody described; a customer those that he is shown.
        event_type::visible(&call, &message.envelope.event_type).await?;
    }
    if endpoint.spec.disabled.is_some() {
        return Err(ApiError::Coded(Code::EndpointDisabled, "the endpoint is disabled".into()));
    }
    let _one = gateway.trying.wait().ok_or(ApiError::Coded(Code::TooBusy, TOO_MANY.into()))?;
    let (envelope, payload, days) = (message.envelope, message.payload, message.payload_days);
    let accepted = gateway.publish_to(app, endpoint.key(), envelope, payload, days, idempotency);
    let id = match accepted.await? {
        Accepted::New(id) => id,
        Accepted::Repeated(first) => first.id,
    };
    let attempt = first_attempt(&call, AttemptsOf::Message(MessageKey(id.key), Some(endpoint.key()))).await?;
    let attempt = attempt.ok_or_else(|| {
        let id = id.format(IdKind::Message);
        ApiError::Coded(Code::Conflict, format!("{id} was accepted, and not yet tried: look it up later").into())
    })?;
    Ok(answer::json(StatusCode::CREATED, &AttemptOut::of(&attempt, &masked(&attempt.url))))
}

/// The oldest attempt, as soon as there is one; whichever node makes it, the store has it.
async fn first_attempt(call: &Call, of: AttemptsOf) -> Result<Option<Attempt>, ApiError> {
    let longest = Duration::from_millis(call.gateway.delivery.attempt_timeout_ms) + PATIENCE;
    let until = Instant::now() + longest;
    loop {
        let page = Page { after: None, order: Order::Ascending, limit: 1 };
        let filter = AttemptFilter { with_content: true, ..AttemptFilter::default() };
        let found = call.gateway.queries.attempts(of, page, filter).await?;
        if let Some((attempt, _)) = found.rows.into_iter().next() {
            return Ok(Some(attempt));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}
