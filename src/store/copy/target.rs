//! The PostgreSQL database that an installation is copied into.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio_postgres::types::ToSql;

use super::columns::{Place, SLICE_ROWS_MAX, Slice, insert};
use super::source::HourCount;
use super::tables::{COUNTS, GROWING, SMALL, Table};
use super::unique::{self, UniqueKeys};
use crate::model::UnixMs;
use crate::store::postgres::partitions::{Partitions, Table as Partitioned};
use crate::store::postgres::session::Session;
use crate::store::postgres::standing::PARTITION_LOCK;
use crate::store::postgres::{COPYING, PAYLOAD_BLOCK_BITS, PgOptions};
use crate::store::sql::db::{Db, NONE, Optional, params};
use crate::store::sql::traffic::Gathered;

/// How long one answer is waited for: whole days of messages are counted.
const PATIENCE: Duration = Duration::from_mins(30);
/// Held by the session of a command that copies. One of the numbers behind those of the nodes.
const COPY_LOCK: i64 = PARTITION_LOCK | 0x100;
/// How long the lock is waited for: the session of a command that was killed goes a moment after it.
const LOCK_WAIT: &str = "10s";
/// The number under which the embedded store gave its keys, and what stands there in place of a node.
const COPIED_NODE: (i64, &str) = (0, "copied");

/// The database, with one connection.
pub(super) struct Target {
    session: Session,
    partitions: Partitions,
}

impl Target {
    /// Connects and makes sure that no other command copies into it.
    pub(super) fn open(options: &PgOptions) -> anyhow::Result<Self> {
        let session = Session::connect(options, PATIENCE)?;
        let target = Self { session, partitions: Partitions::default() };
        target.session.batch(&format!("SET lock_timeout = '{LOCK_WAIT}'"))?;
        match target.session.batch(&format!("SELECT pg_advisory_lock({COPY_LOCK})")) {
            Err(error) if error.is_lock_timeout() => bail!("another `posthouse migrate copy` into this database runs"),
            locked => locked?,
        }
        target.session.batch("SET lock_timeout = 0")?;
        Ok(target)
    }

