//! Messages and outcomes: a run of them in two round trips.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::inserts::Inserts;
use super::notice::Notice;
use super::partitions::{DAY_MS, PAYLOAD_SEQUENCE_BITS};
use super::session::{Call, PgRow, Session, SessionError};
use super::writer::{PgWriter, Stop, Transaction};
use crate::model::delivery::FAILING_AFTER;
use crate::model::id::{first_key_at, key_time};
use crate::model::operational::{LastAttempt, MessageHappening};
use crate::model::routing::Route;
use crate::model::{AppConfig, AppKey, AppKind, EnvKey, Id, Message, MessageKey, Next, Parked, Taken, Trigger, UnixMs};
use crate::store::command::{Command, Done, Publish, Published, Refusal, Reply, Settle, Settled};
use crate::store::sql::core::Owner;
use crate::store::sql::db::{Db, Optional, Result, params};
use crate::store::sql::{cron, raise, rows, source_log};

const HOUR_MS: i64 = 3_600_000;
/// The last day that fits into a payload's id, in the year 2149.
const EXPIRY_DAY_MAX: i64 = (1 << (63 - PAYLOAD_SEQUENCE_BITS)) - 1;
/// How long idempotency keys are kept: those that callers choose, and those that SDKs make for their retries.
const CHOSEN_KEPT_MS: i64 = 24 * HOUR_MS;
const AUTOMATIC_KEPT_MS: i64 = HOUR_MS;
/// How long an event id is looked for, at least; longer as long as its message is there.
pub(in crate::store) const EVENT_ID_KEPT_MS: i64 = 90 * DAY_MS;
/// How long what a source tells duplicates by is kept beyond its window: for what is verified late.
pub(in crate::store) const DEDUPE_KEPT_MS: i64 = 24 * HOUR_MS;
/// The first free place behind a taken one is looked for so often.
const PLACES_MAX: usize = 1_000;

const PENDING_DONE: &str = "DELETE FROM pending USING unnest($1::bigint[], $2::bigint[]) AS done (message, endpoint)
     WHERE pending.message = done.message AND pending.endpoint = done.endpoint
     RETURNING pending.message, pending.endpoint";
const WAITING_DONE: &str =
    "DELETE FROM waiting USING unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS done (endpoint, due, message)
     WHERE waiting.endpoint = done.endpoint AND waiting.due = done.due AND waiting.message = done.message
     RETURNING waiting.message, waiting.endpoint, waiting.due";
/// In order, so that two nodes that write the same keys wait for one another and do not lock each other up.
const UNIQUE: &str = "INSERT INTO unique_key (hash, message, fingerprint, expires_hour)
     SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::integer[]) AS new (hash) ORDER BY hash
     ON CONFLICT DO NOTHING RETURNING hash";
const TAKEN: &str = "SELECT hash, unique_key.message, fingerprint, message.nonce FROM unique_key
       LEFT JOIN message ON message.key = unique_key.message WHERE hash = ANY($1::bytea[])";
const OWNERS: &str = "SELECT key, version, env, kind FROM application WHERE key = ANY($1::bigint[])";
const SOURCES: &str = "SELECT key FROM source WHERE key = ANY($1::bigint[])";

/// What is unique about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// A caller's own idempotency key.
    Chosen,
    EventId,
    Dedupe,
    /// An SDK's, for its retries.
    Automatic,
}

impl Kind {
    /// How long an idempotency key is kept.
    pub(in crate::store) const fn kept_ms(self) -> i64 {
        match self {
            Self::Automatic => AUTOMATIC_KEPT_MS,
            _ => CHOSEN_KEPT_MS,
        }
    }
}

/// Something of a message that may be there only once.
#[derive(Debug, Clone)]
pub(super) struct UniqueKey {
    kind: Kind,
    /// Kind and keyed hash.
    pub(super) hash: [u8; 17],
    fingerprint: Option<[u8; 8]>,
    expires_hour: i32,
}

