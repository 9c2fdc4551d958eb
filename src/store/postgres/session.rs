//! One connection to PostgreSQL, used from a blocking thread like the embedded engine's. One thread turns
//! the wheels of all connections; who asks something stands still until it is answered.
//!
//! Statements are prepared once. Several that do not depend on one another go out together
//! ([`Session::pipeline`]), and cost one round trip.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options::PgOptions;
use crate::metrics::Metrics;
use crate::store::sql::db::{Stored, Value};

/// How long the server may take to hear that a statement is given up.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept ready on one connection. Lists have some hundred different texts.
const STATEMENTS_MAX: usize = 512;
/// Statements that go out together: more would not keep their order.
pub(in crate::store) const PIPELINE_MAX: usize = 30;

/// What goes wrong between us and PostgreSQL.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// There is no connection, or it broke: what was under way may or may not have happened.
    #[error("PostgreSQL cannot be reached: {0}")]
    Lost(String),
    /// PostgreSQL refused a statement.
    #[error("PostgreSQL refused: {message} ({code})")]
    Refused {
        /// SQLSTATE.
        code: String,
        /// What it says.
        message: String,
    },
}

impl SessionError {
    /// Whether a statement was stopped because it took too long.
    pub(in crate::store) fn is_too_slow(&self) -> bool {
        self.has_code(&SqlState::QUERY_CANCELED)
    }

    /// Whether it may pass by itself: the server is away, starts, stops, is full, or takes no changes now.
    pub(in crate::store) fn is_passing(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            // 08 connection, 25006 read only, 40 rolled back, 53 resources, 55P03 lock, 57 operator, 58 system.
            Self::Refused { code, .. } => {
                ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                    || code == SqlState::READ_ONLY_SQL_TRANSACTION.code()
                    || code == SqlState::LOCK_NOT_AVAILABLE.code()
                    || code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT.code()
            }
        }
    }

    /// Whether PostgreSQL has no room left.
    pub(in crate::store) fn is_full(&self) -> bool {
        self.has_code(&SqlState::DISK_FULL)
    }

    /// Whether two transactions waited for each other.
    pub(in crate::store) fn is_deadlock(&self) -> bool {
        self.has_code(&SqlState::T_R_DEADLOCK_DETECTED)
    }

    /// Whether a lock could not be had in time.
    pub(in crate::store) fn is_lock_timeout(&self) -> bool {
        self.has_code(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether a row belongs to a day that has no partition (any more).
    pub(in crate::store) fn lacks_partition(&self) -> bool {
        self.has_code(&SqlState::CHECK_VIOLATION) || self.has_code(&SqlState::UNDEFINED_TABLE)
    }

    fn has_code(&self, state: &SqlState) -> bool {
        matches!(self, Self::Refused { code, .. } if code == state.code())
    }
}

impl From<tokio_postgres::Error> for SessionError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refused) = error.as_db_error() {
            return Self::Refused { code: refused.code().code().to_owned(), message: refused.message().to_owned() };
        }
        let source = std::error::Error::source(&error).map(ToString::to_string);
        Self::Lost(source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}")))
    }
}

/// A row of an answer.
pub(in crate::store) struct PgRow(tokio_postgres::Row);

impl PgRow {
    /// A column, from 0.
    pub(in crate::store) fn stored(&self, column: usize) -> Result<Stored<'_>, tokio_postgres::Error> {
        self.0.try_get::<_, Raw<'_>>(column).map(|raw| raw.0)
    }
}

impl PgRow {
    /// A column of numbers.
    pub(in crate::store) fn integer(&self, column: usize) -> Result<i64, SessionError> {
        match self.stored(column)? {
            Stored::Integer(number) => Ok(number),
            other => Err(SessionError::Lost(format!("column {column} is {other:?} and no number"))),
        }
    }

    /// A column of bytes.
    pub(in crate::store) fn bytes(&self, column: usize) -> Result<Vec<u8>, SessionError> {
        self.bytes_or_null(column)?.ok_or_else(|| SessionError::Lost(format!("column {column} is empty")))
    }

    /// A column of bytes or nothing.
    pub(in crate::store) fn bytes_or_null(&self, column: usize) -> Result<Option<Vec<u8>>, SessionError> {
        match self.stored(column)? {
            Stored::Null => Ok(None),
            Stored::Blob(bytes) => Ok(Some(bytes.to_vec())),
            other => Err(SessionError::Lost(format!("column {column} is {other:?} and no bytes"))),
        }
    }

    /// A column of text.
    pub(in crate::store) fn text(&self, column: usize) -> Result<&str, SessionError> {
        match self.stored(column)? {
            Stored::Text(text) => Ok(text),
            other => Err(SessionError::Lost(format!("column {column} is {other:?} and no text"))),
        }
    }
}

/// A column of any type that we keep.
struct Raw<'r>(Stored<'r>);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(ty: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *ty {
            Type::INT8 => Stored::Integer(i64::from_sql(ty, raw)?),
            Type::INT4 => Stored::Integer(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Stored::Integer(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Stored::Integer(bool::from_sql(ty, raw)?.into()),
            Type::BYTEA => Stored::Blob(raw),
            _ => Stored::Text(<&str>::from_sql(ty, raw)?),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Stored::Null))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL | Type::BYTEA)
            || <&str as FromSql<'_>>::accepts(ty)
            || *ty == Type::JSONB
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut tokio_postgres::types::private::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => match *ty {
                Type::INT8 => number.to_sql(ty, out),
                Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*number)?.to_sql(ty, out),
                Type::BOOL => (*number != 0).to_sql(ty, out),
                _ => Err(format!("a number cannot be a {ty}").into()),
            },
            Self::Text(text) => match *ty {
                Type::JSONB => {
                    out.extend_from_slice(&[1]);
                    text.as_bytes().to_sql(&Type::BYTEA, out)
                }
                _ => text.as_ref().to_sql(ty, out),
            },
            Self::Blob(bytes) => bytes.as_ref().to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A statement with its values, to go out with others.
