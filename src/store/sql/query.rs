//! The list queries. A list by application or endpoint reads its index up to the watermark and the
//! short tail behind it by key, in one read transaction.

use std::sync::Arc;

use super::db::{Db, NONE, Optional, Result, Row, Value, params};
use async_trait::async_trait;
use bytes::Bytes;

use super::lines::{Line, Lines};
use super::scan::{ATTEMPTS_OF_ENDPOINT, ATTEMPTS_OF_MESSAGE, interval, matches, scan};
use super::{
    access, app_stats, attempt_count, cron, deliveries, endpoint_list, lookup, replay, rows, search, source,
    source_log, standing, stats, task, traffic,
};
use crate::model::cron::CronSource;
use crate::model::id::first_key_at;
use crate::model::trace::{self, Header};
use crate::model::{
    ApiKey, AppKey, Application, Attempt, BackgroundTask, DeliveryState, Endpoint, EndpointKey, EnvKey, Environment,
    EventType, Id, IdKind, Key, LoggedRequest, Message, MessageKey, OutcomeKind, Parked, PortalToken, Session,
    SessionKind, Source, SourceKey, TaskAsk, TaskKind, TaskLine, TaskStatus, Trigger, UnixMs,
};
use crate::store::ReadError;
use crate::store::maintenance::{Due, Horizon};
use crate::store::query::{
    AppAttempts, AppSpan, AttemptFilter, AttemptRow, AttemptsOf, Counted, DeliveryFilter, EndpointStats, MessageFilter,
    NodeRow, Order, Page, QUEUE_AGES_S, QueueRow, Rows, Standing, StoreQueries, StoreSize, Traffic,
};
use crate::store::search::{AttemptCount, EndpointRow, EndpointsIn, Looked, Search, SearchIn, SearchRow, Tallied};

/// Environments, or keys, that are listed.
const ALL_MAX: i64 = 10_000;
/// Endpoints that wait and are looked at for those of one environment.
const QUEUE_LOOKED_AT: usize = 10_000;
const ATTEMPT: &str =
    "attempt.key, attempt.nonce, attempt.message, message.nonce, attempt.endpoint, endpoint_url.nonce,
    endpoint_url.url, attempt.kind, attempt.status, attempt.manual, attempt.started_at, attempt.duration_ms,
    attempt.next_due, attempt.trace";
const ATTEMPT_FROM: &str = "FROM attempt JOIN message ON message.key = attempt.message
    LEFT JOIN endpoint_url ON endpoint_url.id = attempt.url";

/// An attempt without its answer: columns [`ATTEMPT`].
fn attempt(row: &Row<'_>) -> Result<Attempt> {
    let code: u8 = row.get(7)?;
    Ok(Attempt {
        id: rows::id(row, 0)?,
        message: rows::id(row, 2)?,
        endpoint: Id { key: row.get(4)?, nonce: row.get::<Option<[u8; 12]>>(5)?.unwrap_or_default() },
        url: row.get::<Option<String>>(6)?.unwrap_or_default(),
        kind: OutcomeKind::from_code(code).unwrap_or(OutcomeKind::Internal),
        status: row.get(8)?,
        trigger: Trigger::from_code(row.get(9)?),
        started_at: row.get(10)?,
        duration_ms: row.get(11)?,
        next_due: row.get(12)?,
        timings: row.blob_or_null(13)?.and_then(trace::decode).map(|(timings, _)| timings),
        response: Bytes::new(),
        headers: Vec::new(),
    })
}

/// The headers of the answer to an attempt, of a failure.
fn response_headers(db: Db<'_>, attempt: Key) -> Result<Vec<Header>> {
    let read = |row: &Row<'_>| {
        Ok(row.blob_or_null(0)?.and_then(trace::decode).map(|(_, rest)| trace::headers(rest)).unwrap_or_default())
    };
    let mut statement = db.prepare_cached("SELECT trace FROM attempt WHERE key = ?")?;
    Ok(statement.query_row([attempt], read).optional()?.unwrap_or_default())
}

