//! Sending again and giving up, as tasks: what failed or is held at an endpoint, what it never got, what matches a
//! filter; and what is not ended, which is cancelled.

use std::borrow::Cow;

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::attempted::STATUSES;
use super::background_task::begun;
use super::call::Call;
use super::change;
use super::error::{ApiError, Kind};
use super::json::{Fields, Null};
use super::message::EVENT_TYPES_MAX;
use super::time;
use super::validate;
use crate::model::{ReplayFilter, TaskAsk, UnixMs};
use crate::store::command::NewTask;

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 2] = ["since", "until"];
pub(super) const BULK_FIELDS: [&str; 7] =
    ["since", "until", "eventTypes", "channel", "tag", "status", "statusCodeClass"];
pub(super) const CANCEL_FIELDS: [&str; 1] = ["createdBefore"];
const TIME: &str = "must be a time of RFC 3339 such as 2030-01-31T08:00:00Z";
const DAY_MS: i64 = 86_400_000;

/// How many there are.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TaskCountOut")]
pub(super) struct CountOut {
    /// Messages that would be sent.
    count: u64,
    /// There may be more: no more were looked at.
    approximated: bool,
}

/// What a body asks for.
struct Asked {
    ask: TaskAsk,
    since: UnixMs,
    until: UnixMs,
}

/// `POST /app/{app_id}/endpoint/{endpoint_id}/recover`: 202 with the task, which goes on by itself.
pub(super) async fn recover(call: Call, body: Body) -> Answer {
    start(call, body, recovery).await
}

/// `POST …/recover/count`: how many deliveries that would be.
pub(super) async fn count_recover(call: Call, body: Body) -> Answer {
    count(call, body, recovery).await
}

/// `POST /app/{app_id}/endpoint/{endpoint_id}/replay-missing`: 202 with the task, which goes on by itself.
pub(super) async fn replay_missing(call: Call, body: Body) -> Answer {
    start(call, body, missing).await
}

/// `POST …/replay-missing/count`: how many messages that would be.
pub(super) async fn count_missing(call: Call, body: Body) -> Answer {
    count(call, body, missing).await
}

/// `POST /app/{app_id}/endpoint/{endpoint_id}/bulk-replay`: 202 with the task, which goes on by itself.
pub(super) async fn bulk_replay(call: Call, body: Body) -> Answer {
    start(call, body, bulk).await
}

/// `POST …/bulk-replay/count`: how many messages that would be.
pub(super) async fn count_bulk(call: Call, body: Body) -> Answer {
    count(call, body, bulk).await
}

/// `POST /app/{app_id}/endpoint/{endpoint_id}/cancel-msgs`: 204; it is done behind the answer, also after a crash.
pub(super) async fn cancel(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &CANCEL_FIELDS, call.gateway.limits.json_depth_max)?;
    let before = moment(&mut fields, "createdBefore");
    fields.finish()?;
    let (app, endpoint) = call.endpoint().await?;
    let of = (app.app.key(), endpoint.key());
    let task = NewTask::to(app.app.env, of, TaskAsk::Cancel, (0, before.unwrap_or_default()));
    change::commit(&call, task.into_change(), &body, change::nothing).await
}

async fn start(call: Call, body: Body, read: fn(&Call, &[u8]) -> Result<Asked, ApiError>) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let body = call.read(body).await?;
    let Asked { ask, since, until } = read(&call, &body)?;
    let (app, endpoint) = call.endpoint().await?;
    let of = (app.app.key(), endpoint.key());
    let at = call.gateway.clock.now_ms();
    let counted = call.gateway.queries.count_for_task(endpoint, ask.clone(), since, until, at).await?;
    let mut task = NewTask::to(app.app.env, of, ask, (since, until));
    task.total = counted.is_whole.then_some(counted.count);
    change::commit(&call, task.into_change(), &body, begun).await
}

