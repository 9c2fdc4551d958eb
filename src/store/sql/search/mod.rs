//! The search for messages: newest first as a rule, in slices, bounded in time. A search that looks at
//! much and finds little goes on in the next page.

mod keys;
mod tally;
mod text;

use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use self::keys::Keys;
use self::tally::Tallier;
pub(in crate::store) use self::tally::of_keys;
use self::text::Text;
use super::db::{Db, NONE, Optional, Result, Row};
use super::query::read_content;
use super::scan::{CONTENT_BYTES_MAX, interval, matches};
use super::{rows, source_log};
use crate::model::id::first_key_at;
use crate::model::{AppKind, ApplicationSpec, EnvKey, Id, Key, Message};
use crate::store::query::{Order, Page, Rows};
use crate::store::search::{Named, Search, SearchIn, SearchRow, Tally};

/// How long one page goes on looking.
const TIME_MAX: Duration = Duration::from_millis(130);
/// Messages that are judged together, at first and later; the number on PostgreSQL, where each step is a
/// round trip.
const STEP: usize = 64;
const STEP_POSTGRES: usize = 256;
/// Bytes of payloads that are fetched together to be looked through.
const TEXT_BYTES_MAX: i64 = 4 * 1024 * 1024;
/// How much later than its key a message may be committed where there are several writers: keys are given
/// when a batch is formed, by the clock of each node.
const LATE_KEYS: Key = 1_000 << 21;
/// The same for who must miss none.
const UNSETTLED_KEYS: Key = 3_000 << 21;

/// One page of what is searched for.
pub(in crate::store) fn search(db: Db<'_>, page: &Page<Key>, search: &Search) -> Result<Rows<SearchRow>> {
    let mut judge = Judge::new(db, search);
    let found = scan(&mut judge, page)?;
    judge.page(found)
}

/// The same, the messages alone.
pub(in crate::store) fn list(db: Db<'_>, page: &Page<Key>, search: &Search) -> Result<Rows<Message>> {
    let Rows { rows, done, resume } = scan(&mut Judge::new(db, search), page)?;
    Ok(Rows { rows: rows.into_iter().map(|(message, _)| message).collect(), done, resume })
}

/// Walks the messages until a page is full, they end, or it takes too much: time, or bytes of content.
fn scan(judge: &mut Judge<'_>, page: &Page<Key>) -> Result<Rows<Found>> {
    let (db, search) = (judge.db, judge.search);
    let began = Instant::now();
    let (mut low, mut high) = interval(page, search.filter.before, search.filter.after);
    if let Some(newer_than) = search.newer_than {
        let late = if matches!(db, Db::Postgres(_)) { LATE_KEYS } else { 0 };
        low = low.max(newer_than.saturating_sub(late));
    }
    if search.settled && matches!(db, Db::Postgres(_)) {
        let now = db
            .prepare_cached("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")?
            .query_row(NONE, |row| row.get(0))?;
        high = high.min(first_key_at(now) - UNSETTLED_KEYS);
    }
    let mut keys = Keys::of(db, search)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    let step_len = if matches!(db, Db::Postgres(_)) { STEP_POSTGRES } else { STEP };
    loop {
        let step = keys.step(db, (low, high), page.order, step_len.max(page.limit + 1))?;
        let mut chunks = step.keys.chunks(step_len).peekable();
        while let Some(chunk) = chunks.next() {
            for mut row in judge.found(chunk)? {
                // The last row is where the next page begins.
                if found.len() == page.limit || bytes >= CONTENT_BYTES_MAX {
                    return Ok(Rows { rows: found, done: false, resume: None });
                }
                if search.filter.with_content {
                    read_content(db, &mut row.0)?;
                    bytes += row.0.payload.as_ref().map_or(0, Bytes::len);
                }
                found.push(row);
            }
            // The last chunk of all is the end, and not a place to go on from.
            let ends = chunks.peek().is_none() && step.reached.is_none();
            if began.elapsed() >= TIME_MAX && !ends {
                return Ok(Rows { rows: found, done: false, resume: chunk.last().copied() });
            }
        }
        let Some(reached) = step.reached else {
            return Ok(Rows { rows: found, done: true, resume: None });
        };
        if began.elapsed() >= TIME_MAX {
            return Ok(Rows { rows: found, done: false, resume: Some(reached) });
        }
        match page.order {
            Order::Ascending => low = reached,
            Order::Descending => high = reached,
        }
    }
}

/// A message that is wanted, with its deliveries where they were looked at to know.
type Found = (Message, Option<Tally>);

