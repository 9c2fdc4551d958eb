//! How the server stands: its nodes, its store, its journal, its lanes, what waits.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::ApiError;
use super::health::name_of;
use super::time::Time;
use crate::accept::Gateway;
use crate::model::SLOTS;
use crate::model::url::masked;
use crate::store::query::{NodeRow, QUEUE_AGES_S, QueueRow, StoreSize, TableSize};

type Answer = Result<Response<Body>, ApiError>;

/// Endpoints of the queue that are shown.
const QUEUE_MAX: usize = 50;

/// How the server stands. What cannot be known is null.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct SystemOut {
    /// What it runs.
    version: &'static str,
    /// `sqlite` or `postgres`.
    engine: &'static str,
    /// When the process that answers was started.
    started_at: Time,
    /// Those that share the store; one where it is embedded.
    nodes: Vec<NodeOut>,
    /// Slots of endpoints.
    slots: SlotsOut,
    /// What is on disk.
    store: StoreOut,
    /// The journal of this node.
    journal: JournalOut,
    /// The lanes of this node.
    lanes: LanesOut,
    /// What waits in the environment: the 50 endpoints with most.
    queue: Vec<QueueOut>,
    /// Bounds of the columns of `queue[].byAge`, in seconds; what is older than the last is in one column more.
    queue_ages_s: [i64; 6],
    /// What is accepted at most.
    limits: LimitsOut,
    /// How long things are kept, in days.
    retention: RetentionOut,
}

/// A node.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemNode")]
#[serde(rename_all = "camelCase")]
struct NodeOut {
    /// What it calls itself.
    name: String,
    /// Its number.
    id: String,
    /// Where it listens; known of the one that answers only.
    address: Option<String>,
    /// `active`, `leaving`, or `gone`: its lease is over.
    state: &'static str,
    /// When its lease ends unless it is renewed.
    lease_until: Option<Time>,
    /// Slots that it holds.
    slots: u16,
    /// What it runs.
    version: String,
}

/// Slots.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemSlots")]
struct SlotsOut {
    /// All there are.
    total: usize,
    /// Those that a node holds whose lease is not over.
    held: usize,
}

/// What is on disk.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemStore")]
#[serde(rename_all = "camelCase")]
struct StoreOut {
    /// The store without its log.
    bytes: u64,
    /// Its write-ahead log.
    wal_bytes: Option<u64>,
    /// Its largest tables, with all their partitions and indexes.
    tables: Vec<TableOut>,
    /// Room on the disk of the data folder.
    disk_free_bytes: Option<u64>,
}

/// A table.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemTable")]
struct TableOut {
    /// What it is called.
    name: String,
    /// Rows, roughly.
    rows: Option<u64>,
    /// Bytes.
    bytes: Option<u64>,
}

/// The journal.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemJournal")]
#[serde(rename_all = "camelCase")]
struct JournalOut {
    /// `good`, `disk_full`, `away`, `failed` or `closed`.
    state: &'static str,
    /// Commands that wait.
    queue_depth: u64,
    /// Their bytes, roughly.
    queue_bytes: u64,
    /// Commits in a second, lately.
    commits_per_second: f64,
    /// Commands in a commit, lately.
    batch_mean: Option<f64>,
    /// Half of the commits took at most so many milliseconds, lately.
    commit_ms_p50: Option<f64>,
    /// 99 of 100 commits took at most so many milliseconds, lately.
    commit_ms_p99: Option<f64>,
}

/// Lanes: queues of endpoints in memory.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemLanes")]
#[serde(rename_all = "camelCase")]
struct LanesOut {
    /// Endpoints that have one.
    total: usize,
    /// Those that are not sent to for a moment, because they could not be reached.
    open: usize,
    /// Those that are tried again.
    half_open: usize,
    /// Deliveries in memory.
    ready: usize,
    /// Attempts in flight.
    in_flight: usize,
    /// Deliveries in the store without an outcome, of all nodes.
    waiting: u64,
    /// Of these, those that are in no memory of this node.
    spilled: u64,
}

/// What waits for an endpoint.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemQueue")]
#[serde(rename_all = "camelCase")]
struct QueueOut {
    /// The endpoint.
    endpoint_id: String,
    /// Where it delivers to; a password in it is masked.
    url: String,
    /// Deliveries by the age of their message.
    by_age: [u64; 7],
    /// Set aside after their last failure.
    failed: u64,
    /// Held because the endpoint is disabled.
    held: u64,
}

/// Limits.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemLimits")]
#[serde(rename_all = "camelCase")]
struct LimitsOut {
    /// Bytes of a body.
    body_bytes_max: usize,
    /// Commands that may wait for the journal.
    journal_rows_max: usize,
    /// Bytes of these.
    journal_bytes_max: usize,
    /// Endpoints of an application.
    endpoints_per_application: usize,
    /// Attempts in flight.
    attempts_in_flight_max: usize,
    /// Deliveries in memory.
    deliveries_in_memory_max: usize,
    /// Milliseconds of an attempt.
    attempt_timeout_ms: u64,
    /// Seconds before each retry, where nothing else says otherwise.
    retry_schedule_s: Vec<u32>,
}

