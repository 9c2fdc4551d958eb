//! Who calls: `Authorization: Bearer KEY`, looked up by its SHA-256, or, where there is no such header,
//! the cookie of a session.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::error::{ApiError, Code};
use super::origin;
use crate::accept::Gateway;
use crate::accept::sign_in::SESSION_PREFIX;
use crate::model::{EnvKey, Key, PortalToken, Scope, Scopes, Session, UnixMs};

/// Longest key that is looked up.
pub(super) const KEY_BYTES_MAX: usize = 1_024;
/// What portal tokens begin with.
pub(super) const PORTAL_PREFIX: &str = "appsk_";
/// By which operators choose the environment.
pub(super) const ENVIRONMENT_HEADER: &str = "posthouse-environment";

/// Who calls.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// Who has an environment key, or a session.
    Holder(Holder),
    /// Who has a portal token.
    Portal(Arc<PortalToken>),
}

/// Who has an environment key, or a session that stands in for one.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    /// The environment that the key belongs to.
    pub(super) env: EnvKey,
    /// What it may do.
    pub(super) scopes: Scopes,
    /// When it ends, if that is known.
    pub(super) expires_at: Option<UnixMs>,
    /// The session, if it is one.
    pub(super) session: Option<Arc<Session>>,
}

impl Caller {
    /// The environment that it opens, wholly or in part: its own, or the one that an operator chose.
    pub(super) async fn env(&self, gateway: &Gateway, headers: &HeaderMap) -> Result<EnvKey, ApiError> {
        let (own, is_operator) = match self {
            Self::Holder(holder) => (holder.env, holder.scopes.has(Scope::Operator)),
            Self::Portal(token) => (token.env, false),
        };
        let mut chosen = headers.get_all(ENVIRONMENT_HEADER).iter();
        let Some(name) = chosen.next() else { return Ok(own) };
        let name = name.to_str().unwrap_or_default();
        let env = gateway.snapshots.environment(&*gateway.queries, name).await?;
        match env.filter(|_| chosen.next().is_none()) {
            Some(env) if env == own || is_operator => Ok(env),
            // Whether it is there or not: nobody else learns which there are.
            _ => Err(ApiError::Coded(Code::PermissionDenied, "This key does not open that environment".into())),
        }
    }
}

/// The caller that the request's key, or its session's cookie, names.
pub(super) async fn caller(gateway: &Gateway, parts: &Parts) -> Result<Caller, ApiError> {
    let headers = &parts.headers;
    let (token, is_cookie) = if headers.contains_key(AUTHORIZATION) {
        (bearer(headers), false)
    } else {
        (cookie(headers, gateway.session_cookie()), true)
    };
    let token = token.ok_or_else(|| failed("Send the header `Authorization: Bearer <key>`"))?;
    if is_cookie {
        origin::check(gateway, parts)?;
    }
    let hash: [u8; 32] = Sha256::digest(token).into();
    let (snapshots, queries) = (&gateway.snapshots, &*gateway.queries);
    let now = gateway.clock.now_ms();
    let (caller, bucket) = if token.starts_with(PORTAL_PREFIX.as_bytes()) {
        let found = snapshots.portal_token(queries, hash).await?.filter(|token| now < token.expires_at);
        let found = found.ok_or_else(|| failed("The token is not known, or its time is over"))?;
        // All tokens of an application are one: any number of them can be made.
        let bucket = bucket_of(found.app.0);
        (Caller::Portal(found), bucket)
    } else if token.starts_with(SESSION_PREFIX.as_bytes()) {
        let found = snapshots.session(queries, hash, now).await?;
        let found = found.ok_or_else(|| failed("The session is not known, or its time is over"))?;
        if let Some(key) = found.api_key {
            gateway.key_use.note(key, now);
        }
        // All sessions of a key are one, for the same reason.
        let bucket = bucket_of(found.api_key.unwrap_or(found.id.key));
        (Caller::Holder(Holder::of_session(found)), bucket)
    } else {
        let key = snapshots.api_key(queries, hash, now).await?.ok_or_else(|| failed("The key is not known"))?;
        gateway.key_use.note(key.id.key, now);
        let holder = Holder { env: key.env, scopes: key.scopes, expires_at: key.revoked_at, session: None };
        (Caller::Holder(holder), hash)
    };
    gateway.quotas.spend(&bucket, now)?;
    Ok(caller)
}

impl Holder {
    fn of_session(session: Arc<Session>) -> Self {
        Self { env: session.env, scopes: session.scopes, expires_at: Some(session.expires_at), session: Some(session) }
    }
}

/// What stands for all tokens of one thing where requests are counted.
fn bucket_of(key: Key) -> [u8; 32] {
    let mut bucket = [0; 32];
    bucket[..8].copy_from_slice(&key.to_be_bytes());
    bucket
}

/// Nothing that is known was sent.
pub(super) fn failed(detail: &'static str) -> ApiError {
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
    (scheme.eq_ignore_ascii_case(b"bearer ") && is_well_formed(token)).then_some(token)
}

fn is_well_formed(token: &[u8]) -> bool {
    (1..=KEY_BYTES_MAX).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic)
}

/// The session's token in the one cookie of the name. Where there are two of it, another site of the
/// same domain may have put one there.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let mut found = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let token = found.next()?;
    let is_sessions = token.starts_with(SESSION_PREFIX.as_bytes()) && is_well_formed(token);
    (is_sessions && found.next().is_none()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_cookie_is_the_one_of_its_name() {
        for (cookies, expected) in [
            (&["posthouse_session=phs_a"][..], Some("phs_a")),
            (&["a=b; posthouse_session=phs_a; c=d"], Some("phs_a")),
            (&["a=b", "posthouse_session=phs_a"], Some("phs_a")),
            (&["posthouse_session=phk_a"], None),
            (&["posthouse_session=appsk_a"], None),
            (&["posthouse_session="], None),
            (&["posthouse_session"], None),
            (&["posthouse_sessions=phs_a"], None),
            (&["Posthouse_session=phs_a"], None),
            (&["posthouse_session=phs_a; posthouse_session=phs_b"], None),
            (&["posthouse_session=phs_a b"], None),
            (&["__Host-posthouse_session=phs_a"], None),
            (&["__Host-posthouse_session=phs_b; posthouse_session=phs_a"], Some("phs_a")),
        ] {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(COOKIE, HeaderValue::from_static(cookie));
            }
            let found = cookie(&headers, "posthouse_session").map(|token| String::from_utf8_lossy(token).into_owned());
            assert_eq!(found.as_deref(), expected, "{cookies:?}");
        }
    }
}
