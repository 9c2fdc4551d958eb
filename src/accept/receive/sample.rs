//! A sample: a request that is made up, signed by the source's own secret, and taken in as any other. What it becomes
//! is a message like all others, told apart by a header.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use posthouse_signature::receive::{Request, Verdict};

use super::super::{Gateway, NotAccepted};
use super::{Arrival, Became, KEY_UNAVAILABLE, Refused};
use crate::model::{Id, Source};

/// What tells a sample from what a provider sent. Nothing that comes in keeps it.
pub(super) const MARK: &str = "x-posthouse-sample";

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampledAs {
    /// This message.
    Message(Id),
    /// Known as this message before.
    Duplicate(Id),
    /// It was refused.
    Rejected,
}

/// A sample, and what its sender was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// The status of the answer.
    pub status: StatusCode,
    /// What it became.
    pub became: SampledAs,
    /// Why it was refused.
    pub cause: Option<&'static str>,
    /// What may be wrong.
    pub hint: Option<String>,
}

impl Sampled {
    fn refused(refused: &Refused) -> Self {
        let (cause, hint) = (Some(refused.cause), refused.hint.clone());
        Self { status: refused.status, became: SampledAs::Rejected, cause, hint }
    }
}

impl Gateway {
    /// Makes a request of the source's type up and takes it in. `None` where only the provider could sign it, where
    /// there is no secret, and where the source takes no requests.
    pub async fn sample(&self, source: Source) -> Result<Option<Sampled>, NotAccepted> {
        self.admission.check().map_err(NotAccepted::Closed)?;
        let Some(prepared) = self.receiving.prepare(&Arc::new(source)) else { return Ok(None) };
        let now = self.clock.now_ms();
        let token = &prepared.source.secret.token;
        let url = self.receiving_url(token);
        let Some(sample) = prepared.verifier.sample(&url, now, &format!("sample_{now}")) else { return Ok(None) };
        let (query, headers) = (sample.query.as_deref(), &sample.headers);
        let arrival = Arrival { token, path: "", query, method: &Method::POST, headers, peer: None };
        let mut received = prepared.head_of(&arrival);
        received.headers.push((MARK.to_owned(), "1".to_owned()));
        let received = Arc::new(received);
        let (url, body) = (self.url_of(&arrival), Bytes::from(sample.body));
        let request = Request { method: &Method::POST, url: &url, headers, body: &body };
        let refused = match self.judge(&prepared, &request, now, true).await {
            Verdict::Accepted => {
                let accepted = self.accept(&prepared, &request, received, &body, None).await?;
                let became = match accepted.became {
                    Became::Message(id) => SampledAs::Message(id),
                    Became::Duplicate(id) => SampledAs::Duplicate(id),
                    Became::Nothing => SampledAs::Rejected,
                };
                return Ok(Some(Sampled { status: accepted.answer.status, became, cause: None, hint: None }));
            }
            Verdict::Rejected(rejection) => {
                let (cause, hint) = (rejection.cause.as_str(), rejection.hint);
                Refused { status: StatusCode::UNAUTHORIZED, cause, hint }
            }
            // A sample asks for no handshake, and is signed by nothing that is elsewhere.
            Verdict::Handshake(_) | Verdict::Needs(_) => Refused::of(StatusCode::SERVICE_UNAVAILABLE, KEY_UNAVAILABLE),
        };
        let sampled = Sampled::refused(&refused);
        self.refuse(&prepared, received, body.clone(), refused).await?;
        Ok(Some(sampled))
    }
}
