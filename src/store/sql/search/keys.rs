//! Which messages a search looks at, and in which order: always by key, so that a search can stop
//! anywhere and go on from there.
//!
//! Mostly that is the list of messages, or of those of one application. Deliveries that stand in some
//! ways are few, and have tables of their own: what is looked for there is found without passing all
//! that was delivered. Where other environments share the store, the lists of an environment's
//! applications are merged, so that the busy traffic of one environment does not stand between another
//! and its few messages.

use std::collections::{BinaryHeap, VecDeque};

use crate::model::{EnvKey, Key, Parked};
use crate::store::query::Order;
use crate::store::search::{Search, SearchIn, Standing};
use crate::store::sql::db::{Db, Result, params};
use crate::store::sql::scan::{MESSAGES_OF_APP, watermark};

/// Lists that are merged: on the embedded engine one costs some microseconds a page, on PostgreSQL a
/// seek in each partition.
const MERGED_MAX: usize = 1_000;
const MERGED_MAX_POSTGRES: usize = 100;
/// Endpoints whose parked deliveries are merged.
const PARKED_MAX: usize = 5_000;
/// Keys read of a merged list at first, and later.
const MERGE_FIRST: usize = 4;
const MERGE_STEP: usize = 128;
/// Waiting deliveries that are read to know their messages, in the engine that has them by due time only.
const WAITING_MAX: usize = 100_000;
/// Deliveries that are set aside, looked at in one step.
const LOOKS_MAX: usize = 4_096;
/// Rows of the tail looked at in one step.
const TAIL_STEP: usize = 2_048;

/// Some keys, in order, and how far they reach: nothing is left out before that.
pub(super) struct Step {
    pub(super) keys: Vec<Key>,
    /// What follows stands behind this; `None` where nothing does.
    pub(super) reached: Option<Key>,
}

impl Step {
    /// Keys of which as many were read as were asked for, or all.
    fn of(keys: Vec<Key>, limit: usize) -> Self {
        let reached = keys.last().copied().filter(|_| keys.len() >= limit);
        Self { keys, reached }
    }
}

