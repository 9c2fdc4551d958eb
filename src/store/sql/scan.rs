//! Lists that are read by what they lead with: in steps, bounded in rows, time and bytes.

use std::time::{Duration, Instant};

use super::db::{Db, Optional, Result, params};
use crate::model::id::first_key_at;
use crate::model::{Key, Message, UnixMs};
use crate::store::query::{MessageFilter, Order, Page, Rows};

/// Rows that one page of a filtered list may look at.
const SCAN_MAX: usize = 20_000;
/// Rows looked at in one step of a scan.
const SCAN_STEP: usize = 256;
/// Rows that it looks at however long they take.
const SCAN_MIN: usize = 64;
/// How long one page goes on looking.
pub(in crate::store) const SCAN_TIME_MAX: Duration = Duration::from_millis(150);
/// Bytes of payloads and answers at which a page ends. One row more may go beyond it.
pub(in crate::store) const CONTENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A list that is kept as an index up to a watermark and a tail behind it.
pub(in crate::store) struct TwoPart {
    index: &'static str,
    leading: &'static str,
    key: &'static str,
    table: &'static str,
    table_leading: &'static str,
}

pub(in crate::store) const MESSAGES_OF_APP: TwoPart =
    TwoPart { index: "message_by_app", leading: "app", key: "message", table: "message", table_leading: "app" };
pub(in crate::store) const ATTEMPTS_OF_MESSAGE: TwoPart = TwoPart {
    index: "attempt_by_message",
    leading: "message",
    key: "attempt",
    table: "attempt",
    table_leading: "message",
};
pub(in crate::store) const ATTEMPTS_OF_ENDPOINT: TwoPart = TwoPart {
    index: "attempt_by_endpoint",
    leading: "endpoint",
    key: "attempt",
    table: "attempt",
    table_leading: "endpoint",
};

impl TwoPart {
    /// Keys strictly between `low` and `high`, at most `limit`, in order.
    pub(in crate::store) fn keys(
        &self,
        db: Db<'_>,
        leading: i64,
        (low, high): (Key, Key),
        order: Order,
        limit: usize,
    ) -> Result<Vec<Key>> {
        let direction = match order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        let Self { index, leading: column, key, table, table_leading } = self;
        if let Db::Postgres(_) = db {
            // It is indexed in the transaction of the row itself. What a message has is little, and read whole: to
            // a planner without statistics it looks cheaper to walk all keys until as many were found.
            let from = if *table_leading == "message" {
                format!("(SELECT key FROM {table} WHERE {table_leading} = ? AND key > ? AND key < ? OFFSET 0) AS found")
            } else {
                format!("{table} WHERE {table_leading} = ? AND key > ? AND key < ?")
            };
            let sql = format!("SELECT key FROM {from} ORDER BY key {direction} LIMIT ?");
            let keys = db.prepare_cached(&sql)?.query_map([leading, low, high, limit as i64], |row| row.get(0))?;
            return keys.collect();
        }
        let watermark = watermark(db, self.index)?;
        let indexed = format!(
            "SELECT {key} FROM {index} WHERE {column} = ? AND {key} > ? AND {key} < ? ORDER BY {key} {direction} LIMIT ?"
        );
        let tail = format!(
            "SELECT key FROM {table} NOT INDEXED WHERE {table_leading} = ? AND key > ? AND key < ?
             ORDER BY key {direction} LIMIT ?"
        );
        let parts = [(indexed, low, high.min(watermark.saturating_add(1))), (tail, low.max(watermark), high)];
        let mut found: Vec<Key> = Vec::new();
        let in_order: [usize; 2] = if order == Order::Ascending { [0, 1] } else { [1, 0] };
        for part in in_order {
            let (sql, from, to) = &parts[part];
            let room = limit - found.len();
            if from >= to || room == 0 {
                continue;
            }
            let mut statement = db.prepare_cached(sql)?;
            for key in statement.query_map(params![leading, from, to, room as i64], |row| row.get(0))? {
                found.push(key?);
            }
        }
        Ok(found)
    }
}

/// The last key up to which an index is filled. For the embedded engine.
pub(in crate::store) fn watermark(db: Db<'_>, index: &str) -> Result<Key> {
    let mut statement = db.prepare_cached("SELECT value FROM meta WHERE name = ?")?;
    Ok(statement.query_row([index], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The open interval of keys that a page with these bounds in time looks at.
pub(in crate::store) fn interval(page: &Page<Key>, before: Option<UnixMs>, after: Option<UnixMs>) -> (Key, Key) {
    let (mut low, mut high) = (0, Key::MAX);
    if let Some(after) = after {
        low = first_key_at(after.saturating_add(1)).saturating_sub(1);
    }
    if let Some(before) = before {
        high = first_key_at(before);
    }
    match (page.after, page.order) {
        (Some(key), Order::Ascending) => low = low.max(key),
        (Some(key), Order::Descending) => high = high.min(key),
        (None, _) => {}
    }
    (low, high)
}

/// Walks a list in steps until a page is full, the list ends, or it takes too much: rows looked at,
/// time, or bytes of content. `find` reads a row that matches, without its content; `fill` adds the
/// content and says how much it is.
pub(in crate::store) fn scan<T>(
    db: Db<'_>,
    list: &TwoPart,
    leading: i64,
    (mut low, mut high): (Key, Key),
    page: &Page<Key>,
    mut find: impl FnMut(Key) -> Result<Option<T>>,
    mut fill: impl FnMut(&mut T) -> Result<usize>,
) -> Result<Rows<T>> {
    let mut found = Vec::new();
    let (mut looked_at, mut bytes, began) = (0, 0, Instant::now());
    let at_once = SCAN_STEP.max(page.limit + 1);
    loop {
        let keys = list.keys(db, leading, (low, high), page.order, at_once)?;
        let ends = keys.len() < at_once;
        for (i, &key) in keys.iter().enumerate() {
            if let Some(mut row) = find(key)? {
                // The last row is where the next page begins.
                if found.len() == page.limit || bytes >= CONTENT_BYTES_MAX {
                    return Ok(Rows { rows: found, done: false, resume: None });
                }
                bytes += fill(&mut row)?;
                found.push(row);
            }
            // A single row may be costly to judge. The last of all is left to what follows.
            let is_late = looked_at + i >= SCAN_MIN && began.elapsed() >= SCAN_TIME_MAX;
            if is_late && !(ends && i + 1 == keys.len()) {
                return Ok(Rows { rows: found, done: false, resume: Some(key) });
            }
        }
        looked_at += keys.len();
        let Some(&reached) = keys.last() else { return Ok(Rows { rows: found, done: true, resume: None }) };
        if ends {
            return Ok(Rows { rows: found, done: true, resume: None });
        }
        if looked_at >= SCAN_MAX {
            return Ok(Rows { rows: found, done: false, resume: Some(reached) });
        }
        match page.order {
            Order::Ascending => low = reached,
            Order::Descending => high = reached,
        }
    }
}

pub(in crate::store) fn matches(filter: &MessageFilter, message: &Message) -> bool {
    let envelope = &message.envelope;
    filter.channel.as_ref().is_none_or(|channel| envelope.channels.contains(channel))
        && (filter.channels.is_empty() || filter.channels.iter().any(|one| envelope.channels.contains(one)))
        && filter.tag.as_ref().is_none_or(|tag| envelope.tags.contains(tag))
        && (filter.event_types.is_empty() || filter.event_types.contains(&envelope.event_type))
        && filter.source.is_none_or(|source| message.source == Some(source))
}
