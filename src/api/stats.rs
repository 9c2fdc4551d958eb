//! What became of an endpoint's deliveries, in numbers.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::{ApiError, Kind};
use crate::store::query::EndpointStats;

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
