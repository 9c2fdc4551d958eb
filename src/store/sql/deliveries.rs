//! Where deliveries stand. No index leads with both message and endpoint, so each is judged by
//! looking at what the store holds of it: `pending` and `parked` by key, its attempts by message,
//! and, where those leave it open, the endpoint's waiting deliveries.
//!
//! The waiting deliveries of an endpoint are in the order of their due times, and are read in one
//! pass for many messages. Pages are bounded in rows looked at and in time, and go on where they
//! stopped.

use std::time::Instant;

use super::db::{Db, Optional, Result};
use rustc_hash::FxHashMap;

use super::query::{message_of, read_content};
use super::scan::{MESSAGES_OF_APP, SCAN_TIME_MAX, interval, matches, scan, watermark};
use crate::model::{
    AppKey, DeliveryState, EndpointKey, Key, Message, MessageKey, OutcomeKind, Parked, Traces, Tried, UnixMs,
};
use crate::store::query::{DeliveryFilter, Order, Page, Rows};

/// Messages for which the waiting deliveries of an endpoint are read in one pass.
const WINDOW: usize = 4_096;
/// Waiting deliveries taken in one pass: a message has more than one only by resends.
const WINDOW_ROWS_MAX: usize = 4 * WINDOW;

/// The messages of an application that go, or went, to one endpoint.
pub(in crate::store) fn to_endpoint(
    db: Db<'_>,
    app: AppKey,
    endpoint: EndpointKey,
    page: &Page<Key>,
    filter: &DeliveryFilter,
) -> Result<Rows<(Message, DeliveryState)>> {
    let recent = Recent::to_endpoint(db, endpoint)?;
    let mut waiting = Window { app, endpoint, order: page.order, covered: None, rows: FxHashMap::default() };
    let bounds = interval(page, filter.message.before, filter.message.after);
    let find = |key| {
        let message = message_of(db, key, false)?.filter(|message| matches(&filter.message, message));
        let Some(message) = message else { return Ok(None) };
        let delivery = Delivery { db, message: MessageKey(key), endpoint };
        let tried = || Ok(recent.tried(key).max(delivery.tried()?));
        let state = delivery.state(tried, || waiting.of(db, key))?;
        let state = state.filter(|state| filter.status.is_none_or(|status| status == state.status()));
        Ok(state.map(|state| (message, state)))
    };
    scan(db, &MESSAGES_OF_APP, app.0, bounds, page, find, |(message, _)| {
        if !filter.message.with_content {
            return Ok(0);
        }
        read_content(db, message)?;
        Ok(message.payload.as_ref().map_or(0, bytes::Bytes::len))
    })
}

/// Those of `endpoints` that a message goes, or went, to.
pub(in crate::store) fn of_message(
    db: Db<'_>,
    message: MessageKey,
    endpoints: &[EndpointKey],
    page: &Page<Key>,
) -> Result<Rows<(EndpointKey, DeliveryState)>> {
    let attempts = attempts_of(db, message)?;
    let mut behind: Vec<EndpointKey> =
        endpoints.iter().copied().filter(|endpoint| is_behind(page, endpoint.0)).collect();
    behind.sort_unstable();
    if page.order == Order::Descending {
        behind.reverse();
    }
    let (mut found, began) = (Vec::new(), Instant::now());
    for (i, &endpoint) in behind.iter().enumerate() {
        let delivery = Delivery { db, message, endpoint };
        let tried = || Ok(attempts.tried(endpoint.0));
        if let Some(state) = delivery.state(tried, || delivery.dues())? {
            if found.len() == page.limit {
                return Ok(Rows { rows: found, done: false, resume: None });
            }
            found.push((endpoint, state));
        }
        if began.elapsed() >= SCAN_TIME_MAX && i + 1 < behind.len() {
            return Ok(Rows { rows: found, done: false, resume: Some(endpoint.0) });
        }
    }
    Ok(Rows { rows: found, done: true, resume: None })
}

