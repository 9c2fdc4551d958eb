//! Where deliveries to one endpoint stand, for work that looks at many messages inside the writer: by keys only,
//! whatever waits for the endpoint. PostgreSQL is asked for some messages at once.
//!
//! The embedded store's order of due times leads with the endpoint and the time: there a message's place is looked
//! up where it is likely (when it was accepted, delayed, after its last attempt, or when one of the newest tasks of
//! the endpoint began), and among what is due next. What stands elsewhere is not seen.

use rustc_hash::{FxHashMap, FxHashSet};

use super::db::{Db, Optional, Result, Row};
use super::query::message_of;
use super::rows;
use super::scan::watermark;
use super::task;
use crate::model::id::key_time;
use crate::model::{EndpointKey, Key, Message, OutcomeKind, Parked, Traces, Tried, Trigger, UnixMs};
use crate::store::command::FOR_ONE_ENDPOINT;

/// Deliveries that are read at the front of an endpoint's order: what was put there by hand, or by a task that is
/// kept no more, is due at once.
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

/// One endpoint, and what is read of it once for some messages.
pub(super) struct Standing<'c> {
    db: Db<'c>,
    endpoint: EndpointKey,
    /// Attempts, by message: of the embedded store those that are not indexed yet, as many as the tail of an index
    /// may be long.
    tries: FxHashMap<Key, Tries>,
    /// What is due next, by message.
    dues: FxHashMap<Key, UnixMs>,
    /// What PostgreSQL has said at once.
    said: Option<Said>,
}

/// What PostgreSQL says of all messages at once: asking for each would take a round trip.
#[derive(Default)]
struct Said {
    messages: FxHashMap<Key, Message>,
    with_content: FxHashSet<Key>,
    for_one: FxHashSet<Key>,
    pending: FxHashSet<Key>,
    parked: FxHashMap<Key, i64>,
}

impl<'c> Standing<'c> {
    /// Of these messages at an endpoint.
    pub(super) fn of(db: Db<'c>, endpoint: EndpointKey, messages: &[Key]) -> Result<Self> {
        let (tries, dues) = (FxHashMap::default(), FxHashMap::default());
        let mut standing = Self { db, endpoint, tries, dues, said: None };
        if messages.is_empty() {
            return Ok(standing);
        }
        match db {
            Db::Sqlite(_) => {
                standing.read_tail()?;
                standing.read_front()?;
                standing.read_places_of_tasks(messages)?;
            }
            Db::Postgres(_) => standing.ask(messages)?,
        }
        Ok(standing)
    }

    /// Reads everything at once. The first number is the endpoint, the others are messages in order.
    fn ask(&mut self, messages: &[Key]) -> Result<()> {
        const OF: &str = "endpoint = ($1::bigint[])[1]";
        const AMONG: &str = "ANY(($1::bigint[])[2:])";
        let numbers: Vec<i64> = [self.endpoint.0].into_iter().chain(messages.iter().copied()).collect();
        let key = |row: &Row<'_>| row.get::<Key>(0);
        let pair = |row: &Row<'_>| Ok((row.get::<Key>(0)?, row.get::<i64>(1)?));
        let db = self.db;
        let sql = format!("SELECT {} FROM message WHERE key = {AMONG}", rows::MESSAGE);
        let found = db.with_numbers(&sql, &numbers, rows::message)?;
        let messages = found.into_iter().map(|message| (message.id.key, message)).collect();
        let sql = format!(
            "SELECT message.key FROM message JOIN payload ON payload.id = message.payload WHERE message.key = {AMONG}"
        );
        let with_content = db.with_numbers(&sql, &numbers, key)?.into_iter().collect();
        let sql = format!("SELECT key FROM message WHERE key = {AMONG} AND source = {FOR_ONE_ENDPOINT}");
        let for_one = db.with_numbers(&sql, &numbers, key)?.into_iter().collect();
        let sql = format!("SELECT message FROM pending WHERE message = {AMONG} AND {OF}");
        let pending = db.with_numbers(&sql, &numbers, key)?.into_iter().collect();
        let sql = format!("SELECT message, state FROM parked WHERE {OF} AND message = {AMONG}");
        let parked = db.with_numbers(&sql, &numbers, pair)?.into_iter().collect();
        self.said = Some(Said { messages, with_content, for_one, pending, parked });
        let sql = format!(
            "SELECT message, min(due) FROM waiting WHERE message = {AMONG} AND {OF} AND manual = 0 GROUP BY message"
        );
        self.dues = db.with_numbers(&sql, &numbers, pair)?.into_iter().collect();
        // An attempt is younger than its message: days before the first have none.
        let sql = format!(
            "SELECT message, key, kind, status, NULL::bigint FROM attempt
             WHERE message = {AMONG} AND {OF} AND key > ($1::bigint[])[2]"
        );
        for (message, tries) in db.with_numbers(&sql, &numbers, tries_of)? {
            self.add(message, tries);
        }
        Ok(())
    }

