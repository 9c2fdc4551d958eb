//! Who may call: environments, their keys, and the sessions and one-time tokens that stand in for keys.

use super::change::{Changer, Stop, json};
use super::db::{Db, Optional, Result, Value, params};
use super::query::{comparison, page_of};
use super::rows;
use crate::model::{
    ApiKey, AppKey, AppKind, ApplicationSpec, EnvKey, Environment, EnvironmentKind, Id, Key, SESSION_MS, Scopes,
    Session, SessionKind, UnixMs,
};
use crate::store::command::{AccessChange, Changed, Refusal};
use crate::store::query::{Order, Page, Rows};

/// Sessions and one-time tokens that are removed along with the making of one.
const ENDED_AT_ONCE: i64 = 100;
/// Sessions of one key, and of the operator of the machine: beyond them the oldest end.
const SESSIONS_MAX: i64 = 1_000;
/// What an environment may hold and still be deleted in one go.
const APPLICATIONS_DELETED_MAX: i64 = 100;
const ENDPOINTS_DELETED_MAX: i64 = 1_000;
const EVENT_TYPES_DELETED_MAX: i64 = 10_000;

/// Environments, by key.
pub(in crate::store) fn environments(db: Db<'_>, page: Page<Key>) -> Result<Rows<Environment>> {
    let (sign, direction) = comparison(page.order);
    let sql =
        format!("SELECT {} FROM environment WHERE key {sign} ? ORDER BY key {direction} LIMIT ?", rows::ENVIRONMENT);
    page_of(db, &sql, vec![Value::Integer(start(page))], page.limit, rows::environment)
}

/// Keys of an environment that are not revoked, by key.
pub(in crate::store) fn api_keys(db: Db<'_>, env: EnvKey, page: Page<Key>, now: UnixMs) -> Result<Rows<ApiKey>> {
    let (sign, direction) = comparison(page.order);
    let sql = format!(
        "SELECT {} FROM api_key WHERE env = ? AND (revoked_at IS NULL OR revoked_at > ?) AND key {sign} ?
         ORDER BY key {direction} LIMIT ?",
        rows::API_KEY
    );
    let values = vec![Value::Integer(env.0), Value::Integer(now), Value::Integer(start(page))];
    page_of(db, &sql, values, page.limit, rows::api_key)
}

fn start(page: Page<Key>) -> Key {
    page.after.unwrap_or(if page.order == Order::Ascending { 0 } else { Key::MAX })
}

/// One key of an environment.
pub(in crate::store) fn api_key(db: Db<'_>, env: EnvKey, id: Id) -> Result<Option<ApiKey>> {
    db.prepare_cached(&format!("SELECT {} FROM api_key WHERE key = ? AND nonce = ? AND env = ?", rows::API_KEY))?
        .query_row(params![id.key, id.nonce.as_slice(), env.0], rows::api_key)
        .optional()
}

/// A session with what its key allows now.
pub(in crate::store) fn session_by_hash(db: Db<'_>, kind: SessionKind, hash: &[u8; 32]) -> Result<Option<Session>> {
    let sql = format!(
        "SELECT {} FROM session LEFT JOIN api_key ON api_key.key = session.api_key
         WHERE session.hash = ? AND session.kind = ?",
        rows::SESSION
    );
    db.prepare_cached(&sql)?.query_row(params![hash.as_slice(), kind.code()], rows::session).optional()
}

