//! The signing secret of an endpoint: get, rotate.

use axum::body::Body;
use http::{Response, StatusCode};
use posthouse_signature::standard::SigningKey;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::change;
use super::endpoint_in;
use super::error::{ApiError, Code};
use super::json::{Fields, Null};
use crate::model::{Capability, Endpoint, SecretBytes};
use crate::store::command::Change;

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 2] = ["key", "gracePeriodSeconds"];
/// How long the secret before goes on signing, unless the call says otherwise.
pub(super) const GRACE_S: u32 = 86_400;
pub(super) const GRACE_S_MAX: u32 = 604_800;

/// The secret of an endpoint.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointSecretOut")]
pub(super) struct SecretOut {
    /// What deliveries are signed with; of a key pair the public half.
    key: String,
}

impl SecretOut {
    /// What the receiver needs: the secret itself, or the public half of a key pair.
    fn of(key: &SecretBytes) -> Result<Self, ApiError> {
        let key = SigningKey::from_stored(key.expose());
        let key = key.map_err(|error| ApiError::Coded(Code::Unavailable, error.to_string().into()))?;
        Ok(Self { key: key.shown() })
    }
}

/// `GET …/endpoint/{endpoint_id}/secret`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let (_, endpoint) = call.endpoint().await?;
    let current = endpoint.secrets.first().ok_or(ApiError::not_found())?;
    Ok(answer::json(StatusCode::OK, &SecretOut::of(&current.key)?))
}

/// `POST …/endpoint/{endpoint_id}/secret/rotate`: the new secret signs at once, the one before goes on
/// for a while. Answers 200 with the new one, which newer SDKs read and older ones pass over; for
/// operational endpoints, and to a token that may not see secrets, 204, as the contract says.
pub(super) async fn rotate(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    call.param("endpoint_id")?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let key = endpoint_in::secret(&mut fields, "key").unwrap_or_else(endpoint_in::new_secret);
    let kept_s = fields.read("gracePeriodSeconds", Null::Taken, "must be a number of seconds", |seconds: &u32| {
        if *seconds <= GRACE_S_MAX { Ok(()) } else { Err("must be from 0 to 604800 seconds") }
    });
    let grace_ms = i64::from(kept_s.value().unwrap_or(GRACE_S)) * 1000;
    fields.finish()?;
    let (app, endpoint) = call.endpoint().await?;
    let shown = SecretOut::of(&key)?;
    let change = Change::RotateSecret { app: app.app.key(), endpoint: endpoint.key(), key, grace_ms };
    let may_see = call.portal.as_ref().is_none_or(|token| token.allows(Capability::ViewEndpointSecret));
    if call.is_operational() || call.is_of_source() || !may_see {
        return change::commit(&call, change, &body, change::nothing).await;
    }
    change::commit(&call, change, &body, move |_| change::rendered(200, &shown)).await
}

/// Public keys of an endpoint, as far as they are of the asymmetric scheme.
pub(super) fn public_keys(endpoint: &Endpoint, now: i64) -> Vec<posthouse_signature::standard::Jwk> {
    let live = endpoint.secrets.iter().filter(|secret| secret.signs_at(now));
    live.filter_map(|secret| SigningKey::from_stored(secret.key.expose()).ok()?.jwk()).collect()
}