pub(in crate::store) type Call<'c> = (&'c Statement, Vec<&'c (dyn ToSql + Sync)>);

/// One connection.
pub(in crate::store) struct Session {
    client: Client,
    statements: RefCell<HashMap<String, Statement>>,
    /// How long one answer is waited for.
    patience: Duration,
    is_broken: Cell<bool>,
    metrics: Arc<Metrics>,
    tls: Option<MakeRustlsConnect>,
}

impl Session {
    /// Connects. `patience` is how long one answer is waited for; longer than what the server is told.
    pub(in crate::store) fn connect(options: &PgOptions, patience: Duration) -> Result<Self, SessionError> {
        let wheels = wheels()?;
        let connecting = options.clone();
        let client = stand_still(wheels.spawn(async move { connecting.connect().await }))
            .map_err(|error| SessionError::Lost(error.to_string()))??;
        let statements = RefCell::new(HashMap::new());
        let metrics = Arc::clone(&options.metrics);
        Ok(Self { client, statements, patience, is_broken: Cell::new(false), metrics, tls: options.tls() })
    }

    /// Whether nothing can be asked on it any more.
    pub(in crate::store) fn is_broken(&self) -> bool {
        self.is_broken.get() || self.client.is_closed()
    }

    fn wait<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, SessionError> {
        let (patience, began) = (self.patience, Instant::now());
        let answer = {
            let _timers = wheels()?.enter();
            stand_still(tokio::time::timeout(patience, answer))
        };
        self.metrics.statement_seconds.observe(began.elapsed().as_secs_f64());
        let result = answer.map_or_else(
            |_| Err(SessionError::Lost(format!("no answer within {} s", patience.as_secs()))),
            |answer| answer.map_err(SessionError::from),
        );
        if let Err(SessionError::Lost(_)) = &result {
            self.is_broken.set(true);
            self.give_up_asking();
        }
        result
    }

    /// Tells the server, if it is there, that nobody waits for the statement under way any more: it would go on,
    /// and hold its locks.
    fn give_up_asking(&self) {
        let (cancel, tls) = (self.client.cancel_token(), self.tls.clone());
        let Ok(wheels) = wheels() else { return };
        wheels.spawn(async move {
            let cancelled = match tls {
                Some(tls) => tokio::time::timeout(CANCEL_TIMEOUT, cancel.cancel_query(tls)).await,
                None => tokio::time::timeout(CANCEL_TIMEOUT, cancel.cancel_query(NoTls)).await,
            };
            tracing::debug!(?cancelled, "a statement was given up");
        });
    }

    /// A statement that is kept ready. `?` and `?1` stand for values.
    pub(in crate::store) fn prepare(&self, sql: &str) -> Result<Statement, SessionError> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait(self.client.prepare(&numbered(sql)))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS_MAX {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Runs a statement; how many rows it changed.
    pub(in crate::store) fn execute(&self, statement: &Statement, values: &[Value<'_>]) -> Result<usize, SessionError> {
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        self.wait(self.client.execute(statement, &values)).map(|rows| rows as usize)
    }

    /// Runs a statement; its rows.
    pub(in crate::store) fn query(
        &self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, SessionError> {
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let rows = self.wait(self.client.query(statement, &values))?;
        Ok(rows.into_iter().map(PgRow).collect())
    }

    /// Runs statements without values.
    pub(in crate::store) fn batch(&self, sql: &str) -> Result<(), SessionError> {
        self.wait(self.client.batch_execute(sql))
    }

    /// Runs several in one round trip, at most [`PIPELINE_MAX`]; the rows of each, in order. The first
    /// fault of any is the fault of all.
    pub(in crate::store) fn pipeline(&self, calls: &[Call<'_>]) -> Result<Vec<Vec<PgRow>>, SessionError> {
        debug_assert!(calls.len() <= PIPELINE_MAX, "they would not keep their order");
        self.wait(async {
            let answers = join_all(calls.iter().map(|(statement, values)| self.client.query(*statement, values))).await;
            answers.into_iter().map(|rows| rows.map(|rows| rows.into_iter().map(PgRow).collect())).collect()
        })
    }
}

/// Where the connections of this process do their work. It lives as long as the process.
fn wheels() -> Result<&'static tokio::runtime::Handle, SessionError> {
    static WHEELS: OnceLock<Result<tokio::runtime::Runtime, String>> = OnceLock::new();
    let made = WHEELS.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).max_blocking_threads(2).thread_name("postgres").enable_all();
        builder.build().map_err(|error| error.to_string())
    });
    made.as_ref().map(tokio::runtime::Runtime::handle).map_err(|error| SessionError::Lost(error.clone()))
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread, which may be one of a runtime.
fn stand_still<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

/// `?` and `?1` as PostgreSQL spells them: `$1`.
fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut next = 1;
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        // `?|` is an operator.
        if c != '?' || rest.peek() == Some(&'|') {
            out.push(c);
            continue;
        }
        out.push('$');
        if rest.peek().is_none_or(|c| !c.is_ascii_digit()) {
            out.push_str(&next.to_string());
            next += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn values_are_numbered() {
        assert_eq!(numbered("a = ? AND b = ?"), "a = $1 AND b = $2");
        assert_eq!(numbered("a = ?1 AND b = ?2 OR a = ?1"), "a = $1 AND b = $2 OR a = $1");
        assert_eq!(numbered("j ?| ARRAY(SELECT ?)"), "j ?| ARRAY(SELECT $1)");
    }
}