/// What of a message may be there only once.
pub(super) fn unique_keys(publish: &Publish) -> Vec<UniqueKey> {
    let hour = |kept_ms: i64| i32::try_from((publish.at + kept_ms) / HOUR_MS + 1).unwrap_or(i32::MAX);
    let named = |kind: Kind, hash: &[u8]| {
        let mut full = [kind as u8; 17];
        full[1..].copy_from_slice(&hash[..16]);
        full
    };
    let mut keys = Vec::new();
    if let Some(key) = &publish.idempotency {
        let kind = if key.auto { Kind::Automatic } else { Kind::Chosen };
        let (hash, fingerprint) = (named(kind, &key.hash), Some(key.fingerprint));
        keys.push(UniqueKey { kind, hash, fingerprint, expires_hour: hour(kind.kept_ms()) });
    }
    if let Some(event_id) = &publish.envelope.event_id {
        let hash = named(Kind::EventId, &event_hash(publish.config.app.key(), event_id));
        keys.push(UniqueKey { kind: Kind::EventId, hash, fingerprint: None, expires_hour: hour(EVENT_ID_KEPT_MS) });
    }
    if let Some(dedupe) = publish.inbound.as_ref().and_then(|inbound| inbound.dedupe) {
        let (hash, kept_ms) = (named(Kind::Dedupe, &dedupe.hash), dedupe.window_ms.saturating_add(DEDUPE_KEPT_MS));
        keys.push(UniqueKey { kind: Kind::Dedupe, hash, fingerprint: None, expires_hour: hour(kept_ms) });
    }
    keys
}

/// What an event id of an application is found by: no secret, so no keyed hash.
pub(in crate::store) fn event_hash(app: AppKey, event_id: &str) -> [u8; 16] {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new().chain_update(app.0.to_be_bytes()).chain_update(event_id).finalize();
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest[..16]);
    hash
}

/// The newest message of an application with this event id.
pub(in crate::store) fn message_of_event(db: Db<'_>, app: AppKey, event_id: &str) -> Result<Option<i64>> {
    let mut hash = vec![Kind::EventId as u8];
    hash.extend(event_hash(app, event_id));
    db.prepare_cached(
        "SELECT unique_key.message FROM unique_key JOIN message ON message.key = unique_key.message
         WHERE hash = ? AND app = ? AND event_id = ?",
    )?
    .query_row(params![hash, app.0, event_id], |row| row.get(0))
    .optional()
}

/// The day on which the bytes of a message expire.
pub(super) fn expiry_day(publish: &Publish) -> i64 {
    // Bytes that are sent later are kept from then on.
    let kept_from = publish.envelope.deliver_at.unwrap_or(0).max(publish.at).max(0);
    (kept_from / DAY_MS + i64::from(publish.payload_days) + 1).min(EXPIRY_DAY_MAX)
}

/// A message under way.
struct New<'b> {
    publish: &'b Publish,
    id: Id,
    keys: Vec<UniqueKey>,
}

/// Who has a unique key.
struct Holder {
    message: i64,
    fingerprint: Option<Vec<u8>>,
    /// Of the message, if it is still there.
    nonce: Option<Vec<u8>>,
}

/// What the first round trip says.
struct Known {
    /// Deliveries that were pending, or waiting at a time, and are no more.
    done: FxHashSet<(i64, i64, Option<UnixMs>)>,
    holders: FxHashMap<Vec<u8>, Holder>,
    owners: FxHashMap<AppKey, Owner>,
}

/// Applies a run of messages and outcomes. Ends the transaction where it may and nothing unusual is left to
/// be done.
pub(super) fn run(
    writer: &mut PgWriter,
    session: &Session,
    tx: &mut Transaction,
    commands: &[Command],
    may_commit: bool,
) -> Result<(), Stop> {
    let mut news: Vec<New<'_>> = Vec::new();
    for command in commands {
        if let Command::Publish(publish) = command {
            news.push(New { publish, id: writer.core.new_id(publish.at), keys: unique_keys(publish) });
        }
    }
    let mut known = ask(writer, session, tx, commands, &news)?;
    learn(writer, session, &news, &mut known)?;
    let mut inserts = Inserts::default();
    let mut routed = HashMap::new();
    let mut unusual: Vec<(usize, &Settle, Option<Told>)> = Vec::new();
    let mut news = news.iter();
    for command in commands {
        let reply = match command {
            Command::Publish(_) => {
                let Some(new) = news.next() else { continue };
                let reply = publish(writer, session, &known, new, &mut routed, &mut inserts)?;
                if reply.is_err() || !matches!(reply, Ok(Done::Published(_))) {
                    forget(new, &known, &mut inserts);
                }
                reply
            }
            Command::Settle(settle) if settle.tenure != tx.tenure.epoch => Err(Refusal::Fenced),
            Command::Settle(settle) => {
                let (settled, tell) = settle_one(writer, session, &mut known, settle, &mut inserts)?;
                if tell.is_some() || (settled.applied && settle.health.is_some()) {
                    unusual.push((tx.replies.len(), settle, tell));
                }
                Ok(Done::Settled(settled))
            }
            Command::Change(_) | Command::Maintain(_) => continue,
        };
        tx.replies.push(reply);
    }
    let ends = may_commit && unusual.is_empty() && !inserts.has_waiting();
    tx.is_decided = ends;
    for (endpoint, due, message) in inserts.write(session, ends)? {
        let found = wait_behind(session, (endpoint, due, message), commands)?;
        corrected(&mut tx.replies, commands, (endpoint, due, message), found);
    }
    for (place, settle, tell) in unusual {
        if let Some((what, last)) = tell {
            raise::message(Db::Postgres(session), &mut writer.core, what, settle, last)?;
        }
        if settle.health.is_some()
            && let Some(endpoint) = writer.health(session, settle)?
        {
            tx.notices.push(Notice::Application(endpoint.app));
            if let Ok(Done::Settled(settled)) = &mut tx.replies[place] {
                settled.endpoint = Some(endpoint);
            }
        }
    }
    write_raised(writer, session)?;
    Ok(())
}

