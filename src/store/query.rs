//! The list queries: what the API and the command line show. Every list has a limit, and a scan
//! that finds little goes on in the next page instead of for ever.

use std::sync::Arc;

use async_trait::async_trait;

use super::ReadError;
use super::maintenance::{Due, Horizon};
use super::search::{AttemptCount, EndpointRow, EndpointsIn, Looked, Search, SearchRow, Tallied};
use crate::model::cron::CronSource;
use crate::model::{
    ApiKey, AppKey, Application, Attempt, BackgroundTask, DeliveryState, DeliveryStatus, Endpoint, EndpointKey, EnvKey,
    Environment, EventType, Id, Key, Latencies, LoggedRequest, Message, MessageKey, PortalToken, Session, SessionKind,
    Source, SourceKey, TaskAsk, TaskKind, TaskLine, TaskStatus, UnixMs,
};

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first, names from A.
    Ascending,
    /// Newest first, names from Z.
    Descending,
}

impl Order {
    /// The other way.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// One page of a list: strictly behind `after` in `order`, at most `limit`.
#[derive(Debug, Clone, Copy)]
pub struct Page<C> {
    /// Begin behind this.
    pub after: Option<C>,
    /// Which way.
    pub order: Order,
    /// How many (1 to 250).
    pub limit: usize,
}

/// Rows of a list.
#[derive(Debug, Clone)]
pub struct Rows<T> {
    /// The rows, in order.
    pub rows: Vec<T>,
    /// Nothing follows. Where more does, fewer rows than asked for may be here: pages are bounded in bytes.
    pub done: bool,
    /// Where a scan that was cut short (many rows, few of which match) goes on.
    pub resume: Option<Key>,
}

/// What messages a list takes.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// With this channel.
    pub channel: Option<String>,
    /// With one of these channels; empty means all.
    pub channels: Vec<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Of one of these types; empty means all.
    pub event_types: Vec<String>,
    /// Made before.
    pub before: Option<UnixMs>,
    /// Made after.
    pub after: Option<UnixMs>,
    /// That came in by this source.
    pub source: Option<SourceKey>,
    /// With their bytes.
    pub with_content: bool,
}

/// The attempts of what.
#[derive(Debug, Clone, Copy)]
pub enum AttemptsOf {
    /// A message, perhaps to one endpoint only.
    Message(MessageKey, Option<EndpointKey>),
    /// An endpoint.
    Endpoint(EndpointKey),
}

/// What attempts a list takes.
#[derive(Debug, Clone, Default)]
pub struct AttemptFilter {
    /// Only successes, or only failures.
    pub success: Option<bool>,
    /// Only this hundred of status codes (0 to 5).
    pub status_class: Option<u16>,
    /// Only of messages like this; `before` and `after` are of the attempt.
    pub message: MessageFilter,
    /// With the answer's body.
    pub with_content: bool,
    /// With the message.
    pub with_message: bool,
}

/// What deliveries a list takes.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only those that stand so.
    pub status: Option<DeliveryStatus>,
    /// Only of messages like this.
    pub message: MessageFilter,
}

/// An attempt with its message, if that was asked for.
pub type AttemptRow = (Attempt, Option<Message>);

/// What waits, for one endpoint.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct QueueRow {
    /// The public id of the endpoint; its key where the endpoint is gone.
    pub endpoint: String,
    /// Where it delivers to.
    pub url: String,
    /// Deliveries by age: under 10 s, 1 min, 10 min, 1 h, 6 h, 1 d, and older.
    pub by_age: [u64; 7],
    /// Set aside after their last failure.
    pub failed: u64,
    /// Held because the endpoint is disabled.
    pub held: u64,
}

/// What became of an endpoint's deliveries in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndpointStats {
    /// Attempts that succeeded, in whole hours.
    pub success: u64,
    /// Attempts that failed, in whole hours; their deliveries may have succeeded later.
    pub attempts_failed: u64,
    /// Deliveries that are given up: after their last failure, or quarantined.
    pub fail: u64,
    /// Deliveries without an outcome, and those that are held.
    pub pending: u64,
    /// Deliveries that wait for their due time.
    pub sending: u64,
    /// Deliveries whose content was gone before they were delivered.
    pub cancelled: u64,
}

/// What is counted of an application's attempts.
#[derive(Debug, Clone)]
pub struct AppSpan {
    /// From then on.
    pub since: UnixMs,
    /// Until before then.
    pub until: UnixMs,
    /// Milliseconds of a bucket, which begin at multiples of this; `None`: all in one.
    pub bucket_ms: Option<i64>,
    /// Of these types; empty means all.
    pub event_types: Vec<String>,
    /// Counted by event type; else by the hour only, of which `since`, `until` and the bucket are multiples.
    pub by_type: bool,
}