/// The body of the answer to an attempt.
fn response(db: Db<'_>, attempt: Key) -> Result<Bytes> {
    let read = |row: &Row<'_>| Ok(row.blob_or_null(0)?.map(Bytes::copy_from_slice));
    let mut statement = db.prepare_cached("SELECT response FROM attempt WHERE key = ?")?;
    Ok(statement.query_row([attempt], read).optional()?.flatten().unwrap_or_default())
}

/// Reads the bytes of a message, and the request that it came in with, if they are still there.
pub(in crate::store) fn read_content(db: Db<'_>, message: &mut Message) -> Result<()> {
    let sql = "SELECT body, head FROM message JOIN payload ON payload.id = message.payload WHERE message.key = ?";
    let read = |row: &Row<'_>| Ok((Bytes::copy_from_slice(row.blob(0)?), source_log::received(row, 1)?));
    if let Some((body, head)) = db.prepare_cached(sql)?.query_row([message.id.key], read).optional()? {
        message.payload = Some(body);
        message.received = head.map(Arc::new);
    }
    Ok(())
}

pub(in crate::store) fn message_of(db: Db<'_>, key: Key, with_content: bool) -> Result<Option<Message>> {
    if with_content {
        let sql = rows::message_by_key();
        db.prepare_cached(&sql)?.query_row([key], rows::message_with_payload).optional()
    } else {
        let sql = format!("SELECT {} FROM message WHERE key = ?", rows::MESSAGE);
        db.prepare_cached(&sql)?.query_row([key], rows::message).optional()
    }
}

