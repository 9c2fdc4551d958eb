//! Verifying again what a source has refused, after a mistake in its configuration was mended.

use std::sync::Arc;

use http::{Method, StatusCode};
use posthouse_signature::receive::{Request, Verdict};

use super::super::{Gateway, NotAccepted};
use super::{Arrival, Became, KEY_UNAVAILABLE, Prepared};
use crate::model::id::{first_key_at, key_time};
use crate::model::{LogKind, LoggedRequest, Received, Source, UnixMs};
use crate::store::command::Refusal;
use crate::store::query::{Order, Page};

/// Requests of a log that one call looks at at most: more than a log keeps.
const VERIFIED_AGAIN_MAX: usize = 4_096;
/// Of these, how many are read at once.
const VERIFIED_AGAIN_PAGE: usize = 100;

/// What became of requests that were verified again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifiedAgain {
    /// Messages now.
    pub accepted: usize,
    /// Known as messages before.
    pub duplicates: usize,
    /// Still refused.
    pub rejected: usize,
}

impl Gateway {
    /// Verifies what a source has refused between two moments again, by its configuration as it is now and
    /// as of the time when it came: what is right becomes a message and leaves the log.
    pub async fn verify_again(
        &self,
        source: Source,
        since: UnixMs,
        until: UnixMs,
    ) -> Result<VerifiedAgain, NotAccepted> {
        self.admission.check().map_err(NotAccepted::Closed)?;
        let Some(prepared) = self.receiving.prepare(&Arc::new(source)) else { return Ok(VerifiedAgain::default()) };
        let mut counted = VerifiedAgain::default();
        let (mut after, mut looked_at) = (Some(first_key_at(since) - 1), 0);
        while looked_at < VERIFIED_AGAIN_MAX {
            let page = Page { after, order: Order::Ascending, limit: VERIFIED_AGAIN_PAGE };
            let found = self.queries.source_log(prepared.source.key(), page).await?;
            let Some(last) = found.rows.last().map(|row| row.id.key) else { break };
            looked_at += found.rows.len();
            after = Some(last);
            for logged in found.rows {
                if key_time(logged.id.key) >= until {
                    return Ok(counted);
                }
                if logged.kind == LogKind::Rejected && can_be_verified(&logged) {
                    self.verify_one_again(&prepared, logged, &mut counted).await?;
                }
            }
            if found.done {
                break;
            }
        }
        Ok(counted)
    }

    async fn verify_one_again(
        &self,
        prepared: &Prepared,
        logged: LoggedRequest,
        counted: &mut VerifiedAgain,
    ) -> Result<(), NotAccepted> {
        let (Some(head), Some(body)) = (logged.head, logged.body) else { return Ok(()) };
        let (Ok(method), headers) = (Method::from_bytes(head.method.as_bytes()), head.header_map()) else {
            return Ok(());
        };
        let token = &prepared.source.secret.token;
        let (path, query) = (head.path.as_str(), head.query.as_deref());
        let url = self.url_of(&Arrival { token, path, query, method: &method, headers: &headers, peer: None });
        let request = Request { method: &method, url: &url, headers: &headers, body: &body };
        if self.judge(prepared, &request, key_time(logged.id.key), false).await != Verdict::Accepted {
            counted.rejected += 1;
            return Ok(());
        }
        let received = Arc::new(Received {
            is_standard: prepared.is_standard(),
            forward_path: prepared.source.spec.forward_path,
            ..head.clone()
        });
        match self.accept(prepared, &request, received, &body, Some(logged.id)).await.map(|accepted| accepted.became) {
            Ok(Became::Message(_)) => counted.accepted += 1,
            Ok(Became::Duplicate(_)) => counted.duplicates += 1,
            // Somebody else had it verified at the same time.
            Ok(Became::Nothing) | Err(NotAccepted::Refused(Refusal::NotFound)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Whether judging it again may end otherwise: it was not verified, or could not be.
fn can_be_verified(logged: &LoggedRequest) -> bool {
    logged.status == StatusCode::UNAUTHORIZED.as_u16() || logged.cause.as_deref() == Some(KEY_UNAVAILABLE)
}
