//! The headers of an attempt: those that it was sent with, made once more, and those of the answer.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{HeaderMap, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::attempt;
use super::call::Call;
use super::error::ApiError;
use super::time::Time;
use crate::deliver::http::{is_own_signature, sent_headers};
use crate::dispatch::runner::Letter;
use crate::model::trace::is_sensitive;
use crate::model::{Attempt, Capability, Endpoint, EndpointKey, IdKind, Message};

type Answer = Result<Response<Body>, ApiError>;

/// What stands where a value is not shown.
const MASK: &str = "***";

/// The headers of an attempt.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageAttemptHeadersOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct AttemptHeadersOut {
    /// Those of the request. They are not kept: they are made from the message, the time of the attempt and the
    /// endpoint as it is now. Where the bytes of the message are gone, what depends on them is not there.
    sent_headers: BTreeMap<String, String>,
    /// Those of the answer, in their order; of a failure only, and at most 32 of them with 2 KiB.
    #[schemars(with = "Option<Vec<Vec<String>>>")]
    response_headers: Option<Vec<[String; 2]>>,
    /// Names of those whose values are not shown: `***` stands there.
    sensitive: Vec<String>,
    /// Whether the headers of the request could be made. An addition of this server.
    rebuilt: bool,
    /// When the endpoint was changed, if that was after the attempt: its headers or its secret may have been others
    /// then. An addition of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_changed_at: Option<Time>,
}

/// `GET /app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/headers`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let (app, message, attempt) = attempt::named(&call, true).await?;
    let mut out = AttemptHeadersOut {
        sent_headers: BTreeMap::new(),
        response_headers: None,
        sensitive: Vec::new(),
        rebuilt: false,
        endpoint_changed_at: None,
    };
    if let Some(endpoint) = app.endpoint(EndpointKey(attempt.endpoint.key)) {
        let policy = call.gateway.snapshots.policy(app.app.env).await?;
        let names = policy.settings.signature_headers();
        if let Some(headers) = rebuilt(endpoint, &message, &attempt, names) {
            // A signature belongs to one message and one moment. It is still for those who may see the secret.
            let may_see = call.portal.as_ref().is_none_or(|token| token.allows(Capability::ViewEndpointSecret));
            out.sent(&headers, may_see);
            out.rebuilt = true;
        }
        out.endpoint_changed_at = (endpoint.updated_at > attempt.started_at).then_some(Time(endpoint.updated_at));
    }
    out.answered(attempt);
    out.sensitive.sort_unstable();
    out.sensitive.dedup();
    Ok(answer::json(StatusCode::OK, &out))
}

/// The headers of the request as they are made for this endpoint; `None` where they cannot be made.
fn rebuilt(
    endpoint: &Endpoint,
    message: &Message,
    attempt: &Attempt,
    names: crate::model::SignatureHeaders,
) -> Option<HeaderMap> {
    let payload = message.payload.clone().unwrap_or_default();
    let letter = Letter {
        id: &message.id.format(IdKind::Message),
        payload: &payload,
        content_type: message.envelope.content_type.as_deref(),
        received: message.received.as_deref(),
        awaited: None,
        signature_headers: names,
    };
    let mut headers = sent_headers(endpoint, &letter, attempt.started_at)?;
    if message.payload.is_none() {
        headers.remove(http::header::CONTENT_LENGTH);
        let signatures: Vec<_> = headers.keys().filter(|name| is_own_signature(name)).cloned().collect();
        for name in signatures {
            headers.remove(name);
        }
    }
    Some(headers)
}

impl AttemptHeadersOut {
    fn sent(&mut self, headers: &HeaderMap, may_see_signatures: bool) {
        for name in headers.keys() {
            let shown = may_see_signatures && is_own_signature(name);
            let value = if is_sensitive(name.as_str()) && !shown {
                self.sensitive.push(name.as_str().to_owned());
                MASK.to_owned()
            } else {
                let values: Vec<_> =
                    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
                values.join(", ")
            };
            self.sent_headers.insert(name.as_str().to_owned(), value);
        }
    }

    fn answered(&mut self, attempt: Attempt) {
        let mut shown = Vec::with_capacity(attempt.headers.len());
        for (name, value) in attempt.headers {
            let is_sensitive = is_sensitive(&name);
            if is_sensitive {
                self.sensitive.push(name.clone());
            }
            shown.push([name, if is_sensitive { MASK.to_owned() } else { value }]);
        }
        self.response_headers = (!shown.is_empty()).then_some(shown);
    }
}
