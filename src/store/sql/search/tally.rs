//! Where the deliveries of many messages stand, in few reads.
//!
//! What is pending is ordered by message, and attempts are listed by it. What waits and what is set aside
//! is ordered by endpoint in the embedded engine: of each endpoint of an application the part that can
//! concern the messages is read once, whatever their number. An endpoint for which more waits than is
//! read at once is asked for the due times that a delivery is likely to have. All of it is bounded in
//! rows and in time; what was cut is said to be so.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::model::id::key_time;
use crate::model::{DeliveryState, Key, Message, MessageKey, OutcomeKind, Parked, Traces, Tried, UnixMs};
use crate::store::search::{Tallied, Tally};
use crate::store::sql::db::{Db, Result, Row, params};
use crate::store::sql::scan::watermark;

/// Messages whose deliveries are read together.
const CHUNK: usize = 64;
/// How long one page goes on counting.
const TIME_MAX: Duration = Duration::from_millis(100);
/// Attempts, and looks at endpoints, of one page.
const ROWS_MAX: usize = 150_000;
/// Attempts of one message that are looked at.
const ATTEMPTS_MAX: usize = 20_000;
/// Attempts that are not indexed yet. Their number is bounded by the size of slices; a fan-out makes it more.
const TAIL_MAX: usize = 250_000;
/// Waiting deliveries that are read at the front of one endpoint's order, and of all of them.
const FRONT_MAX: usize = 20_000;
const FRONTS_MAX: usize = 200_000;
/// Endpoints of an application that are looked at: no application has more.
const ENDPOINTS_MAX: usize = 1_000;

/// Counts deliveries of messages; what it has read of endpoints serves for the whole page.
pub(super) struct Tallier<'c> {
    db: Db<'c>,
    /// Counting goes with a search: what follows is as old as the store.
    is_search: bool,
    began: Option<Instant>,
    left: usize,
    fronts_left: usize,
    endpoints: FxHashMap<Key, Vec<Key>>,
    fronts: FxHashMap<Key, Front>,
    tail: Option<Tail>,
}

/// What is known of a delivery.
#[derive(Clone, Copy, Default)]
struct Known {
    traces: Traces,
    /// When it was to be tried again after an attempt: where it waits, most likely then.
    retry_at: Option<UnixMs>,
}

impl Known {
    fn tried(&mut self, code: u8, retry_at: Option<UnixMs>) {
        let tried = if code == OutcomeKind::Success.code() { Tried::Succeeded } else { Tried::Failed };
        self.traces.tried = self.traces.tried.max(tried);
        self.retry_at = self.retry_at.max(retry_at);
    }

    fn waits(&mut self, due: UnixMs, manual: bool) {
        let place = if manual { &mut self.traces.resend_due } else { &mut self.traces.due };
        *place = Some(place.map_or(due, |other: UnixMs| other.min(due)));
    }
}

/// What waits for an endpoint.
struct Front {
    by_message: FxHashMap<Key, Vec<(UnixMs, bool)>>,
    /// It is all that waits.
    is_whole: bool,
}

/// Attempts that no index has yet.
struct Tail {
    from: Key,
    by_message: FxHashMap<Key, Vec<(Key, u8, Option<UnixMs>)>>,
    is_whole: bool,
}

/// Deliveries by message and endpoint.
type Deliveries = FxHashMap<(Key, Key), Known>;

impl<'c> Tallier<'c> {
    pub(super) fn new(db: Db<'c>, is_search: bool) -> Self {
        Self {
            db,
            is_search,
            began: None,
            left: ROWS_MAX,
            fronts_left: FRONTS_MAX,
            endpoints: FxHashMap::default(),
            fronts: FxHashMap::default(),
            tail: None,
        }
    }

