//! Messages and outcomes: the hot path of a commit. Appends only.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::counters::TrafficCounter;
use super::index::{DeferredIndex, Definition};
use super::keys::{KeyIndex, dedupe_hash, event_hash};
use super::purge::Purge;
use super::retention::Retention;
use crate::model::id::{first_key_at, key_time};
use crate::model::operational::{LastAttempt, MessageHappening};
use crate::model::routing::Route;
use crate::model::trace;
use crate::model::{AppKey, AppKind, Id, KeyMaker, Message, Next, Parked, SourceKey, Taken, Trigger, UnixMs};
use crate::store::command::{
    DedupeKey, Done, Idempotency, Publish, Published, Raised, Refusal, Reply, Settle, Settled,
};
use crate::store::idempotency::Kind;
use crate::store::seal::Sealer;
use crate::store::sql::core::{Core, Owner};
use crate::store::sql::db::{Db, Optional, Result};
use crate::store::sql::{cron, raise, rows, source_log};

pub(super) const DAY_MS: i64 = 86_400_000;
/// Bits of a payload's id behind the day of its expiry.
pub(super) const PAYLOAD_SEQUENCE_BITS: u32 = 47;
/// The last day that fits in front of them, in the year 2149.
const EXPIRY_DAY_MAX: i64 = (1 << (63 - PAYLOAD_SEQUENCE_BITS)) - 1;
const MESSAGE_BY_APP: Definition = Definition {
    name: "message_by_app",
    select_tail: "SELECT app, key, 0 FROM message WHERE key > ? ORDER BY key",
    insert: "INSERT OR IGNORE INTO message_by_app (app, message) VALUES (?, ?)",
    is_counted: false,
};
const ATTEMPT_BY_MESSAGE: Definition = Definition {
    name: "attempt_by_message",
    select_tail: "SELECT message, key, kind = 0 FROM attempt WHERE key > ? ORDER BY key",
    insert: "INSERT OR IGNORE INTO attempt_by_message (message, attempt) VALUES (?, ?)",
    is_counted: false,
};
const ATTEMPT_BY_ENDPOINT: Definition = Definition {
    name: "attempt_by_endpoint",
    select_tail: "SELECT endpoint, key, kind = 0 FROM attempt WHERE key > ? ORDER BY key",
    insert: "INSERT OR IGNORE INTO attempt_by_endpoint (endpoint, attempt) VALUES (?, ?)",
    is_counted: true,
};

/// What the writer knows beside the file; all of it can be read from the file again.
pub(super) struct WriterState {
    pub(super) core: Core,
    pub(super) seen: KeyIndex,
    pub(super) messages_by_app: DeferredIndex,
    pub(super) attempts_by_message: DeferredIndex,
    pub(super) attempts_by_endpoint: DeferredIndex,
    pub(super) payload_sequence: i64,
    pub(super) traffic: TrafficCounter,
    pub(super) retention: Retention,
    pub(super) purge: Purge,
}

