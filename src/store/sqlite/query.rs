//! The list queries. A list by application or endpoint reads its index up to the watermark and the
//! short tail behind it by key, in one read transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::reader::SqliteReader;
use super::{counters, cron, deliveries, keys, recover, retention, rows, source, source_log};
use crate::model::cron::CronSource;
use crate::model::id::{first_key_at, key_time};
use crate::model::{
    ApiKey, AppKey, Application, Attempt, BackgroundTask, DeliveryState, Endpoint, EndpointKey, EnvKey, Environment,
    EventType, Id, IdKind, Key, LoggedRequest, Message, MessageKey, OutcomeKind, PortalToken, Source, SourceKey,
    TaskStatus, Trigger, UnixMs,
};
use crate::store::ReadError;
use crate::store::maintenance::{Due, Horizon};
use crate::store::query::{
    AttemptFilter, AttemptRow, AttemptsOf, DeliveryFilter, EndpointStats, MessageFilter, Order, Page, QUEUE_AGES_S,
    QueueRow, Rows, StoreQueries,
};

/// Rows that one page of a filtered list may look at.
const SCAN_MAX: usize = 20_000;
/// Rows looked at in one step of a scan.
const SCAN_STEP: usize = 256;
/// Environments, or keys, that are listed.
const ALL_MAX: i64 = 10_000;
/// How long one page goes on looking.
pub(super) const SCAN_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes of payloads and answers at which a page ends. One row more may go beyond it.
pub(super) const CONTENT_BYTES_MAX: usize = 16 * 1024 * 1024;

const ATTEMPT: &str =
    "attempt.key, attempt.nonce, attempt.message, message.nonce, attempt.endpoint, endpoint_url.nonce,
    endpoint_url.url, attempt.kind, attempt.status, attempt.manual, attempt.started_at, attempt.duration_ms";
const ATTEMPT_FROM: &str = "FROM attempt JOIN message ON message.key = attempt.message
    LEFT JOIN endpoint_url ON endpoint_url.id = attempt.url";

/// An attempt without the answer's body: columns [`ATTEMPT`].
fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let code: u8 = row.get(7)?;
    Ok(Attempt {
        id: rows::id(row, 0)?,
        message: rows::id(row, 2)?,
        endpoint: Id { key: row.get(4)?, nonce: row.get::<_, Option<[u8; 12]>>(5)?.unwrap_or_default() },
        url: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
        kind: OutcomeKind::from_code(code).unwrap_or(OutcomeKind::Internal),
        status: row.get(8)?,
        trigger: Trigger::from_code(row.get(9)?),
        started_at: row.get(10)?,
        duration_ms: row.get(11)?,
        response: Bytes::new(),
    })
}

/// The body of the answer to an attempt.
fn response(connection: &Connection, attempt: Key) -> rusqlite::Result<Bytes> {
    let read = |row: &Row<'_>| Ok(row.get_ref(0)?.as_blob_or_null()?.map(Bytes::copy_from_slice));
    let mut statement = connection.prepare_cached("SELECT response FROM attempt WHERE key = ?")?;
    Ok(statement.query_row([attempt], read).optional()?.flatten().unwrap_or_default())
}

/// Reads the bytes of a message, and the request that it came in with, if they are still there.
pub(super) fn read_content(connection: &Connection, message: &mut Message) -> rusqlite::Result<()> {
    let sql = "SELECT body, head FROM message JOIN payload ON payload.id = message.payload WHERE message.key = ?";
    let read = |row: &Row<'_>| Ok((Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?), source_log::received(row, 1)?));
    if let Some((body, head)) = connection.prepare_cached(sql)?.query_row([message.id.key], read).optional()? {
        message.payload = Some(body);
        message.received = head.map(Arc::new);
    }
    Ok(())
}

/// A list that is kept as an index up to a watermark and a tail behind it.
pub(super) struct TwoPart {
    index: &'static str,
    leading: &'static str,
    key: &'static str,
    table: &'static str,
    table_leading: &'static str,
}

pub(super) const MESSAGES_OF_APP: TwoPart =
    TwoPart { index: "message_by_app", leading: "app", key: "message", table: "message", table_leading: "app" };
const ATTEMPTS_OF_MESSAGE: TwoPart = TwoPart {
    index: "attempt_by_message",
    leading: "message",
    key: "attempt",
    table: "attempt",
    table_leading: "message",
};
const ATTEMPTS_OF_ENDPOINT: TwoPart = TwoPart {
    index: "attempt_by_endpoint",
    leading: "endpoint",
    key: "attempt",
    table: "attempt",
    table_leading: "endpoint",
};

