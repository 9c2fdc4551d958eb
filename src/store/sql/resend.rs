//! Resends by hand: one attempt, outside the schedule. Each has its place in the order of due times, so that it
//! survives a crash.

use super::change::{Changer, Stop};
use super::db::{Optional, Result, params};
use super::rows;
use crate::model::{AppKey, EndpointKey, MessageKey, Parked, Trigger, UnixMs, Waiting};
use crate::store::command::{Changed, Refusal};

impl Changer<'_> {
    /// One attempt at one endpoint.
    pub(super) fn resend(&mut self, app: AppKey, endpoint: EndpointKey, message: MessageKey) -> Result<Changed, Stop> {
        let found = self.endpoint(app, endpoint)?.ok_or(Refusal::NotFound)?;
        self.check_message(app, message)?;
        if found.spec.disabled.is_some() {
            return Err(Refusal::EndpointDisabled.into());
        }
        self.check_content(message)?;
        Ok(Changed::Resent { app, endpoint, waiting: self.resend_now(endpoint, message)? })
    }

    /// One attempt at each endpoint of the application where the delivery failed or is held. Those that are disabled
    /// are left out.
    pub(super) fn resend_failed(&mut self, app: AppKey, message: MessageKey) -> Result<Changed, Stop> {
        self.check_message(app, message)?;
        self.check_content(message)?;
        let config = rows::app_config(self.db, &self.state.sealer, app)?.ok_or(Refusal::NotFound)?;
        let mut resent = Vec::new();
        for endpoint in config.endpoints.iter().filter(|endpoint| endpoint.spec.disabled.is_none()) {
            if self.is_failed_or_held(endpoint.key(), message)? {
                resent.push((endpoint.key(), self.resend_now(endpoint.key(), message)?));
            }
        }
        Ok(Changed::ResentFailed { app, resent })
    }

    fn check_message(&self, app: AppKey, message: MessageKey) -> Result<(), Stop> {
        let is_there = self.exists("SELECT 1 FROM message WHERE key = ? AND app = ?", [message.0, app.0])?;
        if is_there { Ok(()) } else { Err(Refusal::NotFound.into()) }
    }

    fn check_content(&self, message: MessageKey) -> Result<(), Stop> {
        let sql = "SELECT 1 FROM message JOIN payload ON payload.id = message.payload WHERE key = ?";
        if self.exists(sql, [message.0])? { Ok(()) } else { Err(Refusal::ContentGone.into()) }
    }

    fn is_failed_or_held(&self, endpoint: EndpointKey, message: MessageKey) -> Result<bool> {
        let code: Option<i64> = self
            .db
            .prepare_cached("SELECT state FROM parked WHERE endpoint = ? AND message = ?")?
            .query_row([endpoint.0, message.0], |row| row.get(0))
            .optional()?;
        Ok(code.and_then(Parked::from_code).is_some_and(|parked| parked != Parked::Cancelled))
    }

    /// A place that is due now. Another delivery of the same message may have its place there: the next millisecond
    /// is as good.
    fn resend_now(&self, endpoint: EndpointKey, message: MessageKey) -> Result<Waiting> {
        let mut due: UnixMs = self.at;
        let sql = "INSERT INTO waiting (endpoint, due, message, attempts, manual) VALUES (?, ?, ?, 0, 1) ON CONFLICT DO NOTHING";
        while self.run(sql, params![endpoint.0, due, message.0])? == 0 {
            due += 1;
        }
        Ok(Waiting { due, message, attempts: 0, trigger: Trigger::Manual })
    }
}
