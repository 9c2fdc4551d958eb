//! Idempotency keys and event ids on the disk: runs, filters, and where they were left at a crash.

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::UnixMs;
use crate::model::id::{first_key_at, key_time};
use crate::store::idempotency::{Filter, Generations, Kind};

/// Bytes of filters held in memory; older runs beyond are looked up on the disk each time.
const FILTER_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Messages between two records of where the tail begins (also made when idle).
const FLOOR_EVERY: usize = 65_536;

struct Run {
    number: i64,
    kind: Kind,
    /// The newest message that it names.
    up_to: i64,
    filter: Filter,
    expires_at: UnixMs,
}

/// All kinds, in memory and on the disk.
pub(super) struct KeyIndex {
    memory: [Generations; 3],
    /// Newest last.
    runs: Vec<Run>,
    next_run: i64,
    /// The runs that are being written, by kind.
    writing: [Option<i64>; 3],
    /// Runs of this transaction, to be forgotten if it is rolled back.
    finished: Vec<Run>,
    /// A run that this transaction has deleted.
    swept: Option<i64>,
    /// Runs that a crash left half written.
    orphans: Vec<i64>,
    last_message: i64,
    since_floor: usize,
}

/// The hash of a dedupe key, which is one already.
pub(super) fn dedupe_hash(dedupe: &[u8]) -> i64 {
    dedupe.first_chunk().map_or(0, |first| i64::from_le_bytes(*first))
}

