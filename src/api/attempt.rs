//! Attempts: by message, by endpoint, one, and sending again.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::{Call, endpoint_named};
use super::change::{self, Rendered};
use super::error::{ApiError, Kind};
use super::message;
use super::page::{self, PageQuery};
use super::query::Query;
use super::time::Time;
use super::validate::{self, has_form_of};
use crate::model::url::masked;
use crate::model::{AppConfig, Attempt, Id, IdKind, Message, Phase, Timings, Trigger};
use crate::store::command::{Change, Changed};
use crate::store::query::{AttemptFilter, AttemptRow, AttemptsOf, Order, Rows};
use crate::store::search::AttemptCount;

type Answer = Result<Response<Body>, ApiError>;

/// An attempt on the wire: it succeeded or it failed. What is pending, sending or cancelled is a
/// delivery, and no attempt.
const SUCCESS: u16 = 0;
const FAIL: u16 = 2;

/// An attempt.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageAttemptOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct AttemptOut<'a> {
    /// Its id.
    #[schemars(regex(pattern = r"^atmpt_[A-Za-z0-9]{27}$"))]
    id: String,
    /// The message.
    #[schemars(regex(pattern = r"^msg_[A-Za-z0-9]{27}$"))]
    msg_id: String,
    /// The endpoint.
    #[schemars(regex(pattern = r"^ep_[A-Za-z0-9]{27}$"))]
    endpoint_id: String,
    /// Where it was posted to; a password in it is masked.
    url: &'a str,
    /// The receiver's answer as far as it is kept; without one, how the attempt ended.
    response: Cow<'a, str>,
    /// The answer's status; 0 where there was none.
    response_status_code: u16,
    /// How long it took.
    response_duration_ms: u32,
    /// 0 succeeded, 1 pending, 2 failed, 3 being sent, 4 cancelled.
    #[schemars(range(min = 0, max = 4))]
    status: u16,
    /// The same as a word.
    status_text: &'static str,
    /// 0 by schedule, 1 by hand.
    #[schemars(range(min = 0, max = 1))]
    trigger_type: i64,
    /// When it began.
    timestamp: Time,
    /// How it ended, as a word: `success`, `status` (the receiver answered with another status than 2xx), `timeout`,
    /// `dns_failed`, `connect_failed`, `tls_failed`, `connection_closed`, `invalid_response`, `blocked_ip` or
    /// `internal_error`. An addition of this server.
    outcome: &'static str,
    /// Where its time went; null where that is not known. An addition of this server.
    timings: Option<TimingsOut>,
    /// After a failure: when the delivery was to be tried again, as was decided then. An addition of this server.
    next_attempt: Option<Time>,
}

/// Milliseconds of the parts of an attempt. A part that there was not is null: no name was resolved, a connection was
/// used again, or the attempt ended before. The part in which an attempt ended has the time until then.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AttemptTimings")]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "names have their units last")]
pub(super) struct TimingsOut {
    /// Resolving the name.
    dns_ms: Option<u32>,
    /// Connecting.
    connect_ms: Option<u32>,
    /// The TLS handshake.
    tls_ms: Option<u32>,
    /// From sending the request until the head of the answer was there.
    first_byte_ms: Option<u32>,
    /// Reading the body of the answer.
    body_ms: Option<u32>,
}

impl From<Timings> for TimingsOut {
    fn from(timings: Timings) -> Self {
        Self {
            dns_ms: timings.of(Phase::Dns),
            connect_ms: timings.of(Phase::Connect),
            tls_ms: timings.of(Phase::Tls),
            first_byte_ms: timings.of(Phase::FirstByte),
            body_ms: timings.of(Phase::Body),
        }
    }
}

impl<'a> AttemptOut<'a> {
    pub(super) fn of(attempt: &'a Attempt, url: &'a str) -> Self {
        let succeeded = attempt.kind == crate::model::OutcomeKind::Success;
        Self {
            id: attempt.id.format(IdKind::Attempt),
            msg_id: attempt.message.format(IdKind::Message),
            endpoint_id: attempt.endpoint.format(IdKind::Endpoint),
            url,
            // Without an answer there is no text of the receiver's: how it ended stands there.
            response: match attempt.status {
                0 => attempt.kind.as_str().into(),
                _ => String::from_utf8_lossy(&attempt.response),
            },
            response_status_code: attempt.status,
            response_duration_ms: attempt.duration_ms,
            status: if succeeded { SUCCESS } else { FAIL },
            status_text: if succeeded { "success" } else { "fail" },
            trigger_type: match attempt.trigger {
                Trigger::Scheduled => 0,
                Trigger::Manual => 1,
            },
            timestamp: Time(attempt.started_at),
            outcome: attempt.kind.as_str(),
            timings: attempt.timings.map(TimingsOut::from),
            next_attempt: attempt.next_due.map(Time),
        }
    }
}

/// `GET /app/{app_id}/attempt/endpoint/{endpoint_id}`, newest first.
pub(super) async fn list_by_endpoint(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let mut query = call.query();
    let (page, asked) = read(&mut query, true);
    query.finish()?;
    let (_, endpoint) = call.endpoint().await?;
    list(&call, &page, AttemptsOf::Endpoint(endpoint.key()), asked).await
}

/// How many there are.
#[derive(Serialize, JsonSchema)]
pub(super) struct CountOut {
    /// How many.
    count: u64,
    /// Whether there may be more: counting was cut short.
    approximated: bool,
}