async fn count(call: Call, body: Body, read: fn(&Call, &[u8]) -> Result<Asked, ApiError>) -> Answer {
    // Counting again does no harm, but a key that is none is a mistake.
    call.idempotency_key()?;
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let body = call.read(body).await?;
    let Asked { ask, since, until } = read(&call, &body)?;
    let (_, endpoint) = call.endpoint().await?;
    let at = call.gateway.clock.now_ms();
    let counted = call.gateway.queries.count_for_task(endpoint, ask, since, until, at).await?;
    Ok(answer::json(StatusCode::OK, &CountOut { count: counted.count, approximated: !counted.is_whole }))
}

/// What is made from now on is not meant.
fn asked(call: &Call, ask: TaskAsk, (since, until): (UnixMs, Option<UnixMs>)) -> Asked {
    Asked { ask, since, until: until.unwrap_or(call.gateway.clock.now_ms() + 1) }
}

fn recovery(call: &Call, body: &[u8]) -> Result<Asked, ApiError> {
    Ok(asked(call, TaskAsk::Recover, read(body, call.gateway.limits.json_depth_max)?))
}

/// Of messages whose attempts are not kept any more nobody knows whether they were sent: those are not missing.
fn missing(call: &Call, body: &[u8]) -> Result<Asked, ApiError> {
    let (since, until) = read(body, call.gateway.limits.json_depth_max)?;
    let known_since = call.gateway.clock.now_ms() - i64::from(call.gateway.retention.attempt_days) * DAY_MS;
    Ok(asked(call, TaskAsk::ReplayMissing, (since.max(known_since), until)))
}

fn bulk(call: &Call, body: &[u8]) -> Result<Asked, ApiError> {
    let mut fields = Fields::parse(body, &BULK_FIELDS, call.gateway.limits.json_depth_max)?;
    let (since, until) = stretch(&mut fields);
    let types = fields.texts("eventTypes", (0, EVENT_TYPES_MAX), Null::Taken, &validate::EVENT_TYPE);
    let status = fields.number("status", Null::Taken, (0, 4), "must be a number from 0 to 4").value();
    let expected = "must be one of 0, 100, 200, 300, 400, 500";
    let class = fields.read("statusCodeClass", Null::Taken, expected, |class: &u16| {
        if class.is_multiple_of(100) && *class <= 500 { Ok(()) } else { Err(expected) }
    });
    let filter = ReplayFilter {
        event_types: types.value().unwrap_or_default(),
        channel: fields.text("channel", Null::Taken, |text| validate::CHANNEL.check(text)).value(),
        tag: fields.text("tag", Null::Taken, |text| validate::TAG.check(text)).value(),
        status: status.map(|status| STATUSES[usize::from(status)]),
        status_class: class.value().map(|class| class / 100),
    };
    fields.finish()?;
    Ok(asked(call, TaskAsk::BulkReplay(filter), (since, until)))
}

/// Reads a stretch of time; without an end it goes on until now.
pub(super) fn read(body: &[u8], depth_max: usize) -> Result<(UnixMs, Option<UnixMs>), ApiError> {
    let mut fields = Fields::parse(body, &FIELDS, depth_max)?;
    let stretch = stretch(&mut fields);
    fields.finish()?;
    Ok(stretch)
}

fn stretch<const N: usize>(fields: &mut Fields<'_, N>) -> (UnixMs, Option<UnixMs>) {
    let since = moment(fields, "since");
    let until = fields
        .read("until", Null::Taken, TIME, |text: &Cow<'_, str>| check(text))
        .value()
        .and_then(|text| time::parse(&text));
    if let (Some(since), Some(until)) = (since, until)
        && until <= since
    {
        fields.problem("until", "must be after since", Kind::Value);
    }
    (since.unwrap_or_default(), until)
}

/// A moment that must be there.
pub(super) fn moment<const N: usize>(fields: &mut Fields<'_, N>, name: &'static str) -> Option<UnixMs> {
    let given =
        fields.read(name, Null::Refused, TIME, |text: &Cow<'_, str>| check(text)).map(|text| time::parse(&text));
    fields.require(name, given).flatten()
}

fn check(text: &str) -> Result<(), &'static str> {
    time::parse(text).map(drop).ok_or(TIME)
}
