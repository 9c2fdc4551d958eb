//! Rows as the model's types.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::de::DeserializeOwned;

use crate::model::{
    ApiKey, AppConfig, AppKey, Application, Endpoint, EnvKey, Envelope, Environment, EventType, Id, Message,
};
use super::sealed;
use crate::store::seal::Sealer;

pub(super) const APPLICATION: &str = "key, nonce, env, uid, version, spec, created_at, updated_at";
pub(super) const ENDPOINT: &str = "key, nonce, app, uid, url_id, spec, secret, created_at, updated_at";
pub(super) const EVENT_TYPE: &str = "name, spec, created_at, updated_at";
pub(super) const API_KEY: &str = "key, nonce, env, name, created_at, revoked_at";
pub(super) const MESSAGE: &str =
    "message.key, message.nonce, message.app, event_type, content_type, channels, tags, event_id, deliver_at";

fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
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
        uid: row.get(3)?,
        version: row.get(4)?,
        spec: json(row, 5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

pub(super) fn endpoint(row: &Row<'_>, sealer: &Sealer) -> rusqlite::Result<Endpoint> {
    let id = id(row, 0)?;
    let mut spec = json(row, 5)?;
    let secret = sealed::open(sealer, id.key, row.get_ref(6)?.as_blob()?, &mut spec);
    Ok(Endpoint {
        id,
        app: AppKey(row.get(2)?),
        uid: row.get(3)?,
        url_id: row.get(4)?,
        spec,
        secret: secret.map_err(|error| damaged(6, error))?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
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
        payload: None,
    })
}

/// A message with its bytes: columns [`MESSAGE`], `payload.body`.
pub(super) fn message_with_payload(row: &Row<'_>) -> rusqlite::Result<Message> {
    let mut message = message(row)?;
    message.payload = row.get_ref(9)?.as_blob_or_null()?.map(Bytes::copy_from_slice);
    Ok(message)
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
