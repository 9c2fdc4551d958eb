//! Copies an installation from the embedded store into an empty PostgreSQL database.
//!
//! ```text
//!  begin ─► catch_up (while it is served, until little is left) ─► the server stands still
//!        ─► finish: one picture of the source: the rest of what grows, all that is small in one transaction,
//!           counts compared ─► release: servers may begin
//! ```
//!
//! Messages, attempts and payloads only grow at the end of their keys (payloads: of each day's), so that the
//! last key in the target says where to go on, after an interruption too. Each slice is read again and
//! compared before it is committed. What goes meanwhile (retention, deletions) is found by counting each day
//! on both sides. Until [`Copy::release`] a row in `meta` keeps servers off.
//!
//! Deliberately absent: writing to both stores, and any change of the source.

mod columns;
mod source;
mod tables;
mod target;
mod unique;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use anyhow::{Context, bail};

use crate::model::UnixMs;
use crate::model::id::key_time;
use crate::store::postgres::PgOptions;
use crate::store::postgres::partitions::{PAYLOAD_SEQUENCE_BITS, Table as Partitioned, day_of};
use crate::store::seal::Sealer;
use crate::store::sql::db::{Db, NONE, Optional, Value};
use columns::Place;
use source::Source;
use tables::{COUNTS, GROWING, SMALL, Table};
use target::Target;
use unique::UniqueKeys;

/// Fewer rows than this are left for the time in which the server stands still.
const LITTLE: u64 = 20_000;
/// How often what has come meanwhile is copied before the server stands still whatever is left.
const ROUNDS_MAX: usize = 10;
/// Rows of a day that are compared at once.
const COMPARED_AT_ONCE: i64 = 20_000;
/// Rows after which it is said how far it is.
const SAY_EVERY: u64 = 200_000;

/// By how much keys may be ahead of the clock of the database, to be waited for.
const AHEAD_MS_MAX: i64 = 60_000;

/// Hears how far it is.
pub type Say<'s> = &'s mut dyn FnMut(&str);

/// Rows of a table that were copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: &'static str,
    /// How many.
    pub rows: i64,
}

/// A copy under way.
pub struct Copy {
    source: Source,
    target: Target,
}

/// Keys from `after`, which is not among them, to `before`, which is not either.
#[derive(Debug, Clone, Copy)]
struct Range {
    after: i64,
    before: i64,
}

impl Copy {
    /// Opens both and begins, or goes on with what was begun. The tables of the target are there.
    pub fn begin(file: &Path, options: &PgOptions, sealer: &Sealer, anew: bool) -> anyhow::Result<Self> {
        let source = Source::open(file)?;
        source.check_key(sealer)?;
        let mut target = Target::open(options).context("opening the database")?;
        target.begin(&source.identity()?, anew)?;
        Ok(Self { source, target })
    }

    /// Copies what grows, while it is served, until little is left.
    pub fn catch_up(&mut self, now: UnixMs, say: Say<'_>) -> anyhow::Result<()> {
        for _ in 0..ROUNDS_MAX {
            if self.copy_growing(now, say)? < LITTLE {
                break;
            }
        }
        self.remove_gone(false)?;
        // What is counted once more while the server stands still is then counted by indexes.
        self.target.tidy()?;
        self.copy_growing(now, say)?;
        Ok(())
    }

    /// Copies all that is left, while nobody writes to the source; how much there is now.
    pub fn finish(&mut self, sealer: &Sealer, now: UnixMs, say: Say<'_>) -> anyhow::Result<Vec<Copied>> {
        self.source.hold_still()?;
        self.source.check_key(sealer)?;
        self.copy_growing(now, say)?;
        self.remove_gone(true)?;
        say("copying what is configured, and what waits");
        self.target.in_transaction(|| self.copy_small())?;
        let mut copied = Vec::new();
        for table in &GROWING {
            // Compared by days just now.
            copied.push(Copied { table: table.name, rows: self.target.count(table)? });
        }
        for table in &SMALL {
            let filter = table.filter.unwrap_or("1 = 1");
            let sql = format!("SELECT count(*) FROM {} WHERE {filter}", table.name);
            let there: i64 = self.source.db().prepare_cached(&sql)?.query_row(NONE, |row| row.get(0))?;
            let rows = self.target.count(table)?;
            if rows != there {
                bail!("{}: {rows} rows are in the database, {there} in the store", table.name);
            }
            copied.push(Copied { table: table.name, rows });
        }
        Ok(copied)
    }

