//! What a resend that succeeds ends: whatever else of the same delivery waits, is pending or is set
//! aside. The order of due times leads with the endpoint, so a message's places in it are looked up
//! by what is known of them and of the endpoint's tasks, and only its front is read: resends are due at once.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::apply::{HotStatements, WriterState};
use crate::model::delivery::FAILING_AFTER;
use crate::model::id::key_time;
use crate::model::{EndpointKey, Parked, UnixMs};
use crate::store::sql::db::Result;
use crate::store::sql::task;

/// Deliveries that are read at the front of an endpoint's order. What of the message stands behind
/// them and is not known from its attempts either is sent again.
const FRONT_MAX: i64 = 2_000;
/// Attempts of the message, the newest, whose retries are looked up.
const ATTEMPTS_MAX: usize = 1_000;

impl HotStatements<'_> {
    /// A resend succeeded: whatever else the delivery was, it is done. Says whether that was failing
    /// or had failed.
    pub(super) fn end_all(&mut self, state: &WriterState, endpoint: EndpointKey, message: i64) -> Result<bool> {
        let parked: Option<i64> = self
            .connection
            .prepare_cached("DELETE FROM parked WHERE endpoint = ? AND message = ? RETURNING state")?
            .query_row([endpoint.0, message], |row| row.get(0))
            .optional()?;
        let mut had_failed = parked == Some(Parked::Failed.code());
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM waiting WHERE endpoint = ? AND due = ? AND message = ? RETURNING attempts")?;
        let mut places = self.likely_places(state, endpoint, message)?;
        places.extend(self.places_in_front(endpoint, message)?);
        places.extend(task::places(self.connection.into(), endpoint)?);
        for due in places {
            let attempts: Option<u16> = delete.query_row([endpoint.0, due, message], |row| row.get(0)).optional()?;
            had_failed |= attempts.is_some_and(|attempts| attempts >= FAILING_AFTER);
        }
        self.connection
            .prepare_cached("DELETE FROM pending WHERE message = ? AND endpoint = ?")?
            .execute([message, endpoint.0])?;
        Ok(had_failed)
    }

    /// When the delivery may be due: when it was published, delayed, or after each of its attempts.
    fn likely_places(
        &self,
        state: &WriterState,
        endpoint: EndpointKey,
        message: i64,
    ) -> rusqlite::Result<BTreeSet<UnixMs>> {
        let mut places = BTreeSet::from([key_time(message)]);
        let delayed: Option<Option<UnixMs>> = self
            .connection
            .prepare_cached("SELECT deliver_at FROM message WHERE key = ?")?
            .query_row([message], |row| row.get(0))
            .optional()?;
        places.extend(delayed.flatten());
        let mut of_attempt =
            self.connection.prepare_cached("SELECT next_due FROM attempt WHERE key = ? AND endpoint = ?")?;
        let mut indexed = self
            .connection
            .prepare_cached("SELECT attempt FROM attempt_by_message WHERE message = ? ORDER BY attempt DESC LIMIT ?")?;
        let mut attempts: Vec<i64> = state.attempts_by_message.newest_in_tail(message, ATTEMPTS_MAX);
        for attempt in indexed.query_map(params![message, ATTEMPTS_MAX as i64], |row| row.get(0))? {
            attempts.push(attempt?);
        }
        for attempt in attempts {
            let due: Option<Option<UnixMs>> =
                of_attempt.query_row([attempt, endpoint.0], |row| row.get(0)).optional()?;
            places.extend(due.flatten());
        }
        Ok(places)
    }

    fn places_in_front(&self, endpoint: EndpointKey, message: i64) -> rusqlite::Result<Vec<UnixMs>> {
        self.connection
            .prepare_cached(
                "SELECT due FROM
                   (SELECT due, message FROM waiting WHERE endpoint = ? ORDER BY due, message LIMIT ?)
                 WHERE message = ?",
            )?
            .query_map(params![endpoint.0, FRONT_MAX, message], |row| row.get(0))?
            .collect()
    }
}