    /// Counts for each message; `None` from where the time or the rows of a page did not suffice.
    pub(super) fn tally(&mut self, messages: &[&Message]) -> Result<Vec<Option<Tally>>> {
        let began = *self.began.get_or_insert_with(Instant::now);
        if self.is_search {
            // A search is bounded by its own time: each of its steps has all.
            self.left = ROWS_MAX;
        }
        let lowest = messages.iter().map(|message| message.id.key).min().unwrap_or_default();
        let mut all = Vec::with_capacity(messages.len());
        for chunk in messages.chunks(CHUNK) {
            // The first are counted however long it takes.
            let is_spent = self.left == 0 || !all.is_empty() && began.elapsed() >= TIME_MAX;
            if is_spent && !self.is_search {
                all.extend(chunk.iter().map(|_| None));
                continue;
            }
            match self.db {
                Db::Sqlite(_) => all.extend(self.of_sqlite(chunk, lowest)?.into_iter().map(Some)),
                Db::Postgres(_) => all.extend(self.of_postgres(chunk)?.into_iter().map(Some)),
            }
        }
        Ok(all)
    }

    fn of_postgres(&mut self, messages: &[&Message]) -> Result<Vec<Tally>> {
        let keys: Vec<Key> = messages.iter().map(|message| message.id.key).collect();
        let known = self.all_known(&keys)?;
        let endpoints: Vec<Key> = known.keys().map(|&(_, endpoint)| endpoint).collect();
        let there = "SELECT key FROM endpoint WHERE key = ANY($1::bigint[])";
        let there: rustc_hash::FxHashSet<Key> =
            self.db.with_numbers(there, &endpoints, |row| row.get(0))?.into_iter().collect();
        let mut tallies: FxHashMap<Key, Tally> = FxHashMap::default();
        for ((message, endpoint), known) in known {
            let mut traces = known.traces;
            if traces.tried == Tried::Succeeded || traces.parked.is_some() {
                // As one delivery is judged by itself.
                (traces.due, traces.resend_due) = (None, None);
            }
            if let Some(state) = DeliveryState::of(&traces).filter(|_| there.contains(&endpoint)) {
                tallies.entry(message).or_default().add(state);
            }
        }
        Ok(keys.iter().map(|key| tallies.get(key).copied().unwrap_or_default()).collect())
    }

