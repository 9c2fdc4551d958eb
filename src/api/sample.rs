//! A sample request to a source, to try it out.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::{ApiError, Kind};
use crate::accept::receive::{Sampled, SampledAs};
use crate::model::IdKind;

/// Why there is none.
const NOT_MADE: &str = "no sample can be made: only the provider can sign requests of this type, the source has no \
                        secret, or it takes no requests";

/// What became of a sample.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SourceSampleOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct SampleOut {
    /// What its sender was answered.
    status: u16,
    /// `accepted`, `duplicate` or `rejected`.
    verdict: &'static str,
    /// The message that it became, or that was the same.
    message_id: Option<String>,
    /// Why it was refused.
    cause: Option<&'static str>,
    /// What may be wrong.
    hint: Option<String>,
}

/// `POST /ingest/api/v1/source/{source_id}/sample`: a request of the source's type, signed by its own secret, goes
/// the way of a real one.
pub(super) async fn send(call: Call, _: Body) -> Result<Response<Body>, ApiError> {
    // Another sample does no harm, but a key that is none is a mistake.
    call.idempotency_key()?;
    let source = call.source().await?;
    let sampled = call.gateway.sample(source).await?;
    let Sampled { status, became, cause, hint } =
        sampled.ok_or_else(|| ApiError::invalid("path", "source_id", NOT_MADE, Kind::Value))?;
    let (verdict, message) = match became {
        SampledAs::Message(id) => ("accepted", Some(id)),
        SampledAs::Duplicate(id) => ("duplicate", Some(id)),
        SampledAs::Rejected => ("rejected", None),
    };
    let message_id = message.map(|id| id.format(IdKind::Message));
    Ok(answer::json(StatusCode::OK, &SampleOut { status: status.as_u16(), verdict, message_id, cause, hint }))
}
