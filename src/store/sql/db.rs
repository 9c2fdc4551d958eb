//! One way of speaking to either engine: what reads lists and changes configuration is written once.
//!
//! Statements have `?` or `?1` for their values, and keep to what both engines understand; where they
//! cannot, [`Db`] says how the engine at hand spells it. The hot path of each engine goes around this.

use std::borrow::Cow;
use std::fmt::Display;

use rusqlite::OptionalExtension as _;

use crate::store::postgres::session::{PgRow, Session};

/// Reading or writing through [`Db`] failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum Error {
    /// The embedded engine says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL says so, or its connection.
    #[error(transparent)]
    Postgres(#[from] crate::store::postgres::session::SessionError),
    /// What is stored cannot be read as what it should be.
    #[error("column {column} cannot be read: {reason}")]
    Damaged {
        /// Of the statement, from 0.
        column: usize,
        /// Why.
        reason: String,
    },
    /// One row was asked for, and there is none: see [`Optional`].
    #[error("no row")]
    NoRow,
}

impl Error {
    /// Whether the same would fail again: neither the disk nor the connection is to blame.
    pub(in crate::store) fn is_lasting(&self) -> bool {
        use rusqlite::ErrorCode;
        match self {
            Self::Sqlite(error) => !matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::OutOfMemory
                )
            ),
            Self::Postgres(error) => error.is_too_slow() || !(error.is_passing() || error.lacks_partition()),
            Self::Damaged { .. } | Self::NoRow => true,
        }
    }
}

/// A result of what goes through [`Db`].
pub(in crate::store) type Result<T, E = Error> = std::result::Result<T, E>;

/// No row is no fault where a row may be missing.
pub(in crate::store) trait Optional<T> {
    /// `None` where there is no row.
    fn optional(self) -> Result<Option<T>>;
}

impl<T> Optional<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::NoRow) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A value that goes into a statement.
#[derive(Debug, Clone)]
pub(in crate::store) enum Value<'v> {
    /// Nothing.
    Null,
    /// A number, or a truth as 0 or 1.
    Integer(i64),
    /// Text.
    Text(Cow<'v, str>),
    /// Bytes.
    Blob(Cow<'v, [u8]>),
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What can go into a statement.
pub(in crate::store) trait ToValue {
    /// Itself as a value.
    fn to_value(&self) -> Value<'_>;
}

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl ToValue for $type {
            fn to_value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }
        impl Column for $type {
            fn read(value: Stored<'_>) -> std::result::Result<Self, String> {
                match value {
                    Stored::Integer(number) => Self::try_from(number).map_err(|_| format!("{number} is out of range")),
                    other => Err(other.is_not("a number")),
                }
            }
        }
    )* };
}
integers!(i64, u8, u16, u32, i16, i32);

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for Cow<'_, str> {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl ToValue for Value<'_> {
    fn to_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Blob(bytes) => Value::Blob(Cow::Borrowed(bytes)),
        }
    }
}

/// The values of a statement, in order.
pub(in crate::store) trait Params {
    /// As values.
    fn values(&self) -> Vec<Value<'_>>;
}

impl<T: ToValue, const N: usize> Params for [T; N] {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(ToValue::to_value).collect()
    }
}

impl<T: ToValue> Params for Vec<T> {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(ToValue::to_value).collect()
    }
}

/// No values.
pub(in crate::store) const NONE: [i64; 0] = [];

/// Values of different types for a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        [$($crate::store::sql::db::ToValue::to_value(&$value)),*]
    };
}
pub(crate) use params;

/// A value as it is stored.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Stored<'r> {
    /// Nothing.
    Null,
    /// A number or a truth.
    Integer(i64),
    /// Text.
    Text(&'r str),
    /// Bytes.
    Blob(&'r [u8]),
}

impl Stored<'_> {
    fn is_not(&self, expected: &str) -> String {
        let kind = match self {
            Self::Null => "nothing",
            Self::Integer(_) => "a number",
            Self::Text(_) => "text",
            Self::Blob(_) => "bytes",
        };
        format!("{kind} where {expected} was expected")
    }
}