/// Tells which messages are wanted.
struct Judge<'c> {
    db: Db<'c>,
    search: &'c Search,
    text: Option<Text>,
    tallier: Tallier<'c>,
    apps: FxHashMap<Key, Option<App>>,
}

/// What is known of an application.
#[derive(Clone)]
struct App {
    env: EnvKey,
    is_customers: bool,
    named: Named,
}

impl<'c> Judge<'c> {
    fn new(db: Db<'c>, search: &'c Search) -> Self {
        Self {
            db,
            search,
            text: search
                .text
                .as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| Text::new(text, search.in_requests)),
            tallier: Tallier::new(db, search.status.is_some()),
            apps: FxHashMap::default(),
        }
    }

    /// Those of some messages that are wanted, in the same order.
    fn found(&mut self, keys: &[Key]) -> Result<Vec<Found>> {
        let mut found = messages(self.db, keys)?;
        found.retain(|message| matches(&self.search.filter, message));
        self.read_apps(&found)?;
        found.retain(|message| self.is_within(message));
        if let Some(text) = &self.text {
            found = having(self.db, text, found)?;
        }
        let Some(status) = self.search.status else {
            return Ok(found.into_iter().map(|message| (message, None)).collect());
        };
        let tallies = self.tallier.tally(&found.iter().collect::<Vec<_>>())?;
        let judged = found.into_iter().zip(tallies);
        Ok(judged.filter(|(_, tally)| tally.is_some_and(|tally| tally.has(status))).collect())
    }

    fn is_within(&self, message: &Message) -> bool {
        match self.search.within {
            SearchIn::Application(app) => message.app == app,
            SearchIn::Environment(env) => {
                let app = self.apps.get(&message.app.0).and_then(Option::as_ref);
                app.is_some_and(|app| app.env == env && app.is_customers)
            }
        }
    }

    /// The applications of messages, as far as they are not known.
    fn read_apps(&mut self, messages: &[Message]) -> Result<()> {
        let mut wanted: Vec<Key> = messages.iter().map(|message| message.app.0).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|app| !self.apps.contains_key(app));
        if wanted.is_empty() {
            return Ok(());
        }
        let read = |row: &Row<'_>| {
            let spec: ApplicationSpec = rows::json(row, 4)?;
            let named = Named { id: rows::id(row, 0)?, name: spec.name };
            Ok(App {
                env: EnvKey(row.get(2)?),
                is_customers: AppKind::from_code(row.get(3)?) == AppKind::Customer,
                named,
            })
        };
        let found = by_keys(self.db, "key, nonce, env, kind, spec", "application", &wanted, read)?;
        self.apps.extend(wanted.into_iter().map(|app| (app, None)));
        self.apps.extend(found.into_iter().map(|app| (app.named.id.key, Some(app))));
        Ok(())
    }

    /// The page with all that is shown of its rows.
    fn page(&mut self, found: Rows<Found>) -> Result<Rows<SearchRow>> {
        let Rows { rows: mut found, done, resume } = found;
        if self.search.with_deliveries && self.search.status.is_none() {
            let tallies = self.tallier.tally(&found.iter().map(|(message, _)| message).collect::<Vec<_>>())?;
            found.iter_mut().zip(tallies).for_each(|(row, tally)| row.1 = tally);
        }
        let sources = sources(self.db, found.iter().filter_map(|(message, _)| message.source.map(|source| source.0)))?;
        let nameless = |message: &Message| Named { id: Id::first_of(message.app.0), name: String::new() };
        let rows = found.into_iter().map(|(message, tally)| SearchRow {
            app: match self.apps.get(&message.app.0) {
                Some(Some(app)) => app.named.clone(),
                _ => nameless(&message),
            },
            source: message.source.and_then(|source| sources.get(&source.0).cloned()),
            message,
            tally,
        });
        Ok(Rows { rows: rows.collect(), done, resume })
    }
}

/// Rows of a table by their keys: in one statement on PostgreSQL, a seek each in the embedded engine.
fn by_keys<T>(
    db: Db<'_>,
    columns: &str,
    table: &str,
    keys: &[Key],
    mut read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    if let Db::Postgres(_) = db {
        return db.with_numbers(&format!("SELECT {columns} FROM {table} WHERE key = ANY($1::bigint[])"), keys, read);
    }
    let mut one = db.prepare_cached(&format!("SELECT {columns} FROM {table} WHERE key = ?"))?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        one.each([*key], |row| {
            found.push(read(row)?);
            Ok(false)
        })?;
    }
    Ok(found)
}