impl WriterState {
    pub(super) fn open(
        connection: &Connection,
        sealer: Arc<Sealer>,
        endpoints_max: usize,
        now: UnixMs,
    ) -> Result<Self> {
        let highest = [
            "SELECT max(key) FROM environment",
            "SELECT max(key) FROM api_key",
            "SELECT max(key) FROM application",
            "SELECT max(key) FROM endpoint",
            "SELECT max(key) FROM message",
            "SELECT max(key) FROM attempt",
            "SELECT max(key) FROM portal_token",
            "SELECT max(key) FROM session",
            "SELECT max(key) FROM background_task",
            "SELECT max(key) FROM source",
            "SELECT max(key) FROM source_log",
        ];
        // What was deleted counts too: a key is never given twice, whatever the clock does.
        let mut last: i64 = connection.query_row(
            "SELECT max(coalesce((SELECT max(value) FROM meta WHERE name IN ('highest_deleted_key', 'message_by_app',
                      'attempt_by_message', 'attempt_by_endpoint', 'floor_chosen', 'floor_automatic',
                      'floor_event_id', 'traffic')), 0),
                    coalesce((SELECT max(up_to) FROM idempotency_run), 0))",
            [],
            |row| row.get(0),
        )?;
        for sql in highest {
            last = last.max(connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0));
        }
        Ok(Self {
            core: Core::new(sealer, KeyMaker::new(0, last), endpoints_max),
            seen: KeyIndex::open(connection, now)?,
            messages_by_app: DeferredIndex::open(connection, MESSAGE_BY_APP)?,
            attempts_by_message: DeferredIndex::open(connection, ATTEMPT_BY_MESSAGE)?,
            attempts_by_endpoint: DeferredIndex::open(connection, ATTEMPT_BY_ENDPOINT)?,
            payload_sequence: last_payload_sequence(connection)?,
            traffic: TrafficCounter::open(connection)?,
            retention: Retention::default(),
            purge: Purge::default(),
        })
    }

    pub(super) fn indexes(&mut self) -> [&mut DeferredIndex; 3] {
        [&mut self.messages_by_app, &mut self.attempts_by_message, &mut self.attempts_by_endpoint]
    }

    pub(super) fn begin(&mut self) {
        self.core.begin();
        self.seen.begin();
        self.traffic.begin();
        for index in self.indexes() {
            index.begin();
        }
    }

    pub(super) fn rollback(&mut self) {
        self.core.rollback();
        // What they had removed is there again: they begin anew.
        self.retention = Retention::default();
        self.purge = Purge::default();
        self.seen.rollback();
        self.traffic.begin();
        for index in self.indexes() {
            index.rollback();
        }
    }

    pub(super) fn committed(&mut self) {
        self.seen.committed();
        self.traffic.committed();
        for index in self.indexes() {
            index.committed();
        }
    }
}

/// The highest sequence number in any payload's id: one seek for each day that has payloads, and
/// the newest message, whose payload may have expired before it.
fn last_payload_sequence(connection: &Connection) -> Result<i64> {
    const SEQUENCE: i64 = (1 << PAYLOAD_SEQUENCE_BITS) - 1;
    let newest: Option<i64> = connection
        .query_row("SELECT payload FROM message ORDER BY key DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    let mut statement = connection.prepare("SELECT max(id) FROM payload WHERE id < ?")?;
    let (mut below, mut highest) = (i64::MAX, newest.unwrap_or(0) & SEQUENCE);
    while let Some(id) = statement.query_row([below], |row| row.get::<_, Option<i64>>(0))? {
        highest = highest.max(id & SEQUENCE);
        below = id >> PAYLOAD_SEQUENCE_BITS << PAYLOAD_SEQUENCE_BITS;
    }
    Ok(highest)
}

/// The statements of the hot path, looked up once a batch.
pub(super) struct HotStatements<'c> {
    pub(super) connection: &'c Connection,
    message: CachedStatement<'c>,
    payload: CachedStatement<'c>,
    pending: CachedStatement<'c>,
    waiting: CachedStatement<'c>,
    parked: CachedStatement<'c>,
    attempt: CachedStatement<'c>,
    pending_done: CachedStatement<'c>,
    waiting_done: CachedStatement<'c>,
}

impl<'c> HotStatements<'c> {
    pub(super) fn new(connection: &'c Connection) -> Result<Self> {
        let prepare = |sql| connection.prepare_cached(sql);
        Ok(Self {
            connection,
            message: prepare(
                "INSERT INTO message (key, nonce, app, event_type, payload, content_type, channels, tags, event_id,
                   deliver_at, idempotency, source, dedupe) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            payload: prepare("INSERT INTO payload (id, body, head) VALUES (?, ?, ?)")?,
            pending: prepare("INSERT INTO pending (message, endpoint) VALUES (?, ?)")?,
            waiting: prepare(
                "INSERT OR IGNORE INTO waiting (endpoint, due, message, attempts, manual) VALUES (?, ?, ?, ?, ?)",
            )?,
            parked: prepare("INSERT OR REPLACE INTO parked (endpoint, message, state, at) VALUES (?, ?, ?, ?)")?,
            attempt: prepare(
                "INSERT INTO attempt (key, nonce, message, endpoint, url, kind, status, manual, started_at,
                   duration_ms, next_due, response, trace) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            pending_done: prepare("DELETE FROM pending WHERE message = ? AND endpoint = ?")?,
            waiting_done: prepare("DELETE FROM waiting WHERE endpoint = ? AND due = ? AND message = ?")?,
        })
    }