    pub(super) fn db(&self) -> Db<'_> {
        Db::Postgres(&self.session)
    }

    /// Begins, or goes on with what was begun with the same installation. `anew` throws away what was copied
    /// before; never what a finished copy or a server has written.
    pub(super) fn begin(&mut self, identity: &[u8], anew: bool) -> anyhow::Result<()> {
        let mut begun: Option<Vec<u8>> = self.meta(COPYING)?;
        if begun.is_some() && anew {
            self.clear(identity)?;
            begun = self.meta(COPYING)?;
        }
        match begun {
            Some(begun) if begun == identity => {}
            Some(_) => bail!(
                "the database holds a part of another installation, whose copy was not finished: --anew throws it away"
            ),
            None => {
                self.check_empty()?;
                self.db()
                    .prepare_cached("INSERT INTO meta (name, value) VALUES (?, ?)")?
                    .execute(params![COPYING, identity])?;
            }
        }
        self.partitions = Partitions::read(&self.session)?;
        Ok(())
    }

    fn meta(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let mut select = self.db().prepare_cached("SELECT value FROM meta WHERE name = ?")?;
        Ok(select.query_row(params![name], |row| row.get(0)).optional()?)
    }

    fn check_empty(&self) -> anyhow::Result<()> {
        for table in GROWING.iter().chain(&SMALL).map(|table| table.name).chain(["node"]) {
            if self.db().prepare_cached(&format!("SELECT 1 FROM {table} LIMIT 1"))?.exists(NONE)? {
                bail!("the database is not empty ({table} has rows): an installation is copied into an empty one only");
            }
        }
        Ok(())
    }

    fn clear(&self, identity: &[u8]) -> anyhow::Result<()> {
        let mut names: Vec<&str> = GROWING.iter().chain(&SMALL).map(|table| table.name).collect();
        names.extend(COUNTS.iter().map(|table| table.name).chain(["unique_key", "node"]));
        self.in_transaction(|| {
            self.db().execute_batch(&format!("TRUNCATE {}; UPDATE counted SET up_to = 0", names.join(", ")))?;
            self.db()
                .prepare_cached("INSERT INTO meta (name, value) VALUES (?, ?)")?
                .execute(params![COPYING, identity])?;
            Ok(())
        })
    }

    /// All or nothing of what is done in it.
    pub(super) fn in_transaction(&self, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.session.batch("BEGIN")?;
        let done = work();
        if self.session.is_broken() {
            return done;
        }
        let ended = self.session.batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" });
        done.and(ended.map_err(Into::into))
    }

    /// Makes the partitions that are missing. Not in a transaction.
    pub(super) fn make_room(&mut self, table: Partitioned, days: impl IntoIterator<Item = i64>) -> anyhow::Result<()> {
        Ok(self.partitions.ensure(&self.session, days.into_iter().map(|day| (table, day)))?)
    }

    /// Days of a table that have a partition.
    pub(super) fn days(&self, table: Partitioned) -> Vec<i64> {
        self.partitions.days(table)
    }

    /// Adds a slice, reads it again, and compares. In a transaction.
    pub(super) fn add(&self, table: &Table, slice: &Slice, place: &Place) -> anyhow::Result<()> {
        if slice.rows == 0 {
            return Ok(());
        }
        let statement = self.session.prepare(&insert(table)).with_context(|| format!("preparing {}", table.name))?;
        let values: Vec<&(dyn ToSql + Sync)> = slice.columns.iter().map(super::columns::Column::as_sql).collect();
        self.session.pipeline(&[(&statement, values)]).with_context(|| format!("writing {}", table.name))?;
        self.compare(table, slice, place)
    }

    /// Whether these rows, and as many of the table, are the same.
    pub(super) fn compare(&self, table: &Table, slice: &Slice, place: &Place) -> anyhow::Result<()> {
        let there = Slice::of_target(self.db(), table, place, slice.rows.max(1))?;
        if there != *slice {
            bail!("{}: what was written is not what was read, from {:?} on", table.name, place.after);
        }
        Ok(())
    }

    /// Adds the unique keys of a slice of messages. In its transaction.
    pub(super) fn add_unique(&self, keys: &UniqueKeys) -> anyhow::Result<()> {
        if keys.hashes.is_empty() {
            return Ok(());
        }
        let statement = self.session.prepare(unique::INSERT)?;
        let values: Vec<&(dyn ToSql + Sync)> = vec![&keys.hashes, &keys.messages, &keys.fingerprints, &keys.expiries];
        self.session.pipeline(&[(&statement, values)]).context("writing unique_key")?;
        Ok(())
    }

    /// Empties a table. In a transaction.
    pub(super) fn empty(&self, table: &Table) -> anyhow::Result<()> {
        let filter = table.filter.unwrap_or("1 = 1");
        Ok(self.db().execute_batch(&format!("DELETE FROM {} WHERE {filter}", table.name))?)
    }

    /// Adds what was not counted yet, and says up to where all is. In a transaction.
    pub(super) fn count_up_to(&self, last: i64, uncounted: &[HourCount], traffic: &Gathered) -> anyhow::Result<()> {
        let statement = self.session.prepare(
            "INSERT INTO endpoint_hour (hour, endpoint, success, failure)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
             ON CONFLICT (hour, endpoint) DO UPDATE SET success = endpoint_hour.success + excluded.success,
               failure = endpoint_hour.failure + excluded.failure",
        )?;
        for some in uncounted.chunks(SLICE_ROWS_MAX) {
            let column = |of: fn(&HourCount) -> i64| some.iter().map(of).collect::<Vec<i64>>();
            let (hours, endpoints) = (column(|count| count.hour), column(|count| count.endpoint));
            let (successes, failures) = (column(|count| count.success), column(|count| count.failure));
            self.session.pipeline(&[(&statement, vec![&hours, &endpoints, &successes, &failures])])?;
        }
        traffic.write(self.db())?;
        self.db().prepare_cached("UPDATE counted SET up_to = ?")?.execute([last])?;
        Ok(())
    }

    /// What is given from now on lies behind what was given before. In a transaction; of sequences that is not
    /// taken back, and need not be.
    pub(super) fn number_behind(&self, last_key: i64, payload_number: i64) -> anyhow::Result<()> {
        let (number, name) = COPIED_NODE;
        self.db()
            .prepare_cached(
                "INSERT INTO node (number, name, epoch, last_key) VALUES (?, ?, nextval('node_epoch'), ?)
                 ON CONFLICT (number) DO UPDATE SET last_key = excluded.last_key",
            )?
            .execute(params![number, name, last_key])?;
        self.db()
            .prepare_cached("SELECT setval('payload_block', greatest(?, (SELECT last_value FROM payload_block)))")?
            .exists([(payload_number >> PAYLOAD_BLOCK_BITS) + 1])?;
        self.db()
            .prepare_cached(
                "SELECT setval(pg_get_serial_sequence('endpoint_url', 'id'), max(id)) FROM endpoint_url
                 HAVING max(id) IS NOT NULL",
            )?
            .exists(NONE)?;
        Ok(())
    }

    /// Waits until the clock of the database is past this moment, which must not be further away than `within`
    /// milliseconds.
    pub(super) fn wait_until(&self, at: UnixMs, within: i64) -> anyhow::Result<()> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let now: i64 = self.db().prepare_cached(sql)?.query_row(NONE, |row| row.get(0))?;
        if at - now > within {
            bail!("the clock of the database is {} s behind the newest message: set it right", (at - now) / 1_000);
        }
        if at >= now {
            self.session.batch(&format!("SELECT pg_sleep(({at} - {now} + 1) / 1000.0)"))?;
        }
        Ok(())
    }

    /// Deletes rows that are no longer in the source, and bytes of answers.
    pub(super) fn delete(&self, table: &Table, gone: &[i64], emptied: &[i64]) -> anyhow::Result<()> {
        let key = table.columns[0].0;
        let delete = self.session.prepare(&format!("DELETE FROM {} WHERE {key} = ANY($1::bigint[])", table.name))?;
        self.session.pipeline(&[(&delete, vec![&gone])])?;
        if !emptied.is_empty() {
            let empty = self
                .session
                .prepare("UPDATE attempt SET response = NULL, trace = NULL WHERE key = ANY($1::bigint[])")?;
            self.session.pipeline(&[(&empty, vec![&emptied])])?;
        }
        Ok(())
    }

    /// Rows of a table.
    pub(super) fn count(&self, table: &Table) -> anyhow::Result<i64> {
        let filter = table.filter.unwrap_or("1 = 1");
        let sql = format!("SELECT count(*) FROM {} WHERE {filter}", table.name);
        Ok(self.db().prepare_cached(&sql)?.query_row(NONE, |row| row.get(0))?)
    }

    /// Makes reading quick after much was written.
    pub(super) fn tidy(&self) -> anyhow::Result<()> {
        let names: Vec<&str> = GROWING.iter().map(|table| table.name).collect();
        Ok(self.db().execute_batch(&format!("VACUUM (ANALYZE) {}", names.join(", ")))?)
    }

    /// It is whole: servers may begin.
    pub(super) fn end(&self) -> anyhow::Result<()> {
        let names: Vec<&str> = SMALL.iter().map(|table| table.name).collect();
        self.db().execute_batch(&format!("ANALYZE {}", names.join(", ")))?;
        self.db().prepare_cached("DELETE FROM meta WHERE name = ?")?.execute(params![COPYING])?;
        Ok(())
    }
}
