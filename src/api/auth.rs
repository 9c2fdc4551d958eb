//! Who calls: `Authorization: Bearer KEY`, looked up by the key's SHA-256.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use super::error::{ApiError, Code};
use crate::accept::Gateway;
use crate::model::{EnvKey, PortalToken};

/// Longest key that is looked up.
const KEY_BYTES_MAX: usize = 1_024;
/// What portal tokens begin with.
pub(super) const PORTAL_PREFIX: &str = "appsk_";

/// Who calls.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// Who has an environment key.
    Environment(EnvKey),
    /// Who has a portal token.
    Portal(Arc<PortalToken>),
}

impl Caller {
    /// The environment that it opens, wholly or in part.
    pub(super) fn env(&self) -> EnvKey {
        match self {
            Self::Environment(env) => *env,
            Self::Portal(token) => token.env,
        }
    }
}

/// The caller that the request's key names.
pub(super) async fn caller(gateway: &Gateway, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let token = bearer(headers).ok_or_else(|| failed("Send the header `Authorization: Bearer <key>`"))?;
    let hash: [u8; 32] = Sha256::digest(token).into();
    let (snapshots, queries) = (&gateway.snapshots, &*gateway.queries);
    let now = gateway.clock.now_ms();
    let (caller, bucket) = if token.starts_with(PORTAL_PREFIX.as_bytes()) {
        let found = snapshots.portal_token(queries, hash).await?.filter(|token| now < token.expires_at);
        let found = found.ok_or_else(|| failed("The token is not known, or its time is over"))?;
        // All tokens of an application are one: any number of them can be made.
        let mut bucket = [0; 32];
        bucket[..8].copy_from_slice(&found.app.0.to_be_bytes());
        (Caller::Portal(found), bucket)
    } else {
        let key = snapshots.api_key(queries, hash).await?.ok_or_else(|| failed("The key is not known"))?;
        (Caller::Environment(key.env), hash)
    };
    gateway.quotas.spend(&bucket, now)?;
    Ok(caller)
}

fn failed(detail: &'static str) -> ApiError {
    ApiError::Coded(Code::AuthenticationFailed, detail.into())
}

/// The token of the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = all.next()?.as_bytes();
    if all.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    let well_formed = scheme.eq_ignore_ascii_case(b"bearer ")
        && (1..=KEY_BYTES_MAX).contains(&token.len())
        && token.iter().all(u8::is_ascii_graphic);
    well_formed.then_some(token)
}
