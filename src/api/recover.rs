//! Recovery: what failed or is held at an endpoint since a time is sent again, as a task.

use std::borrow::Cow;

use axum::body::Body;
use http::Response;

use super::background_task::TaskBegunOut;
use super::call::Call;
use super::change::{self, Rendered};
use super::error::{ApiError, Kind};
use super::json::{Fields, Null};
use super::time;
use crate::model::UnixMs;
use crate::store::command::{Change, Changed};

type Reader<'a> = Fields<'a, { FIELDS.len() }>;

pub(super) const FIELDS: [&str; 2] = ["since", "until"];
const TIME: &str = "must be a time of RFC 3339 such as 2030-01-31T08:00:00Z";

/// `POST /app/{app_id}/endpoint/{endpoint_id}/recover`: 202 with the task, which goes on by itself.
pub(super) async fn recover(call: Call, body: Body) -> Result<Response<Body>, ApiError> {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let body = call.read(body).await?;
    let (since, until) = read(&body, call.gateway.limits.json_depth_max)?;
    let (app, endpoint) = call.endpoint().await?;
    // What is made from now on is not meant.
    let until = until.unwrap_or(call.gateway.clock.now_ms() + 1);
    let recover = Change::Recover { app: app.app.key(), endpoint: endpoint.key(), since, until };
    change::commit(&call, recover, &body, begun).await
}

fn begun(changed: &Changed) -> Rendered {
    match changed {
        Changed::Task(task) => change::rendered(202, &TaskBegunOut::of(task)),
        other => change::nothing(other),
    }
}

/// Reads a stretch of time; without an end it goes on until now.
pub(super) fn read(body: &[u8], depth_max: usize) -> Result<(UnixMs, Option<UnixMs>), ApiError> {
    let mut fields: Reader<'_> = Fields::parse(body, &FIELDS, depth_max)?;
    let since =
        fields.read("since", Null::Refused, TIME, |text: &Cow<'_, str>| check(text)).map(|text| time::parse(&text));
    let since = fields.require("since", since).flatten();
    let until = fields
        .read("until", Null::Taken, TIME, |text: &Cow<'_, str>| check(text))
        .value()
        .and_then(|text| time::parse(&text));
    if let (Some(since), Some(until)) = (since, until)
        && until <= since
    {
        fields.problem("until", "must be after since", Kind::Value);
    }
    fields.finish()?;
    Ok((since.unwrap_or_default(), until))
}

fn check(text: &str) -> Result<(), &'static str> {
    time::parse(text).map(drop).ok_or(TIME)
}
