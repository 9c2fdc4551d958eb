//! Readers: connections off the async threads, each read time-boxed by PostgreSQL and by us. In three lines,
//! as the embedded engine's: what deliveries need waits behind no list.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::options::PgOptions;
use super::session::{Session, SessionError};
use crate::model::{
    AppConfig, AppKey, EndpointKey, EnvKey, EnvPolicy, Message, MessageKey, Pending, SlotSet, UnixMs, Waiting,
};
use crate::store::seal::Sealer;
use crate::store::sql::db::{self, Db, Error, NONE, params};
use crate::store::sql::lines::{Line, Lines};
use crate::store::sql::rows;
use crate::store::{ReadError, StoreReader};

/// The longest that one read for deliveries and publishing may take, in milliseconds.
const CORE_READ_MS_MAX: u64 = 60_000;
/// The longest that one read for lists may take.
const LIST_READ_MS_MAX: u64 = 5_000;
/// How much longer than PostgreSQL we wait before we give up the connection.
const GRACE: Duration = Duration::from_secs(2);
/// Connections in the line of strangers.
const STRANGERS: usize = 1;

/// Reads from PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct PgReader {
    core: Arc<Pool>,
    lists: Arc<Pool>,
    strangers: Arc<Pool>,
}

struct Pool {
    options: PgOptions,
    read_ms_max: u64,
    idle: Mutex<Vec<Session>>,
    permits: Arc<Semaphore>,
}

impl PgReader {
    /// The pools of readers, `options.readers` connections in all, at least three; connected when they are
    /// first needed.
    pub fn new(options: &PgOptions) -> Self {
        let shared = options.readers.saturating_sub(STRANGERS).max(2);
        let pool = |readers, read_ms_max| {
            let (options, idle) = (options.clone(), Mutex::new(Vec::new()));
            Arc::new(Pool { options, read_ms_max, idle, permits: Arc::new(Semaphore::new(readers)) })
        };
        Self {
            core: pool(shared.div_ceil(2), CORE_READ_MS_MAX),
            lists: pool(shared / 2, LIST_READ_MS_MAX),
            strangers: pool(STRANGERS, LIST_READ_MS_MAX),
        }
    }
}

impl PgReader {
    /// Runs one statement that deliveries or publishing wait for, without a transaction around it. Asked again
    /// where the connection that was at hand had broken.
    pub(super) async fn read_one<T, F>(&self, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: Fn(Db<'_>) -> db::Result<T> + Send + 'static,
    {
        let pool = Arc::clone(&self.core);
        let run = move || {
            let (session, is_fresh) = match pool.take() {
                Some(session) => (session, false),
                None => (pool.connect()?, true),
            };
            let mut result = query(Db::Postgres(&session));
            let mut session = Some(session).filter(|session| !session.is_broken());
            if !is_fresh && session.is_none() {
                let fresh = pool.connect()?;
                result = query(Db::Postgres(&fresh));
                session = Some(fresh).filter(|session| !session.is_broken());
            }
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(session);
            result
        };
        self.core.off_thread(run).await
    }
}

impl Pool {
    fn connect(&self) -> Result<Session, SessionError> {
        Session::connect(&self.options, Duration::from_millis(self.read_ms_max) + GRACE)
    }

    fn take(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// A session with a read transaction. One that was idle may have broken since.
    fn begin(&self) -> Result<Session, SessionError> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}",
            self.read_ms_max
        );
        while let Some(session) = self.take() {
            if session.batch(&begin).is_ok() {
                return Ok(session);
            }
        }
        let session = self.connect()?;
        session.batch(&begin)?;
        Ok(session)
    }

    async fn read<T, F>(self: &Arc<Self>, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>, &Sealer) -> db::Result<T> + Send + 'static,
    {
        let pool = Arc::clone(self);
        let run = move || {
            let session = pool.begin()?;
            let result = query(Db::Postgres(&session), &pool.options.sealer);
            if !session.is_broken() && session.batch("ROLLBACK").is_ok() {
                pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
            }
            result
        };
        self.off_thread(run).await
    }