    /// Stores a message with its deliveries, unless it was stored before.
    pub(super) fn publish(&mut self, state: &mut WriterState, publish: &Publish) -> Result<Reply> {
        let app = publish.config.app.key();
        let Some(Owner { version, .. }) = state.core.owner(self.connection.into(), app)? else {
            return Ok(Err(Refusal::NotFound));
        };
        if let Some(key) = &publish.idempotency
            && let Some(reply) = self.published_before(state, app, key, publish.at)?
        {
            return Ok(reply);
        }
        if let Some(event_id) = &publish.envelope.event_id
            && self.event_exists(state, app, event_id, publish.at)?
        {
            return Ok(Err(Refusal::EventIdExists));
        }
        if let Some(inbound) = &publish.inbound
            && !self.source_exists(inbound.source)?
        {
            return Ok(Err(Refusal::NotFound));
        }
        if let Some(inbound) = &publish.inbound
            && let Some(dedupe) = &inbound.dedupe
            && let Some(first) = self.first_of(state, dedupe, publish.at, inbound.came_at(publish.at))?
        {
            if !source_log::take_place(self.connection.into(), inbound)? {
                return Ok(Err(Refusal::NotFound));
            }
            if inbound.is_logged {
                let request = inbound.as_duplicate();
                source_log::log(self.connection.into(), &mut state.core, &request, Some(first), publish.at)?;
            }
            return Ok(Ok(Done::Duplicate(first)));
        }
        let rerouted = if version == publish.config.app.version {
            None
        } else {
            let Some(config) = rows::app_config(self.connection.into(), &state.core.sealer, app)? else {
                return Ok(Err(Refusal::NotFound));
            };
            match publish.routed_by(&config) {
                Ok(routes) => Some((Arc::new(config), routes)),
                Err(refusal) => return Ok(Err(refusal)),
            }
        };
        if let Some(inbound) = &publish.inbound {
            if !source_log::take_place(self.connection.into(), inbound)? {
                return Ok(Err(Refusal::NotFound));
            }
            if !cron::tick(self.connection.into(), inbound)? {
                return Ok(Err(Refusal::Ticked));
            }
        }
        let id = state.core.new_id(publish.at);
        self.insert_message(state, id, publish)?;
        let routes = rerouted.as_ref().map_or(&publish.routes, |(_, routes)| routes);
        self.insert_deliveries(id, publish, routes)?;
        Ok(Ok(Done::Published(Published { id, rerouted })))
    }

    pub(super) fn insert_message(&mut self, state: &mut WriterState, id: Id, publish: &Publish) -> Result<()> {
        let app = publish.config.app.key();
        let envelope = &publish.envelope;
        state.payload_sequence += 1;
        // Bytes that are sent later are kept from then on.
        let kept_from = envelope.deliver_at.unwrap_or(0).max(publish.at).max(0);
        let expiry_day = (kept_from / DAY_MS + i64::from(publish.payload_days) + 1).min(EXPIRY_DAY_MAX);
        let payload = expiry_day << PAYLOAD_SEQUENCE_BITS | state.payload_sequence;
        let stored_key = publish.idempotency.as_ref().map(stored_key);
        let inbound = publish.inbound.as_deref();
        let dedupe = inbound.and_then(|inbound| inbound.dedupe);
        self.message.execute(params![
            id.key,
            id.nonce.as_slice(),
            app.0,
            envelope.event_type,
            payload,
            envelope.content_type,
            json_list(&envelope.channels),
            json_list(&envelope.tags),
            envelope.event_id,
            envelope.deliver_at,
            stored_key.as_ref().map(<[u8; 25]>::as_slice),
            publish.origin(),
            dedupe.as_ref().map(|dedupe| dedupe.hash.as_slice()),
        ])?;
        let head = inbound.map(|inbound| source_log::head(&inbound.received));
        self.payload.execute(params![payload, &publish.payload[..], head])?;
        state.messages_by_app.push(app.0, id.key, false);
        if publish.config.app.kind == AppKind::Customer {
            state.traffic.accepted(publish.config.app.env, id.key);
        }
        state.seen.published(id.key);
        if let Some(key) = &publish.idempotency {
            state.seen.insert(kind_of(key), short(key), id.key);
        }
        if let Some(event_id) = &envelope.event_id {
            state.seen.insert(Kind::EventId, event_hash(app.0, event_id), id.key);
        }
        if let Some(dedupe) = &dedupe {
            state.seen.insert(Kind::EventId, dedupe_hash(&dedupe.hash), id.key);
        }
        Ok(())
    }

