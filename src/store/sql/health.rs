//! An endpoint's health as it is kept: written when it begins to fail, at each warning, when it is
//! disabled, and when it succeeds again.

use std::sync::Arc;

use super::db::Result;
use super::scan::ATTEMPTS_OF_ENDPOINT;

use super::change::{Changer, Stop};
use crate::model::operational::Happening;
use crate::model::{DisabledReason, Endpoint, EndpointKey, Failing, Key, UnixMs};
use crate::store::command::{FAILURES_BEFORE_DISABLE, HealthStep, Settle};
use crate::store::query::Order;

impl Changer<'_> {
    /// Takes the step of an endpoint's health that an attempt brings about, if it still follows from
    /// what is stored.
    pub(in crate::store) fn health(&mut self, settle: &Settle) -> Result<Option<Arc<Endpoint>>> {
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

    fn disable(&mut self, mut endpoint: Endpoint, reason: DisabledReason) -> Result<Option<Arc<Endpoint>>> {
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

    /// Attempts to an endpoint that began at or after `since`, counted no further than it takes.
    fn attempts_since(&mut self, endpoint: EndpointKey, since: UnixMs) -> Result<usize> {
        let first = crate::model::id::first_key_at(since);
        let between = (first.saturating_sub(1), Key::MAX);
        ATTEMPTS_OF_ENDPOINT
            .keys(self.db, endpoint.0, between, Order::Ascending, FAILURES_BEFORE_DISABLE)
            .map(|keys| keys.len())
    }
}