    /// All that PostgreSQL has of the deliveries of these messages.
    fn all_known(&mut self, keys: &[Key]) -> Result<Deliveries> {
        let mut known = Deliveries::default();
        let place = |row: &Row<'_>| Ok::<(Key, Key), crate::store::sql::db::Error>((row.get(0)?, row.get(1)?));
        let db = self.db;
        db.with_numbers("SELECT message, endpoint FROM pending WHERE message = ANY($1::bigint[])", keys, |row| {
            known.entry(place(row)?).or_default().traces.pending = true;
            Ok(())
        })?;
        let sql = "SELECT message, endpoint, state FROM parked WHERE message = ANY($1::bigint[])";
        db.with_numbers(sql, keys, |row| {
            known.entry(place(row)?).or_default().traces.parked = Parked::from_code(row.get(2)?);
            Ok(())
        })?;
        let sql = "SELECT message, endpoint, due, manual FROM waiting WHERE message = ANY($1::bigint[])";
        db.with_numbers(sql, keys, |row| {
            known.entry(place(row)?).or_default().waits(row.get(2)?, row.get(3)?);
            Ok(())
        })?;
        // Attempts of a message are made after it: older partitions are not looked at.
        let sql = "SELECT wanted, tried.endpoint, tried.best FROM unnest($1::bigint[]) AS wanted CROSS JOIN LATERAL (
               SELECT endpoint, min(kind) AS best FROM attempt
                WHERE attempt.message = wanted AND attempt.key > wanted GROUP BY endpoint) AS tried";
        let tried = db.with_numbers(sql, keys, |row| {
            known.entry(place(row)?).or_default().tried(row.get(2)?, None);
            Ok(())
        })?;
        self.left = self.left.saturating_sub(tried.len());
        Ok(known)
    }

    fn of_sqlite(&mut self, messages: &[&Message], lowest: Key) -> Result<Vec<Tally>> {
        let mut known = Deliveries::default();
        let mut tallies: Vec<Tally> = Vec::with_capacity(messages.len());
        self.read_tail(lowest)?;
        for message in messages {
            let approximated = !self.read_by_message(message.id.key, &mut known)?;
            tallies.push(Tally { approximated, ..Tally::default() });
        }
        // By application: what is read of its endpoints concerns all its messages.
        let mut of_app: FxHashMap<Key, Vec<usize>> = FxHashMap::default();
        for (i, message) in messages.iter().enumerate() {
            of_app.entry(message.app.0).or_default().push(i);
        }
        for (app, places) in of_app {
            let endpoints = self.endpoints_of(app)?;
            if self.left < endpoints.len() {
                for i in places {
                    tallies[i].approximated = true;
                }
                self.left = 0;
                continue;
            }
            self.left -= endpoints.len();
            for endpoint in endpoints {
                let group: Vec<&Message> = places.iter().map(|&i| messages[i]).collect();
                self.read_parked(endpoint, &group, &mut known)?;
                self.read_front(endpoint)?;
                for &i in &places {
                    self.judge(messages[i], endpoint, &known, &mut tallies[i])?;
                }
            }
        }
        Ok(tallies)
    }

    /// What is pending of a message, and its attempts; false where there were too many.
    fn read_by_message(&mut self, message: Key, known: &mut Deliveries) -> Result<bool> {
        self.db.prepare_cached("SELECT endpoint FROM pending WHERE message = ?")?.each([message], |row| {
            known.entry((message, row.get(0)?)).or_default().traces.pending = true;
            Ok(true)
        })?;
        let most = self.left.min(ATTEMPTS_MAX);
        let mut count = 0;
        self.db
            .prepare_cached(
                "SELECT attempt.endpoint, attempt.kind, attempt.next_due
                   FROM attempt_by_message CROSS JOIN attempt ON attempt.key = attempt_by_message.attempt
                  WHERE attempt_by_message.message = ? ORDER BY attempt_by_message.attempt DESC LIMIT ?",
            )?
            .each([message, most as i64], |row| {
                known.entry((message, row.get(0)?)).or_default().tried(row.get(1)?, row.get(2)?);
                count += 1;
                Ok(true)
            })?;
        self.left -= count;
        let Some(tail) = &self.tail else { return Ok(count < most) };
        for &(endpoint, kind, retry_at) in tail.by_message.get(&message).into_iter().flatten() {
            known.entry((message, endpoint)).or_default().tried(kind, retry_at);
        }
        Ok(count < most && tail.is_whole)
    }

    /// The attempts behind the index's watermark, from that of the oldest message on; for a search, all.
    fn read_tail(&mut self, lowest: Key) -> Result<()> {
        let watermark = watermark(self.db, "attempt_by_message")?;
        let from = if self.is_search { watermark } else { watermark.max(lowest) };
        if self.tail.as_ref().is_some_and(|tail| tail.from <= from) {
            return Ok(());
        }
        let mut tail = Tail { from, by_message: FxHashMap::default(), is_whole: true };
        let mut count = 0;
        self.db
            .prepare_cached(
                "SELECT message, endpoint, kind, next_due FROM attempt NOT INDEXED WHERE key > ?
                 ORDER BY key DESC LIMIT ?",
            )?
            .each([from, TAIL_MAX as i64], |row| {
                tail.by_message.entry(row.get(0)?).or_default().push((row.get(1)?, row.get(2)?, row.get(3)?));
                count += 1;
                Ok(true)
            })?;
        tail.is_whole = count < TAIL_MAX;
        self.tail = Some(tail);
        Ok(())
    }

    fn endpoints_of(&mut self, app: Key) -> Result<Vec<Key>> {
        if let Some(known) = self.endpoints.get(&app) {
            return Ok(known.clone());
        }
        let mut statement = self.db.prepare_cached("SELECT key FROM endpoint WHERE app = ? LIMIT ?")?;
        let read = statement.query_map([app, ENDPOINTS_MAX as i64], |row| row.get(0))?;
        let endpoints: Vec<Key> = read.collect::<Result<_>>()?;
        self.endpoints.insert(app, endpoints.clone());
        Ok(endpoints)
    }

    /// What of an application's messages is set aside at an endpoint: those between the first and the last
    /// at once, or, where that is much more, each by itself.
    fn read_parked(&mut self, endpoint: Key, group: &[&Message], known: &mut Deliveries) -> Result<()> {
        let keys = || group.iter().map(|message| message.id.key);
        let (low, high) = (keys().min().unwrap_or_default(), keys().max().unwrap_or_default());
        let most = 4 * group.len() + 16;
        let mut count = 0;
        self.db
            .prepare_cached(
                "SELECT message, state FROM parked WHERE endpoint = ? AND message >= ? AND message <= ? LIMIT ?",
            )?
            .each([endpoint, low, high, most as i64], |row| {
                known.entry((row.get(0)?, endpoint)).or_default().traces.parked = Parked::from_code(row.get(1)?);
                count += 1;
                Ok(true)
            })?;
        self.left = self.left.saturating_sub(count);
        if count < most {
            return Ok(());
        }
        let mut one = self.db.prepare_cached("SELECT state FROM parked WHERE endpoint = ? AND message = ?")?;
        for key in keys() {
            one.each([endpoint, key], |row| {
                known.entry((key, endpoint)).or_default().traces.parked = Parked::from_code(row.get(0)?);
                Ok(false)
            })?;
        }
        self.left = self.left.saturating_sub(group.len());
        Ok(())
    }

    /// The beginning of what waits for an endpoint.
    fn read_front(&mut self, endpoint: Key) -> Result<()> {
        if self.fronts.contains_key(&endpoint) {
            return Ok(());
        }
        let most = FRONT_MAX.min(self.fronts_left) + 1;
        let mut front = Front { by_message: FxHashMap::default(), is_whole: true };
        let mut count = 0;
        self.db
            .prepare_cached(
                "SELECT message, due, manual FROM waiting WHERE endpoint = ? ORDER BY due, message LIMIT ?",
            )?
            .each([endpoint, most as i64], |row| {
                front.by_message.entry(row.get(0)?).or_default().push((row.get(1)?, row.get(2)?));
                count += 1;
                Ok(true)
            })?;
        self.fronts_left = self.fronts_left.saturating_sub(count);
        front.is_whole = count < most;
        self.fronts.insert(endpoint, front);
        Ok(())
    }

    /// Counts one delivery, if there is one: as [`deliveries`](super::super::deliveries) judges it.
    fn judge(&self, message: &Message, endpoint: Key, known: &Deliveries, tally: &mut Tally) -> Result<()> {
        let key = message.id.key;
        let mut known = known.get(&(key, endpoint)).copied().unwrap_or_default();
        let is_settled =
            known.traces.pending || known.traces.parked.is_some() || known.traces.tried == Tried::Succeeded;
        if !is_settled && let Some(front) = self.fronts.get(&endpoint) {
            for &(due, manual) in front.by_message.get(&key).into_iter().flatten() {
                known.waits(due, manual);
            }
            let is_found = known.traces.due.is_some() || known.traces.resend_due.is_some();
            if !front.is_whole && !is_found && !self.look_for(message, endpoint, &mut known)? && is_tried(&known) {
                // What failed, is not set aside and is not the front's waits for a time that is not known.
                tally.approximated = true;
                tally.sending += 1;
                return Ok(());
            }
        }
        if let Some(state) = DeliveryState::of(&known.traces) {
            tally.add(state);
        }
        Ok(())
    }

    /// Looks where a delivery that is not at the front may wait: for its retry, for the time that its sender
    /// has set, or, where lanes had no room for it, from the beginning.
    fn look_for(&self, message: &Message, endpoint: Key, known: &mut Known) -> Result<bool> {
        let mut place =
            self.db.prepare_cached("SELECT due, manual FROM waiting WHERE endpoint = ? AND due = ? AND message = ?")?;
        let dues = [known.retry_at, message.envelope.deliver_at, Some(key_time(message.id.key))];
        let mut is_found = false;
        for due in dues.into_iter().flatten() {
            place.each(params![endpoint, due, message.id.key], |row| {
                known.waits(row.get(0)?, row.get(1)?);
                is_found = true;
                Ok(false)
            })?;
        }
        Ok(is_found)
    }
}

fn is_tried(known: &Known) -> bool {
    known.traces.tried != Tried::Never
}

/// Where the deliveries of messages stand, by their keys alone.
pub(in crate::store) fn of_keys(db: Db<'_>, keys: &[MessageKey]) -> Result<Vec<Tallied>> {
    let keys: Vec<Key> = keys.iter().map(|key| key.0).collect();
    let messages = super::messages(db, &keys)?;
    let wanted: Vec<&Message> = messages.iter().collect();
    let tallies = Tallier::new(db, false).tally(&wanted)?;
    let found = messages.iter().zip(tallies);
    Ok(found.filter_map(|(message, tally)| tally.map(|tally| (message.key(), tally))).collect())
}
