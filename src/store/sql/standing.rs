//! Where deliveries to one endpoint stand, for work that looks at many messages inside the writer: by keys only,
//! whatever waits for the endpoint.
//!
//! The embedded store's order of due times leads with the endpoint and the time: there a message's place is looked
//! up where it is likely (when it was accepted, delayed, or after its last attempt), and among what is due next.
//! What stands elsewhere is not seen.

use rustc_hash::FxHashMap;

use super::db::{Db, Optional, Result};
use super::scan::watermark;
use crate::model::id::key_time;
use crate::model::{EndpointKey, Key, Message, OutcomeKind, Parked, Traces, Tried, UnixMs};

/// Deliveries that are read at the front of an endpoint's order: what was put there by a task or by hand is due at
/// once.
const FRONT_MAX: i64 = 2_000;

/// What the store holds of one delivery.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stands {
    pub(super) traces: Traces,
    /// Its place in the order of due times, by its schedule.
    pub(super) due: Option<UnixMs>,
    /// The status that its last attempt was answered with; 0 without an answer.
    pub(super) last_status: Option<u16>,
}

/// The attempts of a delivery, summed up.
#[derive(Debug, Clone, Copy)]
struct Tries {
    last: Key,
    best: u8,
    last_status: u16,
    next_due: Option<UnixMs>,
}

impl Tries {
    fn add(&mut self, other: Self) {
        self.best = self.best.min(other.best);
        if other.last > self.last {
            *self = Self { best: self.best, ..other };
        }
    }
}

/// One endpoint, and what is read of it once for many messages.
pub(super) struct Standing<'c> {
    db: Db<'c>,
    endpoint: EndpointKey,
    /// Attempts that are not indexed yet, by message: as many as the tail of an index may be long.
    tail: FxHashMap<Key, Tries>,
    /// What is due next, by message.
    front: FxHashMap<Key, UnixMs>,
}

impl<'c> Standing<'c> {
    /// Of an endpoint.
    pub(super) fn of(db: Db<'c>, endpoint: EndpointKey) -> Result<Self> {
        let mut standing = Self { db, endpoint, tail: FxHashMap::default(), front: FxHashMap::default() };
        if let Db::Sqlite(_) = db {
            standing.read_tail()?;
            standing.read_front()?;
        }
        Ok(standing)
    }

    fn read_tail(&mut self) -> Result<()> {
        let watermark = watermark(self.db, "attempt_by_message")?;
        let sql = "SELECT message, key, kind, status, next_due FROM attempt NOT INDEXED WHERE key > ? AND endpoint = ?";
        self.db.prepare_cached(sql)?.each([watermark, self.endpoint.0], |row| {
            let tries = Tries { last: row.get(1)?, best: row.get(2)?, last_status: row.get(3)?, next_due: row.get(4)? };
            self.tail.entry(row.get(0)?).and_modify(|known| known.add(tries)).or_insert(tries);
            Ok(true)
        })
    }

    fn read_front(&mut self) -> Result<()> {
        let sql = "SELECT message, due FROM waiting WHERE endpoint = ? AND manual = 0 ORDER BY due, message LIMIT ?";
        // The limit counts what is read: resends among it are few.
        self.db.prepare_cached(sql)?.each([self.endpoint.0, FRONT_MAX], |row| {
            self.front.entry(row.get(0)?).or_insert(row.get(1)?);
            Ok(true)
        })
    }

    /// Where the delivery of a message stands.
    pub(super) fn of_message(&self, message: &Message) -> Result<Stands> {
        let key = message.id.key;
        let tries = self.tries(key)?;
        let due = self.due(message, tries)?;
        let traces = Traces {
            pending: self.is_pending(key)?,
            due,
            resend_due: None,
            parked: self.parked(key)?,
            tried: match tries {
                None => Tried::Never,
                Some(tries) if tries.best == OutcomeKind::Success.code() => Tried::Succeeded,
                Some(_) => Tried::Failed,
            },
        };
        Ok(Stands { traces, due, last_status: tries.map(|tries| tries.last_status) })
    }

    fn is_pending(&self, message: Key) -> Result<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM pending WHERE message = ? AND endpoint = ?")?
            .exists([message, self.endpoint.0])
    }

    fn parked(&self, message: Key) -> Result<Option<Parked>> {
        let code: Option<i64> = self
            .db
            .prepare_cached("SELECT state FROM parked WHERE endpoint = ? AND message = ?")?
            .query_row([self.endpoint.0, message], |row| row.get(0))
            .optional()?;
        Ok(code.and_then(Parked::from_code))
    }

    fn tries(&self, message: Key) -> Result<Option<Tries>> {
        let mut all = self.tail.get(&message).copied();
        // PostgreSQL tells by the order of due times when the next one is due.
        let sql = match self.db {
            Db::Sqlite(_) => {
                "SELECT attempt.key, attempt.kind, attempt.status, attempt.next_due
                 FROM attempt_by_message CROSS JOIN attempt ON attempt.key = attempt_by_message.attempt
                 WHERE attempt_by_message.message = ? AND attempt.endpoint = ?"
            }
            Db::Postgres(_) => "SELECT key, kind, status, NULL::bigint FROM attempt WHERE message = ? AND endpoint = ?",
        };
        self.db.prepare_cached(sql)?.each([message, self.endpoint.0], |row| {
            let tries = Tries { last: row.get(0)?, best: row.get(1)?, last_status: row.get(2)?, next_due: row.get(3)? };
            match &mut all {
                Some(known) => known.add(tries),
                None => all = Some(tries),
            }
            Ok(true)
        })?;
        Ok(all)
    }

    fn due(&self, message: &Message, tries: Option<Tries>) -> Result<Option<UnixMs>> {
        let key = message.id.key;
        if let Db::Postgres(_) = self.db {
            let sql = "SELECT min(due) FROM waiting WHERE message = ? AND endpoint = ? AND manual = 0";
            return self.db.prepare_cached(sql)?.query_row([key, self.endpoint.0], |row| row.get(0));
        }
        if let Some(&due) = self.front.get(&key) {
            return Ok(Some(due));
        }
        let next = tries.and_then(|tries| tries.next_due);
        let likely = [next, message.envelope.deliver_at, Some(key_time(key))];
        let sql = "SELECT 1 FROM waiting WHERE endpoint = ? AND due = ? AND message = ? AND manual = 0";
        let mut is_there = self.db.prepare_cached(sql)?;
        for due in likely.into_iter().flatten() {
            if is_there.exists([self.endpoint.0, due, key])? {
                return Ok(Some(due));
            }
        }
        Ok(None)
    }
}
