//! The embedded store that is left: only read.

use std::path::Path;

use anyhow::{Context, bail};
use rusqlite::Connection;

use super::columns::{Column, Place, Slice};
use super::tables::Table;
use crate::store::postgres::partitions::PAYLOAD_SEQUENCE_BITS;
use crate::store::seal::Sealer;
use crate::store::sql::db::{Db, NONE, Optional, Result};
use crate::store::sql::reseal;
use crate::store::sql::traffic::{self, Gathered};
use crate::store::sqlite;

/// Where keys are given; those of payloads are given otherwise.
const KEYED: [&str; 9] = [
    "environment",
    "api_key",
    "application",
    "endpoint",
    "message",
    "attempt",
    "background_task",
    "source",
    "source_log",
];

/// Attempts by hour and endpoint.
pub(super) struct HourCount {
    pub(super) hour: i64,
    pub(super) endpoint: i64,
    pub(super) success: i64,
    pub(super) failure: i64,
}

/// The store, by a connection that cannot write.
pub(super) struct Source(Connection);

impl Source {
    /// Opens it, while it is served or not. Refuses one that this Posthouse has not brought up to date.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let connection = sqlite::open_reader(file).with_context(|| format!("opening {}", file.display()))?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if usize::try_from(version) != Ok(sqlite::VERSION) {
            bail!(
                "the store has version {version}, this Posthouse copies version {}: run this Posthouse on it first",
                sqlite::VERSION
            );
        }
        Ok(Self(connection))
    }

    pub(super) fn db(&self) -> Db<'_> {
        (&self.0).into()
    }

    /// From here on it is seen as it is now, whatever is written.
    pub(super) fn hold_still(&self) -> Result<()> {
        self.0.execute_batch("BEGIN")?;
        // The first read fixes what is seen.
        self.0.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0))?;
        Ok(())
    }

    /// What tells this installation from others: the id of its first environment.
    pub(super) fn identity(&self) -> anyhow::Result<Vec<u8>> {
        let first = self
            .db()
            .prepare_cached("SELECT key, nonce FROM environment ORDER BY key LIMIT 1")?
            .query_row(NONE, |row| Ok((row.get::<i64>(0)?, row.get::<Vec<u8>>(1)?)))
            .optional()?;
        let Some((key, nonce)) = first else { bail!("the store has no environment: there is nothing to copy") };
        Ok(key.to_be_bytes().into_iter().chain(nonce).collect())
    }

    /// Refuses a store that this key does not open as a whole: it could not be opened in its new place.
    pub(super) fn check_key(&self, sealer: &Sealer) -> anyhow::Result<()> {
        if !reseal::opens(self.db(), sealer)? {
            bail!("the key file does not open this store: it belongs to another one");
        }
        let others = reseal::sealed_by_others(self.db(), sealer)?;
        if others > 0 {
            bail!("{others} values of the store are sealed with a key that the key file does not have");
        }
        Ok(())
    }

    pub(super) fn slice(&self, table: &Table, place: &Place) -> Result<(Slice, Vec<Column>)> {
        Slice::of_source(self.db(), table, place)
    }

    /// Days of expiry that payloads have.
    pub(super) fn payload_days(&self) -> Result<Vec<i64>> {
        let mut next = self.db().prepare_cached("SELECT id FROM payload WHERE id >= ? ORDER BY id LIMIT 1")?;
        let (mut days, mut from) = (Vec::new(), 0);
        while let Some(id) = next.query_row([from], |row| row.get::<i64>(0)).optional()? {
            let day = id >> PAYLOAD_SEQUENCE_BITS;
            days.push(day);
            let Some(behind) = (day + 1).checked_shl(PAYLOAD_SEQUENCE_BITS).filter(|behind| *behind > id) else {
                break;
            };
            from = behind;
        }
        Ok(days)
    }

    /// The highest number that a payload had within its day.
    pub(super) fn payload_number(&self) -> Result<i64> {
        const NUMBER: i64 = (1 << PAYLOAD_SEQUENCE_BITS) - 1;
        let newest = self
            .db()
            .prepare_cached("SELECT payload FROM message ORDER BY key DESC LIMIT 1")?
            .query_row(NONE, |row| row.get::<i64>(0))
            .optional()?;
        let mut highest = newest.unwrap_or(0) & NUMBER;
        let mut of_day = self.db().prepare_cached("SELECT max(id) FROM payload WHERE id >= ?1 AND id <= ?2")?;
        for day in self.payload_days()? {
            let first = day << PAYLOAD_SEQUENCE_BITS;
            let last: Option<i64> = of_day.query_row([first, first | NUMBER], |row| row.get(0))?;
            highest = highest.max(last.unwrap_or(0) & NUMBER);
        }
        Ok(highest)
    }

    /// The highest key of all that is there.
    pub(super) fn last_key(&self) -> Result<i64> {
        let mut last = 0;
        for table in KEYED {
            let highest: Option<i64> = self
                .db()
                .prepare_cached(&format!("SELECT max(key) FROM {table}"))?
                .query_row(NONE, |row| row.get(0))?;
            last = last.max(highest.unwrap_or(0));
        }
        Ok(last)
    }

    /// The last message or attempt, up to which all are counted or are in [`Self::uncounted`] and
    /// [`Self::uncounted_traffic`].
    pub(super) fn last_counted(&self) -> Result<i64> {
        let sql = "SELECT max(coalesce((SELECT max(key) FROM attempt), 0), coalesce((SELECT max(key) FROM message), 0),
                     coalesce((SELECT max(value) FROM meta WHERE name IN ('attempt_by_endpoint', 'traffic')), 0))";
        self.db().prepare_cached(sql)?.query_row(NONE, |row| row.get(0))
    }

    /// Messages and attempts that are in no bucket yet.
    pub(super) fn uncounted_traffic(&self) -> Result<Gathered> {
        traffic::tail(self.db(), usize::MAX).map(|(gathered, _)| gathered)
    }

    /// Attempts that are not in the counts by hour yet: those behind the watermark, without those of the
    /// slice that was being filled.
    pub(super) fn uncounted(&self) -> Result<Vec<HourCount>> {
        let sql =
            "SELECT (key >> 21) / 3600000 AS hour, endpoint, sum(kind = 0), sum(kind <> 0) FROM attempt NOT INDEXED
             WHERE key > coalesce((SELECT value FROM meta WHERE name = 'attempt_by_endpoint'), 0)
               AND NOT EXISTS (SELECT 1 FROM attempt_by_endpoint AS counted
                                WHERE counted.endpoint = attempt.endpoint AND counted.attempt = attempt.key)
             GROUP BY 1, 2";
        let mut statement = self.db().prepare_cached(sql)?;
        statement
            .query_map(NONE, |row| {
                Ok(HourCount { hour: row.get(0)?, endpoint: row.get(1)?, success: row.get(2)?, failure: row.get(3)? })
            })?
            .collect()
    }
}
