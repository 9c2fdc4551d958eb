//! What became of deliveries, in numbers: of an endpoint, of an application; and how many there are of these.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::{ApiError, Kind};
use super::message::EVENT_TYPES_MAX;
use super::time::Time;
use super::validate;
use crate::store::query::{AppSpan, EndpointStats};

type Answer = Result<Response<Body>, ApiError>;

/// How far back is looked where no `since` is given.
const SPAN_MS: i64 = 28 * 86_400_000;

/// What became of an endpoint's deliveries.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointStats")]
pub(super) struct StatsOut {
    /// Arrived.
    success: u64,
    /// Not tried yet, or held.
    pending: u64,
    /// Waiting for a retry.
    sending: u64,
    /// Given up.
    fail: u64,
    /// Their content is gone.
    canceled: u64,
}

impl From<EndpointStats> for StatsOut {
    fn from(stats: EndpointStats) -> Self {
        let EndpointStats { success, pending, sending, fail, cancelled, .. } = stats;
        Self { success, pending, sending, fail, canceled: cancelled }
    }
}

/// `GET /app/{app_id}/endpoint/{endpoint_id}/stats`: from `since` (28 days before the end) until
/// before `until` (now).
pub(super) async fn get(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let mut query = call.query();
    let (since, until) = (query.time("since"), query.time("until"));
    // Without an end, what is made in this very millisecond counts too.
    let until = until.unwrap_or(call.gateway.clock.now_ms() + 1);
    let since = since.unwrap_or(until - SPAN_MS);
    if since > until {
        query.problem("since", "must not be after until", Kind::Value);
    }
    query.finish()?;
    let (_, endpoint) = call.endpoint().await?;
    let stats = call.gateway.queries.endpoint_stats(endpoint.key(), since, until).await?;
    Ok(answer::json(StatusCode::OK, &StatsOut::from(stats)))
}

/// Buckets of counts over time, in milliseconds.
pub(super) const BUCKETS: [(&str, i64); 3] = [("FiveMinutes", 300_000), ("OneHour", 3_600_000), ("OneDay", 86_400_000)];
/// Buckets of one answer.
const BUCKETS_MAX: i64 = 2_000;
/// How far back is counted over time where no `startDate` is given.
const OVER_TIME_MS: i64 = 86_400_000;
/// Endpoints of a playground that some call no endpoints.
const PLAY: &str = "https://play.svix.com/%";

/// An application's attempts by event type.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppAttemptStatsOut")]
pub(super) struct AppAttemptsOut {
    /// Of each type that there were attempts of.
    by_event_type: BTreeMap<String, TypeOut>,
    /// Attempts that succeeded.
    total_success: u64,
    /// Attempts that failed.
    total_failure: u64,
    /// Deliveries whose content was gone before they were delivered.
    total_canceled: u64,
    /// From then on all are counted.
    since: Time,
    /// Until before then.
    until: Time,
}

/// Attempts of an event type.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(rename = "AppAttemptEventTypeStats")]
struct TypeOut {
    /// Attempts that succeeded.
    success: u64,
    /// Attempts that failed.
    failure: u64,
    /// Deliveries whose content was gone before they were delivered.
    canceled: u64,
}

/// An application's attempts over time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AttemptStatisticsResponse")]
#[serde(rename_all = "camelCase")]
pub(super) struct OverTimeOut {
    /// When the first bucket begins.
    start_date: Time,
    /// Until when is counted.
    end_date: Time,
    /// How long a bucket is.
    period: &'static str,
    /// The counts.
    data: CountsOut,
}

/// A number for each bucket.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AttemptStatisticsData")]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the contract's names")]
struct CountsOut {
    /// Attempts that succeeded.
    success_count: Vec<u64>,
    /// Attempts that failed.
    failure_count: Vec<u64>,
    /// Deliveries whose content was gone before they were delivered.
    canceled_count: Vec<u64>,
}

/// Endpoints of an environment.
#[derive(Serialize, JsonSchema)]
pub(super) struct EndpointCountOut {
    /// Those that are sent to.
    active: u64,
    /// Those that are disabled.
    disabled: u64,
}

/// Applications of an environment.
#[derive(Serialize, JsonSchema)]
pub(super) struct ActiveAppCount {
    /// Those that have an endpoint.
    count: u64,
}