fn is_behind(page: &Page<Key>, key: Key) -> bool {
    match (page.after, page.order) {
        (None, _) => true,
        (Some(after), Order::Ascending) => key > after,
        (Some(after), Order::Descending) => key < after,
    }
}

/// One delivery, and where to look.
struct Delivery<'c> {
    db: Db<'c>,
    message: MessageKey,
    endpoint: EndpointKey,
}

impl Delivery<'_> {
    /// Where it stands. Looks no further than needed: what is pending or parked waits for nothing,
    /// and neither does what was delivered.
    fn state(
        &self,
        tried: impl FnOnce() -> Result<Tried>,
        dues: impl FnOnce() -> Result<Dues>,
    ) -> Result<Option<DeliveryState>> {
        let mut traces = Traces { pending: self.is_pending()?, ..Traces::default() };
        if !traces.pending {
            traces.parked = self.parked()?;
        }
        if !traces.pending && traces.parked.is_none() {
            traces.tried = tried()?;
            if traces.tried != Tried::Succeeded {
                Dues { due: traces.due, resend_due: traces.resend_due } = dues()?;
            }
        }
        Ok(match DeliveryState::of(&traces) {
            Some(DeliveryState::Cancelled) if self.has_content()? => Some(DeliveryState::Withdrawn),
            state => state,
        })
    }

    fn has_content(&self) -> Result<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM message JOIN payload ON payload.id = message.payload WHERE key = ?")?
            .exists([self.message.0])
    }

    fn is_pending(&self) -> Result<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM pending WHERE message = ? AND endpoint = ?")?
            .exists([self.message.0, self.endpoint.0])
    }

    fn parked(&self) -> Result<Option<Parked>> {
        let code: Option<i64> = self
            .db
            .prepare_cached("SELECT state FROM parked WHERE endpoint = ? AND message = ?")?
            .query_row([self.endpoint.0, self.message.0], |row| row.get(0))
            .optional()?;
        Ok(code.and_then(Parked::from_code))
    }

    /// Its attempts, as far as they are indexed.
    fn tried(&self) -> Result<Tried> {
        let sql = match self.db {
            Db::Sqlite(_) => {
                "SELECT min(attempt.kind) FROM attempt_by_message CROSS JOIN attempt
                   ON attempt.key = attempt_by_message.attempt
                 WHERE attempt_by_message.message = ?1 AND attempt.endpoint = ?2"
            }
            // The endpoint's index would be read to its end: a message has few attempts, an endpoint many.
            Db::Postgres(_) => "SELECT min(kind) FROM attempt WHERE message = ?1 AND key > ?1 AND endpoint + 0 = ?2",
        };
        let best: Option<u8> =
            self.db.prepare_cached(sql)?.query_row([self.message.0, self.endpoint.0], |row| row.get(0))?;
        Ok(tried(best))
    }

    /// When it is due: a pass over what waits for the endpoint.
    fn dues(&self) -> Result<Dues> {
        let mut dues = Dues::default();
        self.db.prepare_cached("SELECT due, manual FROM waiting WHERE endpoint = ? AND message = ?")?.each(
            [self.endpoint.0, self.message.0],
            |row| {
                dues.add(row.get(0)?, row.get(1)?);
                Ok(true)
            },
        )?;
        Ok(dues)
    }
}

/// What the best of some attempts came to: success has the lowest code.
fn tried(best: Option<u8>) -> Tried {
    match best {
        None => Tried::Never,
        Some(code) if code == OutcomeKind::Success.code() => Tried::Succeeded,
        Some(_) => Tried::Failed,
    }
}

/// When a delivery is due, by its schedule and by hand.
#[derive(Debug, Clone, Copy, Default)]
struct Dues {
    due: Option<UnixMs>,
    resend_due: Option<UnixMs>,
}

impl Dues {
    fn add(&mut self, due: UnixMs, manual: bool) {
        let place = if manual { &mut self.resend_due } else { &mut self.due };
        *place = Some(place.map_or(due, |other| other.min(due)));
    }
}