/// `GET /app/{app_id}/attempt/endpoint/{endpoint_id}/count`.
pub(super) async fn count(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let mut query = call.query();
    let filter = filter(&mut query);
    query.finish()?;
    let (_, endpoint) = call.endpoint().await?;
    let counted = match filter {
        Some(filter) => call.gateway.queries.attempt_count(endpoint.key(), filter).await?,
        None => AttemptCount { count: 0, approximated: false },
    };
    Ok(answer::json(StatusCode::OK, &CountOut { count: counted.count, approximated: counted.approximated }))
}

/// `GET /app/{app_id}/attempt/msg/{msg_id}`, newest first.
pub(super) async fn list_by_message(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("msg_id")?;
    let mut query = call.query();
    let (page, asked) = read(&mut query, false);
    let endpoint = query.ruled("endpoint_id", &validate::UID);
    query.finish()?;
    let app = call.app().await?;
    let message = call.message(&app, false).await?.key();
    let endpoint = match endpoint {
        Some(name) => Some(endpoint_named(&app, &name).ok_or(ApiError::not_found())?.key()),
        None => None,
    };
    list(&call, &page, AttemptsOf::Message(message, endpoint), asked).await
}

/// `GET /app/{app_id}/msg/{msg_id}/attempt/{attempt_id}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    query.boolean("expanded_statuses", false);
    query.finish()?;
    let (_, _, attempt) = named(&call, false).await?;
    Ok(answer::json(StatusCode::OK, &AttemptOut::of(&attempt, &masked(&attempt.url))))
}

/// The attempt that the path names, with its message and application.
pub(super) async fn named(call: &Call, with_content: bool) -> Result<(Arc<AppConfig>, Message, Attempt), ApiError> {
    call.param("app_id")?;
    call.param("msg_id")?;
    let id = call.param("attempt_id")?;
    if !has_form_of(IdKind::Attempt, &id) {
        return Err(ApiError::invalid("path", "attempt_id", "must match ^atmpt_[A-Za-z0-9]{27}$", Kind::Value));
    }
    let id = Id::parse(IdKind::Attempt, &id);
    let app = call.app().await?;
    let message = call.message(&app, with_content).await?;
    let found = match id {
        Some(id) => call.gateway.queries.attempt(message.key(), id).await?,
        None => None,
    };
    Ok((app, message, found.ok_or(ApiError::not_found())?))
}

/// `POST /app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend`: one attempt by hand.
pub(super) async fn resend(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    call.param("msg_id")?;
    let body = call.read(body).await?;
    let (app, endpoint) = call.endpoint().await?;
    let message = call.message(&app, false).await?.key();
    let resend = Change::Resend { app: app.app.key(), endpoint: endpoint.key(), message };
    change::commit(&call, resend, &body, resent).await
}

fn resent(_: &Changed) -> Rendered {
    (202, "{}".to_owned())
}

/// How many were sent again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ResendFailedOut")]
pub(super) struct ResentOut {
    /// Endpoints to which an attempt is under way.
    resent: usize,
}

/// `POST /app/{app_id}/msg/{msg_id}/resend-failed`: one attempt by hand to each enabled endpoint where it failed or
/// is held.
pub(super) async fn resend_failed(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    call.param("msg_id")?;
    let body = call.read(body).await?;
    let app = call.app().await?;
    let message = call.message(&app, false).await?.key();
    let resend = Change::ResendFailed { app: app.app.key(), message };
    change::commit(&call, resend, &body, |changed| match changed {
        Changed::ResentFailed { resent, .. } => change::rendered(202, &ResentOut { resent: resent.len() }),
        other => change::nothing(other),
    })
    .await
}

/// Reads page and filters; no filter where no attempt can match.
fn read(query: &mut Query<'_>, can_have_message: bool) -> (PageQuery<i64>, Option<AttemptFilter>) {
    let page = PageQuery::by_id(query, IdKind::Attempt, Order::Descending, false);
    query.boolean("expanded_statuses", false);
    let with_content = query.boolean("with_content", true);
    let with_message = can_have_message && query.boolean("with_msg", false);
    let filter = filter(query).map(|filter| AttemptFilter { with_content, with_message, ..filter });
    (page, filter)
}

/// The filters of lists and counts; `None` where no attempt can match. The bytes of messages are never
/// shown here.
fn filter(query: &mut Query<'_>) -> Option<AttemptFilter> {
    let status = query.one_of("status", &[0, 1, 2, 3, 4]);
    let class = query.one_of("status_code_class", &[0, 100, 200, 300, 400, 500]);
    let message = message::envelope_filter(query);
    let success = match status {
        None => None,
        Some(SUCCESS) => Some(true),
        Some(FAIL) => Some(false),
        Some(_) => return None,
    };
    let status_class = class.map(|class| class / 100);
    Some(AttemptFilter { success, status_class, message, ..AttemptFilter::default() })
}

async fn list(call: &Call, page: &PageQuery<i64>, of: AttemptsOf, filter: Option<AttemptFilter>) -> Answer {
    let rows = match filter {
        Some(filter) => call.gateway.queries.attempts(of, page.page(), filter).await?,
        None => Rows { rows: Vec::new(), done: true, resume: None },
    };
    let iterator = |(attempt, _): &AttemptRow| attempt.id.format(IdKind::Attempt);
    let resume = |key| Id::first_of(key).format(IdKind::Attempt);
    Ok(page.answer(rows, iterator, resume, |out, (attempt, of)| {
        page::push_json(out, &AttemptOut::of(attempt, &masked(&attempt.url)));
        if let Some(of) = of {
            // Reopens the object that was just written.
            out.pop();
            out.extend_from_slice(b",\"msg\":");
            message::push(out, of, false);
            out.push(b'}');
        }
    }))
}