impl Changer<'_> {
    /// Changes of who may call.
    pub(in crate::store) fn change_access(&mut self, change: &AccessChange) -> Result<Changed, Stop> {
        match change {
            AccessChange::CreateEnvironment { name, kind } => self.create_environment(name, *kind),
            AccessChange::RenameEnvironment { env, name } => self.rename_environment(*env, name),
            AccessChange::DeleteEnvironment { env } => self.delete_environment(*env),
            AccessChange::CreateApiKey { .. } => self.create_api_key(change),
            AccessChange::PatchApiKey { env, id, name, scopes } => {
                self.patch_api_key(*env, *id, name.as_deref(), *scopes)
            }
            AccessChange::RevokeApiKey { id, after_ms } => self.revoke_api_key(*id, *after_ms),
            AccessChange::NoteKeyUse { used } => self.note_key_use(used),
            AccessChange::OpenSession { api_key, hash } => self.open_session(*api_key, hash),
            AccessChange::CreateOneTimeToken { env, hash, lifetime_ms } => {
                self.create_one_time_token(*env, hash, *lifetime_ms)
            }
            AccessChange::RedeemOneTimeToken { one_time, hash } => self.redeem_one_time_token(one_time, hash),
            AccessChange::CloseSession { id } => self.close_session(*id),
        }
    }

    fn create_environment(&mut self, name: &str, kind: EnvironmentKind) -> Result<Changed, Stop> {
        if self.exists("SELECT 1 FROM environment WHERE name = ?", [name])? {
            return Err(Refusal::Exists.into());
        }
        let id = self.state.new_id(self.at);
        self.run(
            "INSERT INTO environment (key, nonce, name, created_at, kind, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
            params![id.key, id.nonce.as_slice(), name, self.at, kind.code(), self.at],
        )?;
        let app = self.state.new_id(self.at);
        self.run(
            "INSERT INTO application (key, nonce, env, kind, version, spec, created_at, updated_at)
             VALUES (?, ?, ?, ?, 1, ?, ?, ?)",
            params![
                app.key,
                app.nonce.as_slice(),
                id.key,
                AppKind::Operational.code(),
                json(&ApplicationSpec::default()),
                self.at,
                self.at
            ],
        )?;
        let (name, at) = (name.to_owned(), self.at);
        Ok(Changed::Environment(Environment { id, name, kind, created_at: at, updated_at: at }))
    }

    fn rename_environment(&mut self, env: EnvKey, name: &str) -> Result<Changed, Stop> {
        if self.exists("SELECT 1 FROM environment WHERE name = ? AND key <> ?", params![name, env.0])? {
            return Err(Refusal::Exists.into());
        }
        self.run("UPDATE environment SET name = ?, updated_at = ? WHERE key = ?", params![name, self.at, env.0])?;
        let found = self
            .db
            .prepare_cached(&format!("SELECT {} FROM environment WHERE key = ?", rows::ENVIRONMENT))?
            .query_row([env.0], rows::environment)
            .optional()?;
        found.map(Changed::Environment).ok_or(Stop::Refused(Refusal::NotFound))
    }

    /// An environment goes with all that it holds, which must not be much: one that is in use is emptied
    /// first. The last one stays.
    fn delete_environment(&mut self, env: EnvKey) -> Result<Changed, Stop> {
        if !self.exists("SELECT 1 FROM environment WHERE key = ?", [env.0])? {
            return Err(Refusal::NotFound.into());
        }
        if !self.exists("SELECT 1 FROM environment WHERE key <> ?", [env.0])? {
            return Err(Refusal::LastEnvironment.into());
        }
        let bounds = [
            ("SELECT 1 FROM application WHERE env = ? LIMIT 1 OFFSET ?", APPLICATIONS_DELETED_MAX),
            (
                "SELECT 1 FROM endpoint JOIN application ON application.key = endpoint.app
                 WHERE application.env = ? LIMIT 1 OFFSET ?",
                ENDPOINTS_DELETED_MAX,
            ),
            ("SELECT 1 FROM event_type WHERE env = ? LIMIT 1 OFFSET ?", EVENT_TYPES_DELETED_MAX),
        ];
        for (sql, max) in bounds {
            if self.exists(sql, [env.0, max])? {
                return Err(Refusal::EnvironmentInUse.into());
            }
        }
        let keys = self
            .db
            .prepare_cached("SELECT key FROM application WHERE env = ?")?
            .query_map([env.0], |row| row.get(0).map(AppKey))?
            .collect::<Result<Vec<_>, _>>()?;
        let mut apps = Vec::with_capacity(keys.len());
        for app in keys {
            apps.push((app, self.remove_application(app)?));
            self.sources_of_application_go(app)?;
        }
        for table in ["event_type", "session", "api_key", "traffic"] {
            self.run(&format!("DELETE FROM {table} WHERE env = ?"), [env.0])?;
        }
        self.run("DELETE FROM environment WHERE key = ?", [env.0])?;
        self.keep_highest_key()?;
        Ok(Changed::EnvironmentDeleted { env, apps })
    }

    fn create_api_key(&mut self, change: &AccessChange) -> Result<Changed, Stop> {
        let AccessChange::CreateApiKey { env, name, hash, scopes, hint } = change else {
            return Err(Refusal::Failed.into());
        };
        if !self.exists("SELECT 1 FROM environment WHERE key = ?", [env.0])? {
            return Err(Refusal::NotFound.into());
        }
        let id = self.state.new_id(self.at);
        self.run(
            "INSERT INTO api_key (key, nonce, env, name, hash, created_at, scopes, hint) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![id.key, id.nonce.as_slice(), env.0, name, hash.as_slice(), self.at, scopes.code(), hint],
        )?;
        Ok(Changed::ApiKey(ApiKey {
            id,
            env: *env,
            name: name.clone(),
            scopes: *scopes,
            hint: Some(hint.clone()),
            created_at: self.at,
            revoked_at: None,
            last_used_at: None,
        }))
    }

    fn patch_api_key(
        &mut self,
        env: EnvKey,
        id: Id,
        name: Option<&str>,
        scopes: Option<Scopes>,
    ) -> Result<Changed, Stop> {
        self.run(
            "UPDATE api_key SET name = coalesce(?, name), scopes = coalesce(?, scopes)
             WHERE key = ? AND nonce = ? AND env = ?",
            params![name, scopes.map(Scopes::code), id.key, id.nonce.as_slice(), env.0],
        )?;
        api_key(self.db, env, id)?.map(Changed::ApiKey).ok_or(Stop::Refused(Refusal::NotFound))
    }

    fn revoke_api_key(&mut self, id: Id, after_ms: i64) -> Result<Changed, Stop> {
        self.run(
            "UPDATE api_key SET revoked_at = CASE WHEN revoked_at < ?1 THEN revoked_at ELSE ?1 END
             WHERE key = ?2 AND nonce = ?3",
            params![self.at + after_ms, id.key, id.nonce.as_slice()],
        )?;
        let key = self
            .db
            .prepare_cached(&format!("SELECT {} FROM api_key WHERE key = ? AND nonce = ?", rows::API_KEY))?
            .query_row(params![id.key, id.nonce.as_slice()], rows::api_key)
            .optional()?;
        key.map(Changed::ApiKey).ok_or(Stop::Refused(Refusal::NotFound))
    }

    fn note_key_use(&mut self, used: &[(Key, UnixMs)]) -> Result<Changed, Stop> {
        for (key, at) in used {
            self.run(
                "UPDATE api_key SET last_used_at = ?1 WHERE key = ?2 AND (last_used_at IS NULL OR last_used_at < ?1)",
                [*at, *key],
            )?;
        }
        Ok(Changed::KeyUseNoted)
    }

    fn open_session(&mut self, api_key: Key, hash: &[u8; 32]) -> Result<Changed, Stop> {
        let valid = "SELECT env FROM api_key WHERE key = ? AND (revoked_at IS NULL OR revoked_at > ?)";
        let env = self.db.prepare_cached(valid)?.query_row([api_key, self.at], |row| row.get(0)).optional()?;
        let env = EnvKey(env.ok_or(Refusal::NotFound)?);
        self.store_session(SessionKind::Session, env, Some(api_key), hash, SESSION_MS)
    }

    fn create_one_time_token(&mut self, env: EnvKey, hash: &[u8; 32], lifetime_ms: i64) -> Result<Changed, Stop> {
        if !self.exists("SELECT 1 FROM environment WHERE key = ?", [env.0])? {
            return Err(Refusal::NotFound.into());
        }
        self.store_session(SessionKind::OneTime, env, None, hash, lifetime_ms)
    }

    /// A one-time token is exchanged for a session: of two who try at once one gets it, because the row
    /// goes with the first.
    fn redeem_one_time_token(&mut self, one_time: &[u8; 32], hash: &[u8; 32]) -> Result<Changed, Stop> {
        let sql = "DELETE FROM session WHERE kind = ? AND hash = ? AND expires_at > ? RETURNING env";
        let kind = SessionKind::OneTime.code();
        let mut statement = self.db.prepare_cached(sql)?;
        let env = statement.query_row(params![kind, one_time.as_slice(), self.at], |row| row.get(0)).optional()?;
        drop(statement);
        let env = EnvKey(env.ok_or(Refusal::NotFound)?);
        self.store_session(SessionKind::Session, env, None, hash, SESSION_MS)
    }

    fn store_session(
        &mut self,
        kind: SessionKind,
        env: EnvKey,
        api_key: Option<Key>,
        hash: &[u8; 32],
        lifetime_ms: i64,
    ) -> Result<Changed, Stop> {
        self.sweep_sessions(kind, api_key)?;
        let (id, end) = (self.state.new_id(self.at), self.at + lifetime_ms);
        self.run(
            "INSERT INTO session (key, nonce, kind, env, api_key, hash, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![id.key, id.nonce.as_slice(), kind.code(), env.0, api_key, hash.as_slice(), end],
        )?;
        Ok(Changed::SessionOpened)
    }

    /// Some of those whose time is over, and the oldest of a holder who has too many.
    fn sweep_sessions(&mut self, kind: SessionKind, api_key: Option<Key>) -> Result<()> {
        let over = "DELETE FROM session WHERE key IN (SELECT key FROM session WHERE expires_at <= ? LIMIT ?)";
        let mut gone = self.run(over, [self.at, ENDED_AT_ONCE])?;
        // The one that is about to be made counts.
        let (kept, some) = (SESSIONS_MAX - 1, ENDED_AT_ONCE);
        gone += match api_key {
            Some(api_key) => self.run(
                "DELETE FROM session WHERE key IN (SELECT key FROM session WHERE kind = ? AND api_key = ?
                   ORDER BY key DESC LIMIT ? OFFSET ?)",
                [kind.code(), api_key, some, kept],
            )?,
            None => self.run(
                "DELETE FROM session WHERE key IN (SELECT key FROM session WHERE kind = ? AND api_key IS NULL
                   ORDER BY key DESC LIMIT ? OFFSET ?)",
                [kind.code(), some, kept],
            )?,
        };
        if gone > 0 { self.keep_highest_key() } else { Ok(()) }
    }

    fn close_session(&mut self, id: Id) -> Result<Changed, Stop> {
        let sql = "DELETE FROM session WHERE key = ? AND nonce = ?";
        if self.run(sql, params![id.key, id.nonce.as_slice()])? == 0 {
            return Err(Refusal::NotFound.into());
        }
        self.keep_highest_key()?;
        Ok(Changed::SessionClosed)
    }

    /// Portal tokens of an application end after that time, if they do not end before: all of them, or
    /// those of some sessions.
    pub(in crate::store) fn expire_portal_tokens(
        &mut self,
        app: AppKey,
        sessions: &[String],
        after_ms: i64,
    ) -> Result<Changed, Stop> {
        let end = self.at + after_ms;
        if sessions.is_empty() {
            self.run("UPDATE portal_token SET expires_at = ?1 WHERE app = ?2 AND expires_at > ?1", [end, app.0])?;
        }
        for session in sessions {
            self.run(
                "UPDATE portal_token SET expires_at = ?1 WHERE app = ?2 AND session_id = ?3 AND expires_at > ?1",
                params![end, app.0, session],
            )?;
        }
        Ok(Changed::PortalTokenRevoked)
    }
}
