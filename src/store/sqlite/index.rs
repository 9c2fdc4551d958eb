//! Indexes that are filled later, in sorted slices.
//!
//! An index that leads with the application or the endpoint costs a page per event when it is kept
//! in the event's own transaction. So entries gather in memory; when [`SLICE`] of them are there
//! (or the journal is idle) they are sorted and inserted, a share in each following commit. A list
//! reads the index up to its watermark and the short tail behind it by key, so that it is complete
//! at every moment; after a crash the tail is read again from its table.

use rusqlite::{Connection, OptionalExtension, params};

use super::counters::HourCounts;

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
}

/// What an index is over.
pub(super) struct Definition {
    /// Names the watermark in `meta`.
    pub(super) name: &'static str,
    /// Reads the rows behind the watermark: leading column, key, whether it is a success.
    pub(super) select_tail: &'static str,
    /// Inserts leading column and key.
    pub(super) insert: &'static str,
    /// Its entries are counted by hour as they are inserted.
    pub(super) is_counted: bool,
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
        let read = |row: &rusqlite::Row<'_>| Ok(Entry { leading: row.get(0)?, key: row.get(1)?, success: row.get(2)? });
        let tail = statement.query_map([watermark], read)?.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { definition, tail, slice: None, mark: Mark::default() })
    }

    /// A row was appended in this transaction.
    pub(super) fn push(&mut self, leading: i64, key: i64, success: bool) {
        self.tail.push(Entry { leading, key, success });
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
        self.slice = Some(Slice { sorted, done: 0, from, up_to });
    }

    /// Inserts up to `budget` entries of the slice; moves the watermark when it is through.
    pub(super) fn step(&mut self, connection: &Connection, budget: usize) -> rusqlite::Result<()> {
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
        slice.done = end;
        if end == slice.sorted.len() {
            connection
                .prepare_cached("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
                .execute(params![self.definition.name, slice.up_to])?;
        }
        Ok(())
    }
}