/// Writes the messages that the writer made by itself.
pub(super) fn write_raised(writer: &mut PgWriter, session: &Session) -> Result<(), Stop> {
    if !writer.core.has_unwritten() {
        return Ok(());
    }
    let raised = writer.core.take_unwritten();
    let mut inserts = Inserts::default();
    for made in &raised {
        let number = writer.payload_number(session)?;
        inserts.message(made.published.id, &made.publish, expiry_day(&made.publish) << PAYLOAD_SEQUENCE_BITS | number);
        let version = made.publish.config.app.version;
        inserts.deliveries(made.published.id, &made.publish, &made.publish.routes, version);
    }
    inserts.write(session, false)?;
    Ok(())
}

/// The first round trip.
fn ask(
    writer: &mut PgWriter,
    session: &Session,
    tx: &mut Transaction,
    commands: &[Command],
    news: &[New<'_>],
) -> Result<Known, Stop> {
    let (mut pending, mut waiting) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new(), Vec::new()));
    for command in commands {
        let Command::Settle(settle) = command else { continue };
        if settle.tenure != tx.tenure.epoch {
            continue;
        }
        match settle.taken {
            Taken::Pending => {
                pending.0.push(settle.message.0);
                pending.1.push(settle.endpoint.0);
            }
            Taken::Waiting { due } => {
                waiting.0.push(settle.endpoint.0);
                waiting.1.push(due);
                waiting.2.push(settle.message.0);
            }
        }
    }
    let keys: Vec<(&UniqueKey, i64)> =
        news.iter().flat_map(|new| new.keys.iter().map(|key| (key, new.id.key))).collect();
    let hashes: Vec<&[u8]> = keys.iter().map(|(key, _)| &key.hash[..]).collect();
    let messages: Vec<i64> = keys.iter().map(|(_, message)| *message).collect();
    let fingerprints: Vec<Option<&[u8]>> =
        keys.iter().map(|(key, _)| key.fingerprint.as_ref().map(<[u8; 8]>::as_slice)).collect();
    let expiries: Vec<i32> = keys.iter().map(|(key, _)| key.expires_hour).collect();
    let statements = [session.prepare(PENDING_DONE)?, session.prepare(WAITING_DONE)?, session.prepare(UNIQUE)?];
    let mut calls: Vec<Call<'_>> = Vec::new();
    if !pending.0.is_empty() {
        calls.push((&statements[0], vec![&pending.0, &pending.1]));
    }
    if !waiting.0.is_empty() {
        calls.push((&statements[1], vec![&waiting.0, &waiting.1, &waiting.2]));
    }
    if !keys.is_empty() {
        calls.push((&statements[2], vec![&hashes, &messages, &fingerprints, &expiries]));
    }
    let mut answers = writer.begin(session, tx, calls)?.into_iter();
    let mut known = Known { done: FxHashSet::default(), holders: FxHashMap::default(), owners: FxHashMap::default() };
    if !pending.0.is_empty() {
        for row in answers.next().into_iter().flatten() {
            known.done.insert((row.integer(0)?, row.integer(1)?, None));
        }
    }
    if !waiting.0.is_empty() {
        for row in answers.next().into_iter().flatten() {
            known.done.insert((row.integer(0)?, row.integer(1)?, Some(row.integer(2)?)));
        }
    }
    if !keys.is_empty() {
        let new: FxHashSet<Vec<u8>> =
            answers.next().into_iter().flatten().map(|row| row.bytes(0)).collect::<Result<_, SessionError>>()?;
        let taken: Vec<&[u8]> = hashes.into_iter().filter(|hash| !new.contains(*hash)).collect();
        known.holders = holders(session, &taken)?;
    }
    Ok(known)
}