    /// Waits until the clock of the database is past the newest key: what is accepted before that would sort
    /// before what was.
    pub fn wait_for_clock(&self) -> anyhow::Result<()> {
        self.target.wait_until(key_time(self.source.last_key()?), AHEAD_MS_MAX)
    }

    /// It is whole: servers may begin. The source must not be served any more.
    pub fn release(self) -> anyhow::Result<()> {
        self.target.end()
    }

    /// One pass over what grows; how many rows were copied.
    fn copy_growing(&mut self, now: UnixMs, say: Say<'_>) -> anyhow::Result<u64> {
        let mut count = 0;
        for (table, partitioned) in growing() {
            let mut of_table = 0;
            for range in self.ranges(table, partitioned)? {
                of_table += self.copy_range(table, partitioned, range, now, say)?;
            }
            if of_table > 0 {
                say(&format!("{}: {of_table} rows copied", table.name));
            }
            count += of_table;
        }
        Ok(count)
    }

    /// Ranges that only grow at their end, up to what is there now.
    fn ranges(&self, table: &Table, partitioned: Partitioned) -> anyhow::Result<Vec<Range>> {
        let within: Vec<(i64, i64)> = match partitioned {
            Partitioned::Payload => {
                let days = self.source.payload_days()?;
                let number_max = (1 << PAYLOAD_SEQUENCE_BITS) - 1;
                days.into_iter().map(|day| partitioned.first_of(day)).map(|first| (first, first | number_max)).collect()
            }
            Partitioned::Message | Partitioned::Attempt => vec![(0, i64::MAX - 1)],
        };
        let key = table.columns[0].0;
        let sql = format!("SELECT max({key}) FROM {} WHERE {key} >= ? AND {key} <= ?", table.name);
        let highest = |db: Db<'_>, (first, last): (i64, i64)| -> anyhow::Result<Option<i64>> {
            Ok(db.prepare_cached(&sql)?.query_row([first, last], |row| row.get(0)).optional()?.flatten())
        };
        let mut ranges = Vec::new();
        for bounds in within {
            let Some(last) = highest(self.source.db(), bounds)? else { continue };
            let after = highest(self.target.db(), bounds)?.unwrap_or(bounds.0 - 1);
            if after < last {
                ranges.push(Range { after, before: last + 1 });
            }
        }
        Ok(ranges)
    }

    fn copy_range(
        &mut self,
        table: &Table,
        partitioned: Partitioned,
        range: Range,
        now: UnixMs,
        say: Say<'_>,
    ) -> anyhow::Result<u64> {
        let mut place = Place { after: vec![Value::Integer(range.after)], before: Some(range.before) };
        let mut count = 0;
        loop {
            let (slice, only_in_source) = self.source.slice(table, &place)?;
            if slice.rows == 0 {
                return Ok(count);
            }
            let days: BTreeSet<i64> =
                slice.columns[0].numbers().iter().flatten().map(|key| day(partitioned, *key)).collect();
            self.target.make_room(partitioned, days)?;
            let unique = (partitioned == Partitioned::Message).then(|| UniqueKeys::of(&slice, &only_in_source, now));
            let target = &self.target;
            target.in_transaction(|| {
                target.add(table, &slice, &place)?;
                unique.as_ref().map_or(Ok(()), |unique| target.add_unique(unique))
            })?;
            let before = count / SAY_EVERY;
            count += slice.rows as u64;
            if count / SAY_EVERY > before {
                say(&format!("{}: {count} rows so far", table.name));
            }
            place.after = slice.last_key(table);
        }
    }

    /// Removes from the target what is no longer in the source, by days whose counts differ. `is_still`: nobody
    /// writes to the source, so that a difference that stays is an error.
    fn remove_gone(&self, is_still: bool) -> anyhow::Result<()> {
        for (table, partitioned) in growing() {
            for day in self.target.days(partitioned) {
                let (first, last) = (partitioned.first_of(day), last_of(partitioned, day));
                if Self::counts(self.source.db(), table, first, last)?
                    == Self::counts(self.target.db(), table, first, last)?
                {
                    continue;
                }
                self.remove_gone_of(table, first, last)?;
                let (there, here) = (
                    Self::counts(self.source.db(), table, first, last)?,
                    Self::counts(self.target.db(), table, first, last)?,
                );
                if is_still && there != here {
                    bail!("{}: {there:?} in the store, {here:?} in the database, of the day {day}", table.name);
                }
            }
        }
        Ok(())
    }

    /// Rows of a day, and those that have what may be deleted of them.
    fn counts(db: Db<'_>, table: &Table, first: i64, last: i64) -> anyhow::Result<(i64, i64)> {
        let key = table.columns[0].0;
        let sql =
            format!("SELECT count(*), count({}) FROM {} WHERE {key} >= ? AND {key} <= ?", deletable(table), table.name);
        Ok(db.prepare_cached(&sql)?.query_row([first, last], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    fn remove_gone_of(&self, table: &Table, first: i64, last: i64) -> anyhow::Result<()> {
        let key = table.columns[0].0;
        let sql = format!(
            "SELECT {key}, {} IS NULL FROM {} WHERE {key} >= ? AND {key} <= ? ORDER BY {key} LIMIT ?",
            deletable(table),
            table.name
        );
        let read = |db: Db<'_>, from: i64, to: i64, limit: i64| -> anyhow::Result<Vec<(i64, bool)>> {
            let mut select = db.prepare_cached(&sql)?;
            let rows = select.query_map([from, to, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        let mut from = first;
        loop {
            let here = read(self.target.db(), from, last, COMPARED_AT_ONCE)?;
            let Some((to, _)) = here.last().copied() else { return Ok(()) };
            // All that is in the store up to there is here, so that there are no more.
            let there: HashSet<(i64, bool)> = read(self.source.db(), from, to, COMPARED_AT_ONCE)?.into_iter().collect();
            let differs: Vec<&(i64, bool)> = here.iter().filter(|row| !there.contains(row)).collect();
            let emptied: Vec<i64> = differs
                .iter()
                .filter(|(key, empty)| !empty && there.contains(&(*key, true)))
                .map(|row| row.0)
                .collect();
            let gone: Vec<i64> = differs.iter().map(|row| row.0).filter(|key| !emptied.contains(key)).collect();
            if !differs.is_empty() {
                self.target.in_transaction(|| self.target.delete(table, &gone, &emptied))?;
            }
            from = to + 1;
        }
    }

    /// All tables that are small, and what is made from the others. In a transaction of the target.
    fn copy_small(&self) -> anyhow::Result<()> {
        for table in SMALL.iter().chain(&COUNTS) {
            self.target.empty(table)?;
            let mut place = Place::default();
            loop {
                let (slice, _) = self.source.slice(table, &place)?;
                if slice.rows == 0 {
                    // Nothing is behind it in the target either.
                    self.target.compare(table, &slice, &place)?;
                    break;
                }
                self.target.add(table, &slice, &place)?;
                place.after = slice.last_key(table);
            }
        }
        let traffic = self.source.uncounted_traffic()?;
        self.target.count_up_to(self.source.last_counted()?, &self.source.uncounted()?, &traffic)?;
        self.target.number_behind(self.source.last_key()?, self.source.payload_number()?)
    }
}

fn growing() -> impl Iterator<Item = (&'static Table, Partitioned)> {
    const TABLES: &[Table; 3] = &GROWING;
    TABLES.iter().zip([Partitioned::Message, Partitioned::Attempt, Partitioned::Payload])
}

/// What of a row may be deleted while the row stays: the answer of an attempt. Else the key, which is always
/// there.
fn deletable(table: &Table) -> &'static str {
    if table.name == "attempt" { "coalesce(response, trace)" } else { table.columns[0].0 }
}

fn day(table: Partitioned, key: i64) -> i64 {
    if table == Partitioned::Payload { key >> PAYLOAD_SEQUENCE_BITS } else { day_of(key_time(key)) }
}

/// The last key of a day.
const fn last_of(table: Partitioned, day: i64) -> i64 {
    table.first_of(day + 1).wrapping_sub(1)
}