    /// Runs a read where it may stand still, when it is its turn.
    async fn off_thread<T: Send + 'static>(
        &self,
        run: impl FnOnce() -> db::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (permits, began) = (Arc::clone(&self.permits), std::time::Instant::now());
        let permit = permits.acquire_owned().await.map_err(|error| ReadError::Engine(error.to_string()))?;
        self.options.metrics.pool_wait_seconds.observe(began.elapsed().as_secs_f64());
        let result = tokio::task::spawn_blocking(move || {
            // Given back when the read is over, even if nobody waits for it any more.
            let _permit = permit;
            run()
        })
        .await;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Error::Postgres(error))) if error.is_too_slow() => Err(ReadError::TooSlow(self.read_ms_max)),
            Ok(Err(error)) => Err(ReadError::Engine(error.to_string())),
            Err(error) => Err(ReadError::Engine(error.to_string())),
        }
    }
}

impl Lines for PgReader {
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

#[async_trait]
impl StoreReader for PgReader {
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
        let keys: Vec<i64> = endpoints.iter().map(|endpoint| endpoint.0).collect();
        self.read_one(move |db| {
            db.with_numbers("SELECT key, app FROM endpoint WHERE key = ANY($1::bigint[])", &keys, |row| {
                Ok((EndpointKey(row.get(0)?), AppKey(row.get(1)?)))
            })
        })
        .await
    }

    async fn messages(&self, keys: &[MessageKey]) -> Result<Vec<Message>, ReadError> {
        let keys: Vec<i64> = keys.iter().map(|key| key.0).collect();
        self.read_one(move |db| db.with_numbers(&messages_by_keys(), &keys, rows::message_with_payload)).await
    }

    async fn pending(&self, slots: &SlotSet, after: Option<Pending>, limit: usize) -> Result<Vec<Pending>, ReadError> {
        let (message, endpoint) = after.map_or((0, 0), |after| (after.message.0, after.endpoint.0));
        let slots = slots.to_bits();
        self.read_one(move |db| {
            db.prepare_cached(
                "SELECT message, endpoint FROM pending WHERE (message, endpoint) > (?1, ?2) AND get_bit(CAST(?3 AS bytea), slot) = 1
                 ORDER BY message, endpoint LIMIT ?4",
            )?
            .query_map(params![message, endpoint, &slots[..], limit as i64], |row| {
                Ok(Pending { message: MessageKey(row.get(0)?), endpoint: EndpointKey(row.get(1)?) })
            })?
            .collect()
        })
        .await
    }

    async fn waiting_endpoints(&self, slots: &SlotSet) -> Result<Vec<(EndpointKey, UnixMs)>, ReadError> {
        let slots = *slots;
        self.read(Line::Core, move |db, _| {
            // One seek an endpoint, however many deliveries each has.
            let sql = "WITH RECURSIVE first AS (
                   (SELECT endpoint, due FROM waiting ORDER BY endpoint, due LIMIT 1)
                   UNION ALL
                   SELECT next.endpoint, next.due FROM first CROSS JOIN LATERAL (
                     SELECT endpoint, due FROM waiting WHERE waiting.endpoint > first.endpoint
                      ORDER BY endpoint, due LIMIT 1) AS next)
                 SELECT endpoint, due FROM first";
            let mut found = Vec::new();
            db.prepare_cached(sql)?.each(NONE, |row| {
                let (endpoint, due): (i64, UnixMs) = (row.get(0)?, row.get(1)?);
                if slots.contains_key(endpoint) {
                    found.push((EndpointKey(endpoint), due));
                }
                Ok(true)
            })?;
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
        self.read_one(move |db| rows::waiting(db, endpoint, after, limit)).await
    }
}

/// Messages with their bytes, by a list of keys. Each by its own partition: the list would be looked for in
/// all of them.
pub(super) fn messages_by_keys() -> String {
    format!(
        "SELECT {}, payload.body, payload.head FROM unnest($1::bigint[]) AS wanted
           CROSS JOIN LATERAL (SELECT * FROM message WHERE message.key = wanted OFFSET 0) AS message
           LEFT JOIN LATERAL (SELECT * FROM payload WHERE payload.id = message.payload OFFSET 0) AS payload ON TRUE",
        rows::MESSAGE
    )
}