/// A page of a table that is ordered by a column of its own: one row more than asked for tells whether it is done.
pub(super) fn page_of<T>(
    db: Db<'_>,
    sql: &str,
    mut values: Vec<Value<'_>>,
    limit: usize,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Rows<T>> {
    values.push(Value::Integer(limit as i64 + 1));
    let mut found = db.prepare_cached(sql)?.query_map(values, read)?.collect::<Result<Vec<_>, _>>()?;
    let done = found.len() <= limit;
    found.truncate(limit);
    Ok(Rows { rows: found, done, resume: None })
}

/// The rows of one leading value, by key.
fn paged(
    table: &str,
    columns: &str,
    (leading, value): (&str, i64),
    key: &str,
    page: Page<Key>,
) -> (String, Vec<Value<'static>>) {
    let (sign, direction) = comparison(page.order);
    let sql = format!(
        "SELECT {columns} FROM {table} WHERE {leading} = ? AND {key} {sign} ? ORDER BY {key} {direction} LIMIT ?"
    );
    let after = page.after.unwrap_or(if page.order == Order::Ascending { 0 } else { Key::MAX });
    (sql, vec![Value::Integer(value), Value::Integer(after)])
}

pub(super) fn comparison(order: Order) -> (&'static str, &'static str) {
    match order {
        Order::Ascending => (">", "ASC"),
        Order::Descending => ("<", "DESC"),
    }
}

#[async_trait]
impl<L: Lines> StoreQueries for L {
    async fn environments(&self) -> Result<Vec<Environment>, ReadError> {
        self.read(Line::Lists, |db, _| {
            db.prepare_cached(&format!("SELECT {} FROM environment ORDER BY key LIMIT ?", rows::ENVIRONMENT))?
                .query_map([ALL_MAX], rows::environment)?
                .collect()
        })
        .await
    }

    async fn environment_named(&self, named: &str) -> Result<Option<Environment>, ReadError> {
        let named = named.to_owned();
        self.read(Line::Lists, move |db, _| {
            let mut statement =
                db.prepare_cached(&format!("SELECT {} FROM environment WHERE name = ?", rows::ENVIRONMENT))?;
            if let Some(found) = statement.query_row([&named], rows::environment).optional()? {
                return Ok(Some(found));
            }
            let Some(id) = Id::parse(IdKind::Environment, &named) else { return Ok(None) };
            db.prepare_cached(&format!("SELECT {} FROM environment WHERE key = ? AND nonce = ?", rows::ENVIRONMENT))?
                .query_row(params![id.key, id.nonce.as_slice()], rows::environment)
                .optional()
        })
        .await
    }

    async fn api_keys(&self, env: Option<EnvKey>) -> Result<Vec<ApiKey>, ReadError> {
        self.read(Line::Lists, move |db, _| {
            let of_env = if env.is_some() { "env = ?1" } else { "key > ?1" };
            db.prepare_cached(&format!("SELECT {} FROM api_key WHERE {of_env} ORDER BY key LIMIT ?2", rows::API_KEY))?
                .query_map([env.map_or(0, |env| env.0), ALL_MAX], rows::api_key)?
                .collect()
        })
        .await
    }

    async fn api_key_by_hash(&self, hash: [u8; 32]) -> Result<Option<ApiKey>, ReadError> {
        self.read(Line::Core, move |db, _| {
            db.prepare_cached(&format!("SELECT {} FROM api_key WHERE hash = ?", rows::API_KEY))?
                .query_row([hash.as_slice()], rows::api_key)
                .optional()
        })
        .await
    }

    async fn environments_page(&self, page: Page<Key>) -> Result<Rows<Environment>, ReadError> {
        self.read(Line::Lists, move |db, _| access::environments(db, page)).await
    }

    async fn api_keys_page(&self, env: EnvKey, page: Page<Key>, now: UnixMs) -> Result<Rows<ApiKey>, ReadError> {
        self.read(Line::Lists, move |db, _| access::api_keys(db, env, page, now)).await
    }

    async fn api_key(&self, env: EnvKey, id: Id) -> Result<Option<ApiKey>, ReadError> {
        self.read(Line::Lists, move |db, _| access::api_key(db, env, id)).await
    }

    async fn session_by_hash(&self, kind: SessionKind, hash: [u8; 32]) -> Result<Option<Session>, ReadError> {
        self.read(Line::Core, move |db, _| access::session_by_hash(db, kind, &hash)).await
    }

    async fn portal_token_by_hash(&self, hash: [u8; 32]) -> Result<Option<PortalToken>, ReadError> {
        self.read(Line::Core, move |db, _| {
            db.prepare_cached(&format!("SELECT {} FROM portal_token WHERE hash = ?", rows::PORTAL_TOKEN))?
                .query_row([hash.as_slice()], rows::portal_token)
                .optional()
        })
        .await
    }

    async fn applications(
        &self,
        env: EnvKey,
        page: Page<Key>,
        exclude_without_endpoints: bool,
        exclude_all_disabled: bool,
    ) -> Result<Rows<Application>, ReadError> {
        self.read(Line::Lists, move |db, _| {
            let (sign, direction) = comparison(page.order);
            let mut sql =
                format!("SELECT {} FROM application WHERE env = ? AND kind = 0 AND key {sign} ?", rows::APPLICATION);
            if exclude_without_endpoints {
                sql.push_str(" AND EXISTS (SELECT 1 FROM endpoint WHERE app = application.key)");
            }
            if exclude_all_disabled {
                let disabled = db.json_field("endpoint.spec", "disabled");
                sql.extend([
                    " AND (NOT EXISTS (SELECT 1 FROM endpoint WHERE app = application.key)
                      OR EXISTS (SELECT 1 FROM endpoint WHERE app = application.key AND ",
                    &disabled,
                    " IS NULL))",
                ]);
            }
            sql.extend([" ORDER BY key ", direction, " LIMIT ?"]);
            let after = page.after.unwrap_or(if page.order == Order::Ascending { 0 } else { Key::MAX });
            page_of(db, &sql, vec![Value::Integer(env.0), Value::Integer(after)], page.limit, rows::application)
        })
        .await
    }

    async fn event_types(
        &self,
        env: EnvKey,
        page: Page<String>,
        archived: bool,
        flags: Option<Vec<String>>,
    ) -> Result<Rows<EventType>, ReadError> {
        self.read(Line::Lists, move |db, _| {
            let (sign, direction) = comparison(page.order);
            let mut sql = format!("SELECT {} FROM event_type WHERE env = ?", rows::EVENT_TYPE);
            let mut values: Vec<Value<'_>> = vec![Value::Integer(env.0)];
            if let Some(after) = page.after {
                sql.extend([" AND name ", sign, " ?"]);
                values.push(Value::Text(after.into()));
            }
            if !archived {
                sql.extend([" AND NOT ", &db.json_is_true("spec", "archived")]);
            }
            if let Some(flags) = flags {
                let (flag, shares) = (db.json_field("spec", "feature_flags"), db.json_shares("spec", "feature_flags"));
                sql.extend([" AND (", &flag, " IS NULL OR ", &shares, ")"]);
                values.push(Value::Text(serde_json::to_string(&flags).unwrap_or_default().into()));
            }
            sql.extend([" ORDER BY name ", direction, " LIMIT ?"]);
            page_of(db, &sql, values, page.limit, rows::event_type)
        })
        .await
    }

    async fn event_type(&self, env: EnvKey, name: &str) -> Result<Option<EventType>, ReadError> {
        let name = name.to_owned();
        self.read(Line::Lists, move |db, _| {
            db.prepare_cached(&format!("SELECT {} FROM event_type WHERE env = ? AND name = ?", rows::EVENT_TYPE))?
                .query_row(params![env.0, name], rows::event_type)
                .optional()
        })
        .await
    }

    async fn endpoints(&self, app: AppKey, page: Page<Key>) -> Result<Rows<Endpoint>, ReadError> {
        self.read(Line::Lists, move |db, sealer| {
            let (sign, direction) = comparison(page.order);
            let sql = format!(
                "SELECT {} FROM endpoint WHERE app = ? AND key {sign} ? ORDER BY key {direction} LIMIT ?",
                rows::ENDPOINT
            );
            let after = page.after.unwrap_or(if page.order == Order::Ascending { 0 } else { Key::MAX });
            page_of(db, &sql, vec![Value::Integer(app.0), Value::Integer(after)], page.limit, |row| {
                rows::endpoint(row, sealer)
            })
        })
        .await
    }

    async fn message(&self, app: AppKey, id: Id, with_content: bool) -> Result<Option<Message>, ReadError> {
        self.read(Line::Lists, move |db, _| {
            let found = message_of(db, id.key, with_content)?;
            Ok(found.filter(|message| message.app == app && message.id == id))
        })
        .await
    }

    async fn message_by_event_id(
        &self,
        app: AppKey,
        event_id: &str,
        with_content: bool,
    ) -> Result<Option<Message>, ReadError> {
        let event_id = event_id.to_owned();
        self.read(Line::Lists, move |db, _| {
            let Some(key) = message_of_event(db, app, &event_id)? else { return Ok(None) };
            message_of(db, key, with_content)
        })
        .await
    }

    async fn messages_of(
        &self,
        app: AppKey,
        page: Page<Key>,
        filter: MessageFilter,
    ) -> Result<Rows<Message>, ReadError> {
        let wanted = Search::of(SearchIn::Application(app), filter);
        self.read(Line::Lists, move |db, _| search::list(db, &page, &wanted)).await
    }

    async fn search(&self, page: Page<Key>, wanted: Search) -> Result<Rows<SearchRow>, ReadError> {
        self.read(Line::Lists, move |db, _| search::search(db, &page, &wanted)).await
    }

    async fn newest_message(&self) -> Result<Option<Key>, ReadError> {
        self.read(Line::Lists, |db, _| {
            let sql = "SELECT key FROM message ORDER BY key DESC LIMIT 1";
            db.prepare_cached(sql)?.query_row(NONE, |row| row.get(0)).optional()
        })
        .await
    }

    async fn tallies(&self, messages: Vec<MessageKey>) -> Result<Vec<Tallied>, ReadError> {
        self.read(Line::Lists, move |db, _| search::of_keys(db, &messages)).await
    }

    async fn lookup(&self, env: EnvKey, named: &str) -> Result<Option<Looked>, ReadError> {
        let named = named.to_owned();
        self.read(Line::Lists, move |db, _| lookup::look_up(db, env, &named)).await
    }

    async fn endpoints_in(
        &self,
        env: EnvKey,
        page: Page<Key>,
        state: EndpointsIn,
    ) -> Result<Rows<EndpointRow>, ReadError> {
        self.read(Line::Lists, move |db, sealer| endpoint_list::of_env(db, sealer, env, &page, state)).await
    }

    async fn attempt_count(&self, endpoint: EndpointKey, filter: AttemptFilter) -> Result<AttemptCount, ReadError> {
        self.read(Line::Lists, move |db, _| attempt_count::of_endpoint(db, endpoint, &filter)).await
    }

    async fn attempts(
        &self,
        of: AttemptsOf,
        page: Page<Key>,
        filter: AttemptFilter,
    ) -> Result<Rows<AttemptRow>, ReadError> {
        self.read(Line::Lists, move |db, _| attempts(db, of, &page, &filter)).await
    }

    async fn attempt(&self, message: MessageKey, id: Id) -> Result<Option<Attempt>, ReadError> {
        self.read(Line::Lists, move |db, _| {
            let sql = format!("SELECT {ATTEMPT} {ATTEMPT_FROM} WHERE attempt.key = ? AND attempt.message = ?");
            let found = db.prepare_cached(&sql)?.query_row([id.key, message.0], attempt).optional()?;
            let Some(mut attempt) = found.filter(|attempt| attempt.id == id) else { return Ok(None) };
            attempt.response = response(db, id.key)?;
            attempt.headers = response_headers(db, id.key)?;
            Ok(Some(attempt))
        })
        .await
    }

    async fn deliveries_to(
        &self,
        app: AppKey,
        endpoint: EndpointKey,
        page: Page<Key>,
        filter: DeliveryFilter,
    ) -> Result<Rows<(Message, DeliveryState)>, ReadError> {
        self.read(Line::Lists, move |db, _| deliveries::to_endpoint(db, app, endpoint, &page, &filter)).await
    }

    async fn deliveries_of(
        &self,
        message: MessageKey,
        endpoints: Vec<EndpointKey>,
        page: Page<Key>,
    ) -> Result<Rows<(EndpointKey, DeliveryState)>, ReadError> {
        self.read(Line::Lists, move |db, _| deliveries::of_message(db, message, &endpoints, &page)).await
    }

    async fn endpoint_stats(
        &self,
        endpoint: EndpointKey,
        since: UnixMs,
        until: UnixMs,
    ) -> Result<EndpointStats, ReadError> {
        self.read(Line::Lists, move |db, _| stats::endpoint_stats(db, endpoint, since, until)).await
    }

    async fn source_by_token(&self, token: &str) -> Result<Option<(Source, Option<UnixMs>)>, ReadError> {
        let token = token.to_owned();
        self.read(Line::Strangers, move |db, sealer| source::of_token(db, sealer, &token)).await
    }

    async fn source_named(&self, env: EnvKey, name: &str) -> Result<Option<Source>, ReadError> {
        let name = name.to_owned();
        self.read(Line::Core, move |db, sealer| source::named(db, sealer, env, &name)).await
    }

    async fn sources(&self, env: EnvKey, page: Page<Key>) -> Result<Rows<Source>, ReadError> {
        self.read(Line::Lists, move |db, sealer| {
            let (sql, values) = paged("source", source::SOURCE, ("env", env.0), "key", page);
            page_of(db, &sql, values, page.limit, |row| source::source(row, sealer))
        })
        .await
    }

    async fn cron_sources(&self, after: Option<SourceKey>, limit: usize) -> Result<Vec<CronSource>, ReadError> {
        self.read(Line::Core, move |db, sealer| cron::page(db, sealer, after, limit)).await
    }

    async fn cron_source(&self, source: SourceKey) -> Result<Option<CronSource>, ReadError> {
        self.read(Line::Core, move |db, sealer| cron::by_key(db, sealer, source)).await
    }

    async fn source_log(&self, source: SourceKey, page: Page<Key>) -> Result<Rows<LoggedRequest>, ReadError> {
        self.read(Line::Lists, move |db, _| {
            let table = "source_log LEFT JOIN message ON message.key = source_log.message";
            let (sql, mut values) =
                paged(table, source_log::LOGGED, ("source_log.source", source.0), "source_log.key", page);
            values.push(Value::Integer(page.limit as i64 + 1));
            source_log::page(db, &sql, values, page.limit)
        })
        .await
    }

    async fn background_tasks(
        &self,
        env: EnvKey,
        page: Page<Key>,
        status: Option<TaskStatus>,
        kind: Option<TaskKind>,
    ) -> Result<Rows<BackgroundTask>, ReadError> {
        self.read(Line::Lists, move |db, _| {
            let (sign, direction) = comparison(page.order);
            let filter = if status.is_some() { "status = ?" } else { "status >= ?" };
            let sql = format!(
                "SELECT {} FROM background_task WHERE env = ? AND key {sign} ? AND {filter} AND {}
                 ORDER BY key {direction} LIMIT ?",
                task::TASK,
                task::listed(kind)
            );
            let after = page.after.unwrap_or(if page.order == Order::Ascending { 0 } else { Key::MAX });
            let values =
                vec![Value::Integer(env.0), Value::Integer(after), Value::Integer(status.map_or(0, TaskStatus::code))];
            page_of(db, &sql, values, page.limit, task::task)
        })
        .await
    }

    async fn background_task(&self, env: EnvKey, id: Id) -> Result<Option<BackgroundTask>, ReadError> {
        self.read(Line::Lists, move |db, _| {
            let sql = format!("SELECT {} FROM background_task WHERE key = ? AND env = ?", task::TASK);
            let found = db.prepare_cached(&sql)?.query_row([id.key, env.0], task::task).optional()?;
            Ok(found.filter(|task| task.id == id))
        })
        .await
    }

    async fn task_lines(&self, id: Id, limit: usize) -> Result<Vec<TaskLine>, ReadError> {
        self.read(Line::Lists, move |db, _| task::lines(db, id, limit)).await
    }

    async fn count_for_task(
        &self,
        endpoint: Arc<Endpoint>,
        ask: TaskAsk,
        since: UnixMs,
        until: UnixMs,
        at: UnixMs,
    ) -> Result<Counted, ReadError> {
        self.read(Line::Lists, move |db, _| {
            let bounds = (first_key_at(since) - 1, first_key_at(until));
            replay::count(db, (endpoint.app, &endpoint), &ask, bounds, at)
        })
        .await
    }

    async fn maintenance_due(&self, horizon: Horizon) -> Result<Due, ReadError> {
        self.read(Line::Lists, move |db, _| maintenance_due(db, horizon)).await
    }

    async fn queue_depth(&self) -> Result<u64, ReadError> {
        let sql = "SELECT (SELECT count(*) FROM pending) + (SELECT count(*) FROM waiting)";
        self.read(Line::Lists, move |db, _| {
            db.prepare_cached(sql)?.query_row(NONE, |row| row.get::<i64>(0)).map(|count| count as u64)
        })
        .await
    }

    async fn queue_shape(&self, env: Option<EnvKey>, now: UnixMs, limit: usize) -> Result<Vec<QueueRow>, ReadError> {
        self.read(Line::Lists, move |db, _| queue_shape(db, env, now, limit)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, ReadError> {
        self.read(Line::Lists, |db, _| standing::nodes(db)).await
    }

    async fn traffic(
        &self,
        env: EnvKey,
        since: UnixMs,
        until: UnixMs,
        bucket_s: i64,
        now: UnixMs,
    ) -> Result<Traffic, ReadError> {
        self.read(Line::Lists, move |db, _| traffic::read(db, env, (since, until), bucket_s, now)).await
    }

    async fn standing(&self, env: EnvKey) -> Result<Standing, ReadError> {
        self.read(Line::Lists, move |db, _| standing::of_env(db, env)).await
    }

    async fn size(&self) -> Result<StoreSize, ReadError> {
        self.read(Line::Lists, |db, _| standing::size(db)).await
    }

    async fn apps_of_env(&self, env: EnvKey, apps: Vec<AppKey>) -> Result<Vec<AppKey>, ReadError> {
        self.read(Line::Lists, move |db, _| standing::apps_of_env(db, env, &apps)).await
    }

    async fn attempts_of_app(&self, app: AppKey, span: AppSpan) -> Result<AppAttempts, ReadError> {
        self.read(Line::Lists, move |db, _| {
            if span.by_type { app_stats::by_type(db, app, &span) } else { app_stats::by_hour(db, app, &span) }
        })
        .await
    }

    async fn endpoint_counts(&self, env: EnvKey, without: Option<&'static str>) -> Result<(u64, u64), ReadError> {
        self.read(Line::Lists, move |db, _| standing::endpoint_counts(db, env, without)).await
    }

    async fn active_apps(&self, env: EnvKey, enabled: bool, without: Option<&'static str>) -> Result<u64, ReadError> {
        self.read(Line::Lists, move |db, _| standing::active_apps(db, env, enabled, without)).await
    }

    async fn integrity(&self) -> Result<String, ReadError> {
        self.read(Line::Lists, |db, _| match db {
            Db::Sqlite(_) => db.prepare_cached("PRAGMA quick_check(10)")?.query_row(NONE, |row| row.get(0)),
            // Its pages are PostgreSQL's own to check: data checksums, pg_amcheck.
            Db::Postgres(_) => db.prepare_cached("SELECT 'ok'::text")?.query_row(NONE, |row| row.get(0)),
        })
        .await
    }
}

/// Attempts, in the order of their keys.
pub(super) fn attempts(
    db: Db<'_>,
    of: AttemptsOf,
    page: &Page<Key>,
    filter: &AttemptFilter,
) -> Result<Rows<AttemptRow>> {
    let (list, leading, only) = match of {
        AttemptsOf::Message(message, endpoint) => (&ATTEMPTS_OF_MESSAGE, message.0, endpoint),
        AttemptsOf::Endpoint(endpoint) => (&ATTEMPTS_OF_ENDPOINT, endpoint.0, None),
    };
    let sql = format!("SELECT {ATTEMPT} {ATTEMPT_FROM} WHERE attempt.key = ?");
    let needs_message = filter.with_message
        || filter.message.channel.is_some()
        || filter.message.tag.is_some()
        || !filter.message.event_types.is_empty();
    let bounds = interval(page, filter.message.before, filter.message.after);
    let find = |key| {
        let found = db.prepare_cached(&sql)?.query_row([key], attempt).optional()?;
        let Some(attempt) = found.filter(|attempt| wanted(filter, only, attempt)) else {
            return Ok(None);
        };
        let message = if needs_message {
            let message = message_of(db, attempt.message.key, false)?;
            match message.filter(|message| matches(&filter.message, message)) {
                None => return Ok(None),
                message => message.filter(|_| filter.with_message),
            }
        } else {
            None
        };
        Ok(Some((attempt, message)))
    };
    scan(db, list, leading, bounds, page, find, |(attempt, message)| {
        let mut bytes = 0;
        if filter.with_content {
            attempt.response = response(db, attempt.id.key)?;
            bytes += attempt.response.len();
        }
        if let Some(message) = message.as_mut().filter(|_| filter.message.with_content) {
            read_content(db, message)?;
            bytes += message.payload.as_ref().map_or(0, Bytes::len);
        }
        Ok(bytes)
    })
}

fn wanted(filter: &AttemptFilter, only: Option<EndpointKey>, attempt: &Attempt) -> bool {
    only.is_none_or(|endpoint| endpoint.0 == attempt.endpoint.key)
        && filter.success.is_none_or(|success| success == (attempt.kind == OutcomeKind::Success))
        && filter.status_class.is_none_or(|class| class == attempt.status / 100)
}

fn queue_shape(db: Db<'_>, env: Option<EnvKey>, now: UnixMs, limit: usize) -> Result<Vec<QueueRow>> {
    use std::collections::HashMap;
    let mut shape: HashMap<i64, QueueRow> = HashMap::new();
    let ages: Vec<String> = (0..QUEUE_AGES_S.len()).map(|i| format!("WHEN message >= ?{} THEN {i}", i + 1)).collect();
    let due = format!("CASE {} ELSE {} END", ages.join(" "), QUEUE_AGES_S.len());
    let sql = format!(
        "SELECT endpoint, {due}, -1, count(*) FROM pending GROUP BY 1, 2
         UNION ALL SELECT endpoint, {due}, -1, count(*) FROM waiting GROUP BY 1, 2
         UNION ALL SELECT endpoint, 0, state, count(*) FROM parked WHERE state <> 3 GROUP BY endpoint, state"
    );
    // Keys sort by time, so that ages are ranges of keys.
    let youngest = QUEUE_AGES_S.map(|age_s| first_key_at(now - age_s * 1000 + 1));
    db.prepare_cached(&sql)?.each(youngest, |row| {
        let (endpoint, age, state, count): (i64, i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let entry = shape.entry(endpoint).or_insert_with(|| QueueRow {
            endpoint: endpoint.to_string(),
            url: String::new(),
            by_age: [0; 7],
            failed: 0,
            held: 0,
        });
        match Parked::from_code(state) {
            None => entry.by_age[(age as usize).min(QUEUE_AGES_S.len())] += count as u64,
            Some(Parked::Held) => entry.held += count as u64,
            Some(_) => entry.failed += count as u64,
        }
        Ok(true)
    })?;
    let mut rows: Vec<(i64, QueueRow)> = shape.into_iter().collect();
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.by_age.iter().sum::<u64>() + row.failed + row.held));
    rows = of_env(db, env, rows, limit)?;
    for (key, row) in &mut rows {
        let named = db
            .prepare_cached(
                "SELECT endpoint.nonce, endpoint_url.url FROM endpoint JOIN endpoint_url ON endpoint_url.id = url_id WHERE key = ?",
            )?
            .query_row([*key], |found| Ok((found.get(0)?, found.get(1)?)))
            .optional()?;
        if let Some((nonce, url)) = named {
            row.endpoint = Id { key: *key, nonce }.format(IdKind::Endpoint);
            row.url = url;
        }
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// The first `limit` rows, of one environment if it is named; of very many endpoints the first are looked at.
fn of_env<T>(db: Db<'_>, env: Option<EnvKey>, rows: Vec<(Key, T)>, limit: usize) -> Result<Vec<(Key, T)>> {
    let mut found = Vec::new();
    for (key, row) in rows.into_iter().take(QUEUE_LOOKED_AT) {
        if found.len() >= limit {
            break;
        }
        if env.map_or(Ok(true), |env| standing::is_endpoint_of_env(db, env, key))? {
            found.push((key, row));
        }
    }
    Ok(found)
}

fn maintenance_due(db: Db<'_>, horizon: Horizon) -> Result<Due> {
    match db {
        Db::Sqlite(connection) => crate::store::sqlite::maintenance_due(connection, horizon),
        Db::Postgres(_) => crate::store::postgres::maintenance_due(db, horizon),
    }
}

/// The newest message of an application with this event id.
fn message_of_event(db: Db<'_>, app: AppKey, event_id: &str) -> Result<Option<Key>> {
    match db {
        Db::Sqlite(connection) => Ok(crate::store::sqlite::message_of_event(connection, app, event_id)?),
        Db::Postgres(_) => crate::store::postgres::message_of_event(db, app, event_id),
    }
}