/// `GET /app/{app_id}/stats/attempts`: by event type, from `since` until before `until`.
pub(super) async fn app_attempts(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    let mut query = call.query();
    let (since, until) = (query.required_time("since"), query.required_time("until"));
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        query.problem("since", "must not be after until", Kind::Value);
    }
    let event_types = query.list("event_types", EVENT_TYPES_MAX, &validate::EVENT_TYPE);
    query.finish()?;
    let app = call.app().await?.app.key();
    let until = until.unwrap_or(0).clamp(0, call.gateway.clock.now_ms() + 1);
    let since = since.unwrap_or(0).clamp(0, until);
    let span = AppSpan { since, until, bucket_ms: None, event_types, by_type: true };
    let counted = call.gateway.queries.attempts_of_app(app, span).await?;
    let mut out = AppAttemptsOut {
        by_event_type: BTreeMap::new(),
        total_success: 0,
        total_failure: 0,
        total_canceled: 0,
        since: Time(counted.since),
        until: Time(until),
    };
    for tally in counted.tallies {
        out.total_success += tally.success;
        out.total_failure += tally.failure;
        out.total_canceled += tally.cancelled;
        let of_type = out.by_event_type.entry(tally.event_type).or_default();
        of_type.success += tally.success;
        of_type.failure += tally.failure;
        of_type.canceled += tally.cancelled;
    }
    Ok(answer::json(StatusCode::OK, &out))
}

/// `GET /stats/app/{app_id}/attempt`: over time, from `startDate` (24 hours before the end) until `endDate` (now), in
/// buckets of a `period`.
pub(super) async fn attempts_over_time(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    let now = call.gateway.clock.now_ms();
    let mut query = call.query();
    let end = query.time("endDate").unwrap_or(now).clamp(0, now);
    let start = query.time("startDate").unwrap_or(end - OVER_TIME_MS).max(0);
    let asked = query.text("period");
    let bucket = BUCKETS.into_iter().find(|(name, _)| asked.as_deref().unwrap_or(BUCKETS[1].0) == *name);
    if bucket.is_none() {
        query.problem("period", "must be one of FiveMinutes, OneHour, OneDay", Kind::Value);
    }
    let (period, bucket_ms) = bucket.unwrap_or(BUCKETS[1]);
    if start > end {
        query.problem("startDate", "must not be after endDate", Kind::Value);
    } else if (end - start) / bucket_ms >= BUCKETS_MAX {
        query.problem("startDate", "must be at most 2000 periods before endDate", Kind::Value);
    }
    let event_types = query.list("event_types", EVENT_TYPES_MAX, &validate::EVENT_TYPE);
    query.finish()?;
    let app = call.app().await?.app.key();
    let by_type = !event_types.is_empty() || bucket_ms < BUCKETS[1].1;
    let since = start.div_euclid(bucket_ms) * bucket_ms;
    // The bucket of the end counts as far as it goes.
    let until = (end.div_euclid(bucket_ms) + 1) * bucket_ms;
    let span = AppSpan { since, until, bucket_ms: Some(bucket_ms), event_types, by_type };
    let counted = call.gateway.queries.attempts_of_app(app, span).await?;
    // A bucket that was not counted whole is left out.
    let first = (counted.since + bucket_ms - 1).div_euclid(bucket_ms) * bucket_ms;
    let buckets = usize::try_from((until - first) / bucket_ms).unwrap_or(0);
    let mut data = CountsOut {
        success_count: vec![0; buckets],
        failure_count: vec![0; buckets],
        canceled_count: vec![0; buckets],
    };
    for tally in counted.tallies {
        let Ok(place) = usize::try_from((tally.at - first).div_euclid(bucket_ms)) else { continue };
        for (counts, more) in [
            (&mut data.success_count, tally.success),
            (&mut data.failure_count, tally.failure),
            (&mut data.canceled_count, tally.cancelled),
        ] {
            if let Some(count) = counts.get_mut(place) {
                *count += more;
            }
        }
    }
    Ok(answer::json(StatusCode::OK, &OverTimeOut { start_date: Time(first), end_date: Time(end), period, data }))
}

/// `GET /stats/endpoint/count`.
pub(super) async fn count_endpoints(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let without = query.boolean("exclude_svix_play", true).then_some(PLAY);
    query.finish()?;
    let (active, disabled) = call.gateway.queries.endpoint_counts(call.env, without).await?;
    Ok(answer::json(StatusCode::OK, &EndpointCountOut { active, disabled }))
}

/// `GET /app/stats/count-active`.
pub(super) async fn count_active(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let without = query.boolean("exclude_svix_play", true).then_some(PLAY);
    let is_enabled = query.boolean("exclude_disabled", true);
    query.finish()?;
    let count = call.gateway.queries.active_apps(call.env, is_enabled, without).await?;
    Ok(answer::json(StatusCode::OK, &ActiveAppCount { count }))
}