/// Where the keys come from.
pub(super) enum Keys {
    /// All messages.
    All,
    /// Messages of one application.
    App(Key),
    /// Messages of these applications.
    Apps(Vec<Key>, Option<Merge>),
    /// What is set aside at these endpoints, in these states.
    Parked(Vec<Key>, Option<Merge>, &'static [Parked]),
    /// The same, indexed by message.
    ParkedByMessage(&'static [Parked]),
    /// The messages of a table of deliveries that is ordered, or indexed, by them.
    Table(&'static str),
    /// These, rising.
    Known(Vec<Key>),
}

impl Keys {
    /// What a search has to look at.
    pub(super) fn of(db: Db<'_>, search: &Search) -> Result<Self> {
        let by_status = match (search.status.and_then(parked_as), search.status, db) {
            (Some(states), _, Db::Postgres(_)) => Some(Self::ParkedByMessage(states)),
            (Some(states), _, Db::Sqlite(_)) => {
                parked_at(db, search.within)?.map(|endpoints| Self::Parked(endpoints, None, states))
            }
            (None, Some(Standing::Pending), _) => Some(Self::Table("pending")),
            (None, Some(Standing::Sending), Db::Postgres(_)) => Some(Self::Table("waiting")),
            (None, Some(Standing::Sending), Db::Sqlite(_)) => waiting(db)?.map(Self::Known),
            (None, ..) => None,
        };
        if let Some(keys) = by_status {
            return Ok(keys);
        }
        match search.within {
            SearchIn::Application(app) => Ok(Self::App(app.0)),
            SearchIn::Environment(env) => {
                Ok(apps_beside_others(db, env)?.map_or(Self::All, |apps| Self::Apps(apps, None)))
            }
        }
    }

    /// The next keys strictly between `low` and `high`. To be asked with the bounds moved to what the step
    /// before has reached.
    pub(super) fn step(&mut self, db: Db<'_>, bounds: (Key, Key), order: Order, limit: usize) -> Result<Step> {
        match self {
            Self::All => {
                let sql = format!(
                    "SELECT key FROM message WHERE key > ? AND key < ? ORDER BY key {} LIMIT ?",
                    direction(order)
                );
                read(db, &sql, bounds, limit)
            }
            Self::Table(table) => {
                let sql = format!(
                    "SELECT DISTINCT message FROM {table} WHERE message > ? AND message < ? ORDER BY message {} LIMIT ?",
                    direction(order)
                );
                read(db, &sql, bounds, limit)
            }
            Self::App(app) => Ok(Step::of(MESSAGES_OF_APP.keys(db, *app, bounds, order, limit)?, limit)),
            Self::Known(known) => Ok(among(known, bounds, order, limit)),
            Self::Parked(endpoints, merge, states) => {
                let is_wanted = |state| Parked::from_code(state).is_some_and(|state| states.contains(&state));
                merged(merge, &OF_PARKED, endpoints, (db, bounds, order), (limit, is_wanted))
            }
            Self::ParkedByMessage(states) => parked_by_message(db, states, bounds, order),
            Self::Apps(apps, merge) => match db {
                Db::Postgres(_) => merged(merge, &OF_APPS_POSTGRES, apps, (db, bounds, order), (limit, all)),
                Db::Sqlite(_) => of_apps(merge, apps, (db, bounds, order), limit),
            },
        }
    }
}

/// In which states what stands so is set aside; `None` where it is not.
const fn parked_as(standing: Standing) -> Option<&'static [Parked]> {
    match standing {
        Standing::Fail => Some(&[Parked::Failed, Parked::Quarantined]),
        Standing::Held => Some(&[Parked::Held]),
        Standing::Cancelled => Some(&[Parked::Cancelled]),
        Standing::Success | Standing::Pending | Standing::Sending | Standing::None => None,
    }
}

/// What is set aside in these states, of the next deliveries that are set aside at all.
fn parked_by_message(db: Db<'_>, states: &[Parked], (low, high): (Key, Key), order: Order) -> Result<Step> {
    let sql = format!(
        "SELECT message, state FROM parked WHERE message > ? AND message < ? ORDER BY message {} LIMIT ?",
        direction(order)
    );
    let (mut keys, mut looked_at, mut last) = (Vec::new(), 0, None);
    db.prepare_cached(&sql)?.each([low, high, LOOKS_MAX as i64], |row| {
        let (key, state): (Key, i64) = (row.get(0)?, row.get(1)?);
        looked_at += 1;
        let is_wanted = Parked::from_code(state).is_some_and(|state| states.contains(&state));
        if is_wanted && keys.last() != Some(&key) {
            keys.push(key);
        }
        last = Some(key);
        Ok(true)
    })?;
    if looked_at < LOOKS_MAX {
        return Ok(Step { keys, reached: None });
    }
    // The last message may have more than was read: it is looked at again, unless it is the only one.
    let before = last.map(|last| if order == Order::Ascending { last - 1 } else { last + 1 });
    let reached = before.filter(|before| low < *before && *before < high).or(last);
    keys.retain(|key| reached == last || Some(*key) != last);
    Ok(Step { keys, reached })
}

const fn direction(order: Order) -> &'static str {
    match order {
        Order::Ascending => "ASC",
        Order::Descending => "DESC",
    }
}

fn read(db: Db<'_>, sql: &str, (low, high): (Key, Key), limit: usize) -> Result<Step> {
    let keys = db.prepare_cached(sql)?.query_map([low, high, limit as i64], |row| row.get(0))?;
    Ok(Step::of(keys.collect::<Result<_>>()?, limit))
}

/// Of known keys those that come next.
fn among(known: &[Key], (low, high): (Key, Key), order: Order, limit: usize) -> Step {
    let from = known.partition_point(|&key| key <= low);
    let to = known.partition_point(|&key| key < high).max(from);
    let inside = &known[from..to];
    let keys: Vec<Key> = match order {
        Order::Ascending => inside.iter().copied().take(limit).collect(),
        Order::Descending => inside.iter().rev().copied().take(limit).collect(),
    };
    Step::of(keys, limit)
}

/// The messages of all waiting deliveries, rising; `None` where there are too many.
fn waiting(db: Db<'_>) -> Result<Option<Vec<Key>>> {
    let mut statement = db.prepare_cached("SELECT message FROM waiting LIMIT ?")?;
    let mut keys: Vec<Key> = statement.query_map([WAITING_MAX as i64 + 1], |row| row.get(0))?.collect::<Result<_>>()?;
    if keys.len() > WAITING_MAX {
        return Ok(None);
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(Some(keys))
}

/// Endpoints with something that is set aside: one seek each. `None` where there are too many.
fn parked_at(db: Db<'_>, within: SearchIn) -> Result<Option<Vec<Key>>> {
    if let SearchIn::Application(app) = within {
        let mut statement = db.prepare_cached("SELECT key FROM endpoint WHERE app = ? LIMIT ?")?;
        let keys: Vec<Key> =
            statement.query_map([app.0, PARKED_MAX as i64 + 1], |row| row.get(0))?.collect::<Result<_>>()?;
        return Ok(Some(keys).filter(|keys| keys.len() <= PARKED_MAX));
    }
    let mut next = db.prepare_cached("SELECT endpoint FROM parked WHERE endpoint > ? ORDER BY endpoint LIMIT 1")?;
    let (mut found, mut after) = (Vec::new(), i64::MIN);
    loop {
        let mut seen = None;
        next.each([after], |row| {
            seen = Some(row.get::<Key>(0)?);
            Ok(false)
        })?;
        let Some(endpoint) = seen else { return Ok(Some(found)) };
        if found.len() == PARKED_MAX {
            return Ok(None);
        }
        found.push(endpoint);
        after = endpoint;
    }
}

/// The applications of an environment, where others share the store and these are not too many.
fn apps_beside_others(db: Db<'_>, env: EnvKey) -> Result<Option<Vec<Key>>> {
    let is_shared = db
        .prepare_cached(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM application WHERE env < ?1)
                OR EXISTS (SELECT 1 FROM application WHERE env > ?1)",
        )?
        .exists([env.0])?;
    if !is_shared {
        return Ok(None);
    }
    let most = if matches!(db, Db::Sqlite(_)) { MERGED_MAX } else { MERGED_MAX_POSTGRES };
    let mut statement = db.prepare_cached("SELECT key FROM application WHERE env = ? AND kind = 0 LIMIT ?")?;
    let mut apps: Vec<Key> =
        statement.query_map(params![env.0, most as i64 + 1], |row| row.get(0))?.collect::<Result<_>>()?;
    apps.sort_unstable();
    Ok(Some(apps).filter(|apps| apps.len() <= most))
}

/// Messages of applications in the embedded engine: the merged lists up to the watermark of their index,
/// and the tail behind it, once for all of them.
fn of_apps(
    merge: &mut Option<Merge>,
    apps: &[Key],
    (db, (low, high), order): (Db<'_>, (Key, Key), Order),
    limit: usize,
) -> Result<Step> {
    let watermark = watermark(db, "message_by_app")?;
    let indexed = (low, high.min(watermark.saturating_add(1)));
    let tail = (low.max(watermark), high);
    let parts = match order {
        Order::Ascending => [(indexed, false), (tail, true)],
        Order::Descending => [(tail, true), (indexed, false)],
    };
    for (i, (bounds, is_tail)) in parts.into_iter().enumerate() {
        if bounds.0.saturating_add(1) >= bounds.1 {
            continue;
        }
        let step = if is_tail {
            tail_of(db, apps, bounds, order)?
        } else {
            merged(merge, &OF_APPS, apps, (db, bounds, order), (limit, all))?
        };
        // The other part begins at the watermark.
        let border = if order == Order::Ascending { watermark } else { watermark.saturating_add(1) };
        let reached = step.reached.or((i == 0).then_some(border));
        if !step.keys.is_empty() || step.reached.is_some() || i == 1 {
            return Ok(Step { reached, ..step });
        }
    }
    Ok(Step { keys: Vec::new(), reached: None })
}

/// A piece of the tail, of these applications (sorted).
fn tail_of(db: Db<'_>, apps: &[Key], (low, high): (Key, Key), order: Order) -> Result<Step> {
    let sql = format!(
        "SELECT key, app FROM message NOT INDEXED WHERE key > ? AND key < ? ORDER BY key {} LIMIT ?",
        direction(order)
    );
    let (mut keys, mut looked_at, mut last) = (Vec::new(), 0, None);
    db.prepare_cached(&sql)?.each([low, high, TAIL_STEP as i64], |row| {
        let (key, app): (Key, Key) = (row.get(0)?, row.get(1)?);
        looked_at += 1;
        last = Some(key);
        if apps.binary_search(&app).is_ok() {
            keys.push(key);
        }
        Ok(true)
    })?;
    Ok(Step { keys, reached: last.filter(|_| looked_at == TAIL_STEP) })
}

/// How a merged list is read.
struct Merged {
    table: &'static str,
    leading: &'static str,
    key: &'static str,
    /// What a row is judged by, if that is to be.
    state: &'static str,
}

const OF_APPS: Merged = Merged { table: "message_by_app", leading: "app", key: "message", state: "0" };
const OF_APPS_POSTGRES: Merged = Merged { table: "message", leading: "app", key: "key", state: "0" };
const OF_PARKED: Merged = Merged { table: "parked", leading: "endpoint", key: "message", state: "state" };

/// Lists that are read side by side.
pub(super) struct Merge {
    lists: Vec<List>,
    /// The first key of each list that has one: its rank, and which list.
    heads: BinaryHeap<(i64, usize)>,
}

struct List {
    leading: Key,
    /// Keys, and in which state they stand there.
    read: VecDeque<(Key, i64)>,
    /// Nothing follows what was read.
    ended: bool,
}

type Reading<'c> = (Db<'c>, (Key, Key), Order);

/// Every row.
const fn all(_: i64) -> bool {
    true
}

/// The next keys of lists that are merged, without those that stand in several of them twice; `is_wanted`
/// judges rows by their state.
fn merged(
    merge: &mut Option<Merge>,
    of: &Merged,
    leading: &[Key],
    reading: Reading<'_>,
    (limit, is_wanted): (usize, impl Fn(i64) -> bool),
) -> Result<Step> {
    if merge.is_none() {
        *merge = Some(Merge::begin(of, leading, reading)?);
    }
    let (mut keys, mut looked_at, mut last) = (Vec::new(), 0, None);
    if let Some(merge) = merge {
        // All rows of a message stand in one step.
        while (keys.len() < limit && looked_at < LOOKS_MAX) || merge.head(reading.2) == last {
            let Some((key, state)) = merge.next(of, reading)? else { return Ok(Step { keys, reached: None }) };
            looked_at += 1;
            last = Some(key);
            if is_wanted(state) && keys.last() != Some(&key) {
                keys.push(key);
            }
        }
    }
    Ok(Step { keys, reached: last })
}

/// What comes first is greatest.
const fn rank(key: Key, order: Order) -> i64 {
    match order {
        Order::Ascending => -key,
        Order::Descending => key,
    }
}

impl Merge {
    fn begin(of: &Merged, leading: &[Key], reading: Reading<'_>) -> Result<Self> {
        let mut lists: Vec<List> =
            leading.iter().map(|&leading| List { leading, read: VecDeque::new(), ended: false }).collect();
        match reading.0 {
            Db::Sqlite(_) => {
                for list in &mut lists {
                    list.fill(of, reading, MERGE_FIRST)?;
                }
            }
            Db::Postgres(_) => begin_at_once(of, &mut lists, reading)?,
        }
        let first = |(i, list): (usize, &List)| list.read.front().map(|&(key, _)| (rank(key, reading.2), i));
        let heads = lists.iter().enumerate().filter_map(first).collect();
        Ok(Self { lists, heads })
    }