/// What a column can be read as.
pub(in crate::store) trait Column: Sized {
    /// From what is stored.
    fn read(value: Stored<'_>) -> std::result::Result<Self, String>;
}

impl Column for bool {
    fn read(value: Stored<'_>) -> std::result::Result<Self, String> {
        i64::read(value).map(|number| number != 0)
    }
}

impl Column for String {
    fn read(value: Stored<'_>) -> std::result::Result<Self, String> {
        match value {
            Stored::Text(text) => Ok(text.to_owned()),
            other => Err(other.is_not("text")),
        }
    }
}

impl Column for Vec<u8> {
    fn read(value: Stored<'_>) -> std::result::Result<Self, String> {
        match value {
            Stored::Blob(bytes) => Ok(bytes.to_owned()),
            other => Err(other.is_not("bytes")),
        }
    }
}

impl<const N: usize> Column for [u8; N] {
    fn read(value: Stored<'_>) -> std::result::Result<Self, String> {
        match value {
            Stored::Blob(bytes) => {
                bytes.try_into().map_err(|_| format!("{} bytes where {N} were expected", bytes.len()))
            }
            other => Err(other.is_not("bytes")),
        }
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: Stored<'_>) -> std::result::Result<Self, String> {
        match value {
            Stored::Null => Ok(None),
            other => T::read(other).map(Some),
        }
    }
}

/// A row of an answer.
pub(in crate::store) enum Row<'r> {
    /// Of the embedded engine.
    Sqlite(&'r rusqlite::Row<'r>),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

impl Row<'_> {
    fn stored(&self, column: usize) -> Result<Stored<'_>> {
        use rusqlite::types::ValueRef;
        match self {
            Self::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Null => Ok(Stored::Null),
                ValueRef::Integer(number) => Ok(Stored::Integer(number)),
                ValueRef::Text(text) => {
                    std::str::from_utf8(text).map(Stored::Text).map_err(|error| damaged(column, error))
                }
                ValueRef::Blob(bytes) => Ok(Stored::Blob(bytes)),
                ValueRef::Real(_) => Err(damaged(column, "a fraction")),
            },
            Self::Postgres(row) => row.stored(column).map_err(|error| damaged(column, error)),
        }
    }

    /// A column, from 0.
    pub(in crate::store) fn get<T: Column>(&self, column: usize) -> Result<T> {
        T::read(self.stored(column)?).map_err(|reason| damaged(column, reason))
    }

    /// A column of text, as it stands in the row.
    pub(in crate::store) fn text(&self, column: usize) -> Result<&str> {
        self.text_or_null(column)?.ok_or_else(|| damaged(column, "nothing where text was expected"))
    }

    /// A column of text or nothing.
    pub(in crate::store) fn text_or_null(&self, column: usize) -> Result<Option<&str>> {
        match self.stored(column)? {
            Stored::Null => Ok(None),
            Stored::Text(text) => Ok(Some(text)),
            other => Err(damaged(column, other.is_not("text"))),
        }
    }

    /// A column of bytes, as they stand in the row.
    pub(in crate::store) fn blob(&self, column: usize) -> Result<&[u8]> {
        self.blob_or_null(column)?.ok_or_else(|| damaged(column, "nothing where bytes were expected"))
    }

    /// A column of bytes or nothing.
    pub(in crate::store) fn blob_or_null(&self, column: usize) -> Result<Option<&[u8]>> {
        match self.stored(column)? {
            Stored::Null => Ok(None),
            Stored::Blob(bytes) => Ok(Some(bytes)),
            other => Err(damaged(column, other.is_not("bytes"))),
        }
    }
}

/// A column of JSON as PostgreSQL reads it. Escapes of characters that it has no text for (U+0000, halves of
/// surrogate pairs) would make the whole document unreadable, wherever they stand: others stand in for them.
fn readable(column: &str) -> String {
    format!(r"replace(replace(replace({column}, '\u0000', '\u0001'), '\ud', '\u0'), '\uD', '\u0')::json")
}

/// A value that is there and cannot be read.
pub(in crate::store) fn damaged(column: usize, reason: impl Display) -> Error {
    Error::Damaged { column, reason: reason.to_string() }
}

/// A connection of either engine, for the time of a transaction.
#[derive(Clone, Copy)]
pub(in crate::store) enum Db<'c> {
    /// The embedded engine's.
    Sqlite(&'c rusqlite::Connection),
    /// PostgreSQL's.
    Postgres(&'c Session),
}

impl<'c> From<&'c rusqlite::Connection> for Db<'c> {
    fn from(connection: &'c rusqlite::Connection) -> Self {
        Self::Sqlite(connection)
    }
}

