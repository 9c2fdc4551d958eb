//! What came and went in an environment, and how it stands.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::{ApiError, Kind};
use super::time::Time;
use crate::model::{IdKind, Latencies, UnixMs};
use crate::store::ReadError;
use crate::store::query::{Traffic, TrafficBucket};

type Answer = Result<Response<Body>, ApiError>;

/// The periods, the seconds of their buckets, and how many of these.
pub(super) const PERIODS: [(&str, i64, i64); 4] =
    [("1h", 60, 60), ("24h", 900, 96), ("7d", 3_600, 168), ("30d", 14_400, 180)];

/// What came and went in an environment, and how it stands now.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct OverviewOut {
    /// The period that was asked for.
    period: &'static str,
    /// Seconds of a bucket.
    bucket_s: i64,
    /// What came after is not counted yet: where much comes, counts are some seconds behind, on PostgreSQL up to a
    /// minute.
    counted_to: Time,
    /// Every bucket of the period, oldest first; the last goes on.
    series: Vec<BucketOut>,
    /// How it stands now.
    now: NowOut,
    /// The series together.
    totals: TotalsOut,
}

/// What came and went in a time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewBucket")]
#[serde(rename_all = "camelCase")]
struct BucketOut {
    /// When it begins.
    at: Time,
    /// Messages that were accepted.
    accepted: u64,
    /// Attempts that succeeded.
    delivered: u64,
    /// Attempts that failed.
    failed: u64,
    /// Half of the attempts took at most so many milliseconds; null where there were none.
    p50_ms: Option<f64>,
    /// 95 of 100 attempts took at most so many milliseconds.
    p95_ms: Option<f64>,
    /// 99 of 100 attempts took at most so many milliseconds.
    p99_ms: Option<f64>,
}

/// What came and went in the whole period.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewTotals")]
#[serde(rename_all = "camelCase")]
struct TotalsOut {
    /// Messages that were accepted.
    accepted: u64,
    /// Attempts that succeeded.
    delivered: u64,
    /// Attempts that failed.
    failed: u64,
    /// Half of the attempts took at most so many milliseconds; null where there were none.
    p50_ms: Option<f64>,
    /// 95 of 100 attempts took at most so many milliseconds.
    p95_ms: Option<f64>,
    /// 99 of 100 attempts took at most so many milliseconds.
    p99_ms: Option<f64>,
}

/// How an environment stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OverviewNow")]
#[serde(rename_all = "camelCase")]
struct NowOut {
    /// Deliveries without an outcome, and those that wait for their due time.
    waiting: u64,
    /// There are more than were counted.
    has_more_waiting: bool,
    /// Endpoints that do nothing but fail.
    failing: u64,
    /// Attempts in flight, of this node.
    in_flight: u64,
    /// When the delivery was due that is due longest, of this node; null where none is.
    oldest_due_at: Option<Time>,
    /// Where that goes.
    #[schemars(regex(pattern = r"^ep_[A-Za-z0-9]{27}$"))]
    oldest_due_endpoint_id: Option<String>,
    /// Messages accepted in a second, in the last minute or two.
    accepted_per_second: f64,
    /// Attempts that succeeded in a second, in the same time.
    delivered_per_second: f64,
}

impl BucketOut {
    fn of(bucket: &TrafficBucket) -> Self {
        let TrafficBucket { at, accepted, delivered, failed, latencies } = bucket;
        let [p50_ms, p95_ms, p99_ms] = percentiles(latencies);
        Self { at: Time(*at), accepted: *accepted, delivered: *delivered, failed: *failed, p50_ms, p95_ms, p99_ms }
    }
}

impl TotalsOut {
    fn of(buckets: &[TrafficBucket]) -> Self {
        let sum = |of: fn(&TrafficBucket) -> u64| buckets.iter().map(of).sum();
        let mut latencies = Latencies::default();
        for bucket in buckets {
            latencies.merge(&bucket.latencies);
        }
        let [p50_ms, p95_ms, p99_ms] = percentiles(&latencies);
        let (accepted, delivered) = (sum(|bucket| bucket.accepted), sum(|bucket| bucket.delivered));
        Self { accepted, delivered, failed: sum(|bucket| bucket.failed), p50_ms, p95_ms, p99_ms }
    }
}

fn percentiles(latencies: &Latencies) -> [Option<f64>; 3] {
    [50, 95, 99].map(|percent| latencies.percentile_ms(percent))
}

/// `GET /overview`: what came and went in the `period` until now.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let asked = query.text("period");
    let found = PERIODS.iter().find(|(name, ..)| asked.as_deref().unwrap_or(PERIODS[0].0) == *name);
    if found.is_none() {
        query.problem("period", "must be one of 1h, 24h, 7d, 30d", Kind::Value);
    }
    query.finish()?;
    let (period, bucket_s, count) = *found.unwrap_or(&PERIODS[0]);
    let now = call.gateway.clock.now_ms();
    // The bucket that now is in is the last.
    let until = (now.div_euclid(bucket_s * 1_000) + 1) * bucket_s * 1_000;
    let since = until - count * bucket_s * 1_000;
    let traffic = call.gateway.queries.traffic(call.env, since, until, bucket_s, now).await?;
    let overview = OverviewOut {
        period,
        bucket_s,
        counted_to: Time(traffic.counted_to),
        series: traffic.buckets.iter().map(BucketOut::of).collect(),
        now: standing(&call, &traffic).await?,
        totals: TotalsOut::of(&traffic.buckets),
    };
    Ok(answer::json(StatusCode::OK, &overview))
}

async fn standing(call: &Call, traffic: &Traffic) -> Result<NowOut, ReadError> {
    let gateway = &call.gateway;
    let standing = gateway.queries.standing(call.env).await?;
    let lanes = gateway.lanes.read();
    let mut apps: Vec<_> = lanes.busy.iter().map(|lane| lane.app).collect();
    apps.sort_unstable();
    apps.dedup();
    let ours = if apps.is_empty() { apps } else { gateway.queries.apps_of_env(call.env, apps).await? };
    let mut busy = lanes.busy.iter().filter(|lane| ours.contains(&lane.app));
    let in_flight = busy.clone().map(|lane| u64::from(lane.in_flight)).sum();
    let oldest = busy.next().and_then(|lane| Some((lane, lane.oldest_due?)));
    let oldest_due_endpoint_id = match oldest {
        Some((lane, _)) => {
            let config = gateway.snapshots.app(lane.app).await?;
            let endpoint = config.and_then(|config| config.endpoint(lane.endpoint).cloned());
            endpoint.map(|endpoint| endpoint.id.format(IdKind::Endpoint))
        }
        None => None,
    };
    // Of very many those are counted together that are pending at all, now and then.
    let all = u64::try_from(gateway.metrics.queue_depth.get()).unwrap_or(0);
    let is_all = standing.has_more_waiting && standing.is_alone && all >= standing.waiting;
    Ok(NowOut {
        waiting: if is_all { all } else { standing.waiting },
        has_more_waiting: standing.has_more_waiting && !is_all,
        failing: standing.failing,
        in_flight,
        oldest_due_at: oldest.map(|(_, due): (_, UnixMs)| Time(due)),
        oldest_due_endpoint_id,
        accepted_per_second: rounded(traffic.accepted_per_s),
        delivered_per_second: rounded(traffic.delivered_per_s),
    })
}

/// To a hundredth.
fn rounded(per_second: f64) -> f64 {
    (per_second * 100.0).round() / 100.0
}
