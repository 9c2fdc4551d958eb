//! What an id, or another name, stands for: some seeks.

use super::db::{Db, Optional, Result, params};
use super::query::message_of;
use super::rows;
use crate::model::{AppKind, EnvKey, Id, IdKind, Key};
use crate::store::search::Looked;

/// What `named` stands for in an environment. The random bits of an id must be right.
pub(in crate::store) fn look_up(db: Db<'_>, env: EnvKey, named: &str) -> Result<Option<Looked>> {
    let id = |kind| Id::parse(kind, named);
    if let Some(id) = id(IdKind::Message) {
        return message(db, env, id);
    }
    if let Some(id) = id(IdKind::Attempt) {
        return attempt(db, env, id);
    }
    if let Some(id) = id(IdKind::Endpoint) {
        return endpoint(db, env, id);
    }
    if let Some(id) = id(IdKind::Application) {
        let found = application(db, env, id.key)?.filter(|found| *found == id);
        return Ok(found.map(|app| Looked::Application { app }));
    }
    if let Some(id) = id(IdKind::Source) {
        return source(db, env, "key = ?1 AND env = ?2", params![id.key, env.0], Some(id));
    }
    by_name(db, env, named)
}

/// By what people have named it: an application, a source, or an event type.
fn by_name(db: Db<'_>, env: EnvKey, named: &str) -> Result<Option<Looked>> {
    if let Some(app) = rows::app_by_uid(db, env, named)?
        && let Some(app) = application(db, env, app.0)?
    {
        return Ok(Some(Looked::Application { app }));
    }
    if let Some(found) = source(db, env, "env = ?1 AND uid = ?2", params![env.0, named], None)? {
        return Ok(Some(found));
    }
    let is_event_type =
        db.prepare_cached("SELECT 1 FROM event_type WHERE env = ? AND name = ?")?.exists(params![env.0, named])?;
    Ok(is_event_type.then_some(Looked::EventType))
}

fn message(db: Db<'_>, env: EnvKey, id: Id) -> Result<Option<Looked>> {
    let Some(message) = message_of(db, id.key, false)?.filter(|message| message.id == id) else { return Ok(None) };
    let Some(app) = application(db, env, message.app.0)? else { return Ok(None) };
    let source = match message.source {
        Some(source) => db
            .prepare_cached("SELECT key, nonce FROM source WHERE key = ?")?
            .query_row([source.0], |row| rows::id(row, 0))
            .optional()?,
        None => None,
    };
    Ok(Some(Looked::Message { app, message: id, source }))
}

fn attempt(db: Db<'_>, env: EnvKey, id: Id) -> Result<Option<Looked>> {
    let found = db
        .prepare_cached(
            "SELECT attempt.key, attempt.nonce, message.key, message.nonce, message.app, attempt.endpoint
               FROM attempt JOIN message ON message.key = attempt.message WHERE attempt.key = ?",
        )?
        .query_row([id.key], |row| Ok((rows::id(row, 0)?, rows::id(row, 2)?, row.get::<Key>(4)?, row.get::<Key>(5)?)))
        .optional()?;
    let Some((_, message, app, endpoint)) = found.filter(|(found, ..)| *found == id) else { return Ok(None) };
    let Some(app) = application(db, env, app)? else { return Ok(None) };
    let endpoint = db
        .prepare_cached("SELECT key, nonce FROM endpoint WHERE key = ?")?
        .query_row([endpoint], |row| rows::id(row, 0))
        .optional()?;
    Ok(Some(Looked::Attempt { app, endpoint, message }))
}

fn endpoint(db: Db<'_>, env: EnvKey, id: Id) -> Result<Option<Looked>> {
    let found = db
        .prepare_cached("SELECT key, nonce, app FROM endpoint WHERE key = ?")?
        .query_row([id.key], |row| Ok((rows::id(row, 0)?, row.get::<Key>(2)?)))
        .optional()?;
    let Some((endpoint, app)) = found.filter(|(found, _)| *found == id) else { return Ok(None) };
    Ok(application(db, env, app)?.map(|app| Looked::Endpoint { app, endpoint }))
}

/// The id of a customer's application of an environment.
fn application(db: Db<'_>, env: EnvKey, app: Key) -> Result<Option<Id>> {
    db.prepare_cached("SELECT key, nonce FROM application WHERE key = ? AND env = ? AND kind = ?")?
        .query_row(params![app, env.0, AppKind::Customer.code()], |row| rows::id(row, 0))
        .optional()
}

fn source(
    db: Db<'_>,
    env: EnvKey,
    which: &str,
    values: impl super::db::Params,
    id: Option<Id>,
) -> Result<Option<Looked>> {
    let found = db
        .prepare_cached(&format!("SELECT key, nonce, app FROM source WHERE {which}"))?
        .query_row(values, |row| Ok((rows::id(row, 0)?, row.get::<Key>(2)?)))
        .optional()?;
    let Some((source, app)) = found.filter(|(found, _)| id.is_none_or(|id| id == *found)) else { return Ok(None) };
    Ok(Some(Looked::Source { app: application(db, env, app)?, source }))
}