impl<'c> Db<'c> {
    /// A statement that is kept ready.
    pub(in crate::store) fn prepare_cached(self, sql: &str) -> Result<Statement<'c>> {
        Ok(match self {
            Self::Sqlite(connection) => Statement::Sqlite(connection.prepare_cached(sql)?),
            Self::Postgres(session) => Statement::Postgres(session, session.prepare(sql)?),
        })
    }

    /// Runs statements without values.
    pub(in crate::store) fn execute_batch(self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Self::Postgres(session) => Ok(session.batch(sql)?),
        }
    }

    /// The rows of a statement of PostgreSQL whose one value, `$1`, is a list of numbers.
    pub(in crate::store) fn with_numbers<T>(
        self,
        sql: &str,
        numbers: &[i64],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let Self::Postgres(session) = self else { return Err(damaged(0, "only PostgreSQL has lists of numbers")) };
        let statement = session.prepare(sql)?;
        let rows = session.pipeline(&[(&statement, vec![&numbers])])?;
        rows.into_iter().flatten().map(|row| read(&Row::Postgres(row))).collect()
    }

    /// The same with bounds: numbers of its own, from `$2`.
    pub(in crate::store) fn with_numbers_between<T>(
        self,
        sql: &str,
        numbers: &[i64],
        bounds: &[i64],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let Self::Postgres(session) = self else { return Err(damaged(0, "only PostgreSQL has lists of numbers")) };
        let statement = session.prepare(sql)?;
        let values = std::iter::once(&numbers as _).chain(bounds.iter().map(|bound| bound as _)).collect();
        let rows = session.pipeline(&[(&statement, values)])?;
        rows.into_iter().flatten().map(|row| read(&Row::Postgres(row))).collect()
    }

    /// A field of a JSON column, as text; NULL where it is not there or null.
    pub(in crate::store) fn json_field(self, column: &str, field: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("json_extract({column}, '$.{field}')"),
            Self::Postgres(_) => format!("({} ->> '{field}')", readable(column)),
        }
    }

    /// Whether a field of a JSON column is true.
    pub(in crate::store) fn json_is_true(self, column: &str, field: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("coalesce(json_extract({column}, '$.{field}'), 0) = 1"),
            Self::Postgres(_) => format!("coalesce({} ->> '{field}', '') = 'true'", readable(column)),
        }
    }

    /// Whether a field of a JSON column, a list of texts, has one of the list that is the statement's next
    /// value, as JSON.
    pub(in crate::store) fn json_shares(self, column: &str, field: &str) -> String {
        match self {
            Self::Sqlite(_) => format!(
                "EXISTS (SELECT 1 FROM json_each({column}, '$.{field}') WHERE value IN (SELECT value FROM json_each(?)))"
            ),
            Self::Postgres(_) => {
                format!(
                    "CAST({} -> '{field}' AS jsonb) ?| ARRAY(SELECT jsonb_array_elements_text(CAST(? AS jsonb)))",
                    readable(column)
                )
            }
        }
    }

    /// What tells the embedded engine which index to take. PostgreSQL needs no telling.
    pub(in crate::store) fn hint(self, hint: &'static str) -> &'static str {
        match self {
            Self::Sqlite(_) => hint,
            Self::Postgres(_) => "",
        }
    }
}

/// A statement that is ready.
pub(in crate::store) enum Statement<'c> {
    /// The embedded engine's.
    Sqlite(rusqlite::CachedStatement<'c>),
    /// PostgreSQL's.
    Postgres(&'c Session, tokio_postgres::Statement),
}

#[expect(clippy::needless_pass_by_value, reason = "values are written in place, as with the engine's own library")]
impl Statement<'_> {
    /// Runs it; how many rows it changed.
    pub(in crate::store) fn execute(&mut self, params: impl Params) -> Result<usize> {
        match self {
            Self::Sqlite(statement) => Ok(statement.execute(rusqlite::params_from_iter(params.values()))?),
            Self::Postgres(session, statement) => Ok(session.execute(statement, &params.values())?),
        }
    }

    /// Whether it has a row.
    pub(in crate::store) fn exists(&mut self, params: impl Params) -> Result<bool> {
        self.query_row(params, |_| Ok(())).optional().map(|row| row.is_some())
    }

    /// Its first row; [`Error::NoRow`] where there is none.
    pub(in crate::store) fn query_row<T>(
        &mut self,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        match self {
            Self::Sqlite(statement) => {
                let read = |row: &rusqlite::Row<'_>| Ok(read(&Row::Sqlite(row)));
                statement
                    .query_row(rusqlite::params_from_iter(params.values()), read)
                    .optional()?
                    .unwrap_or(Err(Error::NoRow))
            }
            Self::Postgres(session, statement) => {
                let first = session.query(statement, &params.values())?.into_iter().next();
                read(&Row::Postgres(first.ok_or(Error::NoRow)?))
            }
        }
    }

    /// All its rows, in order, each as `read` reads it.
    pub(in crate::store) fn query_map<T>(
        &mut self,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<std::vec::IntoIter<Result<T>>> {
        let mut rows = Vec::new();
        self.each(params, |row| {
            rows.push(read(row));
            Ok(true)
        })?;
        Ok(rows.into_iter())
    }

    /// Its rows one after the other, until `take` has enough and says `false`.
    pub(in crate::store) fn each(
        &mut self,
        params: impl Params,
        mut take: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        match self {
            Self::Sqlite(statement) => {
                let mut rows = statement.query(rusqlite::params_from_iter(params.values()))?;
                while let Some(row) = rows.next()? {
                    if !take(&Row::Sqlite(row))? {
                        break;
                    }
                }
            }
            Self::Postgres(session, statement) => {
                for row in session.query(statement, &params.values())? {
                    if !take(&Row::Postgres(row))? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}
