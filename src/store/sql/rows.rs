//! Rows as the model's types.

use std::sync::Arc;

use super::db::{Db, Optional, Result, Row, damaged, params};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{sealed, source_log};
use crate::model::{
    ApiKey, AppConfig, AppKey, AppKind, Application, Endpoint, EndpointKey, EnvKey, EnvPolicy, Envelope, Environment,
    EnvironmentKind, EventType, Failing, Id, Message, MessageKey, PortalToken, Scopes, Session, SourceKey, Trigger,
    UnixMs, Waiting,
};
use crate::store::command::FOR_ONE_ENDPOINT;
use crate::store::seal::Sealer;

pub(in crate::store) const APPLICATION: &str = "key, nonce, env, kind, uid, version, spec, created_at, updated_at";
pub(in crate::store) const ENDPOINT: &str =
    "key, nonce, app, uid, url_id, spec, secret, failing_since, failing_warned, created_at, updated_at";
pub(in crate::store) const PORTAL_TOKEN: &str =
    "key, nonce, env, app, capabilities, feature_flags, created_at, expires_at, session_id";
pub(in crate::store) const EVENT_TYPE: &str = "name, spec, created_at, updated_at";
pub(in crate::store) const API_KEY: &str = "key, nonce, env, name, created_at, revoked_at, scopes, hint, last_used_at";
pub(in crate::store) const ENVIRONMENT: &str = "key, nonce, name, created_at, kind, updated_at";
/// Of `session` and, where it stands in for a key, of that; in place of a key that is gone `NULL`.
pub(in crate::store) const SESSION: &str = "session.key, session.nonce, session.env, session.api_key, \
     session.expires_at, api_key.scopes, api_key.revoked_at";
pub(in crate::store) const MESSAGE: &str = "message.key, message.nonce, message.app, event_type, content_type, channels, tags, event_id, deliver_at, \
     message.source";

pub(in crate::store) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    let text = row.text(column)?;
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}

fn list(row: &Row<'_>, column: usize) -> Result<Vec<String>> {
    match row.text_or_null(column)? {
        None => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text).map_err(|error| damaged(column, error)),
    }
}

pub(in crate::store) fn id(row: &Row<'_>, column: usize) -> Result<Id> {
    Ok(Id { key: row.get(column)?, nonce: row.get(column + 1)? })
}

pub(in crate::store) fn environment(row: &Row<'_>) -> Result<Environment> {
    let (created_at, updated_at): (UnixMs, UnixMs) = (row.get(3)?, row.get(5)?);
    Ok(Environment {
        id: id(row, 0)?,
        name: row.get(2)?,
        kind: EnvironmentKind::from_code(row.get(4)?),
        created_at,
        updated_at: updated_at.max(created_at),
    })
}

pub(in crate::store) fn api_key(row: &Row<'_>) -> Result<ApiKey> {
    Ok(ApiKey {
        id: id(row, 0)?,
        env: EnvKey(row.get(2)?),
        name: row.get(3)?,
        created_at: row.get(4)?,
        revoked_at: row.get(5)?,
        scopes: Scopes::from_code(row.get(6)?),
        hint: row.get(7)?,
        last_used_at: row.get(8)?,
    })
}

/// A session: columns [`SESSION`]. One whose key is gone opens nothing.
pub(in crate::store) fn session(row: &Row<'_>) -> Result<Session> {
    let (api_key, end): (Option<i64>, UnixMs) = (row.get(3)?, row.get(4)?);
    let (scopes, revoked_at): (Option<i64>, Option<UnixMs>) = (row.get(5)?, row.get(6)?);
    let (scopes, expires_at) = match (api_key, scopes) {
        (None, _) => (Scopes::OPERATOR, end),
        (Some(_), Some(scopes)) => (Scopes::from_code(scopes), revoked_at.map_or(end, |revoked| revoked.min(end))),
        (Some(_), None) => (Scopes::of([]), 0),
    };
    Ok(Session { id: id(row, 0)?, env: EnvKey(row.get(2)?), api_key, scopes, expires_at })
}

