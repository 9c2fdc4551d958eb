//! One request, as handlers see it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;

use super::auth::Holder;
use super::error::{ApiError, Kind};
use super::first_sdks;
use super::query::Query;
use super::validate;
use crate::accept::Gateway;
use crate::model::{AppConfig, Endpoint, EndpointKey, EnvKey, Id, IdKind, Message, PortalToken, Source};
use crate::store::command::Idempotency;

/// Operations on the endpoints of the environment itself begin with this.
const OPERATIONAL: &str = "/api/v1/operational-webhook/";
/// Operations on the endpoints of a source begin with this.
const OF_SOURCE: &str = "/ingest/api/v1/source/{source_id}/endpoint";
/// Longest idempotency key.
pub(super) const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// A request whose key was found good. Its body travels beside it.
pub(super) struct Call {
    /// All that there is to ask.
    pub(super) gateway: Arc<Gateway>,
    /// The environment that the key opens, or that an operator chose; none on operations that need no key.
    pub(super) env: EnvKey,
    /// The caller's key or session, if that is what opened it.
    pub(super) holder: Option<Holder>,
    /// The caller's portal token, if that is what opened it.
    pub(super) portal: Option<Arc<PortalToken>>,
    /// Method, path, query and headers.
    pub(super) parts: Parts,
    /// The operation's path, with names in braces.
    pub(super) pattern: &'static str,
}

impl Call {
    /// A parameter of the path, decoded and judged; empty where the operation's path does not have it.
    pub(super) fn param(&self, name: &'static str) -> Result<Cow<'_, str>, ApiError> {
        let segments = self.pattern.split('/').zip(self.parts.uri.path().split('/'));
        let mut raw =
            segments.filter(|(pattern, _)| pattern.trim_matches(['{', '}']) == name && pattern.len() > name.len());
        let Some((_, raw)) = raw.next() else { return Ok(Cow::Borrowed("")) };
        let invalid = |msg| ApiError::invalid("path", name, msg, Kind::Value);
        let text = decode(raw).ok_or_else(|| invalid("is not UTF-8"))?;
        validate::UID.check(&text).map_err(invalid)?;
        Ok(text)
    }

    /// The query's parameters.
    pub(super) fn query(&self) -> Query<'_> {
        Query::parse(self.parts.uri.query())
    }

    /// Reads the body with the limits of all bodies.
    pub(super) async fn read(&self, body: Body) -> Result<Bytes, ApiError> {
        let body = self.gateway.body_budget.read(body).await?;
        Ok(if first_sdks::concerned(self.pattern, &self.parts.headers) { first_sdks::read(body) } else { body })
    }

    /// The idempotency key that was sent, if it is one.
    pub(super) fn idempotency_key(&self) -> Result<Option<&[u8]>, ApiError> {
        const NAME: &str = "idempotency-key";
        let mut all = self.parts.headers.get_all(NAME).iter();
        let Some(key) = all.next().map(http::HeaderValue::as_bytes) else { return Ok(None) };
        if all.next().is_some() {
            return Err(ApiError::invalid("header", NAME, "given more than once", Kind::Duplicate));
        }
        let right = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
        if !right {
            let msg = "must have 1 to 256 visible ASCII characters";
            return Err(ApiError::invalid("header", NAME, msg, Kind::Value));
        }
        Ok(Some(key))
    }

    /// The idempotency key that was sent, in its scope: environment, caller, operation, and what the path
    /// names. Application and endpoint count by their keys, however they are named: what is made anew
    /// under the same name shares nothing with the one before.
    pub(super) fn idempotency(&self, app: Option<&AppConfig>, body: &[u8]) -> Result<Option<Idempotency>, ApiError> {
        let Some(key) = self.idempotency_key()? else { return Ok(None) };
        let mut scope: Vec<Vec<u8>> = vec![
            self.env.0.to_be_bytes().to_vec(),
            self.portal.as_ref().map(|token| token.id.key.to_be_bytes().to_vec()).unwrap_or_default(),
            self.parts.method.as_str().into(),
            self.pattern.into(),
        ];
        let segments = self.pattern.split('/').zip(self.parts.uri.path().split('/'));
        for (pattern, raw) in segments.filter(|(pattern, _)| pattern.starts_with('{')) {
            let text = decode(raw).unwrap_or(Cow::Borrowed(raw));
            let named = match (pattern, app) {
                ("{app_id}", Some(app)) => Some(app.app.key().0),
                ("{endpoint_id}", Some(app)) => endpoint_named(app, &text).map(|endpoint| endpoint.key().0),
                _ => None,
            };
            // A number is no text: the one is told from the other by what stands before it.
            scope.push(
                named.map_or_else(|| [b"t", text.as_bytes()].concat(), |key| [b"k", &key.to_be_bytes()[..]].concat()),
            );
        }
        Ok(Some(self.gateway.idempotency(&scope, key, body)))
    }

