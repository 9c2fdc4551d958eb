//! An endpoint's health as it is kept: written when it begins to fail, at each warning, when it is
//! disabled, and when it succeeds again.

use std::sync::Arc;

use rusqlite::OptionalExtension;

use super::change::{Changer, Stop};
use crate::model::operational::Happening;
use crate::model::{DisabledReason, Endpoint, EndpointKey, Failing, UnixMs};
use crate::store::command::{FAILURES_BEFORE_DISABLE, HealthStep, Settle};

impl Changer<'_> {
    /// Takes the step of an endpoint's health that an attempt brings about, if it still follows from
    /// what is stored.
    pub(super) fn health(&mut self, settle: &Settle) -> rusqlite::Result<Option<Arc<Endpoint>>> {
        let (Some(step), Some(attempt)) = (settle.health, &settle.attempt) else { return Ok(None) };
        let key = settle.endpoint;
        let Some(mut endpoint) = self.endpoint(settle.app, key)? else { return Ok(None) };
        if endpoint.spec.disabled.is_some() || !attempt.tells_of(&endpoint, step) {
            return Ok(None);
        }
        match (step, endpoint.failing) {
            (HealthStep::Begin { since }, None) => {
                endpoint.failing = Some(Failing { since, warned: 0 });
                self.write_endpoint(&endpoint)?;
            }
            (HealthStep::Warn(number), Some(failing)) if failing.warned < number => {
                endpoint.failing = Some(Failing { warned: number, ..failing });
                self.write_endpoint(&endpoint)?;
                self.tell(Happening::EndpointFailing(number), &endpoint)?;
            }
            (HealthStep::Recover, Some(_)) => {
                endpoint.failing = None;
                self.write_endpoint(&endpoint)?;
            }
            (HealthStep::Disable(DisabledReason::Failing), Some(failing)) => {
                if self.attempts_since(key, failing.since)? < FAILURES_BEFORE_DISABLE {
                    return Ok(None);
                }
                return self.disable(endpoint, DisabledReason::Failing);
            }
            (HealthStep::Disable(DisabledReason::Failing), None) => return Ok(None),
            (HealthStep::Disable(reason), _) => return self.disable(endpoint, reason),
            (HealthStep::Begin { .. }, Some(_)) | (HealthStep::Warn(_), _) | (HealthStep::Recover, None) => {
                return Ok(None);
            }
        }
        Ok(Some(Arc::new(endpoint)))
    }

    fn disable(&mut self, mut endpoint: Endpoint, reason: DisabledReason) -> rusqlite::Result<Option<Arc<Endpoint>>> {
        endpoint.spec.disabled = Some(reason);
        let url = endpoint.spec.url.clone();
        match self.store_endpoint(endpoint, &url) {
            Ok(endpoint) => {
                self.tell(Happening::EndpointDisabled(reason), &endpoint)?;
                Ok(Some(Arc::new(endpoint)))
            }
            Err(Stop::Refused(_)) => Ok(None),
            Err(Stop::Engine(error)) => Err(error),
        }
    }

    /// Attempts to an endpoint that began at or after `since`, counted no further than it takes: in the
    /// index, and in what is not yet in it.
    fn attempts_since(&mut self, endpoint: EndpointKey, since: UnixMs) -> rusqlite::Result<usize> {
        let first = crate::model::id::first_key_at(since);
        let indexed = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM (SELECT 1 FROM attempt_by_endpoint WHERE endpoint = ? AND attempt >= ? LIMIT ?)",
            )?
            .query_row([endpoint.0, first, FAILURES_BEFORE_DISABLE as i64], |row| row.get::<_, i64>(0))
            .optional()?;
        let tail = self.state.attempts_by_endpoint.in_tail(endpoint.0, first);
        Ok(indexed.unwrap_or(0) as usize + tail)
    }
}
