//! An endpoint as it is stored: what must not be seen in the files (the signing secret, the URL
//! with its password, the values of headers) is sealed, the rest is JSON in clear.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::model::url::masked;
use crate::model::{Endpoint, EndpointSpec, SecretBytes, SigningSecret, UnixMs};
use crate::store::seal::{SealError, Sealer};

const TABLE: &str = "endpoint";
const VERSION: u8 = 1;

/// A signing secret, its key as base64.
#[derive(Serialize, Deserialize)]
struct Secret {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixMs>,
}

/// What is sealed, as JSON.
#[derive(Serialize, Deserialize)]
struct Content {
    version: u8,
    secrets: Vec<Secret>,
    url: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

/// Both parts of an endpoint for the columns `spec` and `secret`.
pub(in crate::store) fn close(sealer: &Sealer, endpoint: &Endpoint) -> (String, Vec<u8>) {
    let spec = &endpoint.spec;
    let content = Content {
        version: VERSION,
        secrets: endpoint
            .secrets
            .iter()
            .map(|secret| Secret { key: STANDARD.encode(secret.key.expose()), expires_at: secret.expires_at })
            .collect(),
        url: spec.url.clone(),
        headers: spec.headers.clone(),
    };
    // Structs of strings and numbers: serialising them cannot fail.
    let blob = sealer.seal(TABLE, endpoint.id.key, &serde_json::to_vec(&content).unwrap_or_default());
    let open = EndpointSpec { url: masked(&spec.url).into_owned(), headers: BTreeMap::new(), ..spec.clone() };
    (serde_json::to_string(&open).unwrap_or_default(), blob)
}

/// Puts what was sealed for the endpoint of this key where it belongs.
pub(in crate::store) fn open(
    sealer: &Sealer,
    key: i64,
    blob: &[u8],
    spec: &mut EndpointSpec,
) -> Result<Vec<SigningSecret>, SealError> {
    let plain = sealer.open(TABLE, key, blob)?;
    let content: Content = serde_json::from_slice(&plain).map_err(|_| SealError::Damaged)?;
    if content.version != VERSION {
        return Err(SealError::Damaged);
    }
    spec.url = content.url;
    spec.headers = content.headers;
    let secret = |secret: Secret| {
        let key = STANDARD.decode(secret.key).map_err(|_| SealError::Damaged)?;
        Ok(SigningSecret { key: SecretBytes::new(key), expires_at: secret.expires_at })
    };
    content.secrets.into_iter().map(secret).collect()
}
