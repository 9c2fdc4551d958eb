//! Indexes that are filled later, in sorted slices.
//!
//! An index that leads with the application or the endpoint costs a page per event when it is kept
//! in the event's own transaction. So entries gather in memory; when [`SLICE`] of them are there
//! (or the journal is idle) they are sorted and inserted, a share in each following commit. A list
//! reads the index up to its watermark and the short tail behind it by key, so that it is complete
//! at every moment; after a crash the tail is read again from its table.

use rusqlite::{Connection, OptionalExtension, params};

use super::counters::HourCounts;
use crate::model::id::key_time;
use crate::model::latencies::step_of;
use crate::store::sql::db;
use crate::store::sql::traffic::{Gathered, env_of};

/// Entries that make a slice. Larger slices touch fewer pages per entry, smaller ones keep lists quicker.
pub(super) const SLICE: usize = 65_536;

/// An entry to be inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// What the index leads with: an application, a message or an endpoint.
    pub(super) leading: i64,
    /// The row.
    pub(super) key: i64,
    /// An attempt that succeeded.
    pub(super) success: bool,
    /// The step of how long it took.
    pub(super) step: u8,
}

impl Entry {
    /// The entry of a row that is no attempt.
    pub(super) const fn of(leading: i64, key: i64) -> Self {
        Self { leading, key, success: false, step: 0 }
    }

    /// The entry of an attempt that took so long.
    pub(super) fn of_attempt(leading: i64, key: i64, success: bool, duration_ms: u32) -> Self {
        Self { leading, key, success, step: step_of(duration_ms) as u8 }
    }
}

/// What an index is over.
pub(super) struct Definition {
    /// Names the watermark in `meta`.
    pub(super) name: &'static str,
    /// Reads the rows behind the watermark: leading column, key, whether it is a success, milliseconds it took.
    pub(super) select_tail: &'static str,
    /// Inserts leading column and key.
    pub(super) insert: &'static str,
    /// Its entries are attempts, and counted by hour as they are inserted.
    pub(super) is_counted: bool,
    /// Its entries are counted by their environment, which this statement tells from what they are led by: all of
    /// a slice in the transaction that moves the watermark.
    pub(super) env_of: Option<&'static str>,
}

/// One index with its tail.
pub(super) struct DeferredIndex {
    definition: Definition,
    /// Rows behind the watermark and the slice, by key.
    tail: Vec<Entry>,
    slice: Option<Slice>,
    /// Where things stood at the beginning of the transaction.
    mark: Mark,
}

struct Slice {
    sorted: Vec<Entry>,
    done: usize,
    from: i64,
    up_to: i64,
    /// How many are in `traffic`. They are the same after a transaction was rolled back.
    gathered: usize,
    traffic: Gathered,
    /// What the last of them was led by, and its environment.
    owner: Option<(i64, Option<i64>)>,
}