pub(in crate::store) fn application(row: &Row<'_>) -> Result<Application> {
    Ok(Application {
        id: id(row, 0)?,
        env: EnvKey(row.get(2)?),
        kind: AppKind::from_code(row.get(3)?),
        uid: row.get(4)?,
        version: row.get(5)?,
        spec: json(row, 6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

pub(in crate::store) fn endpoint(row: &Row<'_>, sealer: &Sealer) -> Result<Endpoint> {
    let id = id(row, 0)?;
    let mut spec = json(row, 5)?;
    let secrets = sealed::open(sealer, id.key, row.blob(6)?, &mut spec);
    let failing_since: Option<i64> = row.get(7)?;
    let warned = row.get(8)?;
    Ok(Endpoint {
        id,
        app: AppKey(row.get(2)?),
        uid: row.get(3)?,
        url_id: row.get(4)?,
        spec,
        secrets: secrets.map_err(|error| damaged(6, error))?,
        failing: failing_since.map(|since| Failing { since, warned }),
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

pub(in crate::store) fn portal_token(row: &Row<'_>) -> Result<PortalToken> {
    Ok(PortalToken {
        id: id(row, 0)?,
        env: EnvKey(row.get(2)?),
        app: AppKey(row.get(3)?),
        capabilities: json(row, 4)?,
        feature_flags: json(row, 5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        session_id: row.get(8)?,
    })
}

/// What holds for an environment; its event types are read for their retry schedules only.
pub(in crate::store) fn env_policy(db: Db<'_>, env: EnvKey) -> Result<Option<EnvPolicy>> {
    let settings = db
        .prepare_cached("SELECT settings FROM environment WHERE key = ?")?
        .query_row([env.0], |row| json(row, 0))
        .optional()?;
    let Some(settings) = settings else { return Ok(None) };
    let schedule = db.json_field("spec", "retry_schedule");
    let mut statement = db
        .prepare_cached(&format!("SELECT name, {schedule} FROM event_type WHERE env = ? AND {schedule} IS NOT NULL"))?;
    let event_types = statement.query_map([env.0], |row| Ok((row.get(0)?, json(row, 1)?)))?;
    Ok(Some(EnvPolicy { settings, event_types: event_types.collect::<Result<_, _>>()? }))
}

pub(in crate::store) fn event_type(row: &Row<'_>) -> Result<EventType> {
    Ok(EventType { name: row.get(0)?, spec: json(row, 1)?, created_at: row.get(2)?, updated_at: row.get(3)? })
}

/// A message without its bytes: columns [`MESSAGE`].
pub(in crate::store) fn message(row: &Row<'_>) -> Result<Message> {
    Ok(Message {
        id: id(row, 0)?,
        app: AppKey(row.get(2)?),
        envelope: Envelope {
            event_type: row.get(3)?,
            content_type: row.get(4)?,
            channels: list(row, 5)?,
            tags: list(row, 6)?,
            event_id: row.get(7)?,
            deliver_at: row.get(8)?,
        },
        source: row.get::<Option<i64>>(9)?.filter(|&source| source != FOR_ONE_ENDPOINT).map(SourceKey),
        payload: None,
        received: None,
    })
}

/// A message with its bytes: columns [`MESSAGE`], `payload.body`, `payload.head`.
pub(in crate::store) fn message_with_payload(row: &Row<'_>) -> Result<Message> {
    let mut message = message(row)?;
    message.payload = row.blob_or_null(10)?.map(Bytes::copy_from_slice);
    message.received = source_log::received(row, 11)?.map(Arc::new);
    Ok(message)
}

/// The application of an environment whose endpoints take operational webhooks.
pub(in crate::store) fn operational_app(db: Db<'_>, env: EnvKey) -> Result<Option<AppKey>> {
    db.prepare_cached("SELECT key FROM application WHERE env = ? AND kind = ?")?
        .query_row([env.0, AppKind::Operational.code()], |row| row.get(0).map(AppKey))
        .optional()
}

/// An application with its endpoints, by key.
pub(in crate::store) fn app_config(db: Db<'_>, sealer: &Sealer, app: AppKey) -> Result<Option<AppConfig>> {
    let found = db
        .prepare_cached(&format!("SELECT {APPLICATION} FROM application WHERE key = ?"))?
        .query_row([app.0], application)
        .optional()?;
    let Some(found) = found else { return Ok(None) };
    let mut statement = db.prepare_cached(&format!("SELECT {ENDPOINT} FROM endpoint WHERE app = ? ORDER BY key"))?;
    let endpoints =
        statement.query_map([app.0], |row| endpoint(row, sealer).map(Arc::new))?.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(AppConfig { app: found, endpoints }))
}

/// The application of a key.
pub(in crate::store) fn application_of(db: Db<'_>, app: AppKey) -> Result<Option<Application>> {
    db.prepare_cached(&format!("SELECT {APPLICATION} FROM application WHERE key = ?"))?
        .query_row([app.0], application)
        .optional()
}

/// A message with its bytes, by key.
pub(in crate::store) fn message_by_key() -> String {
    format!(
        "SELECT {MESSAGE}, payload.body, payload.head FROM message LEFT JOIN payload ON payload.id = message.payload
         WHERE message.key = ?"
    )
}

/// The application of a uid.
pub(in crate::store) fn app_by_uid(db: Db<'_>, env: EnvKey, uid: &str) -> Result<Option<AppKey>> {
    db.prepare_cached("SELECT key FROM application WHERE env = ? AND uid = ?")?
        .query_row(params![env.0, uid], |row| row.get(0).map(AppKey))
        .optional()
}

/// Waiting deliveries of an endpoint in the order of due times, after `after`.
pub(in crate::store) fn waiting(
    db: Db<'_>,
    endpoint: EndpointKey,
    after: Option<(UnixMs, MessageKey)>,
    limit: usize,
) -> Result<Vec<Waiting>> {
    let (due, message) = after.map_or((i64::MIN, i64::MIN), |(due, message)| (due, message.0));
    db.prepare_cached(
        "SELECT due, message, attempts, manual FROM waiting WHERE endpoint = ? AND (due, message) > (?, ?)
         ORDER BY due, message LIMIT ?",
    )?
    .query_map([endpoint.0, due, message, limit as i64], |row| {
        Ok(Waiting {
            due: row.get(0)?,
            message: MessageKey(row.get(1)?),
            attempts: row.get(2)?,
            trigger: Trigger::from_code(row.get(3)?),
        })
    })?
    .collect()
}