/// Attempts of an application in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppAttempts {
    /// From then on all are counted: as was asked for, or later where there are very many.
    pub since: UnixMs,
    /// In order of time and type.
    pub tallies: Vec<Tally>,
}

/// Attempts of a bucket and a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// When the bucket begins.
    pub at: UnixMs,
    /// The type; empty where types are not told apart.
    pub event_type: String,
    /// Attempts that succeeded.
    pub success: u64,
    /// Attempts that failed.
    pub failure: u64,
    /// Deliveries whose content was gone before they were delivered.
    pub cancelled: u64,
}

/// What came and went in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficBucket {
    /// When it begins.
    pub at: UnixMs,
    /// Messages that were accepted.
    pub accepted: u64,
    /// Attempts that succeeded.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// How long the attempts took.
    pub latencies: Latencies,
}

/// What came and went in an environment. Operational webhooks, and what belongs to applications that are gone
/// by the time it is counted, are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Every bucket, oldest first.
    pub buckets: Vec<TrafficBucket>,
    /// What came after is not counted yet.
    pub counted_to: UnixMs,
    /// Messages accepted in a second, lately: in the minute or two before `counted_to`.
    pub accepted_per_s: f64,
    /// Attempts that succeeded in a second, in the same time.
    pub delivered_per_s: f64,
}

/// How an environment stands at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Deliveries that are pending or wait for their due time, at most [`Self::WAITING_MAX`].
    pub waiting: u64,
    /// There are more than were looked at.
    pub has_more_waiting: bool,
    /// All that were looked at are this environment's.
    pub is_alone: bool,
    /// Endpoints that do nothing but fail.
    pub failing: u64,
}

impl Standing {
    /// Deliveries, of all environments, that are looked at.
    pub const WAITING_MAX: u64 = 40_000;
}

/// A node, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its number, which is in the keys that it gives.
    pub number: u16,
    /// What it calls itself.
    pub name: String,
    /// Its lease holds.
    pub lives: bool,
    /// It hands over what it has.
    pub is_leaving: bool,
    /// When its lease ends unless it is renewed.
    pub lease_until: UnixMs,
    /// Slots that it holds.
    pub slots: u16,
    /// What it runs.
    pub version: String,
}

/// A table of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSize {
    /// What it is called.
    pub name: String,
    /// Rows, where that is known without counting; roughly.
    pub rows: Option<u64>,
    /// Bytes, with its indexes.
    pub bytes: Option<u64>,
}

/// How large the store is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreSize {
    /// `sqlite` or `postgres`.
    pub engine: &'static str,
    /// All of it, without its log.
    pub bytes: u64,
    /// Of the write-ahead log, where it is the store's own.
    pub wal_bytes: Option<u64>,
    /// The largest tables; none where to tell them apart means to read all of the store.
    pub tables: Vec<TableSize>,
}

/// Bounds of the columns of [`QueueRow::by_age`], in seconds.
pub const QUEUE_AGES_S: [i64; 6] = [10, 60, 600, 3_600, 21_600, 86_400];

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// As many were seen.
    pub count: u64,
    /// And these are all.
    pub is_whole: bool,
}