/// Messages without their bytes, in the order of the keys; those that are gone are left out.
fn messages(db: Db<'_>, keys: &[Key]) -> Result<Vec<Message>> {
    if let Db::Sqlite(_) = db {
        return by_keys(db, rows::MESSAGE, "message", keys, rows::message);
    }
    // Each from its own partition: a list would be looked for in all of them.
    let sql = format!(
        "SELECT {} FROM unnest($1::bigint[]) AS wanted
           CROSS JOIN LATERAL (SELECT * FROM message WHERE message.key = wanted OFFSET 0) AS message",
        rows::MESSAGE
    );
    let found = db.with_numbers(&sql, keys, rows::message)?;
    let mut by_key: FxHashMap<Key, Message> = found.into_iter().map(|message| (message.id.key, message)).collect();
    Ok(keys.iter().filter_map(|key| by_key.remove(key)).collect())
}

/// The sources of these keys.
fn sources(db: Db<'_>, keys: impl Iterator<Item = Key>) -> Result<FxHashMap<Key, Named>> {
    let mut wanted: Vec<Key> = keys.collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(FxHashMap::default());
    }
    let name = db.json_field("spec", "name");
    let found = by_keys(db, &format!("key, nonce, {name}"), "source", &wanted, |row| {
        Ok(Named { id: rows::id(row, 0)?, name: row.get::<Option<String>>(2)?.unwrap_or_default() })
    })?;
    Ok(found.into_iter().map(|source| (source.id.key, source)).collect())
}

/// Those of some messages that have a text.
fn having(db: Db<'_>, text: &Text, messages: Vec<Message>) -> Result<Vec<Message>> {
    let is_in = |row: &Row<'_>, column: usize| {
        if text.is_in(row.blob(column)?) {
            return Ok(true);
        }
        if !text.is_of_requests() {
            return Ok(false);
        }
        // Most messages came in by no source, and have no such request.
        let request = source_log::received(row, column + 1)?;
        Ok(request.is_some_and(|request| text.is_in_request(&request)))
    };
    let mut found = Vec::new();
    if let Db::Postgres(_) = db {
        let wanted: Vec<Key> = messages.iter().filter(|m| !text.is_in_ids(m)).map(|m| m.id.key).collect();
        let mut having = having_bytes(db, &wanted, |row| is_in(row, 1))?;
        found.extend(messages.into_iter().filter(|m| having.remove(&m.id.key) || text.is_in_ids(m)));
        return Ok(found);
    }
    let mut content = db.prepare_cached(
        "SELECT body, head FROM message JOIN payload ON payload.id = message.payload WHERE message.key = ?",
    )?;
    for message in messages {
        let has = text.is_in_ids(&message)
            || content.query_row([message.id.key], |row| is_in(row, 0)).optional()?.unwrap_or(false);
        if has {
            found.push(message);
        }
    }
    Ok(found)
}

/// The messages whose bytes are so, on PostgreSQL: fetched together as far as they are not long.
fn having_bytes(
    db: Db<'_>,
    wanted: &[Key],
    mut is_so: impl FnMut(&Row<'_>) -> Result<bool>,
) -> Result<rustc_hash::FxHashSet<Key>> {
    const FROM: &str = "FROM unnest($1::bigint[]) AS wanted
           CROSS JOIN LATERAL (SELECT payload FROM message WHERE message.key = wanted OFFSET 0) AS message
           CROSS JOIN LATERAL (SELECT body, head FROM payload WHERE payload.id = message.payload OFFSET 0) AS payload";
    // Known without reading the bytes.
    let lengths =
        db.with_numbers(&format!("SELECT wanted, octet_length(payload.body)::bigint {FROM}"), wanted, |row| {
            Ok((row.get::<Key>(0)?, row.get::<i64>(1)?))
        })?;
    let content = format!("SELECT wanted, payload.body, payload.head {FROM}");
    let (mut found, mut together, mut bytes) = (rustc_hash::FxHashSet::default(), Vec::new(), 0);
    for (i, &(key, length)) in lengths.iter().enumerate() {
        together.push(key);
        bytes += length;
        if bytes >= TEXT_BYTES_MAX || i + 1 == lengths.len() {
            let judged = db.with_numbers(&content, &together, |row| Ok((row.get::<Key>(0)?, is_so(row)?)))?;
            found.extend(judged.into_iter().filter(|(_, is_so)| *is_so).map(|(key, _)| key));
            together.clear();
            bytes = 0;
        }
    }
    Ok(found)
}
