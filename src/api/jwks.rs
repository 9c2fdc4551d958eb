//! The public keys of an endpoint as a JSON Web Key set (RFC 7517), for receivers of `v1a` signatures.
//! Needs no key: what it shows is public, and who asks knows the endpoint's id.

use axum::body::Body;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Response, StatusCode};
use posthouse_signature::standard::Jwk;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::ApiError;
use super::secret::public_keys;
use crate::model::{EndpointKey, Id, IdKind};

/// How long receivers may keep the answer. Shorter than any useful grace period of a rotation.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Public keys of an endpoint.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Jwks")]
pub(super) struct JwksOut {
    /// The newest first.
    keys: Vec<KeyOut>,
}

/// A public key (RFC 8037).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Jwk")]
struct KeyOut {
    /// `OKP`.
    kty: &'static str,
    /// `Ed25519`.
    crv: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
    /// `EdDSA`.
    alg: &'static str,
    /// Its thumbprint.
    kid: String,
    /// The key in base64url.
    x: String,
}

/// `GET /jwks/{endpoint_id}`: the newest key first; none where the endpoint signs with a shared secret.
pub(super) async fn get(call: Call, _: Body) -> Result<Response<Body>, ApiError> {
    let name = call.param("endpoint_id")?;
    let gateway = &call.gateway;
    let id = Id::parse(IdKind::Endpoint, &name).ok_or(ApiError::not_found())?;
    let key = EndpointKey(id.key);
    let app = gateway.reader.apps_of(&[key]).await?.first().map(|(_, app)| *app).ok_or(ApiError::not_found())?;
    let config = gateway.snapshots.app(app).await?.ok_or(ApiError::not_found())?;
    let endpoint = config.endpoint(key).filter(|endpoint| endpoint.id == id).ok_or(ApiError::not_found())?;
    let out =
        |jwk: Jwk| KeyOut { kty: Jwk::KTY, crv: Jwk::CRV, usage: Jwk::USE, alg: Jwk::ALG, kid: jwk.kid, x: jwk.x };
    let keys = public_keys(endpoint, gateway.clock.now_ms()).into_iter().map(out).collect();
    let mut answer = answer::json(StatusCode::OK, &JwksOut { keys });
    answer.headers_mut().insert(CACHE_CONTROL, CACHE);
    Ok(answer)
}