impl Slice {
    /// Counts its entries up to `end` by their environment.
    fn gather(&mut self, connection: &Connection, env_sql: &str, is_attempt: bool, end: usize) -> db::Result<()> {
        while self.gathered < end {
            let Entry { leading, key, success, step } = self.sorted[self.gathered];
            let env = match self.owner {
                Some((of, env)) if of == leading => env,
                _ => env_of(connection.into(), env_sql, leading)?,
            };
            self.owner = Some((leading, env));
            match env {
                Some(env) if is_attempt => self.traffic.attempted(env, key_time(key), success, step.into(), 1),
                Some(env) => self.traffic.accepted(env, key_time(key), 1),
                None => {}
            }
            self.gathered += 1;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Default)]
struct Mark {
    tail: usize,
    done: usize,
}

impl DeferredIndex {
    /// The index; reads its tail from the store.
    pub(super) fn open(connection: &Connection, definition: Definition) -> rusqlite::Result<Self> {
        let watermark: i64 = connection
            .query_row("SELECT value FROM meta WHERE name = ?", [definition.name], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        let mut statement = connection.prepare(definition.select_tail)?;
        let read = |row: &rusqlite::Row<'_>| Ok(Entry::of_attempt(row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let tail = statement.query_map([watermark], read)?.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { definition, tail, slice: None, mark: Mark::default() })
    }

    /// A row was appended in this transaction.
    pub(super) fn push(&mut self, entry: Entry) {
        self.tail.push(entry);
    }

    /// Rows up to this key have their entries; what removes rows stays below it.
    pub(super) fn complete_to(&self) -> i64 {
        let first = self.slice.as_ref().map(|slice| slice.from).or_else(|| self.tail.first().map(|entry| entry.key));
        first.map_or(i64::MAX, |first| first - 1)
    }

    /// The newest rows of one leading value that are not in the index yet (some of a slice under way may
    /// be in both).
    pub(super) fn newest_in_tail(&self, leading: i64, limit: usize) -> Vec<i64> {
        let sliced = self.slice.iter().flat_map(|slice| &slice.sorted[slice.done..]);
        let of_leading = self.tail.iter().rev().chain(sliced.rev()).filter(|entry| entry.leading == leading);
        of_leading.map(|entry| entry.key).take(limit).collect()
    }

    /// A transaction begins.
    pub(super) fn begin(&mut self) {
        self.mark = Mark { tail: self.tail.len(), done: self.slice.as_ref().map_or(0, |s| s.done) };
    }

    /// The transaction was rolled back. A slice is only ever begun in a transaction of its own step,
    /// so its entries are kept and its place goes back.
    pub(super) fn rollback(&mut self) {
        self.tail.truncate(self.mark.tail);
        if let Some(slice) = &mut self.slice {
            slice.done = self.mark.done.min(slice.done);
        }
    }

    /// The transaction was committed: a slice that is through is let go.
    pub(super) fn committed(&mut self) {
        if self.slice.as_ref().is_some_and(|s| s.done == s.sorted.len()) {
            self.slice = None;
        }
    }

    /// Whether there is work: a slice under way, or a tail of at least `at_least` entries.
    pub(super) fn has_work(&self, at_least: usize) -> bool {
        self.slice.is_some() || self.tail.len() >= at_least.max(1)
    }

    /// Takes the tail as the next slice if it has `at_least` entries. Call it before a
    /// transaction begins.
    pub(super) fn cut(&mut self, at_least: usize) {
        if self.slice.is_some() || self.tail.len() < at_least.max(1) {
            return;
        }
        let rest = self.tail.split_off(self.tail.len().min(SLICE));
        let mut sorted = std::mem::replace(&mut self.tail, rest);
        let up_to = sorted.iter().map(|entry| entry.key).max().unwrap_or(0);
        let from = sorted.iter().map(|entry| entry.key).min().unwrap_or(0);
        sorted.sort_unstable();
        let (gathered, traffic, owner) = (0, Gathered::default(), None);
        self.slice = Some(Slice { sorted, done: 0, from, up_to, gathered, traffic, owner });
    }

    /// Inserts up to `budget` entries of the slice; moves the watermark when it is through.
    pub(super) fn step(&mut self, connection: &Connection, budget: usize) -> db::Result<()> {
        let Some(slice) = &mut self.slice else { return Ok(()) };
        let end = slice.sorted.len().min(slice.done + budget);
        let mut insert = connection.prepare_cached(self.definition.insert)?;
        let mut counts = HourCounts::default();
        for entry in &slice.sorted[slice.done..end] {
            if insert.execute([entry.leading, entry.key])? == 1 && self.definition.is_counted {
                counts.add(*entry);
            }
        }
        counts.write(connection)?;
        if let Some(env_sql) = self.definition.env_of {
            slice.gather(connection, env_sql, self.definition.is_counted, end)?;
        }
        slice.done = end;
        if end == slice.sorted.len() {
            slice.traffic.write(connection.into())?;
            connection
                .prepare_cached("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
                .execute(params![self.definition.name, slice.up_to])?;
        }
        Ok(())
    }
}