impl KeyIndex {
    pub(super) fn open(connection: &Connection, now: UnixMs) -> rusqlite::Result<Self> {
        let mut index = Self {
            memory: std::array::from_fn(|_| Generations::default()),
            runs: Vec::new(),
            next_run: 1,
            writing: [None; 3],
            finished: Vec::new(),
            swept: None,
            orphans: Vec::new(),
            last_message: 0,
            since_floor: 0,
        };
        let mut watermark = [0_i64; 3];
        for kind in Kind::ALL {
            watermark[kind as usize] = connection
                .query_row("SELECT value FROM meta WHERE name = ?", [floor_name(kind)], |row| row.get(0))
                .optional()?
                .unwrap_or(0);
        }
        let mut statement =
            connection.prepare("SELECT run, kind, up_to, expires_at, filter FROM idempotency_run ORDER BY run DESC")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (number, kind): (i64, u8) = (row.get(0)?, row.get(1)?);
            let Some(&kind) = Kind::ALL.get(usize::from(kind)) else { continue };
            let place = kind as usize;
            watermark[place] = watermark[place].max(row.get(2)?);
            let filter = Filter::from_bytes(row.get(4)?);
            index.runs.push(Run { number, kind, up_to: row.get(2)?, filter, expires_at: row.get(3)? });
            index.bound_filters_of_new();
        }
        index.runs.reverse();
        index.find_orphans(connection)?;
        index.read_tail(connection, watermark, now)?;
        Ok(index)
    }

    /// While runs are read, the newest first: what does not fit any more goes without its filter.
    fn bound_filters_of_new(&mut self) {
        let bytes: usize = self.runs.iter().map(|run| run.filter.as_bytes().len()).sum();
        if bytes > FILTER_BYTES_MAX
            && let Some(last) = self.runs.last_mut()
        {
            last.filter = Filter::from_bytes(Vec::new());
        }
    }

    /// A run is registered when it is complete. What a crash left of one is not: its entries are
    /// read from the messages again, and its number is not used a second time.
    fn find_orphans(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut next = connection.prepare("SELECT run FROM idempotency_entry WHERE run > ? ORDER BY run LIMIT 1")?;
        let mut after = 0;
        while let Some(run) = next.query_row([after], |row| row.get(0)).optional()? {
            if self.runs.binary_search_by_key(&run, |run| run.number).is_err() {
                self.orphans.push(run);
            }
            after = run;
        }
        let last = self.runs.last().map_or(0, |run| run.number);
        self.next_run = after.max(last) + 1;
        Ok(())
    }

    /// Reads what is newer than the runs from the messages themselves.
    fn read_tail(&mut self, connection: &Connection, watermark: [i64; 3], now: UnixMs) -> rusqlite::Result<()> {
        let oldest = |kind: Kind| {
            let alive = kind.lifetime_ms().map_or(0, |lifetime| first_key_at(now - lifetime) - 1);
            alive.max(watermark[kind as usize])
        };
        let first = Kind::ALL.into_iter().map(oldest).min().unwrap_or(0);
        let mut statement = connection.prepare(
            "SELECT key, idempotency, app, event_id, dedupe FROM message
             WHERE key > ? ORDER BY key",
        )?;
        let mut rows = statement.query([first])?;
        while let Some(row) = rows.next()? {
            let key: i64 = row.get(0)?;
            self.published(key);
            if let Some(stored) = row.get_ref(1)?.as_blob_or_null()?
                && let Some((hash, kind)) = short_hash(stored)
                && key > oldest(kind)
            {
                self.memory[kind as usize].insert(hash, key);
            }
            if let Some(event_id) = row.get_ref(3)?.as_str_or_null()?
                && key > oldest(Kind::EventId)
            {
                self.memory[Kind::EventId as usize].insert(event_hash(row.get(2)?, event_id), key);
            }
            if let Some(dedupe) = row.get_ref(4)?.as_blob_or_null()?
                && key > oldest(Kind::EventId)
            {
                self.memory[Kind::EventId as usize].insert(dedupe_hash(dedupe), key);
            }
        }
        Ok(())
    }

    /// Messages that may carry this hash, the newest first. The caller compares the whole key.
    pub(super) fn find(
        &self,
        connection: &Connection,
        kind: Kind,
        hash: i64,
        now: UnixMs,
    ) -> rusqlite::Result<Vec<i64>> {
        self.find_since(connection, kind, hash, now, 0)
    }

    /// The same, without the trouble of looking where all are older than `since`.
    pub(super) fn find_since(
        &self,
        connection: &Connection,
        kind: Kind,
        hash: i64,
        now: UnixMs,
        since: i64,
    ) -> rusqlite::Result<Vec<i64>> {
        let alive = |message: &i64| kind.lifetime_ms().is_none_or(|lifetime| key_time(*message) + lifetime > now);
        let mut found: Vec<i64> = self.memory[kind as usize].find(hash).into_iter().filter(alive).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let may_hold = |run: &&Run| run.kind == kind && run.up_to >= since && run.filter.may_hold(hash);
        for run in self.runs.iter().rev().filter(may_hold) {
            let mut statement = connection.prepare_cached(
                "SELECT message FROM idempotency_entry WHERE run = ? AND hash = ? ORDER BY message DESC",
            )?;
            let rows = statement.query_map(params![run.number, hash], |row| row.get(0))?;
            for message in rows {
                let message = message?;
                if alive(&message) {
                    found.push(message);
                }
            }
        }
        Ok(found)
    }

    /// A message was appended, with or without keys.
    pub(super) fn published(&mut self, message: i64) {
        self.last_message = message;
        self.since_floor += 1;
        for generations in &mut self.memory {
            generations.passed();
        }
    }

    pub(super) fn insert(&mut self, kind: Kind, hash: i64, message: i64) {
        self.memory[kind as usize].insert(hash, message);
    }

    pub(super) fn begin(&mut self) {
        for generations in &mut self.memory {
            generations.cut();
            generations.begin();
        }
    }

    pub(super) fn rollback(&mut self) {
        self.finished.clear();
        self.swept = None;
        for generations in &mut self.memory {
            generations.rollback();
        }
    }

    pub(super) fn committed(&mut self) {
        for run in std::mem::take(&mut self.finished) {
            self.memory[run.kind as usize].spilled();
            self.writing[run.kind as usize] = None;
            self.runs.push(run);
            self.bound_filters();
        }
        if let Some(number) = self.swept.take() {
            self.runs.retain(|run| run.number != number);
            self.orphans.retain(|&run| run != number);
        }
    }

    /// The oldest runs lose their filters when all together take too much memory.
    fn bound_filters(&mut self) {
        let mut bytes: usize = self.runs.iter().map(|run| run.filter.as_bytes().len()).sum();
        for run in &mut self.runs {
            if bytes <= FILTER_BYTES_MAX {
                break;
            }
            bytes -= run.filter.as_bytes().len();
            run.filter = Filter::from_bytes(Vec::new());
        }
    }

    /// Records from where the messages must be read at start, for each kind: what is older is in runs.
    pub(super) fn keep_floor(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.since_floor == 0 {
            return Ok(());
        }
        self.since_floor = 0;
        for kind in Kind::ALL {
            let floor = self.memory[kind as usize].oldest().map_or(self.last_message, |oldest| oldest - 1);
            connection
                .prepare_cached(
                    "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                )?
                .execute(params![floor_name(kind), floor])?;
        }
        Ok(())
    }

    pub(super) fn has_work(&mut self) -> bool {
        self.memory.iter_mut().any(|generations| generations.spilling().is_some())
    }

    /// Writes up to `budget` entries of the generations that are full.
    pub(super) fn step(&mut self, connection: &Connection, budget: usize) -> rusqlite::Result<()> {
        if self.since_floor >= FLOOR_EVERY {
            self.keep_floor(connection)?;
        }
        for kind in Kind::ALL {
            let Some(spill) = self.memory[kind as usize].spilling() else { continue };
            let run = *self.writing[kind as usize].get_or_insert_with(|| {
                self.next_run += 1;
                self.next_run - 1
            });
            let end = spill.sorted.len().min(spill.done + budget);
            let mut insert = connection
                .prepare_cached("INSERT OR IGNORE INTO idempotency_entry (run, hash, message) VALUES (?, ?, ?)")?;
            for (hash, message) in &spill.sorted[spill.done..end] {
                insert.execute(params![run, hash, message])?;
            }
            spill.done = end;
            if end < spill.sorted.len() {
                continue;
            }
            let filter = Filter::over(&spill.sorted);
            let up_to = spill.sorted.iter().map(|entry| entry.1).max().unwrap_or(0);
            let expires_at = kind.lifetime_ms().map_or(i64::MAX, |lifetime| key_time(up_to) + lifetime);
            connection
                .prepare_cached(
                    "INSERT INTO idempotency_run (run, kind, up_to, expires_at, filter) VALUES (?, ?, ?, ?, ?)",
                )?
                .execute(params![run, kind as i64, up_to, expires_at, filter.as_bytes()])?;
            self.finished.push(Run { number: run, kind, up_to, filter, expires_at });
        }
        Ok(())
    }

    /// Deletes a slice of the oldest expired run; says whether it did anything. The last run of a
    /// kind stays registered: it says from where the messages are read at start.
    pub(super) fn sweep(&mut self, connection: &Connection, now: UnixMs, rows: usize) -> rusqlite::Result<bool> {
        let newest_of = |kind: Kind, runs: &[Run]| runs.iter().rev().find(|run| run.kind == kind).map(|run| run.number);
        let expired = self
            .runs
            .iter()
            .find(|run| run.expires_at < now && newest_of(run.kind, &self.runs) != Some(run.number))
            .map(|run| run.number);
        let Some(number) = self.orphans.first().copied().or(expired) else { return Ok(false) };
        let deleted = connection
            .prepare_cached(
                "DELETE FROM idempotency_entry WHERE run = ?1 AND (run, hash, message) IN
                   (SELECT run, hash, message FROM idempotency_entry WHERE run = ?1 LIMIT ?2)",
            )?
            .execute(params![number, rows as i64])?;
        if deleted < rows {
            connection.execute("DELETE FROM idempotency_run WHERE run = ?", [number])?;
            self.swept = Some(number);
        }
        Ok(true)
    }

    /// Messages before this one are gone: runs of event ids that name only such are swept.
    pub(super) fn expire_events(&mut self, oldest: i64) {
        for run in self.runs.iter_mut().filter(|run| run.kind == Kind::EventId && run.up_to < oldest) {
            run.expires_at = 0;
        }
    }
}