/// Retention.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemRetention")]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "names have their units last")]
struct RetentionOut {
    /// Bytes of messages.
    payload_days: u16,
    /// Attempts.
    attempt_days: u16,
    /// Messages.
    message_days: u16,
}

/// `GET /system`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let (gateway, queries) = (&call.gateway, &call.gateway.queries);
    let now = gateway.clock.now_ms();
    let size = queries.size().await?;
    let nodes = queries.nodes().await?;
    let queue = queries.queue_shape(Some(call.env), now, QUEUE_MAX).await?;
    let held = nodes.iter().filter(|node| node.lives).map(|node| usize::from(node.slots)).sum();
    let slots = SlotsOut { total: SLOTS, held: if nodes.is_empty() { SLOTS } else { held } };
    let (limits, retention) = (limits(gateway), retention(gateway));
    let system = SystemOut {
        version: env!("CARGO_PKG_VERSION"),
        engine: size.engine,
        started_at: Time(gateway.started_at),
        nodes: if nodes.is_empty() { vec![alone(gateway)] } else { nodes.into_iter().map(NodeOut::of).collect() },
        slots,
        store: store(gateway, size),
        journal: journal(gateway),
        lanes: lanes(gateway),
        queue: queue.into_iter().map(QueueOut::of).collect(),
        queue_ages_s: QUEUE_AGES_S,
        limits,
        retention,
    };
    Ok(answer::json(StatusCode::OK, &system))
}

impl NodeOut {
    fn of(node: NodeRow) -> Self {
        let state = match (node.lives, node.is_leaving) {
            (false, _) => "gone",
            (true, true) => "leaving",
            (true, false) => "active",
        };
        Self {
            name: node.name,
            id: node.number.to_string(),
            address: None,
            state,
            lease_until: Some(Time(node.lease_until)),
            slots: node.slots,
            version: node.version,
        }
    }
}

/// The one process that has the store for itself.
fn alone(gateway: &Gateway) -> NodeOut {
    NodeOut {
        name: "posthouse".to_owned(),
        id: "0".to_owned(),
        address: gateway.listening.get().cloned(),
        state: if gateway.admission.is_draining() { "leaving" } else { "active" },
        lease_until: None,
        slots: SLOTS as u16,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn store(gateway: &Gateway, size: StoreSize) -> StoreOut {
    let free = u64::try_from(gateway.metrics.disk_free_bytes.get()).ok();
    let table = |TableSize { name, rows, bytes }| TableOut { name, rows, bytes };
    StoreOut {
        bytes: size.bytes,
        wal_bytes: size.wal_bytes,
        tables: size.tables.into_iter().map(table).collect(),
        disk_free_bytes: free.filter(|free| *free > 0),
    }
}

fn journal(gateway: &Gateway) -> JournalOut {
    let (commits, seconds) = gateway.metrics.commits.read(gateway.clock.now_ms());
    let mean = commits.commands as f64 / commits.count as f64;
    JournalOut {
        state: name_of(gateway.admission.journal()),
        queue_depth: gateway.journal.depth() as u64,
        queue_bytes: gateway.journal.bytes() as u64,
        commits_per_second: rounded(commits.count as f64 / seconds),
        batch_mean: (commits.count > 0).then(|| rounded(mean)),
        commit_ms_p50: commits.latencies.percentile_ms(50),
        commit_ms_p99: commits.latencies.percentile_ms(99),
    }
}

fn lanes(gateway: &Gateway) -> LanesOut {
    let lanes = gateway.lanes.read();
    let waiting = u64::try_from(gateway.metrics.queue_depth.get()).unwrap_or(0);
    let [_, open, half_open] = lanes.breakers;
    LanesOut {
        total: lanes.breakers.iter().sum(),
        open,
        half_open,
        ready: lanes.in_memory,
        in_flight: lanes.in_flight,
        waiting,
        spilled: waiting.saturating_sub((lanes.in_memory + lanes.in_flight) as u64),
    }
}

impl QueueOut {
    fn of(row: QueueRow) -> Self {
        let QueueRow { endpoint, url, by_age, failed, held } = row;
        Self { endpoint_id: endpoint, url: masked(&url).into_owned(), by_age, failed, held }
    }
}

fn limits(gateway: &Gateway) -> LimitsOut {
    let (limits, delivery) = (&gateway.limits, &gateway.delivery);
    LimitsOut {
        body_bytes_max: limits.body_bytes_max,
        journal_rows_max: limits.journal_rows_max,
        journal_bytes_max: limits.journal_bytes_max,
        endpoints_per_application: limits.endpoints_per_application,
        attempts_in_flight_max: delivery.attempts_in_flight_max,
        deliveries_in_memory_max: delivery.deliveries_in_memory_max,
        attempt_timeout_ms: delivery.attempt_timeout_ms,
        retry_schedule_s: delivery.retry_schedule.clone(),
    }
}

fn retention(gateway: &Gateway) -> RetentionOut {
    let kept = &gateway.retention;
    RetentionOut { payload_days: kept.payload_days, attempt_days: kept.attempt_days, message_days: kept.message_days }
}

/// To a hundredth.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