/// The list queries of an engine.
#[async_trait]
pub trait StoreQueries: Send + Sync + 'static {
    /// All environments, by creation; at most 10,000.
    async fn environments(&self) -> Result<Vec<Environment>, ReadError>;
    /// The environment of this name, or else of this id.
    async fn environment_named(&self, named: &str) -> Result<Option<Environment>, ReadError>;
    /// Environment keys by creation; at most 10,000.
    async fn api_keys(&self, env: Option<EnvKey>) -> Result<Vec<ApiKey>, ReadError>;
    /// Environments, by creation.
    async fn environments_page(&self, page: Page<Key>) -> Result<Rows<Environment>, ReadError>;
    /// Keys of an environment that are not revoked at `now`, by creation.
    async fn api_keys_page(&self, env: EnvKey, page: Page<Key>, now: UnixMs) -> Result<Rows<ApiKey>, ReadError>;
    /// One key of an environment, revoked or not.
    async fn api_key(&self, env: EnvKey, id: Id) -> Result<Option<ApiKey>, ReadError>;
    /// The session, or the one-time token, with this hash, whether its time is over or not.
    async fn session_by_hash(&self, kind: SessionKind, hash: [u8; 32]) -> Result<Option<Session>, ReadError>;
    /// The key with this hash, whether it is revoked or not.
    async fn api_key_by_hash(&self, hash: [u8; 32]) -> Result<Option<ApiKey>, ReadError>;
    /// The portal token with this hash that is not revoked.
    async fn portal_token_by_hash(&self, hash: [u8; 32]) -> Result<Option<PortalToken>, ReadError>;
    /// Applications of an environment, perhaps without those that have no endpoint, and without those
    /// that have endpoints of which none is enabled.
    async fn applications(
        &self,
        env: EnvKey,
        page: Page<Key>,
        exclude_without_endpoints: bool,
        exclude_all_disabled: bool,
    ) -> Result<Rows<Application>, ReadError>;
    /// Event types of an environment; those with feature flags only where they share one of `flags`, if given.
    async fn event_types(
        &self,
        env: EnvKey,
        page: Page<String>,
        archived: bool,
        flags: Option<Vec<String>>,
    ) -> Result<Rows<EventType>, ReadError>;
    /// One event type.
    async fn event_type(&self, env: EnvKey, name: &str) -> Result<Option<EventType>, ReadError>;
    /// Endpoints of an application.
    async fn endpoints(&self, app: AppKey, page: Page<Key>) -> Result<Rows<Endpoint>, ReadError>;
    /// One message of an application.
    async fn message(&self, app: AppKey, id: Id, with_content: bool) -> Result<Option<Message>, ReadError>;
    /// The newest message of an application with this event id.
    async fn message_by_event_id(
        &self,
        app: AppKey,
        event_id: &str,
        with_content: bool,
    ) -> Result<Option<Message>, ReadError>;
    /// Messages of an application.
    async fn messages_of(
        &self,
        app: AppKey,
        page: Page<Key>,
        filter: MessageFilter,
    ) -> Result<Rows<Message>, ReadError>;
    /// Messages as they are searched for, each with its application and where its deliveries stand. A page
    /// takes a fraction of a second at most: where that ended it, `resume` says up to where it has looked.
    async fn search(&self, page: Page<Key>, search: Search) -> Result<Rows<SearchRow>, ReadError>;
    /// The key of the newest message of all.
    async fn newest_message(&self) -> Result<Option<Key>, ReadError>;
    /// Where the deliveries of messages (at most 250) stand; those that are gone, or that the time did not
    /// suffice for, are left out.
    async fn tallies(&self, messages: Vec<MessageKey>) -> Result<Vec<Tallied>, ReadError>;
    /// What an id of something of an environment stands for; also an application's or a source's uid, or the
    /// name of an event type.
    async fn lookup(&self, env: EnvKey, named: &str) -> Result<Option<Looked>, ReadError>;
    /// Endpoints of all applications of an environment.
    async fn endpoints_in(
        &self,
        env: EnvKey,
        page: Page<Key>,
        state: EndpointsIn,
    ) -> Result<Rows<EndpointRow>, ReadError>;
    /// How many attempts at an endpoint match; counted for a fraction of a second at most.
    async fn attempt_count(&self, endpoint: EndpointKey, filter: AttemptFilter) -> Result<AttemptCount, ReadError>;
    /// Attempts, newest first.
    async fn attempts(
        &self,
        of: AttemptsOf,
        page: Page<Key>,
        filter: AttemptFilter,
    ) -> Result<Rows<AttemptRow>, ReadError>;
    /// One attempt of a message.
    async fn attempt(&self, message: MessageKey, id: Id) -> Result<Option<Attempt>, ReadError>;
    /// The messages of an application that go, or went, to one of its endpoints, and where they stand.
    async fn deliveries_to(
        &self,
        app: AppKey,
        endpoint: EndpointKey,
        page: Page<Key>,
        filter: DeliveryFilter,
    ) -> Result<Rows<(Message, DeliveryState)>, ReadError>;
    /// Those of `endpoints` that a message goes, or went, to, and where it stands there.
    async fn deliveries_of(
        &self,
        message: MessageKey,
        endpoints: Vec<EndpointKey>,
        page: Page<Key>,
    ) -> Result<Rows<(EndpointKey, DeliveryState)>, ReadError>;
    /// What became of an endpoint's deliveries. Attempts are counted in the hours from the one that
    /// `since` is in to the one that ends at or after `until`; deliveries are those of messages made
    /// from `since` until before `until`, of each state at most 1,000,000. Reads one row an hour and a
    /// tail of some 100,000 attempts at most, never an endpoint's history.
    async fn endpoint_stats(
        &self,
        endpoint: EndpointKey,
        since: UnixMs,
        until: UnixMs,
    ) -> Result<EndpointStats, ReadError>;
    /// The source that the token of a receiving URL opens, and until when.
    async fn source_by_token(&self, token: &str) -> Result<Option<(Source, Option<UnixMs>)>, ReadError>;
    /// A source of an environment, by id or uid.
    async fn source_named(&self, env: EnvKey, name: &str) -> Result<Option<Source>, ReadError>;
    /// Sources of an environment.
    async fn sources(&self, env: EnvKey, page: Page<Key>) -> Result<Rows<Source>, ReadError>;
    /// Sources of type cron of all environments, by key, after `after`.
    async fn cron_sources(&self, after: Option<SourceKey>, limit: usize) -> Result<Vec<CronSource>, ReadError>;
    /// One of them.
    async fn cron_source(&self, source: SourceKey) -> Result<Option<CronSource>, ReadError>;
    /// Requests that became no message of their own, in a source's log.
    async fn source_log(&self, source: SourceKey, page: Page<Key>) -> Result<Rows<LoggedRequest>, ReadError>;
    /// Background tasks of an environment, perhaps of one status, or of one kind. Without a kind those that the
    /// contract has no word for are left out.
    async fn background_tasks(
        &self,
        env: EnvKey,
        page: Page<Key>,
        status: Option<TaskStatus>,
        kind: Option<TaskKind>,
    ) -> Result<Rows<BackgroundTask>, ReadError>;
    /// What a task has found out, by name; `limit` lines at most.
    async fn task_lines(&self, id: Id, limit: usize) -> Result<Vec<TaskLine>, ReadError>;
    /// How many messages made from `since` until before `until` a task would send to an endpoint at `at`. A
    /// bounded look: of many it says how many it has seen.
    async fn count_for_task(
        &self,
        endpoint: Arc<Endpoint>,
        ask: TaskAsk,
        since: UnixMs,
        until: UnixMs,
        at: UnixMs,
    ) -> Result<Counted, ReadError>;
    /// One background task.
    async fn background_task(&self, env: EnvKey, id: Id) -> Result<Option<BackgroundTask>, ReadError>;
    /// Which kinds of maintenance have work: some seeks.
    async fn maintenance_due(&self, horizon: Horizon) -> Result<Due, ReadError>;
    /// How many deliveries are pending or waiting.
    async fn queue_depth(&self) -> Result<u64, ReadError>;
    /// What waits, by endpoint and age; the `limit` endpoints with most, perhaps of one environment.
    async fn queue_shape(&self, env: Option<EnvKey>, now: UnixMs, limit: usize) -> Result<Vec<QueueRow>, ReadError>;
    /// The nodes that share the store, by number; none where one process has it for itself.
    async fn nodes(&self) -> Result<Vec<NodeRow>, ReadError>;
    /// What came and went from `since` until `until`, in buckets of `bucket_s` seconds: 60, 3,600 or a multiple of
    /// one of these, of which both times are multiples. By the minute some 25 h are kept, by the hour 31 d.
    async fn traffic(
        &self,
        env: EnvKey,
        since: UnixMs,
        until: UnixMs,
        bucket_s: i64,
        now: UnixMs,
    ) -> Result<Traffic, ReadError>;
    /// How an environment stands now.
    async fn standing(&self, env: EnvKey) -> Result<Standing, ReadError>;
    /// How large the store is, from what it knows of itself.
    async fn size(&self) -> Result<StoreSize, ReadError>;
    /// The applications of an environment among these.
    async fn apps_of_env(&self, env: EnvKey, apps: Vec<AppKey>) -> Result<Vec<AppKey>, ReadError>;
    /// Attempts of the endpoints of an application.
    async fn attempts_of_app(&self, app: AppKey, span: AppSpan) -> Result<AppAttempts, ReadError>;
    /// Endpoints of an environment that are enabled, and that are disabled; without those whose URL is like `without`.
    async fn endpoint_counts(&self, env: EnvKey, without: Option<&'static str>) -> Result<(u64, u64), ReadError>;
    /// Applications of an environment that have endpoints, or enabled ones, whose URL is not like `without`.
    async fn active_apps(&self, env: EnvKey, enabled: bool, without: Option<&'static str>) -> Result<u64, ReadError>;
    /// What a quick check of the whole file says: `ok`, or what is wrong.
    async fn integrity(&self) -> Result<String, ReadError>;
}