    /// Writes what was raised by what was just done.
    pub(super) fn insert_raised(&mut self, state: &mut WriterState) -> Result<()> {
        for Raised { publish, published } in state.core.take_unwritten() {
            self.insert_message(state, published.id, &publish)?;
            self.insert_deliveries(published.id, &publish, &publish.routes)?;
        }
        Ok(())
    }

    pub(super) fn insert_deliveries(&mut self, id: Id, publish: &Publish, routes: &[Route]) -> Result<()> {
        let delayed = publish.envelope.deliver_at.filter(|&at| at > publish.at);
        for route in routes {
            if route.held {
                self.parked.execute(params![route.endpoint.0, id.key, Parked::Held.code(), publish.at])?;
            } else if let Some(due) = delayed.or(route.spilled.then_some(key_time(id.key))) {
                self.waiting.execute(params![route.endpoint.0, due, id.key, 0, 0])?;
            } else {
                self.pending.execute([id.key, route.endpoint.0])?;
            }
        }
        Ok(())
    }

    /// The answer to a call whose idempotency key is known.
    fn published_before(
        &mut self,
        state: &WriterState,
        app: AppKey,
        key: &Idempotency,
        now: UnixMs,
    ) -> Result<Option<Reply>> {
        for candidate in state.seen.find(self.connection, kind_of(key), short(key), now)? {
            let Some((stored, message)) = self.stored_with_key(candidate)? else { continue };
            let expected = stored_key(key);
            if stored[..17] != expected[..17] {
                continue;
            }
            if stored != expected || message.app != app {
                return Ok(Some(Err(Refusal::IdempotencyMismatch)));
            }
            return Ok(Some(Ok(Done::Repeated(Box::new(message)))));
        }
        Ok(None)
    }

    fn stored_with_key(&self, message: i64) -> Result<Option<(Vec<u8>, Message)>> {
        let sql = format!(
            "SELECT {}, payload.body, payload.head, message.idempotency FROM message LEFT JOIN payload ON payload.id = message.payload
             WHERE message.key = ? AND message.idempotency IS NOT NULL",
            rows::MESSAGE
        );
        Db::from(self.connection)
            .prepare_cached(&sql)?
            .query_row([message], |row| Ok((row.get(12)?, rows::message_with_payload(row)?)))
            .optional()
    }

    fn source_exists(&self, source: SourceKey) -> Result<bool> {
        Ok(self.connection.prepare_cached("SELECT 1 FROM source WHERE key = ?")?.exists([source.0])?)
    }

    /// The newest message with the same dedupe key that came within the window: before this, or behind it where
    /// this was refused first.
    fn first_of(
        &mut self,
        state: &WriterState,
        dedupe: &DedupeKey,
        now: UnixMs,
        came_at: UnixMs,
    ) -> Result<Option<Id>> {
        let since = first_key_at(came_at - dedupe.window_ms + 1);
        let until = first_key_at(came_at + dedupe.window_ms);
        for candidate in state.seen.find_since(self.connection, Kind::EventId, dedupe_hash(&dedupe.hash), now, since)? {
            if !(since..until).contains(&candidate) {
                continue;
            }
            let same = self
                .connection
                .prepare_cached("SELECT nonce FROM message WHERE key = ? AND dedupe = ?")?
                .query_row(params![candidate, dedupe.hash.as_slice()], |row| row.get(0))
                .optional()?;
            if let Some(nonce) = same {
                return Ok(Some(Id { key: candidate, nonce }));
            }
        }
        Ok(None)
    }