    fn read_tail(&mut self) -> Result<()> {
        let watermark = watermark(self.db, "attempt_by_message")?;
        let sql = "SELECT message, key, kind, status, next_due FROM attempt NOT INDEXED WHERE key > ? AND endpoint = ?";
        self.db.prepare_cached(sql)?.each([watermark, self.endpoint.0], |row| {
            let (message, tries) = tries_of(row)?;
            self.add(message, tries);
            Ok(true)
        })
    }

    fn read_front(&mut self) -> Result<()> {
        let sql = "SELECT message, due, manual FROM waiting WHERE endpoint = ? ORDER BY due, message LIMIT ?";
        self.db.prepare_cached(sql)?.each([self.endpoint.0, FRONT_MAX], |row| {
            if Trigger::from_code(row.get(2)?) == Trigger::Scheduled {
                self.dues.entry(row.get(0)?).or_insert(row.get(1)?);
            }
            Ok(true)
        })
    }

    /// What tasks have put in line: each in one piece of the order, of which no more is read than there are messages.
    fn read_places_of_tasks(&mut self, messages: &[Key]) -> Result<()> {
        let (Some(&first), Some(&last)) = (messages.iter().min(), messages.iter().max()) else { return Ok(()) };
        let sql = "SELECT message FROM waiting
                   WHERE endpoint = ? AND due = ? AND message BETWEEN ? AND ? AND manual = 0";
        let mut placed = self.db.prepare_cached(sql)?;
        for due in task::places(self.db, self.endpoint)? {
            placed.each([self.endpoint.0, due, first, last], |row| {
                self.dues.entry(row.get(0)?).or_insert(due);
                Ok(true)
            })?;
        }
        Ok(())
    }

    fn add(&mut self, message: Key, tries: Tries) {
        self.tries.entry(message).and_modify(|known| known.add(tries)).or_insert(tries);
    }

    /// A message, without its content.
    pub(super) fn message(&self, key: Key) -> Result<Option<Message>> {
        match &self.said {
            Some(said) => Ok(said.messages.get(&key).cloned()),
            None => message_of(self.db, key, false),
        }
    }

    /// Whether a message has its content.
    pub(super) fn has_content(&self, message: Key) -> Result<bool> {
        match &self.said {
            Some(said) => Ok(said.with_content.contains(&message)),
            None => self
                .db
                .prepare_cached("SELECT 1 FROM message JOIN payload ON payload.id = message.payload WHERE key = ?")?
                .exists([message]),
        }
    }

    /// Whether a message was meant for one endpoint alone.
    pub(super) fn is_for_one(&self, message: Key) -> Result<bool> {
        match &self.said {
            Some(said) => Ok(said.for_one.contains(&message)),
            None => self
                .db
                .prepare_cached("SELECT 1 FROM message WHERE key = ? AND source = ?")?
                .exists([message, FOR_ONE_ENDPOINT]),
        }
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
            parked: self.parked(key)?.and_then(Parked::from_code),
            tried: match tries {
                None => Tried::Never,
                Some(tries) if tries.best == OutcomeKind::Success.code() => Tried::Succeeded,
                Some(_) => Tried::Failed,
            },
        };
        Ok(Stands { traces, due, last_status: tries.map(|tries| tries.last_status) })
    }

    fn is_pending(&self, message: Key) -> Result<bool> {
        if let Some(said) = &self.said {
            return Ok(said.pending.contains(&message));
        }
        self.db
            .prepare_cached("SELECT 1 FROM pending WHERE message = ? AND endpoint = ?")?
            .exists([message, self.endpoint.0])
    }

    fn parked(&self, message: Key) -> Result<Option<i64>> {
        if let Some(said) = &self.said {
            return Ok(said.parked.get(&message).copied());
        }
        self.db
            .prepare_cached("SELECT state FROM parked WHERE endpoint = ? AND message = ?")?
            .query_row([self.endpoint.0, message], |row| row.get(0))
            .optional()
    }

    fn tries(&self, message: Key) -> Result<Option<Tries>> {
        let mut all = self.tries.get(&message).copied();
        if self.said.is_some() {
            return Ok(all);
        }
        let sql = "SELECT attempt_by_message.message, attempt.key, attempt.kind, attempt.status, attempt.next_due
                   FROM attempt_by_message CROSS JOIN attempt ON attempt.key = attempt_by_message.attempt
                   WHERE attempt_by_message.message = ? AND attempt.endpoint = ?";
        self.db.prepare_cached(sql)?.each([message, self.endpoint.0], |row| {
            let (_, tries) = tries_of(row)?;
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
        let known = self.dues.get(&key).copied();
        if known.is_some() || self.said.is_some() {
            return Ok(known);
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

/// A message and one attempt of it: message, key, kind, status, when the next is due.
fn tries_of(row: &Row<'_>) -> Result<(Key, Tries)> {
    let tries = Tries { last: row.get(1)?, best: row.get(2)?, last_status: row.get(3)?, next_due: row.get(4)? };
    Ok((row.get(0)?, tries))
}
