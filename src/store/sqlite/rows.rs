//! Rows as the model's types.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::de::DeserializeOwned;

use super::{sealed, source_log};
use crate::model::{
    ApiKey, AppConfig, AppKey, AppKind, Application, Endpoint, EnvKey, EnvPolicy, Envelope, Environment, EventType,
    Failing, Id, Message, PortalToken, SourceKey,
};
use crate::store::seal::Sealer;

pub(super) const APPLICATION: &str = "key, nonce, env, kind, uid, version, spec, created_at, updated_at";
pub(super) const ENDPOINT: &str =
    "key, nonce, app, uid, url_id, spec, secret, failing_since, failing_warned, created_at, updated_at";
pub(super) const PORTAL_TOKEN: &str = "key, nonce, env, app, capabilities, feature_flags, created_at, expires_at";
pub(super) const EVENT_TYPE: &str = "name, spec, created_at, updated_at";
pub(super) const API_KEY: &str = "key, nonce, env, name, created_at, revoked_at";
pub(super) const MESSAGE: &str = "message.key, message.nonce, message.app, event_type, content_type, channels, tags, event_id, deliver_at, \
     message.source";

pub(super) fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}

fn list(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text).map_err(|error| damaged(column, error)),
    }
}

pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<Id> {
    Ok(Id { key: row.get(column)?, nonce: row.get(column + 1)? })
}

pub(super) fn environment(row: &Row<'_>) -> rusqlite::Result<Environment> {
    Ok(Environment { id: id(row, 0)?, name: row.get(2)?, created_at: row.get(3)? })
}

pub(super) fn api_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: id(row, 0)?,
        env: EnvKey(row.get(2)?),
        name: row.get(3)?,
        created_at: row.get(4)?,
        revoked_at: row.get(5)?,
    })
}

pub(super) fn application(row: &Row<'_>) -> rusqlite::Result<Application> {
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

pub(super) fn endpoint(row: &Row<'_>, sealer: &Sealer) -> rusqlite::Result<Endpoint> {
    let id = id(row, 0)?;
    let mut spec = json(row, 5)?;
    let secrets = sealed::open(sealer, id.key, row.get_ref(6)?.as_blob()?, &mut spec);
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

pub(super) fn portal_token(row: &Row<'_>) -> rusqlite::Result<PortalToken> {
    Ok(PortalToken {
        id: id(row, 0)?,
        env: EnvKey(row.get(2)?),
        app: AppKey(row.get(3)?),
        capabilities: json(row, 4)?,
        feature_flags: json(row, 5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
    })
}

/// What holds for an environment; its event types are read for their retry schedules only.
pub(super) fn env_policy(connection: &Connection, env: EnvKey) -> rusqlite::Result<Option<EnvPolicy>> {
    let settings = connection
        .prepare_cached("SELECT settings FROM environment WHERE key = ?")?
        .query_row([env.0], |row| json(row, 0))
        .optional()?;
    let Some(settings) = settings else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT name, json_extract(spec, '$.retry_schedule') FROM event_type
         WHERE env = ? AND json_extract(spec, '$.retry_schedule') IS NOT NULL",
    )?;
    let event_types = statement.query_map([env.0], |row| Ok((row.get(0)?, json(row, 1)?)))?;
    Ok(Some(EnvPolicy { settings, event_types: event_types.collect::<Result<_, _>>()? }))
}

pub(super) fn event_type(row: &Row<'_>) -> rusqlite::Result<EventType> {
    Ok(EventType { name: row.get(0)?, spec: json(row, 1)?, created_at: row.get(2)?, updated_at: row.get(3)? })
}

/// A message without its bytes: columns [`MESSAGE`].
pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
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
        source: row.get::<_, Option<i64>>(9)?.map(SourceKey),
        payload: None,
        received: None,
    })
}

/// A message with its bytes: columns [`MESSAGE`], `payload.body`, `payload.head`.
pub(super) fn message_with_payload(row: &Row<'_>) -> rusqlite::Result<Message> {
    let mut message = message(row)?;
    message.payload = row.get_ref(10)?.as_blob_or_null()?.map(Bytes::copy_from_slice);
    message.received = source_log::received(row, 11)?.map(Arc::new);
    Ok(message)
}

/// The application of an environment whose endpoints take operational webhooks.
pub(super) fn operational_app(connection: &Connection, env: EnvKey) -> rusqlite::Result<Option<AppKey>> {
    connection
        .prepare_cached("SELECT key FROM application WHERE env = ? AND kind = ?")?
        .query_row([env.0, AppKind::Operational.code()], |row| row.get(0).map(AppKey))
        .optional()
}

/// An application with its endpoints, by key.
pub(super) fn app_config(connection: &Connection, sealer: &Sealer, app: AppKey) -> rusqlite::Result<Option<AppConfig>> {
    let found = connection
        .prepare_cached(&format!("SELECT {APPLICATION} FROM application WHERE key = ?"))?
        .query_row([app.0], application)
        .optional()?;
    let Some(found) = found else { return Ok(None) };
    let mut statement =
        connection.prepare_cached(&format!("SELECT {ENDPOINT} FROM endpoint WHERE app = ? ORDER BY key"))?;
    let endpoints =
        statement.query_map([app.0], |row| endpoint(row, sealer).map(Arc::new))?.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(AppConfig { app: found, endpoints }))
}