/// Where `meta` keeps the floor of a kind.
fn floor_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Chosen => "floor_chosen",
        Kind::Automatic => "floor_automatic",
        Kind::EventId => "floor_event_id",
    }
}

/// The 64 bits by which a stored key is found, and its kind. Stored: kind (1), hash (16), fingerprint (8).
pub(super) fn short_hash(stored: &[u8]) -> Option<(i64, Kind)> {
    let kind = *Kind::ALL.get(usize::from(*stored.first()?))?;
    let hash = i64::from_le_bytes(stored.get(1..9)?.try_into().ok()?);
    Some((hash, kind))
}

/// The 64 bits by which an event id is found. Collisions are told apart by the text itself.
pub(super) fn event_hash(app: i64, event_id: &str) -> i64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new().chain_update(app.to_le_bytes()).chain_update(event_id).finalize();
    i64::from_le_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
}

/// Behind which message event ids must be looked for in the messages themselves: those of all
/// others are in runs. It moves on with the messages, whether or not they have event ids.
pub(super) fn event_tail(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT max(coalesce((SELECT max(up_to) FROM idempotency_run WHERE kind = ?), 0),
                    coalesce((SELECT value FROM meta WHERE name = ?), 0))",
        )?
        .query_row(params![Kind::EventId as i64, floor_name(Kind::EventId)], |row| row.get(0))
}

/// The newest message of an application with this event id, for a reader: the messages behind the
/// runs first, then the runs.
pub(in crate::store) fn message_of_event(
    connection: &Connection,
    app: crate::model::AppKey,
    event_id: &str,
) -> rusqlite::Result<Option<i64>> {
    let kind = Kind::EventId as i64;
    let newest = connection
        .prepare_cached("SELECT key FROM message WHERE key > ? AND event_id = ? AND app = ? ORDER BY key DESC LIMIT 1")?
        .query_row(params![event_tail(connection)?, event_id, app.0], |row| row.get(0))
        .optional()?;
    if newest.is_some() {
        return Ok(newest);
    }
    connection
        .prepare_cached(
            "SELECT message.key FROM idempotency_run
               JOIN idempotency_entry ON idempotency_entry.run = idempotency_run.run AND idempotency_entry.hash = ?
               JOIN message ON message.key = idempotency_entry.message
             WHERE kind = ? AND message.event_id = ? AND message.app = ? ORDER BY message.key DESC LIMIT 1",
        )?
        .query_row(params![event_hash(app.0, event_id), kind, event_id, app.0], |row| row.get(0))
        .optional()
}
