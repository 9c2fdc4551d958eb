//! Readers: small pools of read-only connections, off the async threads, each read time-boxed.
//!
//! What deliveries and publishing need has connections of its own: however slow lists are, it never
//! stands in line behind them. What anybody at all can ask for stands in a line of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use super::SqliteOptions;
use crate::model::{
    AppConfig, AppKey, EndpointKey, EnvKey, EnvPolicy, Message, MessageKey, Pending, SlotSet, UnixMs, Waiting,
};
use crate::store::seal::Sealer;
use crate::store::sql::db::{self, Db, Error, Optional, params};
use crate::store::sql::lines::{Line, Lines};
use crate::store::sql::rows;
use crate::store::{ReadError, StoreReader};

/// Connections that read at once for deliveries and publishing, and for lists.
const CORE_READERS: usize = 4;
const LIST_READERS: usize = 4;
/// Connections that look up what strangers show: tokens of receiving URLs that are not in memory.
const STRANGERS_READERS: usize = 1;
/// The longest that one read for deliveries and publishing may take, in milliseconds: at the start
/// of a large store some are long.
const CORE_READ_MS_MAX: u64 = 60_000;
/// The longest that one read for lists may take.
const LIST_READ_MS_MAX: u64 = 5_000;
/// SQLite instructions between looks at the clock.
const PROGRESS_STEPS: i32 = 20_000;

/// Reads the embedded store. Cheap to clone.
#[derive(Clone)]
pub struct SqliteReader {
    core: Arc<Pool>,
    lists: Arc<Pool>,
    strangers: Arc<Pool>,
}

struct Pool {
    options: SqliteOptions,
    read_ms_max: u64,
    idle: Mutex<Vec<Reading>>,
    permits: Arc<Semaphore>,
}

impl Pool {
    fn new(options: SqliteOptions, readers: usize, read_ms_max: u64) -> Arc<Self> {
        Arc::new(Self {
            options,
            read_ms_max,
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(readers)),
        })
    }
}

/// A connection with the moment by which its present read must be over.
struct Reading {
    connection: Connection,
    deadline: Arc<Mutex<Instant>>,
}

impl Reading {
    fn open(options: &SqliteOptions) -> rusqlite::Result<Self> {
        let mut connection = super::open_reader(&options.file())?;
        let deadline = Arc::new(Mutex::new(Instant::now()));
        let seen = Arc::clone(&deadline);
        let late = move || Instant::now() > *seen.lock().unwrap_or_else(PoisonError::into_inner);
        connection.progress_handler(PROGRESS_STEPS, Some(late))?;
        Ok(Self { connection, deadline })
    }

    fn start(&self, read_ms_max: u64) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) =
            Instant::now() + Duration::from_millis(read_ms_max);
    }
}

impl SqliteReader {
    /// The pools of readers; connections are opened when they are first needed.
    pub fn open(options: SqliteOptions) -> Self {
        let core = Pool::new(options.clone(), CORE_READERS, CORE_READ_MS_MAX);
        let strangers = Pool::new(options.clone(), STRANGERS_READERS, LIST_READ_MS_MAX);
        Self { core, lists: Pool::new(options, LIST_READERS, LIST_READ_MS_MAX), strangers }
    }
}

impl Lines for SqliteReader {
    async fn read<T, F>(&self, line: Line, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>, &Sealer) -> db::Result<T> + Send + 'static,
    {
        match line {
            Line::Core => self.core.read(query).await,
            Line::Lists => self.lists.read(query).await,
            Line::Strangers => self.strangers.read(query).await,
        }
    }
}

impl Pool {
    /// Runs one read in one read transaction.
    async fn read<T, F>(self: &Arc<Self>, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>, &Sealer) -> db::Result<T> + Send + 'static,
    {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|error| ReadError::Engine(error.to_string()))?;
        let pool = Arc::clone(self);
        let result = tokio::task::spawn_blocking(move || {
            // Given back when the read is over, even if nobody waits for it any more.
            let _permit = permit;
            let reading = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reading = reading.map_or_else(|| Reading::open(&pool.options), Ok)?;
            reading.start(pool.read_ms_max);
            reading.connection.execute_batch("BEGIN")?;
            let result = query((&reading.connection).into(), &pool.options.sealer);
            reading.connection.execute_batch("ROLLBACK")?;
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reading);
            result
        })
        .await;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Error::Sqlite(error))) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                Err(ReadError::TooSlow(self.read_ms_max))
            }
            Ok(Err(error)) => Err(ReadError::Engine(error.to_string())),
            Err(error) => Err(ReadError::Engine(error.to_string())),
        }
    }
}