impl TwoPart {
    /// Keys strictly between `low` and `high`, at most `limit`, in order.
    pub(super) fn keys(
        &self,
        connection: &Connection,
        leading: i64,
        (low, high): (Key, Key),
        order: Order,
        limit: usize,
    ) -> rusqlite::Result<Vec<Key>> {
        let watermark = watermark(connection, self.index)?;
        let direction = match order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        let Self { index, leading: column, key, table, table_leading } = self;
        let indexed = format!(
            "SELECT {key} FROM {index} WHERE {column} = ? AND {key} > ? AND {key} < ? ORDER BY {key} {direction} LIMIT ?"
        );
        let tail = format!(
            "SELECT key FROM {table} NOT INDEXED WHERE {table_leading} = ? AND key > ? AND key < ?
             ORDER BY key {direction} LIMIT ?"
        );
        let parts = [(indexed, low, high.min(watermark.saturating_add(1))), (tail, low.max(watermark), high)];
        let mut found: Vec<Key> = Vec::new();
        let in_order: [usize; 2] = if order == Order::Ascending { [0, 1] } else { [1, 0] };
        for part in in_order {
            let (sql, from, to) = &parts[part];
            let room = limit - found.len();
            if from >= to || room == 0 {
                continue;
            }
            let mut statement = connection.prepare_cached(sql)?;
            for key in statement.query_map(params![leading, from, to, room as i64], |row| row.get(0))? {
                found.push(key?);
            }
        }
        Ok(found)
    }
}

