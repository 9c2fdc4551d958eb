//! Rows on their way from one store to the other, as columns.

use tokio_postgres::types::ToSql;

use super::tables::Table;
use crate::store::sql::db::{Db, Result, Row, Value};

/// Rows read at once, and bytes.
pub(super) const SLICE_ROWS_MAX: usize = 4_000;
const SLICE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What PostgreSQL keeps a column as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Int8,
    Int2,
    Bool,
    Text,
    Bytes,
}

impl Type {
    /// A list of them, as PostgreSQL names it.
    const fn list(self) -> &'static str {
        match self {
            Self::Int8 => "bigint[]",
            Self::Int2 => "smallint[]",
            Self::Bool => "boolean[]",
            Self::Text => "text[]",
            Self::Bytes => "bytea[]",
        }
    }
}

/// The values of a column.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Column {
    Int8(Vec<Option<i64>>),
    Int2(Vec<Option<i16>>),
    Bool(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Column {
    const fn new(of: Type) -> Self {
        match of {
            Type::Int8 => Self::Int8(Vec::new()),
            Type::Int2 => Self::Int2(Vec::new()),
            Type::Bool => Self::Bool(Vec::new()),
            Type::Text => Self::Text(Vec::new()),
            Type::Bytes => Self::Bytes(Vec::new()),
        }
    }

    /// Takes a value over; how many bytes it has.
    fn push(&mut self, row: &Row<'_>, place: usize) -> Result<usize> {
        match self {
            Self::Int8(values) => values.push(row.get(place)?),
            Self::Int2(values) => values.push(row.get(place)?),
            Self::Bool(values) => values.push(row.get(place)?),
            Self::Text(values) => {
                let text: Option<String> = row.get(place)?;
                let length = text.as_ref().map_or(0, String::len);
                values.push(text);
                return Ok(length);
            }
            Self::Bytes(values) => {
                let bytes: Option<Vec<u8>> = row.get(place)?;
                let length = bytes.as_ref().map_or(0, Vec::len);
                values.push(bytes);
                return Ok(length);
            }
        }
        Ok(size_of::<i64>())
    }

    /// As the value of a statement.
    pub(super) const fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Int8(values) => values,
            Self::Int2(values) => values,
            Self::Bool(values) => values,
            Self::Text(values) => values,
            Self::Bytes(values) => values,
        }
    }

    /// The last value, for the page behind it.
    fn last(&self) -> Value<'static> {
        match self {
            Self::Int8(values) => values.last().copied().flatten().map_or(Value::Null, Value::Integer),
            Self::Int2(values) => values.last().copied().flatten().map_or(Value::Null, |v| Value::Integer(v.into())),
            Self::Bool(values) => values.last().copied().flatten().map_or(Value::Null, |v| Value::Integer(v.into())),
            Self::Text(values) => values.last().cloned().flatten().map_or(Value::Null, |v| Value::Text(v.into())),
            Self::Bytes(values) => values.last().cloned().flatten().map_or(Value::Null, |v| Value::Blob(v.into())),
        }
    }

    /// Numbers; nothing where it has none.
    pub(super) fn numbers(&self) -> &[Option<i64>] {
        if let Self::Int8(values) = self { values } else { &[] }
    }

    /// Bytes; nothing where it has none.
    pub(super) fn bytes(&self) -> &[Option<Vec<u8>>] {
        if let Self::Bytes(values) = self { values } else { &[] }
    }

    /// Texts; nothing where it has none.
    pub(super) fn texts(&self) -> &[Option<String>] {
        if let Self::Text(values) = self { values } else { &[] }
    }
}

/// Rows that follow one another in a table, in the order of its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// As the table names them.
    pub(super) columns: Vec<Column>,
    pub(super) rows: usize,
}

/// Which rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// Those behind this key; all from the first where it is empty.
    pub(super) after: Vec<Value<'static>>,
    /// Those before this one, where a table's key is one number.
    pub(super) before: Option<i64>,
}

impl Slice {
    /// The next rows of a table in the store that is left, as they are to be kept. Then what only that one has.
    pub(super) fn of_source(db: Db<'_>, table: &Table, place: &Place) -> Result<(Self, Vec<Column>)> {
        let named = table.columns.iter().chain(table.only_in_source);
        let columns: Vec<&str> = named.clone().map(|(name, _)| table.in_source(name)).collect();
        let mut slice = Self::read(db, table, (&columns.join(", "), named.map(|(_, of)| *of)), place, SLICE_ROWS_MAX)?;
        let only = slice.columns.split_off(table.columns.len());
        if let Some(fill) = table.fill {
            fill(&mut slice.columns);
        }
        Ok((slice, only))
    }

    /// The next rows of a table in PostgreSQL.
    pub(super) fn of_target(db: Db<'_>, table: &Table, place: &Place, rows_max: usize) -> Result<Self> {
        let types = table.columns.iter().map(|(_, of)| *of);
        Self::read(db, table, (&table.names(), types), place, rows_max)
    }

    fn read(
        db: Db<'_>,
        table: &Table,
        (columns, types): (&str, impl Iterator<Item = Type>),
        place: &Place,
        rows_max: usize,
    ) -> Result<Self> {
        let keys: Vec<&str> = table.columns[..table.key].iter().map(|(name, _)| *name).collect();
        let keys = keys.join(", ");
        let mut wanted = vec![table.filter.unwrap_or("1 = 1").to_owned()];
        let mut values = place.after.clone();
        if !values.is_empty() {
            wanted.push(format!("({keys}) > ({})", vec!["?"; values.len()].join(", ")));
        }
        if let Some(before) = place.before {
            wanted.push(format!("{keys} < ?"));
            values.push(Value::Integer(before));
        }
        values.push(Value::Integer(rows_max as i64));
        let sql =
            format!("SELECT {columns} FROM {} WHERE {} ORDER BY {keys} LIMIT ?", table.name, wanted.join(" AND "));
        let mut slice = Self { columns: types.map(Column::new).collect(), rows: 0 };
        let mut bytes = 0;
        // Only the source is cut by bytes: the target is asked for as many rows as the source had.
        let is_source = matches!(db, Db::Sqlite(_));
        db.prepare_cached(&sql)?.each(values, |row| {
            for (number, column) in slice.columns.iter_mut().enumerate() {
                bytes += column.push(row, number)?;
            }
            slice.rows += 1;
            Ok(!is_source || bytes < SLICE_BYTES_MAX)
        })?;
        Ok(slice)
    }

    /// The key of the last row.
    pub(super) fn last_key(&self, table: &Table) -> Vec<Value<'static>> {
        if self.rows == 0 { Vec::new() } else { self.columns[..table.key].iter().map(Column::last).collect() }
    }
}

/// What adds a slice of this table.
pub(super) fn insert(table: &Table) -> String {
    let lists: Vec<String> =
        table.columns.iter().enumerate().map(|(i, (_, of))| format!("${}::{}", i + 1, of.list())).collect();
    format!("INSERT INTO {} ({}) SELECT * FROM unnest({})", table.name, table.names(), lists.join(", "))
}