    fn event_exists(&mut self, state: &WriterState, app: AppKey, event_id: &str, now: UnixMs) -> Result<bool> {
        for candidate in state.seen.find(self.connection, Kind::EventId, event_hash(app.0, event_id), now)? {
            let same = self
                .connection
                .prepare_cached("SELECT app = ? AND event_id = ? FROM message WHERE key = ?")?
                .query_row(params![app.0, event_id, candidate], |row| row.get::<_, Option<bool>>(0))
                .optional()?;
            if same.flatten() == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Appends an attempt, and moves its delivery if that is still in the state it was taken in.
    pub(super) fn settle(&mut self, state: &mut WriterState, settle: &Settle) -> Result<Settled> {
        let (endpoint, message) = (settle.endpoint.0, settle.message.0);
        let removed = match settle.taken {
            Taken::Pending => self.pending_done.execute([message, endpoint])?,
            Taken::Waiting { due } => self.waiting_done.execute([endpoint, due, message])?,
        };
        let applied = removed == 1;
        let mut tell = settle.tell.filter(|_| applied);
        let mut next = settle.next;
        if applied {
            match &mut next {
                Next::Done if settle.trigger == Trigger::Manual => {
                    let had_failed = self.end_all(state, settle.endpoint, message)?;
                    tell = had_failed.then_some(MessageHappening::Recovered);
                }
                Next::Done | Next::Nothing => {}
                Next::Retry { due, attempts } => *due = self.wait(settle, *due, *attempts)?,
                Next::Park(parked) => {
                    self.parked.execute(params![endpoint, message, parked.code(), settle.at])?;
                }
            }
        } else if settle.next == Next::Done {
            // It was cancelled while this attempt was under way, and has arrived all the same.
            self.connection
                .prepare_cached("DELETE FROM parked WHERE endpoint = ? AND message = ? AND state = ?")?
                .execute([endpoint, message, Parked::Cancelled.code()])?;
        }
        if let Some(record) = &settle.attempt {
            let id = state.core.new_id(record.outcome.started_at);
            let next_due = match next {
                Next::Retry { due, .. } if applied => Some(due),
                _ => None,
            };
            let outcome = &record.outcome;
            self.attempt.execute(params![
                id.key,
                id.nonce.as_slice(),
                message,
                endpoint,
                record.url_id,
                outcome.kind.code(),
                outcome.status,
                settle.trigger.code(),
                outcome.started_at,
                outcome.duration_ms,
                next_due,
                (!outcome.body.is_empty()).then_some(&outcome.body[..]),
                trace::encode(&outcome.timings, &outcome.headers),
            ])?;
            let success = outcome.is_success();
            state.attempts_by_message.push(message, id.key, success);
            state.attempts_by_endpoint.push(endpoint, id.key, success);
            let owner = state.core.owner(self.connection.into(), settle.app)?;
            if let Some(owner) = owner.filter(|owner| owner.kind == AppKind::Customer) {
                state.traffic.attempted(owner.env, id.key, success, outcome.duration_ms);
            }
            if let Some(what) = tell {
                let last = LastAttempt { id, status: outcome.status, at: outcome.started_at };
                raise::message(self.connection.into(), &mut state.core, what, settle, last)?;
            }
        }
        Ok(Settled { applied, next, endpoint: None })
    }

    /// Gives a delivery its place in the order of due times, or the first free one behind it: the
    /// resend that may be there is known to its lane by its place. Says when it is due.
    fn wait(&mut self, settle: &Settle, mut due: UnixMs, attempts: u16) -> Result<UnixMs> {
        let (endpoint, message) = (settle.endpoint.0, settle.message.0);
        let manual = settle.trigger.code();
        while self.waiting.execute(params![endpoint, due, message, attempts, manual])? == 0 {
            due += 1;
        }
        Ok(due)
    }
}

fn kind_of(key: &Idempotency) -> Kind {
    if key.auto { Kind::Automatic } else { Kind::Chosen }
}

fn short(key: &Idempotency) -> i64 {
    let hash = &key.hash;
    i64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

/// As kept with the message: kind, hash, fingerprint of the body.
fn stored_key(key: &Idempotency) -> [u8; 25] {
    let mut stored = [0; 25];
    stored[0] = kind_of(key) as u8;
    stored[1..17].copy_from_slice(&key.hash);
    stored[17..].copy_from_slice(&key.fingerprint);
    stored
}

fn json_list(list: &[String]) -> Option<String> {
    if list.is_empty() { None } else { serde_json::to_string(list).ok() }
}
