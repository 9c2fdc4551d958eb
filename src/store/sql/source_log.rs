//! Logs of sources: requests that became no message of their own. Of each source the newest are kept, by
//! count and bytes.

use super::db::{Db, Error, Params, Result, Row, damaged, params};
use bytes::Bytes;

use super::change::{Changer, Stop};
use super::core::Core;
use super::rows;
use crate::model::{Id, LogKind, LoggedRequest, Received, SourceKey, UnixMs};
use crate::store::command::{Changed, Inbound, LogRequest, Refusal};
use crate::store::query::Rows;

/// Requests that are kept of each source, of those that were refused and of the others.
const ENTRIES_MAX: i64 = 1_000;
/// Their bytes.
const BYTES_MAX: i64 = 16 << 20;
/// Bytes of bodies in a page, but for its last row.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// How often they are counted: each time costs a look at all of them.
const COUNTED_EVERY: i64 = 32;

pub(in crate::store) const LOGGED: &str = "source_log.key, source_log.nonce, source_log.source, source_log.kind, \
     source_log.status, source_log.cause, source_log.hint, source_log.head, source_log.body, \
     message.key, message.nonce";

/// Columns [`LOGGED`].
pub(in crate::store) fn logged(row: &Row<'_>) -> Result<LoggedRequest> {
    let message = row.get::<Option<i64>>(9)?;
    Ok(LoggedRequest {
        id: rows::id(row, 0)?,
        source: SourceKey(row.get(2)?),
        kind: LogKind::from_code(row.get(3)?),
        status: row.get(4)?,
        cause: row.get(5)?,
        hint: row.get(6)?,
        head: received(row, 7)?,
        body: Some(Bytes::copy_from_slice(row.blob(8)?)),
        message: message.map(|key| Ok::<_, Error>(Id { key, nonce: row.get(10)? })).transpose()?,
    })
}

/// A request's head, if it is there.
pub(in crate::store) fn received(row: &Row<'_>, column: usize) -> Result<Option<Received>> {
    let Some(blob) = row.blob_or_null(column)? else { return Ok(None) };
    serde_json::from_slice(blob).map(Some).map_err(|error| damaged(column, error))
}

/// As it is stored.
pub(in crate::store) fn head(received: &Received) -> Vec<u8> {
    // Text only: serialising it cannot fail.
    serde_json::to_vec(received).unwrap_or_default()
}

/// Puts a request into its source's log; `first` is the message that a duplicate was a message before.
pub(in crate::store) fn log(
    db: Db<'_>,
    state: &mut Core,
    request: &LogRequest,
    first: Option<Id>,
    at: UnixMs,
) -> Result<()> {
    let id = state.new_id(at).short();
    db.prepare_cached(
        "INSERT INTO source_log (key, nonce, source, kind, status, cause, hint, head, body, message)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        id.key,
        id.nonce.as_slice(),
        request.source.0,
        request.kind.code(),
        request.status,
        request.cause,
        request.hint,
        head(&request.received),
        &request.body[..],
        first.map(|first| first.key),
    ])?;
    bound_log(db, state, request.source, request.kind == LogKind::Rejected)
}

/// What was refused before and is accepted now leaves the log; `false` where it has left it already.
pub(in crate::store) fn take_place(db: Db<'_>, inbound: &Inbound) -> Result<bool> {
    let Some(before) = inbound.instead_of else { return Ok(true) };
    let gone = db
        .prepare_cached("DELETE FROM source_log WHERE key = ? AND source = ?")?
        .execute([before.key, inbound.source.0])?;
    Ok(gone == 1)
}

/// A page of a source's log: as many as asked for, or fewer where they are long.
pub(in crate::store) fn page(db: Db<'_>, sql: &str, values: impl Params, limit: usize) -> Result<Rows<LoggedRequest>> {
    let (mut rows, mut bytes, mut done) = (Vec::new(), 0, true);
    db.prepare_cached(sql)?.each(values, |row| {
        done = rows.len() < limit && bytes < PAGE_BYTES_MAX;
        if done {
            let logged = logged(row)?;
            bytes += logged.body.as_ref().map_or(0, Bytes::len);
            rows.push(logged);
        }
        Ok(done)
    })?;
    Ok(Rows { rows, done, resume: None })
}

/// The oldest go where there are too many: of those that were refused, which may have to be verified again,
/// and of all others apart.
fn bound_log(db: Db<'_>, state: &mut Core, source: SourceKey, is_rejected: bool) -> Result<()> {
    let added = state.source_logs.entry((source, is_rejected)).or_insert(COUNTED_EVERY);
    *added += 1;
    if *added < COUNTED_EVERY {
        return Ok(());
    }
    *added = 0;
    let mut statement = db.prepare_cached(
        "SELECT key, length(head) + length(body) FROM source_log
         WHERE source = ?1 AND (kind = ?2) = ?3 ORDER BY key DESC",
    )?;
    let (mut count, mut bytes, mut last) = (0, 0, None::<i64>);
    statement.each(params![source.0, LogKind::Rejected.code(), is_rejected], |row| {
        count += 1;
        bytes += row.get::<i64>(1)?;
        if count > ENTRIES_MAX || bytes > BYTES_MAX {
            last = Some(row.get(0)?);
        }
        Ok(last.is_none())
    })?;
    if let Some(last) = last {
        db.prepare_cached("DELETE FROM source_log WHERE source = ?1 AND key <= ?2 AND (kind = ?3) = ?4")?
            .execute(params![source.0, last, LogKind::Rejected.code(), is_rejected])?;
    }
    Ok(())
}

impl Changer<'_> {
    pub(in crate::store) fn log_request(&mut self, request: &LogRequest) -> Result<Changed, Stop> {
        if !self.exists("SELECT 1 FROM source WHERE key = ?", [request.source.0])? {
            return Err(Refusal::NotFound.into());
        }
        log(self.db, self.state, request, None, self.at)?;
        Ok(Changed::RequestLogged)
    }
}
