//! Endpoints of all applications of an environment, in slices by key.

use std::time::{Duration, Instant};

use super::db::{Db, Optional, Result, Row, params};
use super::rows;
use super::scan::interval;
use crate::model::{ApplicationSpec, EnvKey, Id, Key};
use crate::store::query::{Order, Page, Rows};
use crate::store::seal::Sealer;
use crate::store::search::{EndpointRow, EndpointsIn, Named, WAITING_COUNT_MAX};

/// Endpoints that are looked at in one step.
const STEP: i64 = 1_000;
/// How long one page goes on looking.
const TIME_MAX: Duration = Duration::from_millis(150);
/// Columns of [`rows::ENDPOINT`].
const ENDPOINT_COLUMNS: usize = 11;

/// One page of the endpoints of an environment.
pub(in crate::store) fn of_env(
    db: Db<'_>,
    sealer: &Sealer,
    env: EnvKey,
    page: &Page<Key>,
    state: EndpointsIn,
) -> Result<Rows<EndpointRow>> {
    let began = Instant::now();
    let (mut low, mut high) = interval(page, None, None);
    let mut found = Vec::new();
    loop {
        let border = border(db, (low, high), page.order)?;
        let slice = match (border, page.order) {
            (None, _) => (low, high),
            (Some(border), Order::Ascending) => (low, border.saturating_add(1)),
            (Some(border), Order::Descending) => (border.saturating_sub(1), high),
        };
        // One more than asked for tells whether it is done.
        let room = page.limit + 1 - found.len();
        found.extend(slice_of(db, sealer, env, slice, (page.order, room), state)?);
        let is_full = found.len() > page.limit;
        let is_late = began.elapsed() >= TIME_MAX;
        match border {
            Some(border) if !is_full && !is_late => match page.order {
                Order::Ascending => low = border,
                Order::Descending => high = border,
            },
            _ => {
                found.truncate(page.limit);
                found.iter_mut().try_for_each(|row| add_waiting(db, row))?;
                let resume = border.filter(|_| !is_full);
                return Ok(Rows { rows: found, done: !is_full && border.is_none(), resume });
            }
        }
    }
}

/// The last endpoint of the next slice; `None` where the list ends before.
fn border(db: Db<'_>, (low, high): (Key, Key), order: Order) -> Result<Option<Key>> {
    let direction = if order == Order::Ascending { "ASC" } else { "DESC" };
    let sql = format!("SELECT key FROM endpoint WHERE key > ? AND key < ? ORDER BY key {direction} LIMIT 1 OFFSET ?");
    db.prepare_cached(&sql)?.query_row([low, high, STEP - 1], |row| row.get(0)).optional()
}

/// The endpoints of a slice that are wanted.
fn slice_of(
    db: Db<'_>,
    sealer: &Sealer,
    env: EnvKey,
    (low, high): (Key, Key),
    (order, limit): (Order, usize),
    state: EndpointsIn,
) -> Result<Vec<EndpointRow>> {
    let direction = if order == Order::Ascending { "ASC" } else { "DESC" };
    let disabled = db.json_field("endpoint.spec", "disabled");
    let state = match state {
        EndpointsIn::Any => String::new(),
        EndpointsIn::Failing => format!("AND endpoint.failing_since IS NOT NULL AND {disabled} IS NULL"),
        EndpointsIn::Disabled => format!("AND {disabled} IS NOT NULL"),
    };
    let columns: Vec<String> = rows::ENDPOINT.split(',').map(|column| format!("endpoint.{}", column.trim())).collect();
    let sql = format!(
        "SELECT {}, application.nonce, application.spec
           FROM endpoint CROSS JOIN application
          WHERE endpoint.key > ? AND endpoint.key < ? AND application.key = endpoint.app
            AND application.env = ? AND application.kind = 0 {state}
          ORDER BY endpoint.key {direction} LIMIT ?",
        columns.join(", ")
    );
    let read = |row: &Row<'_>| {
        let endpoint = rows::endpoint(row, sealer)?;
        let spec: ApplicationSpec = rows::json(row, ENDPOINT_COLUMNS + 1)?;
        let app = Id { key: endpoint.app.0, nonce: row.get(ENDPOINT_COLUMNS)? };
        let app = Named { id: app, name: spec.name };
        Ok(EndpointRow { endpoint, app, source: None, next_attempt: None, waiting: 0 })
    };
    db.prepare_cached(&sql)?.query_map(params![low, high, env.0, limit as i64], read)?.collect()
}

/// What waits for an endpoint, and the source whose own its application is.
fn add_waiting(db: Db<'_>, row: &mut EndpointRow) -> Result<()> {
    let key = row.endpoint.id.key;
    row.next_attempt = db
        .prepare_cached("SELECT due FROM waiting WHERE endpoint = ? ORDER BY due LIMIT 1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    if row.next_attempt.is_some() {
        row.waiting = db
            .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM waiting WHERE endpoint = ? LIMIT ?) AS found")?
            .query_row([key, i64::from(WAITING_COUNT_MAX)], |row| row.get(0))?;
    }
    row.source = db
        .prepare_cached("SELECT key, nonce FROM source WHERE app = ? AND owns_app = ? LIMIT 1")?
        .query_row(params![row.endpoint.app.0, true], |row| rows::id(row, 0))
        .optional()?;
    Ok(())
}
