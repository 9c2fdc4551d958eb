//! Logs of sources: requests that became no message of their own. Of each source the newest are kept, by
//! count and bytes.

use bytes::Bytes;
use rusqlite::{Connection, Row, params};

use super::apply::WriterState;
use super::change::{Changer, Stop};
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

pub(super) const LOGGED: &str = "source_log.key, source_log.nonce, source_log.source, source_log.kind, \
     source_log.status, source_log.cause, source_log.hint, source_log.head, source_log.body, \
     message.key, message.nonce";

/// Columns [`LOGGED`].
pub(super) fn logged(row: &Row<'_>) -> rusqlite::Result<LoggedRequest> {
    let message = row.get::<_, Option<i64>>(9)?;
    Ok(LoggedRequest {
        id: rows::id(row, 0)?,
        source: SourceKey(row.get(2)?),
        kind: LogKind::from_code(row.get(3)?),
        status: row.get(4)?,
        cause: row.get(5)?,
        hint: row.get(6)?,
        head: received(row, 7)?,
        body: Some(Bytes::copy_from_slice(row.get_ref(8)?.as_blob()?)),
        message: message.map(|key| Ok::<_, rusqlite::Error>(Id { key, nonce: row.get(10)? })).transpose()?,
    })
}

/// A request's head, if it is there.
pub(super) fn received(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Received>> {
    let Some(blob) = row.get_ref(column)?.as_blob_or_null()? else { return Ok(None) };
    serde_json::from_slice(blob).map(Some).map_err(|error| rows::damaged(column, error))
}

/// As it is stored.
pub(super) fn head(received: &Received) -> Vec<u8> {
    // Text only: serialising it cannot fail.
    serde_json::to_vec(received).unwrap_or_default()
}

/// Puts a request into its source's log; `first` is the message that a duplicate was a message before.
pub(super) fn log(
    connection: &Connection,
    state: &mut WriterState,
    request: &LogRequest,
    first: Option<Id>,
    at: UnixMs,
) -> rusqlite::Result<()> {
    let id = state.new_id(at).short();
    connection
        .prepare_cached(
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
    bound_log(connection, state, request.source, request.kind == LogKind::Rejected)
}

/// What was refused before and is accepted now leaves the log; `false` where it has left it already.
pub(super) fn take_place(connection: &Connection, inbound: &Inbound) -> rusqlite::Result<bool> {
    let Some(before) = inbound.instead_of else { return Ok(true) };
    let gone = connection
        .prepare_cached("DELETE FROM source_log WHERE key = ? AND source = ?")?
        .execute([before.key, inbound.source.0])?;
    Ok(gone == 1)
}

/// A page of a source's log: as many as asked for, or fewer where they are long.
pub(super) fn page(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    limit: usize,
) -> rusqlite::Result<Rows<LoggedRequest>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(values)?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        if rows.len() == limit || bytes >= PAGE_BYTES_MAX {
            return Ok(Rows { rows, done: false, resume: None });
        }
        let logged = logged(row)?;
        bytes += logged.body.as_ref().map_or(0, Bytes::len);
        rows.push(logged);
    }
    Ok(Rows { rows, done: true, resume: None })
}

/// The oldest go where there are too many: of those that were refused, which may have to be verified again,
/// and of all others apart.
fn bound_log(
    connection: &Connection,
    state: &mut WriterState,
    source: SourceKey,
    is_rejected: bool,
) -> rusqlite::Result<()> {
    let added = state.source_logs.entry((source, is_rejected)).or_insert(COUNTED_EVERY);
    *added += 1;
    if *added < COUNTED_EVERY {
        return Ok(());
    }
    *added = 0;
    let mut statement = connection.prepare_cached(
        "SELECT key, length(head) + length(body) FROM source_log
         WHERE source = ?1 AND (kind = ?2) = ?3 ORDER BY key DESC",
    )?;
    let mut rows = statement.query(params![source.0, LogKind::Rejected.code(), is_rejected])?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        bytes += row.get::<_, i64>(1)?;
        if count > ENTRIES_MAX || bytes > BYTES_MAX {
            let last: i64 = row.get(0)?;
            connection
                .prepare_cached("DELETE FROM source_log WHERE source = ?1 AND key <= ?2 AND (kind = ?3) = ?4")?
                .execute(params![source.0, last, LogKind::Rejected.code(), is_rejected])?;
            break;
        }
    }
    Ok(())
}

impl Changer<'_> {
    pub(super) fn log_request(&mut self, request: &LogRequest) -> Result<Changed, Stop> {
        if !self.exists("SELECT 1 FROM source WHERE key = ?", [request.source.0])? {
            return Err(Refusal::NotFound.into());
        }
        log(self.connection, self.state, request, None, self.at)?;
        Ok(Changed::RequestLogged)
    }
}