#[async_trait]
impl StoreReader for SqliteReader {
    async fn app_config(&self, app: AppKey) -> Result<Option<AppConfig>, ReadError> {
        self.read(Line::Core, move |db, sealer| rows::app_config(db, sealer, app)).await
    }

    async fn app_by_uid(&self, env: EnvKey, uid: &str) -> Result<Option<AppKey>, ReadError> {
        let uid = uid.to_owned();
        self.read(Line::Core, move |db, _| rows::app_by_uid(db, env, &uid)).await
    }

    async fn operational_app(&self, env: EnvKey) -> Result<Option<AppKey>, ReadError> {
        self.read(Line::Core, move |db, _| rows::operational_app(db, env)).await
    }

    async fn env_policy(&self, env: EnvKey) -> Result<Option<EnvPolicy>, ReadError> {
        self.read(Line::Core, move |db, _| rows::env_policy(db, env)).await
    }

    async fn apps_of(&self, endpoints: &[EndpointKey]) -> Result<Vec<(EndpointKey, AppKey)>, ReadError> {
        let endpoints = endpoints.to_vec();
        self.read(Line::Core, move |db, _| {
            let mut statement = db.prepare_cached("SELECT app FROM endpoint WHERE key = ?")?;
            let mut found = Vec::with_capacity(endpoints.len());
            for endpoint in endpoints {
                if let Some(app) = statement.query_row([endpoint.0], |row| row.get(0)).optional()? {
                    found.push((endpoint, AppKey(app)));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn messages(&self, keys: &[MessageKey]) -> Result<Vec<Message>, ReadError> {
        let keys = keys.to_vec();
        self.read(Line::Core, move |db, _| {
            let mut statement = db.prepare_cached(&rows::message_by_key())?;
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                if let Some(message) = statement.query_row([key.0], rows::message_with_payload).optional()? {
                    found.push(message);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn pending(&self, slots: &SlotSet, after: Option<Pending>, limit: usize) -> Result<Vec<Pending>, ReadError> {
        let (message, endpoint) = after.map_or((0, 0), |after| (after.message.0, after.endpoint.0));
        let slots = *slots;
        self.read(Line::Core, move |db, _| {
            let mut found = Vec::new();
            db.prepare_cached(
                "SELECT message, endpoint FROM pending WHERE (message, endpoint) > (?, ?) ORDER BY message, endpoint",
            )?
            .each(params![message, endpoint], |row| {
                let pending = Pending { message: MessageKey(row.get(0)?), endpoint: EndpointKey(row.get(1)?) };
                // One process has all slots: nothing is read in vain.
                if slots.contains_key(pending.endpoint.0) {
                    found.push(pending);
                }
                Ok(found.len() < limit)
            })?;
            Ok(found)
        })
        .await
    }

    async fn waiting_endpoints(&self, slots: &SlotSet) -> Result<Vec<(EndpointKey, UnixMs)>, ReadError> {
        let slots = *slots;
        self.read(Line::Core, move |db, _| {
            // One seek an endpoint, however many deliveries each has.
            let mut next = db.prepare_cached(
                "SELECT endpoint, due FROM waiting WHERE endpoint > ? ORDER BY endpoint, due LIMIT 1",
            )?;
            let mut found: Vec<(EndpointKey, UnixMs)> = Vec::new();
            let mut after = i64::MIN;
            while let Some((endpoint, due)) =
                next.query_row([after], |row| Ok((row.get(0)?, row.get(1)?))).optional()?
            {
                found.extend(slots.contains_key(endpoint).then_some((EndpointKey(endpoint), due)));
                after = endpoint;
            }
            Ok(found)
        })
        .await
    }

    async fn waiting(
        &self,
        endpoint: EndpointKey,
        after: Option<(UnixMs, MessageKey)>,
        limit: usize,
    ) -> Result<Vec<Waiting>, ReadError> {
        self.read(Line::Core, move |db, _| rows::waiting(db, endpoint, after, limit)).await
    }
}
