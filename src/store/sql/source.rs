//! Changes of sources, and their rows.

use std::sync::Arc;

use super::db::{Db, Optional, Result, Row, damaged, params};

use super::change::{Changer, Stop, json};
use super::rows::{self, application_of};
use crate::model::{
    AppKey, Application, ApplicationSpec, EnvKey, Id, IdKind, Source, SourceKey, SourceSecret, SourceSpec, UnixMs,
};
use crate::store::command::{Changed, Refusal, SourcePatch};
use crate::store::seal::{SealError, Sealer};

const TABLE: &str = "source";
/// Sources of an environment.
const SOURCES_MAX: i64 = 10_000;
/// Tokens of a source that go on opening beside the newest.
const TOKENS_MAX: i64 = 10;

pub(in crate::store) const SOURCE: &str = "key, nonce, env, app, owns_app, uid, spec, secret, created_at, updated_at, \
     (SELECT application.nonce FROM application WHERE application.key = source.app)";

/// Columns [`SOURCE`].
pub(in crate::store) fn source(row: &Row<'_>, sealer: &Sealer) -> Result<Source> {
    let id = rows::id(row, 0)?;
    let opened = sealer.open(TABLE, id.key, row.blob(7)?);
    let secret = opened.and_then(|plain| serde_json::from_slice(&plain).map_err(|_| SealError::Damaged));
    let app: i64 = row.get(3)?;
    Ok(Source {
        id,
        env: EnvKey(row.get(2)?),
        app: AppKey(app),
        app_id: Id { key: app, nonce: row.get::<Option<_>>(10)?.unwrap_or_default() },
        owns_app: row.get(4)?,
        uid: row.get(5)?,
        spec: rows::json(row, 6)?,
        secret: secret.map_err(|error| damaged(7, error))?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

/// The source that a token opens, and until when.
pub(in crate::store) fn of_token(db: Db<'_>, sealer: &Sealer, token: &str) -> Result<Option<(Source, Option<UnixMs>)>> {
    let found = db
        .prepare_cached("SELECT source, expires_at FROM source_token WHERE hash = ?")?
        .query_row([token_hash(sealer, token).as_slice()], |row| Ok((row.get::<i64>(0)?, row.get(1)?)))
        .optional()?;
    let Some((key, expires_at)) = found else { return Ok(None) };
    Ok(by_key(db, sealer, SourceKey(key))?.map(|source| (source, expires_at)))
}

/// A source.
pub(in crate::store) fn by_key(db: Db<'_>, sealer: &Sealer, key: SourceKey) -> Result<Option<Source>> {
    db.prepare_cached(&format!("SELECT {SOURCE} FROM source WHERE key = ?"))?
        .query_row([key.0], |row| source(row, sealer))
        .optional()
}

/// A source of an environment, by id or uid.
pub(in crate::store) fn named(db: Db<'_>, sealer: &Sealer, env: EnvKey, name: &str) -> Result<Option<Source>> {
    if let Some(id) = Id::parse(IdKind::Source, name) {
        let found = by_key(db, sealer, SourceKey(id.key))?;
        return Ok(found.filter(|source| source.id == id && source.env == env));
    }
    db.prepare_cached(&format!("SELECT {SOURCE} FROM source WHERE env = ? AND uid = ?"))?
        .query_row(params![env.0, name], |row| source(row, sealer))
        .optional()
}

fn token_hash(sealer: &Sealer, token: &str) -> [u8; 32] {
    sealer.keyed_hash(&[b"source token", token.as_bytes()])
}

impl Changer<'_> {
    fn source_exists(&self, env: EnvKey, uid: &str, other_than: SourceKey) -> Result<bool> {
        self.exists("SELECT 1 FROM source WHERE env = ? AND uid = ? AND key <> ?", params![env.0, uid, other_than.0])
    }

    fn seal_source(&self, source: &Source) -> Vec<u8> {
        // Maps of text and numbers: serialising them cannot fail.
        let plain = serde_json::to_vec(&source.secret).unwrap_or_default();
        self.state.sealer.seal(TABLE, source.id.key, &plain)
    }

    pub(in crate::store) fn create_source(
        &mut self,
        env: EnvKey,
        app: Option<AppKey>,
        uid: Option<&str>,
        spec: &SourceSpec,
        secret: &SourceSecret,
    ) -> Result<Changed, Stop> {
        let id = self.state.new_id(self.at).short();
        if let Some(uid) = uid
            && self.source_exists(env, uid, SourceKey(id.key))?
        {
            return Err(Refusal::Exists.into());
        }
        let count: i64 = self
            .db
            .prepare_cached("SELECT count(*) FROM source WHERE env = ?")?
            .query_row([env.0], |row| row.get(0))?;
        if count >= SOURCES_MAX {
            return Err(Refusal::TooManySources.into());
        }
        let (app, made) = self.app_of_source(env, app, &id.format(IdKind::Source), &spec.name)?;
        let source = Source {
            id,
            env,
            app: app.key(),
            app_id: app.id,
            owns_app: made,
            uid: uid.map(str::to_owned),
            spec: spec.clone(),
            secret: secret.clone(),
            created_at: self.at,
            updated_at: self.at,
        };
        self.run(
            "INSERT INTO source (key, nonce, env, app, owns_app, uid, spec, secret, created_at, updated_at, last_tick)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                id.key,
                id.nonce.as_slice(),
                env.0,
                source.app.0,
                source.owns_app,
                source.uid,
                json(&source.spec),
                self.seal_source(&source),
                self.at,
                self.at,
                source.is_cron().then_some(self.at),
            ],
        )?;
        self.store_token(&source)?;
        Ok(Changed::Source(Arc::new(source), made.then_some(app)))
    }

    /// The application that was named, or a new one whose uid is the source's id.
    fn app_of_source(
        &mut self,
        env: EnvKey,
        app: Option<AppKey>,
        uid: &str,
        name: &str,
    ) -> Result<(Application, bool), Stop> {
        if let Some(app) = app {
            let found = application_of(self.db, app)?.filter(|found| found.env == env);
            return Ok((found.ok_or(Refusal::NotFound)?, false));
        }
        let spec = ApplicationSpec { name: name.to_owned(), ..ApplicationSpec::default() };
        match self.create_application(env, Some(uid), &spec, false)? {
            Changed::Application(made, _) => Ok((made, true)),
            _ => Err(Refusal::Failed.into()),
        }
    }

    fn store_token(&mut self, source: &Source) -> Result<()> {
        let hash = token_hash(&self.state.sealer, &source.secret.token);
        self.run(
            "INSERT INTO source_token (hash, source, expires_at) VALUES (?, ?, NULL)",
            params![hash.as_slice(), source.id.key],
        )?;
        Ok(())
    }

    fn source(&self, key: SourceKey) -> Result<Source, Stop> {
        Ok(by_key(self.db, &self.state.sealer, key)?.ok_or(Refusal::NotFound)?)
    }

    fn store_source(&mut self, mut source: Source) -> Result<Changed, Stop> {
        if let Some(uid) = &source.uid
            && self.source_exists(source.env, uid, source.key())?
        {
            return Err(Refusal::Exists.into());
        }
        source.updated_at = self.at;
        self.run(
            "UPDATE source SET uid = ?, spec = ?, secret = ?, updated_at = ? WHERE key = ?",
            params![source.uid, json(&source.spec), self.seal_source(&source), self.at, source.id.key],
        )?;
        Ok(Changed::Source(Arc::new(source), None))
    }

    pub(in crate::store) fn patch_source(&mut self, key: SourceKey, patch: &SourcePatch) -> Result<Changed, Stop> {
        let before = self.source(key)?;
        let mut source = before.clone();
        patch.apply(&mut source);
        let is_rescheduled = source.is_rescheduled_from(&before);
        let changed = self.store_source(source)?;
        if let Changed::Source(source, _) = &changed
            && is_rescheduled
        {
            self.reschedule(source)?;
        }
        Ok(changed)
    }

    pub(in crate::store) fn delete_source(&mut self, key: SourceKey) -> Result<Changed, Stop> {
        let source = self.source(key)?;
        if source.owns_app && self.has_other_sources(source.app, key)? {
            return Err(Refusal::ApplicationShared.into());
        }
        self.remove_source(key)?;
        let app = if source.owns_app {
            let endpoints = self.remove_application(source.app)?;
            Some((source.app, endpoints))
        } else {
            None
        };
        Ok(Changed::SourceDeleted { source: key, app })
    }

    fn has_other_sources(&self, app: AppKey, than: SourceKey) -> Result<bool> {
        self.exists("SELECT 1 FROM source WHERE app = ? AND key <> ?", params![app.0, than.0])
    }

    fn remove_source(&mut self, key: SourceKey) -> Result<(), Stop> {
        self.run("DELETE FROM source WHERE key = ?", [key.0])?;
        self.run("DELETE FROM source_token WHERE source = ?", [key.0])?;
        // Bounded by what is kept of each source.
        self.run("DELETE FROM source_log WHERE source = ?", [key.0])?;
        for is_rejected in [false, true] {
            self.state.source_logs.remove(&(key, is_rejected));
        }
        self.keep_highest_key()?;
        Ok(())
    }

    /// Where an application goes, nothing can come in for it any more.
    pub(in crate::store) fn sources_of_application_go(&mut self, app: AppKey) -> Result<(), Stop> {
        let keys = self
            .db
            .prepare_cached("SELECT key FROM source WHERE app = ?")?
            .query_map([app.0], |row| row.get(0).map(SourceKey))?
            .collect::<Result<Vec<_>, _>>()?;
        keys.into_iter().try_for_each(|key| self.remove_source(key))
    }

    pub(in crate::store) fn rotate_token(
        &mut self,
        key: SourceKey,
        token: &str,
        grace_ms: i64,
    ) -> Result<Changed, Stop> {
        let mut source = self.source(key)?;
        let end = self.at + grace_ms;
        self.run(
            "UPDATE source_token SET expires_at = CASE WHEN expires_at < ?1 THEN expires_at ELSE ?1 END WHERE source = ?2",
            params![end, key.0],
        )?;
        self.run(
            "DELETE FROM source_token WHERE source = ?1 AND hash NOT IN
               (SELECT hash FROM source_token WHERE source = ?1 AND expires_at > ?2 ORDER BY expires_at DESC LIMIT ?3)",
            params![key.0, self.at, TOKENS_MAX],
        )?;
        token.clone_into(&mut source.secret.token);
        self.store_token(&source)?;
        self.store_source(source)
    }

    pub(in crate::store) fn learn_key(&mut self, key: SourceKey, learned: &str) -> Result<Changed, Stop> {
        let mut source = self.source(key)?;
        if source.has_secret() {
            return Err(Refusal::HasKey.into());
        }
        source.secret.learned = Some(learned.to_owned());
        self.store_source(source)
    }
}