/// The last key up to which an index is filled.
pub(super) fn watermark(connection: &Connection, index: &str) -> rusqlite::Result<Key> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?")?;
    Ok(statement.query_row([index], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The open interval of keys that a page with these bounds in time looks at.
pub(super) fn interval(page: &Page<Key>, before: Option<UnixMs>, after: Option<UnixMs>) -> (Key, Key) {
    let (mut low, mut high) = (0, Key::MAX);
    if let Some(after) = after {
        low = first_key_at(after.saturating_add(1)).saturating_sub(1);
    }
    if let Some(before) = before {
        high = first_key_at(before);
    }
    match (page.after, page.order) {
        (Some(key), Order::Ascending) => low = low.max(key),
        (Some(key), Order::Descending) => high = high.min(key),
        (None, _) => {}
    }
    (low, high)
}

/// Walks a list in steps until a page is full, the list ends, or it takes too much: rows looked at,
/// time, or bytes of content. `find` reads a row that matches, without its content; `fill` adds the
/// content and says how much it is.
pub(super) fn scan<T>(
    connection: &Connection,
    list: &TwoPart,
    leading: i64,
    (mut low, mut high): (Key, Key),
    page: &Page<Key>,
    mut find: impl FnMut(Key) -> rusqlite::Result<Option<T>>,
    mut fill: impl FnMut(&mut T) -> rusqlite::Result<usize>,
) -> rusqlite::Result<Rows<T>> {
    let mut found = Vec::new();
    let (mut looked_at, mut bytes, began) = (0, 0, Instant::now());
    let at_once = SCAN_STEP.max(page.limit + 1);
    loop {
        let keys = list.keys(connection, leading, (low, high), page.order, at_once)?;
        let ends = keys.len() < at_once;
        for (i, &key) in keys.iter().enumerate() {
            if let Some(mut row) = find(key)? {
                // The last row is where the next page begins.
                if found.len() == page.limit || bytes >= CONTENT_BYTES_MAX {
                    return Ok(Rows { rows: found, done: false, resume: None });
                }
                bytes += fill(&mut row)?;
                found.push(row);
            }
            // A single row may be costly to judge. The last of all is left to what follows.
            if began.elapsed() >= SCAN_TIME_MAX && !(ends && i + 1 == keys.len()) {
                return Ok(Rows { rows: found, done: false, resume: Some(key) });
            }
        }
        looked_at += keys.len();
        let Some(&reached) = keys.last() else { return Ok(Rows { rows: found, done: true, resume: None }) };
        if ends {
            return Ok(Rows { rows: found, done: true, resume: None });
        }
        if looked_at >= SCAN_MAX {
            return Ok(Rows { rows: found, done: false, resume: Some(reached) });
        }
        match page.order {
            Order::Ascending => low = reached,
            Order::Descending => high = reached,
        }
    }
}

pub(super) fn matches(filter: &MessageFilter, message: &Message) -> bool {
    let envelope = &message.envelope;
    filter.channel.as_ref().is_none_or(|channel| envelope.channels.contains(channel))
        && filter.tag.as_ref().is_none_or(|tag| envelope.tags.contains(tag))
        && (filter.event_types.is_empty() || filter.event_types.contains(&envelope.event_type))
        && filter.source.is_none_or(|source| message.source == Some(source))
}

pub(super) fn message_of(connection: &Connection, key: Key, with_content: bool) -> rusqlite::Result<Option<Message>> {
    if with_content {
        let sql = super::reader::message_by_key();
        connection.prepare_cached(&sql)?.query_row([key], rows::message_with_payload).optional()
    } else {
        let sql = format!("SELECT {} FROM message WHERE key = ?", rows::MESSAGE);
        connection.prepare_cached(&sql)?.query_row([key], rows::message).optional()
    }
}

/// A page of a table that is ordered by a column of its own: one row more than asked for tells whether it is done.
fn page_of<T>(
    connection: &Connection,
    sql: &str,
    mut values: Vec<Value>,
    limit: usize,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Rows<T>> {
    values.push(Value::Integer(limit as i64 + 1));
    let mut found =
        connection.prepare_cached(sql)?.query_map(params_from_iter(values), read)?.collect::<Result<Vec<_>, _>>()?;
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
) -> (String, Vec<Value>) {
    let (sign, direction) = comparison(page.order);
    let sql = format!(
        "SELECT {columns} FROM {table} WHERE {leading} = ? AND {key} {sign} ? ORDER BY {key} {direction} LIMIT ?"
    );
    let after = page.after.unwrap_or(if page.order == Order::Ascending { 0 } else { Key::MAX });
    (sql, vec![value.into(), after.into()])
}

fn comparison(order: Order) -> (&'static str, &'static str) {
    match order {
        Order::Ascending => (">", "ASC"),
        Order::Descending => ("<", "DESC"),
    }
}

#[async_trait]
impl StoreQueries for SqliteReader {
    async fn environments(&self) -> Result<Vec<Environment>, ReadError> {
        self.list(|connection, _| {
            connection
                .prepare_cached("SELECT key, nonce, name, created_at FROM environment ORDER BY key LIMIT ?")?
                .query_map([ALL_MAX], rows::environment)?
                .collect()
        })
        .await
    }

    async fn environment_named(&self, named: &str) -> Result<Option<Environment>, ReadError> {
        let named = named.to_owned();
        self.list(move |connection, _| {
            let mut statement =
                connection.prepare_cached("SELECT key, nonce, name, created_at FROM environment WHERE name = ?")?;
            if let Some(found) = statement.query_row([&named], rows::environment).optional()? {
                return Ok(Some(found));
            }
            let Some(id) = Id::parse(IdKind::Environment, &named) else { return Ok(None) };
            connection
                .prepare_cached("SELECT key, nonce, name, created_at FROM environment WHERE key = ? AND nonce = ?")?
                .query_row(params![id.key, id.nonce.as_slice()], rows::environment)
                .optional()
        })
        .await
    }

    async fn api_keys(&self, env: Option<EnvKey>) -> Result<Vec<ApiKey>, ReadError> {
        self.list(move |connection, _| {
            connection
                .prepare_cached(&format!(
                    "SELECT {} FROM api_key WHERE ?1 IS NULL OR env = ?1 ORDER BY key LIMIT ?2",
                    rows::API_KEY
                ))?
                .query_map(params![env.map(|env| env.0), ALL_MAX], rows::api_key)?
                .collect()
        })
        .await
    }

    async fn api_key_by_hash(&self, hash: [u8; 32]) -> Result<Option<ApiKey>, ReadError> {
        self.read(move |connection, _| {
            connection
                .prepare_cached(&format!(
                    "SELECT {} FROM api_key WHERE hash = ? AND revoked_at IS NULL",
                    rows::API_KEY
                ))?
                .query_row([hash.as_slice()], rows::api_key)
                .optional()
        })
        .await
    }

    async fn portal_token_by_hash(&self, hash: [u8; 32]) -> Result<Option<PortalToken>, ReadError> {
        self.read(move |connection, _| {
            connection
                .prepare_cached(&format!("SELECT {} FROM portal_token WHERE hash = ?", rows::PORTAL_TOKEN))?
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
        self.list(move |connection, _| {
            let (sign, direction) = comparison(page.order);
            let mut sql =
                format!("SELECT {} FROM application WHERE env = ? AND kind = 0 AND key {sign} ?", rows::APPLICATION);
            if exclude_without_endpoints {
                sql.push_str(" AND EXISTS (SELECT 1 FROM endpoint WHERE app = application.key)");
            }
            if exclude_all_disabled {
                sql.push_str(
                    " AND (NOT EXISTS (SELECT 1 FROM endpoint WHERE app = application.key)
                      OR EXISTS (SELECT 1 FROM endpoint WHERE app = application.key
                        AND json_extract(endpoint.spec, '$.disabled') IS NULL))",
                );
            }
            sql.extend([" ORDER BY key ", direction, " LIMIT ?"]);
            let after = page.after.unwrap_or(if page.order == Order::Ascending { 0 } else { Key::MAX });
            page_of(connection, &sql, vec![env.0.into(), after.into()], page.limit, rows::application)
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
        self.list(move |connection, _| {
            let (sign, direction) = comparison(page.order);
            let mut sql = format!("SELECT {} FROM event_type WHERE env = ?", rows::EVENT_TYPE);
            let mut values: Vec<Value> = vec![env.0.into()];
            if let Some(after) = page.after {
                sql.extend([" AND name ", sign, " ?"]);
                values.push(after.into());
            }
            if !archived {
                sql.push_str(" AND NOT json_extract(spec, '$.archived')");
            }
            if let Some(flags) = flags {
                sql.push_str(
                    " AND (json_extract(spec, '$.feature_flags') IS NULL OR EXISTS (
                        SELECT 1 FROM json_each(spec, '$.feature_flags')
                        WHERE value IN (SELECT value FROM json_each(?))))",
                );
                values.push(serde_json::to_string(&flags).unwrap_or_default().into());
            }
            sql.extend([" ORDER BY name ", direction, " LIMIT ?"]);
            page_of(connection, &sql, values, page.limit, rows::event_type)
        })
        .await
    }

    async fn event_type(&self, env: EnvKey, name: &str) -> Result<Option<EventType>, ReadError> {
        let name = name.to_owned();
        self.list(move |connection, _| {
            connection
                .prepare_cached(&format!("SELECT {} FROM event_type WHERE env = ? AND name = ?", rows::EVENT_TYPE))?
                .query_row(params![env.0, name], rows::event_type)
                .optional()
        })
        .await
    }

    async fn endpoints(&self, app: AppKey, page: Page<Key>) -> Result<Rows<Endpoint>, ReadError> {
        self.list(move |connection, sealer| {
            let (sign, direction) = comparison(page.order);
            let sql = format!(
                "SELECT {} FROM endpoint WHERE app = ? AND key {sign} ? ORDER BY key {direction} LIMIT ?",
                rows::ENDPOINT
            );
            let after = page.after.unwrap_or(if page.order == Order::Ascending { 0 } else { Key::MAX });
            page_of(connection, &sql, vec![app.0.into(), after.into()], page.limit, |row| rows::endpoint(row, sealer))
        })
        .await
    }

    async fn message(&self, app: AppKey, id: Id, with_content: bool) -> Result<Option<Message>, ReadError> {
        self.list(move |connection, _| {
            let found = message_of(connection, id.key, with_content)?;
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
        self.list(move |connection, _| {
            let Some(key) = keys::message_of_event(connection, app, &event_id)? else { return Ok(None) };
            message_of(connection, key, with_content)
        })
        .await
    }

    async fn messages_of(
        &self,
        app: AppKey,
        page: Page<Key>,
        filter: MessageFilter,
    ) -> Result<Rows<Message>, ReadError> {
        self.list(move |connection, _| {
            let bounds = interval(&page, filter.before, filter.after);
            let find = |key| {
                let found = message_of(connection, key, false)?;
                Ok(found.filter(|message| matches(&filter, message)))
            };
            scan(connection, &MESSAGES_OF_APP, app.0, bounds, &page, find, |message| {
                if filter.with_content {
                    read_content(connection, message)?;
                }
                Ok(message.payload.as_ref().map_or(0, Bytes::len))
            })
        })
        .await
    }

    async fn attempts(
        &self,
        of: AttemptsOf,
        page: Page<Key>,
        filter: AttemptFilter,
    ) -> Result<Rows<AttemptRow>, ReadError> {
        self.list(move |connection, _| {
            let (list, leading, only) = match of {
                AttemptsOf::Message(message, endpoint) => (&ATTEMPTS_OF_MESSAGE, message.0, endpoint),
                AttemptsOf::Endpoint(endpoint) => (&ATTEMPTS_OF_ENDPOINT, endpoint.0, None),
            };
            let sql = format!("SELECT {ATTEMPT} {ATTEMPT_FROM} WHERE attempt.key = ?");
            let needs_message = filter.with_message
                || filter.message.channel.is_some()
                || filter.message.tag.is_some()
                || !filter.message.event_types.is_empty();
            let bounds = interval(&page, filter.message.before, filter.message.after);
            let find = |key| {
                let found = connection.prepare_cached(&sql)?.query_row([key], attempt).optional()?;
                let Some(attempt) = found.filter(|attempt| wanted(&filter, only, attempt)) else {
                    return Ok(None);
                };
                let message = if needs_message {
                    let message = message_of(connection, attempt.message.key, false)?;
                    match message.filter(|message| matches(&filter.message, message)) {
                        None => return Ok(None),
                        message => message.filter(|_| filter.with_message),
                    }
                } else {
                    None
                };
                Ok(Some((attempt, message)))
            };
            scan(connection, list, leading, bounds, &page, find, |(attempt, message)| {
                let mut bytes = 0;
                if filter.with_content {
                    attempt.response = response(connection, attempt.id.key)?;
                    bytes += attempt.response.len();
                }
                if let Some(message) = message.as_mut().filter(|_| filter.message.with_content) {
                    read_content(connection, message)?;
                    bytes += message.payload.as_ref().map_or(0, Bytes::len);
                }
                Ok(bytes)
            })
        })
        .await
    }

    async fn attempt(&self, message: MessageKey, id: Id) -> Result<Option<Attempt>, ReadError> {
        self.list(move |connection, _| {
            let sql = format!("SELECT {ATTEMPT} {ATTEMPT_FROM} WHERE attempt.key = ? AND attempt.message = ?");
            let found = connection.prepare_cached(&sql)?.query_row([id.key, message.0], attempt).optional()?;
            let Some(mut attempt) = found.filter(|attempt| attempt.id == id) else { return Ok(None) };
            attempt.response = response(connection, id.key)?;
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
        self.list(move |connection, _| deliveries::to_endpoint(connection, app, endpoint, &page, &filter)).await
    }

    async fn deliveries_of(
        &self,
        message: MessageKey,
        endpoints: Vec<EndpointKey>,
        page: Page<Key>,
    ) -> Result<Rows<(EndpointKey, DeliveryState)>, ReadError> {
        self.list(move |connection, _| deliveries::of_message(connection, message, &endpoints, &page)).await
    }

    async fn endpoint_stats(
        &self,
        endpoint: EndpointKey,
        since: UnixMs,
        until: UnixMs,
    ) -> Result<EndpointStats, ReadError> {
        self.list(move |connection, _| counters::endpoint_stats(connection, endpoint, since, until)).await
    }

    async fn source_by_token(&self, token: &str) -> Result<Option<(Source, Option<UnixMs>)>, ReadError> {
        let token = token.to_owned();
        self.stranger(move |connection, sealer| source::of_token(connection, sealer, &token)).await
    }

    async fn source_named(&self, env: EnvKey, name: &str) -> Result<Option<Source>, ReadError> {
        let name = name.to_owned();
        self.read(move |connection, sealer| source::named(connection, sealer, env, &name)).await
    }

    async fn sources(&self, env: EnvKey, page: Page<Key>) -> Result<Rows<Source>, ReadError> {
        self.list(move |connection, sealer| {
            let (sql, values) = paged("source", source::SOURCE, ("env", env.0), "key", page);
            page_of(connection, &sql, values, page.limit, |row| source::source(row, sealer))
        })
        .await
    }

    async fn cron_sources(&self, after: Option<SourceKey>, limit: usize) -> Result<Vec<CronSource>, ReadError> {
        self.read(move |connection, sealer| cron::page(connection, sealer, after, limit)).await
    }

    async fn cron_source(&self, source: SourceKey) -> Result<Option<CronSource>, ReadError> {
        self.read(move |connection, sealer| cron::by_key(connection, sealer, source)).await
    }

    async fn source_log(&self, source: SourceKey, page: Page<Key>) -> Result<Rows<LoggedRequest>, ReadError> {
        self.list(move |connection, _| {
            let table = "source_log LEFT JOIN message ON message.key = source_log.message";
            let (sql, mut values) =
                paged(table, source_log::LOGGED, ("source_log.source", source.0), "source_log.key", page);
            values.push(Value::Integer(page.limit as i64 + 1));
            source_log::page(connection, &sql, params_from_iter(values), page.limit)
        })
        .await
    }

    async fn background_tasks(
        &self,
        env: EnvKey,
        page: Page<Key>,
        status: Option<TaskStatus>,
    ) -> Result<Rows<BackgroundTask>, ReadError> {
        self.list(move |connection, _| {
            let (sign, direction) = comparison(page.order);
            let filter = if status.is_some() { "status = ?" } else { "? IS NULL" };
            let sql = format!(
                "SELECT {} FROM background_task WHERE env = ? AND key {sign} ? AND {filter}
                 ORDER BY key {direction} LIMIT ?",
                recover::TASK
            );
            let after = page.after.unwrap_or(if page.order == Order::Ascending { 0 } else { Key::MAX });
            let values = vec![env.0.into(), after.into(), status.map(TaskStatus::code).into()];
            page_of(connection, &sql, values, page.limit, recover::task)
        })
        .await
    }

    async fn background_task(&self, env: EnvKey, id: Id) -> Result<Option<BackgroundTask>, ReadError> {
        self.list(move |connection, _| {
            let sql = format!("SELECT {} FROM background_task WHERE key = ? AND env = ?", recover::TASK);
            let found = connection.prepare_cached(&sql)?.query_row([id.key, env.0], recover::task).optional()?;
            Ok(found.filter(|task| task.id == id))
        })
        .await
    }

    async fn maintenance_due(&self, horizon: Horizon) -> Result<Due, ReadError> {
        self.list(move |connection, _| retention::due(connection, horizon)).await
    }

    async fn queue_depth(&self) -> Result<u64, ReadError> {
        let sql = "SELECT (SELECT count(*) FROM pending) + (SELECT count(*) FROM waiting)";
        self.list(move |connection, _| {
            connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|count| count as u64)
        })
        .await
    }

    async fn queue_shape(&self, now: UnixMs, limit: usize) -> Result<Vec<QueueRow>, ReadError> {
        self.list(move |connection, _| queue_shape(connection, now, limit)).await
    }

    async fn integrity(&self) -> Result<String, ReadError> {
        self.list(|connection, _| connection.query_row("PRAGMA quick_check(10)", [], |row| row.get(0))).await
    }
}

fn wanted(filter: &AttemptFilter, only: Option<EndpointKey>, attempt: &Attempt) -> bool {
    only.is_none_or(|endpoint| endpoint.0 == attempt.endpoint.key)
        && filter.success.is_none_or(|success| success == (attempt.kind == OutcomeKind::Success))
        && filter.status_class.is_none_or(|class| class == attempt.status / 100)
}

fn queue_shape(connection: &Connection, now: UnixMs, limit: usize) -> rusqlite::Result<Vec<QueueRow>> {
    use std::collections::HashMap;
    let mut shape: HashMap<i64, QueueRow> = HashMap::new();
    let mut statement = connection.prepare(
        "SELECT endpoint, message, 0 FROM pending UNION ALL SELECT endpoint, message, 0 FROM waiting
         UNION ALL SELECT endpoint, message, state + 1 FROM parked WHERE state <> 3",
    )?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let (endpoint, message, state): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let entry = shape.entry(endpoint).or_insert_with(|| QueueRow {
            endpoint: endpoint.to_string(),
            url: String::new(),
            by_age: [0; 7],
            failed: 0,
            held: 0,
        });
        match state {
            0 => {
                let age_s = (now - key_time(message)) / 1000;
                entry.by_age[QUEUE_AGES_S.iter().position(|&bound| age_s < bound).unwrap_or(6)] += 1;
            }
            2 => entry.held += 1,
            _ => entry.failed += 1,
        }
    }
    let mut rows: Vec<(i64, QueueRow)> = shape.into_iter().collect();
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.by_age.iter().sum::<u64>() + row.failed + row.held));
    rows.truncate(limit);
    for (key, row) in &mut rows {
        let named = connection
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