/// The best attempt of each delivery, by message or by endpoint.
struct Recent(FxHashMap<Key, u8>);

impl Recent {
    /// Attempts at an endpoint that are not yet indexed, by message. As many as the tail of an
    /// index may be long.
    fn to_endpoint(db: Db<'_>, endpoint: EndpointKey) -> Result<Self> {
        let mut all = Self(FxHashMap::default());
        if let Db::Postgres(_) = db {
            return Ok(all);
        }
        let watermark = watermark(db, "attempt_by_message")?;
        all.read(
            db,
            "SELECT message, min(kind) FROM attempt NOT INDEXED WHERE key > ? AND endpoint = ? GROUP BY message",
            [watermark, endpoint.0],
        )?;
        Ok(all)
    }

    fn read(&mut self, db: Db<'_>, sql: &str, values: [i64; 2]) -> Result<()> {
        db.prepare_cached(sql)?.each(values, |row| {
            let (key, best): (Key, u8) = (row.get(0)?, row.get(1)?);
            self.0.entry(key).and_modify(|known| *known = best.min(*known)).or_insert(best);
            Ok(true)
        })
    }

    fn tried(&self, key: Key) -> Tried {
        tried(self.0.get(&key).copied())
    }
}

/// All attempts of a message, by endpoint.
fn attempts_of(db: Db<'_>, message: MessageKey) -> Result<Recent> {
    let mut all = Recent(FxHashMap::default());
    if let Db::Postgres(_) = db {
        let sql = "SELECT endpoint, min(kind) FROM attempt WHERE message = ? AND key > ? GROUP BY endpoint";
        all.read(db, sql, [message.0, message.0])?;
        return Ok(all);
    }
    let watermark = watermark(db, "attempt_by_message")?;
    all.read(
        db,
        "SELECT attempt.endpoint, min(attempt.kind) FROM attempt_by_message CROSS JOIN attempt
           ON attempt.key = attempt_by_message.attempt
         WHERE attempt_by_message.message = ? AND attempt_by_message.attempt <= ? GROUP BY attempt.endpoint",
        [message.0, watermark],
    )?;
    all.read(
        db,
        "SELECT endpoint, min(kind) FROM attempt NOT INDEXED WHERE key > ? AND message = ? GROUP BY endpoint",
        [watermark, message.0],
    )?;
    Ok(all)
}

/// What waits for an endpoint, of some messages that follow one another in its application's list.
struct Window {
    app: AppKey,
    endpoint: EndpointKey,
    order: Order,
    /// The first and the last message that it holds.
    covered: Option<(Key, Key)>,
    rows: FxHashMap<Key, Dues>,
}

impl Window {
    /// When a message is due. Reads on where it is asked for one beyond those that it holds.
    fn of(&mut self, db: Db<'_>, message: Key) -> Result<Dues> {
        if self.covered.is_none_or(|(first, last)| !(first..=last).contains(&message)) {
            self.read(db, message)?;
        }
        Ok(self.rows.get(&message).copied().unwrap_or_default())
    }

    fn read(&mut self, db: Db<'_>, from: Key) -> Result<()> {
        let ahead = match self.order {
            Order::Ascending => (from.saturating_sub(1), Key::MAX),
            Order::Descending => (0, from.saturating_add(1)),
        };
        let keys = MESSAGES_OF_APP.keys(db, self.app.0, ahead, self.order, WINDOW)?;
        let to = keys.last().copied().unwrap_or(from);
        let (first, last) = (from.min(to), from.max(to));
        self.rows.clear();
        let mut statement = db.prepare_cached(
            "SELECT message, due, manual FROM waiting WHERE endpoint = ? AND message >= ? AND message <= ? LIMIT ?",
        )?;
        statement.each([self.endpoint.0, first, last, WINDOW_ROWS_MAX as i64], |row| {
            self.rows.entry(row.get(0)?).or_default().add(row.get(1)?, row.get(2)?);
            Ok(true)
        })?;
        self.covered = Some((first, last));
        Ok(())
    }
}
