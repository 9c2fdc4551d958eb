//! Content that is deleted by name: overwritten where it stood, and never sent any more.
//!
//! What this does not reach: copies that were made before (backups), and the write-ahead log until it
//! begins anew.

use super::db::{Db, Optional, Result, params};

use super::change::{Changer, Stop};
use crate::model::{AppKey, EndpointKey, Id, MessageKey, Parked, Trigger};
use crate::store::command::{Changed, Refusal};

/// Waiting deliveries that are looked at for those of one message. What stands behind them is
/// cancelled when it is due.
const WAITING_MAX: usize = 50_000;

/// While this is there, SQLite overwrites what is deleted with zeros.
/// PostgreSQL leaves what is deleted to its vacuum.
struct Overwriting<'c>(Db<'c>);

impl<'c> Overwriting<'c> {
    fn begin(db: Db<'c>) -> Result<Self> {
        set(db, true)?;
        Ok(Self(db))
    }
}

impl Drop for Overwriting<'_> {
    fn drop(&mut self) {
        if let Err(error) = set(self.0, false) {
            // Deleting goes on to overwrite, which is slower and does no harm.
            tracing::warn!(%error, "secure_delete could not be turned off");
        }
    }
}

fn set(db: Db<'_>, on: bool) -> Result<()> {
    match db {
        Db::Sqlite(connection) => Ok(connection.pragma_update_and_check(None, "secure_delete", on, |_| Ok(()))?),
        Db::Postgres(_) => Ok(()),
    }
}

impl Changer<'_> {
    /// The bytes of a message go; what of it is pending, waits or is held is cancelled.
    pub(in crate::store) fn expunge_message(&mut self, app: AppKey, message: MessageKey) -> Result<Changed, Stop> {
        let found: Option<(i64, Option<i64>)> = self
            .db
            .prepare_cached("SELECT payload, source FROM message WHERE key = ? AND app = ?")?
            .query_row([message.0, app.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (payload, source) = found.ok_or(Refusal::NotFound)?;
        {
            let _overwriting = Overwriting::begin(self.db)?;
            self.run("DELETE FROM payload WHERE id = ?", [payload])?;
            // What is kept of its duplicates says what it said.
            self.run("DELETE FROM source_log WHERE source = ? AND message = ?", params![source, message.0])?;
        }
        let mut endpoints = self.cancel_pending(message)?;
        endpoints.extend(self.cancel_waiting(app, message)?);
        Ok(Changed::Expunged { message, endpoints })
    }

    /// The answer to an attempt goes.
    pub(in crate::store) fn expunge_attempt(&mut self, message: MessageKey, attempt: Id) -> Result<Changed, Stop> {
        let _overwriting = Overwriting::begin(self.db)?;
        // What is kept with how long it took are headers of the answer.
        let changed = self.run(
            "UPDATE attempt SET response = NULL, trace = NULL WHERE key = ? AND nonce = ? AND message = ?",
            params![attempt.key, attempt.nonce.as_slice(), message.0],
        )?;
        if changed == 0 {
            return Err(Refusal::NotFound.into());
        }
        Ok(Changed::AnswerExpunged)
    }

    fn cancel_pending(&self, message: MessageKey) -> Result<Vec<EndpointKey>> {
        let endpoints = self
            .db
            .prepare_cached("DELETE FROM pending WHERE message = ? RETURNING endpoint")?
            .query_map([message.0], |row| row.get(0).map(EndpointKey))?
            .collect::<Result<Vec<_>, _>>()?;
        for endpoint in &endpoints {
            self.park_cancelled(*endpoint, message)?;
        }
        Ok(endpoints)
    }

    /// What waits or is held at the application's endpoints.
    fn cancel_waiting(&self, app: AppKey, message: MessageKey) -> Result<Vec<EndpointKey>> {
        let endpoints = self
            .db
            .prepare_cached("SELECT key FROM endpoint WHERE app = ?")?
            .query_map([app.0], |row| row.get(0).map(EndpointKey))?
            .collect::<Result<Vec<_>, _>>()?;
        let mut left = WAITING_MAX;
        let mut cancelled = Vec::new();
        for endpoint in endpoints {
            let found = self.waiting_of(endpoint, message, &mut left)?;
            for &(due, trigger) in &found {
                let gone = self.run(
                    "DELETE FROM waiting WHERE endpoint = ? AND due = ? AND message = ?",
                    [endpoint.0, due, message.0],
                )?;
                if gone == 1 && trigger == Trigger::Scheduled {
                    self.park_cancelled(endpoint, message)?;
                }
            }
            if !found.is_empty() {
                cancelled.push(endpoint);
            }
            self.run(
                "UPDATE parked SET state = ?, at = ? WHERE endpoint = ? AND message = ? AND state = ?",
                params![Parked::Cancelled.code(), self.at, endpoint.0, message.0, Parked::Held.code()],
            )?;
        }
        Ok(cancelled)
    }

    /// Places of a message among the first deliveries that wait at an endpoint.
    fn waiting_of(&self, endpoint: EndpointKey, message: MessageKey, left: &mut usize) -> Result<Vec<(i64, Trigger)>> {
        let mut found = Vec::new();
        if let Db::Postgres(_) = self.db {
            let sql = "SELECT due, manual FROM waiting WHERE endpoint = ? AND message = ? LIMIT ?";
            self.db.prepare_cached(sql)?.each([endpoint.0, message.0, *left as i64], |row| {
                found.push((row.get(0)?, Trigger::from_code(row.get(1)?)));
                Ok(true)
            })?;
            return Ok(found);
        }
        let sql = "SELECT due, message, manual FROM waiting WHERE endpoint = ? ORDER BY due, message LIMIT ?";
        self.db.prepare_cached(sql)?.each([endpoint.0, *left as i64], |row| {
            *left = left.saturating_sub(1);
            if row.get::<i64>(1)? == message.0 {
                found.push((row.get(0)?, Trigger::from_code(row.get(2)?)));
            }
            Ok(true)
        })?;
        Ok(found)
    }

    pub(super) fn park_cancelled(&self, endpoint: EndpointKey, message: MessageKey) -> Result<()> {
        self.run(
            "INSERT INTO parked (endpoint, message, state, at) VALUES (?, ?, ?, ?)
             ON CONFLICT (endpoint, message) DO UPDATE SET state = excluded.state, at = excluded.at",
            params![endpoint.0, message.0, Parked::Cancelled.code(), self.at],
        )?;
        Ok(())
    }
}