fn holders(session: &Session, taken: &[&[u8]]) -> Result<FxHashMap<Vec<u8>, Holder>, SessionError> {
    if taken.is_empty() {
        return Ok(FxHashMap::default());
    }
    let statement = session.prepare(TAKEN)?;
    let read = |row: PgRow| {
        let holder =
            Holder { message: row.integer(1)?, fingerprint: row.bytes_or_null(2)?, nonce: row.bytes_or_null(3)? };
        Ok((row.bytes(0)?, holder))
    };
    session.pipeline(&[(&statement, vec![&taken])])?.into_iter().flatten().map(read).collect()
}

/// Applications and sources that are not known yet.
fn learn(writer: &mut PgWriter, session: &Session, news: &[New<'_>], known: &mut Known) -> Result<(), Stop> {
    let mut apps: Vec<i64> = Vec::new();
    let mut sources: Vec<i64> = Vec::new();
    for New { publish, .. } in news {
        let app = publish.config.app.key();
        match writer.core.versions.get(&app) {
            Some(owner) => {
                known.owners.insert(app, *owner);
            }
            None if !apps.contains(&app.0) => apps.push(app.0),
            None => {}
        }
        if let Some(inbound) = &publish.inbound
            && !writer.sources.contains(&inbound.source)
        {
            sources.push(inbound.source.0);
        }
    }
    if !apps.is_empty() {
        let statement = session.prepare(OWNERS)?;
        for row in session.pipeline(&[(&statement, vec![&apps])])?.into_iter().flatten() {
            let kind = AppKind::from_code(row.integer(3)?);
            let owner = Owner { version: row.integer(1)?, env: EnvKey(row.integer(2)?), kind };
            writer.core.remember(AppKey(row.integer(0)?), owner);
            known.owners.insert(AppKey(row.integer(0)?), owner);
        }
    }
    if !sources.is_empty() {
        let statement = session.prepare(SOURCES)?;
        for row in session.pipeline(&[(&statement, vec![&sources])])?.into_iter().flatten() {
            writer.sources.insert(crate::model::SourceKey(row.integer(0)?));
        }
    }
    Ok(())
}

/// A configuration, and where a message goes by it.
type Rerouted = (Arc<AppConfig>, Vec<Route>);
/// What the operator is told of an outcome.
type Told = (MessageHappening, LastAttempt);
/// Applications that were routed again in this run.
type Routed = HashMap<AppKey, Option<Arc<AppConfig>>>;

/// Judges a message in the order of the embedded engine: application, idempotency key, event id, source,
/// duplicates, routing.
fn publish<'b>(
    writer: &mut PgWriter,
    session: &Session,
    known: &Known,
    new: &New<'b>,
    routed: &mut Routed,
    inserts: &mut Inserts<'b>,
) -> Result<Reply, Stop> {
    let (publish, db) = (new.publish, Db::Postgres(session));
    let app = publish.config.app.key();
    let Some(owner) = known.owners.get(&app).copied() else { return Ok(Err(Refusal::NotFound)) };
    for key in new.keys.iter().filter(|key| key.kind != Kind::Dedupe) {
        if let Some(reply) = judged(session, known, new, key)? {
            return Ok(reply);
        }
    }
    let inbound = publish.inbound.as_deref();
    if inbound.is_some_and(|inbound| !writer.sources.contains(&inbound.source)) {
        return Ok(Err(Refusal::NotFound));
    }
    for key in new.keys.iter().filter(|key| key.kind == Kind::Dedupe) {
        let first = match judged(session, known, new, key)? {
            None => continue,
            Some(Ok(Done::Duplicate(first))) => first,
            Some(reply) => return Ok(reply),
        };
        let Some(inbound) = inbound else { continue };
        if !source_log::take_place(db, inbound)? {
            return Ok(Err(Refusal::NotFound));
        }
        if inbound.is_logged {
            source_log::log(db, &mut writer.core, &inbound.as_duplicate(), Some(first), publish.at)?;
        }
        return Ok(Ok(Done::Duplicate(first)));
    }
    let rerouted = if owner.version == publish.config.app.version {
        None
    } else {
        match rerouted(writer, session, publish, routed)? {
            Ok(rerouted) => Some(rerouted),
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
    if let Some(inbound) = inbound {
        if !source_log::take_place(db, inbound)? {
            return Ok(Err(Refusal::NotFound));
        }
        if !cron::tick(db, inbound)? {
            return Ok(Err(Refusal::Ticked));
        }
    }
    let number = writer.payload_number(session)?;
    inserts.message(new.id, publish, expiry_day(publish) << PAYLOAD_SEQUENCE_BITS | number);
    let to = rerouted.as_ref().map_or(&publish.routes, |(_, routes)| routes);
    inserts.deliveries(new.id, publish, to, owner.version);
    Ok(Ok(Done::Published(Published { id: new.id, rerouted })))
}

fn rerouted(
    writer: &PgWriter,
    session: &Session,
    publish: &Publish,
    routed: &mut Routed,
) -> Result<Result<Rerouted, Refusal>, Stop> {
    let app = publish.config.app.key();
    if let std::collections::hash_map::Entry::Vacant(entry) = routed.entry(app) {
        entry.insert(rows::app_config(Db::Postgres(session), &writer.core.sealer, app)?.map(Arc::new));
    }
    let Some(Some(config)) = routed.get(&app) else { return Ok(Err(Refusal::NotFound)) };
    Ok(publish.routed_by(config).map(|routes| (Arc::clone(config), routes)))
}

/// What the holder of a unique key means; `None` where there is none that counts, and the key is this
/// message's.
fn judged(session: &Session, known: &Known, new: &New<'_>, key: &UniqueKey) -> Result<Option<Reply>, Stop> {
    let Some(holder) = known.holders.get(&key.hash[..]) else { return Ok(None) };
    let publish = new.publish;
    let nonce = holder.nonce.as_deref().and_then(|nonce| nonce.try_into().ok());
    let first = nonce.map(|nonce| Id { key: holder.message, nonce });
    match (key.kind, first) {
        (Kind::Chosen | Kind::Automatic, Some(first)) if publish.at - key_time(first.key) < key.kind.kept_ms() => {
            if holder.fingerprint.as_deref() != key.fingerprint.as_ref().map(<[u8; 8]>::as_slice) {
                return Ok(Some(Err(Refusal::IdempotencyMismatch)));
            }
            let stored = message(session, MessageKey(first.key))?;
            return Ok(Some(match stored.filter(|message| message.app == publish.config.app.key()) {
                Some(message) => Ok(Done::Repeated(Box::new(message))),
                None => Err(Refusal::IdempotencyMismatch),
            }));
        }
        (Kind::EventId, Some(_)) => return Ok(Some(Err(Refusal::EventIdExists))),
        (Kind::Dedupe, Some(first)) => {
            let inbound = publish.inbound.as_ref();
            if let Some((inbound, dedupe)) = inbound.and_then(|inbound| inbound.dedupe.map(|dedupe| (inbound, dedupe)))
            {
                let came_at = inbound.came_at(publish.at);
                let since = first_key_at(came_at - dedupe.window_ms + 1);
                let until = first_key_at(came_at + dedupe.window_ms);
                if (since..until).contains(&first.key) {
                    return Ok(Some(Ok(Done::Duplicate(first))));
                }
            }
        }
        (_, _) => {}
    }
    // Its time is over: it is this message's from now on. Nobody else can have taken it meanwhile: whoever
    // holds it was read after this transaction had begun, and is replaced only as long as it still is that one.
    let fingerprint = key.fingerprint.as_ref().map(<[u8; 8]>::as_slice);
    let changed = Db::Postgres(session)
        .prepare_cached(
            "UPDATE unique_key SET message = ?, fingerprint = ?, expires_hour = ? WHERE hash = ? AND message = ?",
        )?
        .execute(params![new.id.key, fingerprint, key.expires_hour, &key.hash[..], holder.message])?;
    if changed == 0 {
        // Another node was quicker. The caller tries again, and finds it.
        return Ok(Some(Err(Refusal::Failed)));
    }
    Ok(None)
}

fn message(session: &Session, key: MessageKey) -> Result<Option<Message>> {
    Db::Postgres(session)
        .prepare_cached(&rows::message_by_key())?
        .query_row([key.0], rows::message_with_payload)
        .optional()
}

/// The unique keys of a message that was refused are free again.
fn forget(new: &New<'_>, known: &Known, inserts: &mut Inserts<'_>) {
    for key in new.keys.iter().filter(|key| !known.holders.contains_key(&key.hash[..])) {
        inserts.forgotten.0.push(key.hash.to_vec());
        inserts.forgotten.1.push(new.id.key);
    }
}

/// Appends an attempt, and moves its delivery if that is still in the state it was taken in. Says what the
/// operator is to be told.
fn settle_one<'b>(
    writer: &mut PgWriter,
    session: &Session,
    known: &mut Known,
    settle: &'b Settle,
    inserts: &mut Inserts<'b>,
) -> Result<(Settled, Option<Told>), Stop> {
    let due = match settle.taken {
        Taken::Pending => None,
        Taken::Waiting { due } => Some(due),
    };
    let applied = known.done.remove(&(settle.message.0, settle.endpoint.0, due));
    let mut tell = settle.tell.filter(|_| applied);
    if applied {
        match settle.next {
            Next::Done if settle.trigger == Trigger::Manual => {
                tell = end_all(session, settle)?.then_some(MessageHappening::Recovered);
            }
            Next::Done | Next::Nothing => {}
            Next::Retry { due, attempts } => {
                inserts.wait((settle.endpoint.0, due, settle.message.0), attempts, settle.trigger.code());
            }
            Next::Park(parked) => inserts.park(settle.endpoint, settle.message.0, parked, settle.at),
        }
    } else if settle.next == Next::Done {
        // It was cancelled while this attempt was under way, and has arrived all the same.
        inserts.uncancel(settle);
    }
    let mut told = None;
    if let Some(record) = &settle.attempt {
        // By when it was recorded, so that what is counted up to a key is complete.
        let id = writer.core.new_id(record.outcome.started_at.max(settle.at));
        let next_due = match settle.next {
            Next::Retry { due, .. } if applied => Some(due),
            _ => None,
        };
        inserts.attempt(id, settle, record, next_due);
        let last = LastAttempt { id, status: record.outcome.status, at: record.outcome.started_at };
        told = tell.map(|what| (what, last));
    }
    Ok((Settled { applied, next: settle.next, endpoint: None }, told))
}

/// A resend succeeded: whatever else the delivery was, it is done. Says whether that was failing or had failed.
fn end_all(session: &Session, settle: &Settle) -> Result<bool> {
    let (db, place) = (Db::Postgres(session), [settle.endpoint.0, settle.message.0]);
    let mut had_failed = false;
    db.prepare_cached("DELETE FROM parked WHERE endpoint = ? AND message = ? RETURNING state")?.each(place, |row| {
        had_failed |= row.get::<i64>(0)? == Parked::Failed.code();
        Ok(true)
    })?;
    db.prepare_cached("DELETE FROM waiting WHERE endpoint = ? AND message = ? RETURNING attempts")?.each(
        place,
        |row| {
            had_failed |= row.get::<u16>(0)? >= FAILING_AFTER;
            Ok(true)
        },
    )?;
    db.prepare_cached("DELETE FROM pending WHERE endpoint = ? AND message = ?")?.execute(place)?;
    Ok(had_failed)
}

/// Gives a delivery the first free place behind one that was taken; says when it is due.
fn wait_behind(
    session: &Session,
    (endpoint, mut due, message): super::inserts::Place,
    commands: &[Command],
) -> Result<UnixMs, Stop> {
    let of_place = commands.iter().find_map(|command| match command {
        Command::Settle(settle) if (settle.endpoint.0, settle.message.0) == (endpoint, message) => match settle.next {
            Next::Retry { attempts, .. } => Some((attempts, settle.trigger.code())),
            _ => None,
        },
        _ => None,
    });
    let (attempts, manual) = of_place.unwrap_or((0, Trigger::Scheduled.code()));
    let mut insert = Db::Postgres(session).prepare_cached(
        "INSERT INTO waiting (endpoint, due, message, attempts, manual) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )?;
    for _ in 0..PLACES_MAX {
        due += 1;
        if insert.execute(params![endpoint, due, message, attempts, manual])? == 1 {
            break;
        }
    }
    Ok(due)
}

/// The reply to the outcome says when the delivery is due after all.
fn corrected(replies: &mut [Reply], commands: &[Command], place: super::inserts::Place, found: UnixMs) {
    let start = replies.len() - commands.len();
    for (command, reply) in commands.iter().zip(&mut replies[start..]) {
        if let (Command::Settle(settle), Ok(Done::Settled(settled))) = (command, reply)
            && (settle.endpoint.0, settle.message.0) == (place.0, place.2)
            && let Next::Retry { due, .. } = &mut settled.next
            && *due == place.1
        {
            *due = found;
        }
    }
}