    /// Whether it is about endpoints of the environment itself.
    pub(super) fn is_operational(&self) -> bool {
        self.pattern.starts_with(OPERATIONAL)
    }

    /// Whether it is about endpoints of a source, which are those of its application.
    pub(super) fn is_of_source(&self) -> bool {
        self.pattern.starts_with(OF_SOURCE)
    }

    /// The source that the path names, by id or uid, if it is there.
    pub(super) async fn source_if_any(&self) -> Result<Option<Source>, ApiError> {
        let name = self.param("source_id")?;
        Ok(self.gateway.queries.source_named(self.env, &name).await?)
    }

    /// The source that the path names.
    pub(super) async fn source(&self) -> Result<Source, ApiError> {
        self.source_if_any().await?.ok_or(ApiError::not_found())
    }

    /// The application that the path names.
    pub(super) async fn app(&self) -> Result<Arc<AppConfig>, ApiError> {
        self.app_if_any().await?.ok_or(ApiError::not_found())
    }

    /// Whether the path names an application, or an endpoint of the environment itself.
    pub(super) fn names_application(&self) -> bool {
        self.pattern.contains("{app_id}") || self.is_operational() || self.is_of_source()
    }

    /// The application that the path names, if it is there.
    pub(super) async fn app_if_any(&self) -> Result<Option<Arc<AppConfig>>, ApiError> {
        if self.is_operational() {
            return Ok(self.gateway.snapshots.operational(self.env).await?);
        }
        if self.is_of_source() {
            let Some(source) = self.source_if_any().await? else { return Ok(None) };
            return Ok(self.gateway.snapshots.app(source.app).await?);
        }
        let name = self.param("app_id")?;
        let app = self.gateway.snapshots.app_named(self.env, &name).await?;
        // Another's application is not there for a portal token.
        Ok(app.filter(|app| self.portal.as_ref().is_none_or(|token| token.app == app.app.key())))
    }

    /// The application and endpoint that the path names.
    pub(super) async fn endpoint(&self) -> Result<(Arc<AppConfig>, Arc<Endpoint>), ApiError> {
        let name = self.param("endpoint_id")?;
        let app = self.app().await?;
        let endpoint = endpoint_named(&app, &name).ok_or(ApiError::not_found())?;
        Ok((app, endpoint))
    }

    /// The message that the path names, by id or `eventId`.
    pub(super) async fn message(&self, app: &AppConfig, with_content: bool) -> Result<Message, ApiError> {
        let name = self.param("msg_id")?;
        let (queries, key) = (&self.gateway.queries, app.app.key());
        let mut found = None;
        if let Some(id) = Id::parse(IdKind::Message, &name) {
            found = queries.message(key, id, with_content).await?;
        }
        if found.is_none() {
            found = queries.message_by_event_id(key, &name, with_content).await?;
        }
        found.ok_or(ApiError::not_found())
    }
}

/// An endpoint of an application, by id or uid.
pub(super) fn endpoint_named(app: &AppConfig, name: &str) -> Option<Arc<Endpoint>> {
    if let Some(id) = Id::parse(IdKind::Endpoint, name) {
        return app.endpoint(EndpointKey(id.key)).filter(|endpoint| endpoint.id == id).cloned();
    }
    app.endpoints.iter().find(|endpoint| endpoint.uid.as_deref() == Some(name)).cloned()
}

/// Takes percent-encoding off a segment of a path; `None` if what is left is no UTF-8.
fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high)? << 4 | hex(*low)?);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn segments_are_decoded_as_far_as_they_are_encoded() {
        for (raw, text) in [
            ("abc", Some("abc")),
            ("a%2Fb%2e", Some("a/b.")),
            ("%", Some("%")),
            ("%4", Some("%4")),
            ("%zz%41", Some("%zzA")),
            ("%00", Some("\0")),
            ("%ff", None),
        ] {
            assert_eq!(decode(raw).as_deref(), text, "{raw}");
        }
    }
}