    /// The key that comes next.
    fn head(&self, order: Order) -> Option<Key> {
        // A key's rank is the rank's key.
        self.heads.peek().map(|&(ranked, _)| rank(ranked, order))
    }

    fn next(&mut self, of: &Merged, reading: Reading<'_>) -> Result<Option<(Key, i64)>> {
        let Some((_, i)) = self.heads.pop() else { return Ok(None) };
        let list = &mut self.lists[i];
        let Some(row) = list.read.pop_front() else { return Ok(None) };
        if list.read.is_empty() && !list.ended {
            let (db, (low, high), order) = reading;
            let behind = match order {
                Order::Ascending => (row.0, high),
                Order::Descending => (low, row.0),
            };
            list.fill(of, (db, behind, order), MERGE_STEP)?;
        }
        if let Some(&(next, _)) = list.read.front() {
            self.heads.push((rank(next, reading.2), i));
        }
        Ok(Some(row))
    }
}

impl List {
    fn fill(&mut self, of: &Merged, (db, (low, high), order): Reading<'_>, limit: usize) -> Result<()> {
        let Merged { table, leading, key, state } = of;
        let sql = format!(
            "SELECT {key}, {state} FROM {table} WHERE {leading} = ? AND {key} > ? AND {key} < ?
             ORDER BY {key} {} LIMIT ?",
            direction(order)
        );
        let mut statement = db.prepare_cached(&sql)?;
        let read =
            statement.query_map([self.leading, low, high, limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.read = read.collect::<Result<_>>()?;
        self.ended = self.read.len() < limit;
        Ok(())
    }
}

/// The beginnings of the lists of applications in one statement. None of their rows has a state.
fn begin_at_once(of: &Merged, lists: &mut [List], (db, (low, high), order): Reading<'_>) -> Result<()> {
    let Merged { table, leading, key, .. } = of;
    let sql = format!(
        "SELECT wanted, first.key FROM unnest($1::bigint[]) AS wanted CROSS JOIN LATERAL (
           SELECT {table}.{key} AS key FROM {table}
            WHERE {table}.{leading} = wanted AND {table}.{key} > $2 AND {table}.{key} < $3
            ORDER BY {table}.{key} {} LIMIT $4) AS first",
        direction(order)
    );
    let wanted: Vec<Key> = lists.iter().map(|list| list.leading).collect();
    let found = db.with_numbers_between(&sql, &wanted, &[low, high, MERGE_FIRST as i64], |row| {
        Ok((row.get::<Key>(0)?, row.get::<Key>(1)?))
    })?;
    let mut of_list: rustc_hash::FxHashMap<Key, Vec<Key>> = rustc_hash::FxHashMap::default();
    for (leading, key) in found {
        of_list.entry(leading).or_default().push(key);
    }
    for list in lists {
        let mut keys = of_list.remove(&list.leading).unwrap_or_default();
        keys.sort_unstable_by_key(|&key| std::cmp::Reverse(rank(key, order)));
        list.ended = keys.len() < MERGE_FIRST;
        list.read = keys.into_iter().map(|key| (key, 0)).collect();
    }
    Ok(())
}
