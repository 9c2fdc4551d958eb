//! Partitions by day: made before they are needed, or when they are; dropped when all that is in them may
//! go.
//!
//! A partition is made as a table of its own and attached: that holds up nobody who reads or writes.

use std::collections::BTreeSet;

use super::session::{Session, SessionError};
use super::standing::PARTITION_LOCK;
use crate::model::UnixMs;
use crate::model::id::first_key_at;

/// Milliseconds of a day.
pub(in crate::store) const DAY_MS: i64 = 86_400_000;
/// Bits of a payload's id behind the day of its expiry.
pub(in crate::store) const PAYLOAD_SEQUENCE_BITS: u32 = 47;

/// A table that is partitioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::store) enum Table {
    Message,
    Attempt,
    Payload,
}

impl Table {
    pub(in crate::store) const ALL: [Self; 3] = [Self::Message, Self::Attempt, Self::Payload];

    pub(in crate::store) const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Attempt => "attempt",
            Self::Payload => "payload",
        }
    }

    /// The first value of the day.
    pub(in crate::store) const fn first_of(self, day: i64) -> i64 {
        match self {
            Self::Message | Self::Attempt => first_key_at(day * DAY_MS),
            Self::Payload => day << PAYLOAD_SEQUENCE_BITS,
        }
    }

    /// The name of a day's partition.
    pub(in crate::store) fn partition(self, day: i64) -> String {
        format!("{}_{day}", self.name())
    }
}

/// The day that a moment is in, since 1970.
pub(in crate::store) const fn day_of(at: UnixMs) -> i64 {
    at.div_euclid(DAY_MS)
}

/// Days that are known to have their partitions.
#[derive(Debug, Default)]
pub(in crate::store) struct Partitions {
    known: BTreeSet<(Table, i64)>,
}

impl Partitions {
    /// Reads which there are.
    pub(in crate::store) fn read(session: &Session) -> Result<Self, SessionError> {
        let sql = "SELECT parent.relname::text, child.relname::text FROM pg_inherits
                     JOIN pg_class AS child ON child.oid = inhrelid JOIN pg_class AS parent ON parent.oid = inhparent
                     JOIN pg_namespace ON pg_namespace.oid = parent.relnamespace
                   WHERE parent.relkind = 'p' AND nspname = current_schema()";
        let mut known = BTreeSet::new();
        for row in session.query(&session.prepare(sql)?, &[])? {
            let (parent, child) = (row.text(0)?, row.text(1)?);
            let table = Table::ALL.into_iter().find(|table| table.name() == parent);
            let day = child.rsplit_once('_').and_then(|(_, day)| day.parse().ok());
            known.extend(table.zip(day));
        }
        Ok(Self { known })
    }

    /// Days of a table that have a partition, oldest first.
    pub(in crate::store) fn days(&self, table: Table) -> Vec<i64> {
        self.known.iter().filter(|(of, _)| *of == table).map(|(_, day)| *day).collect()
    }

    /// Makes those that are missing. Not in a transaction.
    pub(in crate::store) fn ensure(
        &mut self,
        session: &Session,
        wanted: impl IntoIterator<Item = (Table, i64)>,
    ) -> Result<(), SessionError> {
        for (table, day) in wanted {
            if !self.known.contains(&(table, day)) {
                make(session, table, day)?;
                self.known.insert((table, day));
            }
        }
        Ok(())
    }

    /// What was known may be gone: a partition was dropped.
    pub(in crate::store) fn forget(&mut self) {
        self.known.clear();
    }
}

fn make(session: &Session, table: Table, day: i64) -> Result<(), SessionError> {
    let (parent, name) = (table.name(), table.partition(day));
    let (from, to) = (table.first_of(day), table.first_of(day + 1));
    let attached = format!(
        "SELECT pg_advisory_xact_lock({PARTITION_LOCK});
         DO $$ BEGIN
           IF to_regclass('{name}') IS NULL THEN
             CREATE TABLE {name} (LIKE {parent} INCLUDING ALL);
             ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to});
           END IF;
         END $$"
    );
    session.batch(&attached)
}

/// Drops a day's partition within the transaction under way, or gives up where it would have to wait for
/// longer than an instant: others would wait behind it.
pub(in crate::store) fn drop_day(session: &Session, table: Table, day: i64) -> Result<(), SessionError> {
    let name = table.partition(day);
    let dropped = session.batch(&format!(
        "SAVEPOINT partition; SET LOCAL lock_timeout = '100ms'; SELECT pg_advisory_xact_lock({PARTITION_LOCK});
         DROP TABLE IF EXISTS {name}; SET LOCAL lock_timeout = 0; RELEASE partition"
    ));
    if dropped.is_err() && !session.is_broken() {
        session.batch("ROLLBACK TO partition; RELEASE partition")?;
    }
    dropped
}
