//! Who calls: `Authorization: Bearer KEY`, looked up by the key's SHA-256.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use super::error::{ApiError, Code};
use crate::accept::Gateway;
use crate::model::EnvKey;

/// Longest key that is looked up.
const KEY_BYTES_MAX: usize = 1_024;

/// The environment that the request's key opens.
pub(super) async fn environment(gateway: &Gateway, headers: &HeaderMap) -> Result<EnvKey, ApiError> {
    let token = bearer(headers).ok_or_else(|| failed("Send the header `Authorization: Bearer <key>`"))?;
    let hash: [u8; 32] = Sha256::digest(token).into();
    let key = gateway.snapshots.api_key(&*gateway.queries, hash).await?;
    let key = key.ok_or_else(|| failed("The key is not known"))?;
    gateway.quotas.spend(&hash, gateway.clock.now_ms())?;
    Ok(key.env)
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
