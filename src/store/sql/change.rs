//! Changes of configuration and resends, judged against what is stored now and what stands
//! earlier in the batch. Each in a savepoint of its own.

use std::sync::Arc;

use super::db::{Db, Error, Optional, Params, Result, params};

use super::core::Core;
use super::rows::application_of;
use super::{purged, raise, reseal, rows, sealed};
use crate::model::operational::Happening;
use crate::model::url::masked;
use crate::model::{
    AppKey, AppKind, Application, ApplicationSpec, Endpoint, EndpointKey, EndpointSpec, EnvKey, Id, SecretBytes,
    SigningSecret, UnixMs,
};
use crate::store::command::{
    ApplicationPatch, Became, Change, ChangeRequest, Changed, Done, EndpointPatch, HeadersPatch, Refusal, Reply, Target,
};

/// The table of remembered answers, as their seals name it.
const REMEMBERED: &str = "remembered_change";
/// How long the answer to a change is remembered.
const REMEMBERED_MS: i64 = 24 * 3_600_000;

/// A remembered answer: the fingerprint of the request's body, status and sealed body of the answer.
type Remembered = ([u8; 8], u16, Vec<u8>);

/// What stops a change: the caller's fault, or ours.
pub(in crate::store) enum Stop {
    Refused(Refusal),
    Engine(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Applies changes for the writer.
pub(in crate::store) struct Changer<'c> {
    pub(in crate::store) db: Db<'c>,
    pub(in crate::store) state: &'c mut Core,
    pub(in crate::store) at: UnixMs,
}

impl Changer<'_> {
    /// Applies one change, or none of it.
    pub(in crate::store) fn apply(&mut self, request: &ChangeRequest) -> Result<Reply> {
        let raised = self.state.raised.len();
        self.db.execute_batch("SAVEPOINT change")?;
        match self.apply_remembered(request) {
            Ok(done) => {
                self.db.execute_batch("RELEASE change")?;
                Ok(Ok(done))
            }
            Err(Stop::Refused(refusal)) => {
                self.db.execute_batch("ROLLBACK TO change; RELEASE change")?;
                self.state.raised.truncate(raised);
                Ok(Err(refusal))
            }
            // The whole transaction is rolled back. SQLite may have done so already, and what it then
            // said of the savepoint would hide that the disk is full or failed.
            Err(Stop::Engine(error)) => Err(error),
        }
    }

    fn apply_remembered(&mut self, request: &ChangeRequest) -> Result<Done, Stop> {
        let Some(remembered) = &request.idempotency else { return self.change(&request.change).map(done) };
        let hash = &remembered.key.hash;
        if let Some((fingerprint, status, body)) = self.remembered(hash)? {
            if fingerprint != remembered.key.fingerprint {
                return Err(Refusal::IdempotencyMismatch.into());
            }
            let opened = self.state.sealer.open(REMEMBERED, row_of(hash), &body);
            let body = opened.ok().and_then(|body| String::from_utf8(body).ok());
            // What cannot be opened cannot be said again, and must not be done again either.
            return Ok(Done::RepeatedChange(status, body.ok_or(Refusal::Failed)?));
        }
        let changed = self.change(&request.change)?;
        let (status, body) = (remembered.render)(&changed);
        self.run(
            "INSERT INTO remembered_change (row, hash, fingerprint, status, body, expires_at)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (row) DO UPDATE SET hash = excluded.hash, fingerprint = excluded.fingerprint,
               status = excluded.status, body = excluded.body, expires_at = excluded.expires_at",
            params![
                row_of(hash),
                hash.as_slice(),
                remembered.key.fingerprint.as_slice(),
                status,
                self.state.sealer.seal(REMEMBERED, row_of(hash), body.as_bytes()),
                self.at + REMEMBERED_MS
            ],
        )?;
        Ok(done(changed))
    }

    fn change(&mut self, change: &Change) -> Result<Changed, Stop> {
        match change {
            Change::Access(change) => self.change_access(change),
            Change::CreateApplication { env, uid, spec, get_if_exists } => {
                self.create_application(*env, uid.as_deref(), spec, *get_if_exists)
            }
            Change::PatchApplication { app, patch } => self.patch_application(*app, patch),
            Change::PutApplication { env, target, uid, spec } => {
                self.put_application(*env, target, uid.as_deref(), spec)
            }
            Change::DeleteApplication { app } => self.delete_application(*app),
            Change::CreateEventType { env, name, spec } => self.create_event_type(*env, name, spec),
            Change::PatchEventType { env, name, patch } => self.patch_event_type(*env, name, patch),
            Change::PutEventType { env, name, spec } => self.put_event_type(*env, name, spec),
            Change::DeleteEventType { env, name, expunge } => self.delete_event_type(*env, name, *expunge),
            Change::ImportEventTypes { env, types, replace_all } => self.import_event_types(*env, types, *replace_all),
            Change::PatchSettings { env, patch } => self.patch_settings(*env, patch),
            Change::CreatePortalToken { .. } => self.create_portal_token(change),
            Change::ExpirePortalTokens { app, sessions, after_ms } => {
                self.expire_portal_tokens(*app, sessions, *after_ms)
            }
            Change::RevokePortalToken { id } => self.revoke_portal_token(*id),
            Change::CreateEndpoint { app, uid, spec, secret } => {
                self.create_endpoint(*app, uid.as_deref(), spec, secret)
            }
            Change::PatchEndpoint { app, endpoint, patch } => self.patch_endpoint(*app, *endpoint, patch),
            Change::PutEndpoint { app, target, uid, spec, secret } => {
                self.put_endpoint(*app, target, uid.as_deref(), spec, secret)
            }
            Change::RotateSecret { app, endpoint, key, grace_ms } => {
                self.rotate_secret(*app, *endpoint, key, *grace_ms)
            }
            Change::SetHeaders { app, endpoint, patch } => self.set_headers(*app, *endpoint, patch),
            Change::DeleteEndpoint { app, endpoint } => self.delete_endpoint(*app, *endpoint),
            Change::ExpungeMessage { app, message } => self.expunge_message(*app, *message),
            Change::ExpungeAttempt { message, attempt } => self.expunge_attempt(*message, *attempt),
            Change::StartTask(new) => self.start_task(new),
            Change::Resend { app, endpoint, message } => self.resend(*app, *endpoint, *message),
            Change::ResendFailed { app, message } => self.resend_failed(*app, *message),
            Change::CreateSource { env, app, uid, spec, secret } => {
                self.create_source(*env, *app, uid.as_deref(), spec, secret)
            }
            Change::PatchSource { source, patch } => self.patch_source(*source, patch),
            Change::DeleteSource { source } => self.delete_source(*source),
            Change::RotateSourceToken { source, token, grace_ms } => self.rotate_token(*source, token, *grace_ms),
            Change::LearnSourceKey { source, key } => self.learn_key(*source, key),
            Change::LogRequest(request) => self.log_request(request),
            Change::Reseal { from } => Ok(Changed::Resealed(reseal::slice(self.db, &self.state.sealer, *from)?)),
        }
    }

    /// The answer to the same change, if it was made before: fingerprint of the body, status, sealed body.
    fn remembered(&self, hash: &[u8; 16]) -> Result<Option<Remembered>> {
        self.db
            .prepare_cached(
                "SELECT fingerprint, status, body FROM remembered_change WHERE hash = ? AND expires_at > ?",
            )?
            .query_row(params![hash.as_slice(), self.at], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()
    }

    pub(in crate::store) fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.db.prepare_cached(sql)?.execute(params)
    }

    pub(in crate::store) fn exists(&self, sql: &str, params: impl Params) -> Result<bool> {
        self.db.prepare_cached(sql)?.exists(params)
    }

    pub(in crate::store) fn application_of_uid(&self, env: EnvKey, uid: &str) -> Result<Option<Application>> {
        self.db
            .prepare_cached(&format!("SELECT {} FROM application WHERE env = ? AND uid = ?", rows::APPLICATION))?
            .query_row(params![env.0, uid], rows::application)
            .optional()
    }

    pub(in crate::store) fn create_application(
        &mut self,
        env: EnvKey,
        uid: Option<&str>,
        spec: &ApplicationSpec,
        get_if_exists: bool,
    ) -> Result<Changed, Stop> {
        if let Some(uid) = uid
            && let Some(existing) = self.application_of_uid(env, uid)?
        {
            return if get_if_exists { Ok(Changed::Application(existing, false)) } else { Err(Refusal::Exists.into()) };
        }
        let app = Application {
            id: self.state.new_id(self.at),
            env,
            kind: AppKind::Customer,
            uid: uid.map(str::to_owned),
            spec: spec.clone(),
            version: 1,
            created_at: self.at,
            updated_at: self.at,
        };
        self.run(
            "INSERT INTO application (key, nonce, env, uid, version, spec, created_at, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                app.id.key,
                app.id.nonce.as_slice(),
                env.0,
                app.uid,
                app.version,
                json(&app.spec),
                self.at,
                self.at
            ],
        )?;
        Ok(Changed::Application(app, true))
    }

    fn patch_application(&mut self, app: AppKey, patch: &ApplicationPatch) -> Result<Changed, Stop> {
        let mut found = application_of(self.db, app)?.ok_or(Refusal::NotFound)?;
        patch.apply(&mut found);
        self.store_application(found, false)
    }

    fn store_application(&mut self, mut app: Application, created: bool) -> Result<Changed, Stop> {
        if let Some(uid) = &app.uid
            && self.application_of_uid(app.env, uid)?.is_some_and(|other| other.id != app.id)
        {
            return Err(Refusal::Exists.into());
        }
        app.updated_at = self.at;
        app.version += 1;
        self.state.forget_version(app.key());
        self.run(
            "UPDATE application SET uid = ?, version = ?, spec = ?, updated_at = ? WHERE key = ?",
            params![app.uid, app.version, json(&app.spec), self.at, app.id.key],
        )?;
        Ok(Changed::Application(app, created))
    }

    fn put_application(
        &mut self,
        env: EnvKey,
        target: &Target,
        uid: Option<&str>,
        spec: &ApplicationSpec,
    ) -> Result<Changed, Stop> {
        let existing = match target {
            Target::Id(id) => {
                let found = application_of(self.db, AppKey(id.key))?;
                Some(found.filter(|app| app.id == *id && app.env == env).ok_or(Refusal::NotFound)?)
            }
            Target::Uid(uid) => self.application_of_uid(env, uid)?,
        };
        match (existing, target) {
            (Some(mut app), target) => {
                target.put_application(&mut app, uid, spec);
                self.store_application(app, false)
            }
            (None, Target::Uid(named)) => self.create_application(env, uid.or(Some(named)), spec, false),
            (None, Target::Id(_)) => Err(Refusal::NotFound.into()),
        }
    }

    fn delete_application(&mut self, app: AppKey) -> Result<Changed, Stop> {
        let endpoints = self.remove_application(app)?;
        self.sources_of_application_go(app)?;
        Ok(Changed::ApplicationDeleted { app, endpoints })
    }

    /// An application goes with its endpoints; these.
    pub(in crate::store) fn remove_application(&mut self, app: AppKey) -> Result<Vec<EndpointKey>, Stop> {
        let endpoints = self
            .db
            .prepare_cached("SELECT key, url_id FROM endpoint WHERE app = ?")?
            .query_map([app.0], |row| Ok((EndpointKey(row.get(0)?), row.get(1)?)))?
            .collect::<Result<Vec<_>, _>>()?;
        if self.run("DELETE FROM application WHERE key = ?", [app.0])? == 0 {
            return Err(Refusal::NotFound.into());
        }
        purged::of_application(self.db, app, self.at)?;
        for (endpoint, url) in &endpoints {
            purged::of_endpoint(self.db, *endpoint, *url, self.at)?;
        }
        let endpoints: Vec<EndpointKey> = endpoints.into_iter().map(|(endpoint, _)| endpoint).collect();
        self.run("DELETE FROM endpoint WHERE app = ?", [app.0])?;
        self.run("DELETE FROM portal_token WHERE app = ?", [app.0])?;
        self.keep_highest_key()?;
        self.state.forget_version(app);
        Ok(endpoints)
    }

    pub(in crate::store) fn endpoint(&self, app: AppKey, key: EndpointKey) -> Result<Option<Endpoint>> {
        let sealer = Arc::clone(&self.state.sealer);
        self.db
            .prepare_cached(&format!("SELECT {} FROM endpoint WHERE key = ? AND app = ?", rows::ENDPOINT))?
            .query_row([key.0, app.0], |row| rows::endpoint(row, &sealer))
            .optional()
    }

    fn endpoint_key_of_uid(&self, app: AppKey, uid: &str) -> Result<Option<EndpointKey>> {
        self.db
            .prepare_cached("SELECT key FROM endpoint WHERE app = ? AND uid = ?")?
            .query_row(params![app.0, uid], |row| row.get(0).map(EndpointKey))
            .optional()
    }

    fn create_endpoint(
        &mut self,
        app: AppKey,
        uid: Option<&str>,
        spec: &EndpointSpec,
        secret: &SecretBytes,
    ) -> Result<Changed, Stop> {
        if self.state.owner(self.db, app)?.is_none() {
            return Err(Refusal::NotFound.into());
        }
        if let Some(uid) = uid
            && self.endpoint_key_of_uid(app, uid)?.is_some()
        {
            return Err(Refusal::Exists.into());
        }
        let count = self
            .db
            .prepare_cached("SELECT count(*) FROM endpoint WHERE app = ?")?
            .query_row([app.0], |row| row.get::<i64>(0))? as usize;
        if count >= self.state.endpoints_max {
            return Err(Refusal::TooManyEndpoints.into());
        }
        let id = self.state.new_id(self.at);
        let endpoint = Endpoint {
            id,
            app,
            uid: uid.map(str::to_owned),
            url_id: self.store_url(id, &spec.url)?,
            spec: spec.clone(),
            secrets: vec![SigningSecret::current(secret.clone())],
            failing: None,
            created_at: self.at,
            updated_at: self.at,
        };
        let (spec, sealed) = sealed::close(&self.state.sealer, &endpoint);
        self.run(
            "INSERT INTO endpoint (key, nonce, app, uid, url_id, spec, secret, created_at, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                endpoint.id.key,
                endpoint.id.nonce.as_slice(),
                app.0,
                endpoint.uid,
                endpoint.url_id,
                spec,
                sealed,
                self.at,
                self.at
            ],
        )?;
        self.state.touch_routing(self.db, app)?;
        self.tell(Happening::EndpointCreated, &endpoint)?;
        Ok(Changed::Endpoint(Arc::new(endpoint), Became::New))
    }

    fn store_url(&self, endpoint: Id, url: &str) -> Result<i64> {
        self.db
            .prepare_cached("INSERT INTO endpoint_url (nonce, url) VALUES (?, ?) RETURNING id")?
            .query_row(params![endpoint.nonce.as_slice(), masked(url)], |row| row.get(0))
    }

    fn patch_endpoint(&mut self, app: AppKey, key: EndpointKey, patch: &EndpointPatch) -> Result<Changed, Stop> {
        let before = self.endpoint(app, key)?.ok_or(Refusal::NotFound)?;
        let mut endpoint = before.clone();
        patch.apply(&mut endpoint);
        self.replace_endpoint(&before, endpoint)
    }

    fn rotate_secret(
        &mut self,
        app: AppKey,
        endpoint: EndpointKey,
        key: &SecretBytes,
        grace_ms: i64,
    ) -> Result<Changed, Stop> {
        let before = self.endpoint(app, endpoint)?.ok_or(Refusal::NotFound)?;
        let mut endpoint = before.clone();
        endpoint.rotate(key.clone(), self.at, grace_ms);
        self.replace_endpoint(&before, endpoint)
    }

    fn set_headers(&mut self, app: AppKey, endpoint: EndpointKey, patch: &HeadersPatch) -> Result<Changed, Stop> {
        let before = self.endpoint(app, endpoint)?.ok_or(Refusal::NotFound)?;
        let mut endpoint = before.clone();
        if !patch.apply(&mut endpoint.spec.headers) {
            return Err(Refusal::TooManyHeaders.into());
        }
        self.replace_endpoint(&before, endpoint)
    }

    /// Stores an endpoint in the place of what it was, and tells the operator.
    fn replace_endpoint(&mut self, before: &Endpoint, endpoint: Endpoint) -> Result<Changed, Stop> {
        let endpoint = self.store_endpoint(endpoint, &before.spec.url)?;
        self.tell(Happening::EndpointUpdated, &endpoint)?;
        let became = match (before.spec.disabled, endpoint.spec.disabled) {
            (Some(_), None) => {
                self.tell(Happening::EndpointEnabled, &endpoint)?;
                Became::Enabled
            }
            (None, Some(reason)) => {
                self.tell(Happening::EndpointDisabled(reason), &endpoint)?;
                Became::Changed
            }
            _ => Became::Changed,
        };
        Ok(Changed::Endpoint(Arc::new(endpoint), became))
    }

    /// Tells the operator what happened to an endpoint.
    pub(in crate::store) fn tell(&mut self, what: Happening, endpoint: &Endpoint) -> Result<()> {
        raise::endpoint(self.db, self.state, what, endpoint, self.at)
    }

    pub(in crate::store) fn store_endpoint(
        &mut self,
        mut endpoint: Endpoint,
        url_before: &str,
    ) -> Result<Endpoint, Stop> {
        if let Some(uid) = &endpoint.uid
            && self.endpoint_key_of_uid(endpoint.app, uid)?.is_some_and(|other| other != endpoint.key())
        {
            return Err(Refusal::Exists.into());
        }
        if endpoint.spec.url != url_before {
            endpoint.url_id = self.store_url(endpoint.id, &endpoint.spec.url)?;
        }
        endpoint.updated_at = self.at;
        self.write_endpoint(&endpoint)?;
        self.state.touch_routing(self.db, endpoint.app)?;
        Ok(endpoint)
    }

    pub(in crate::store) fn write_endpoint(&mut self, endpoint: &Endpoint) -> Result<()> {
        let (spec, sealed) = sealed::close(&self.state.sealer, endpoint);
        self.run(
            "UPDATE endpoint SET uid = ?, url_id = ?, spec = ?, secret = ?, failing_since = ?, failing_warned = ?,
               updated_at = ? WHERE key = ?",
            params![
                endpoint.uid,
                endpoint.url_id,
                spec,
                sealed,
                endpoint.failing.map(|failing| failing.since),
                endpoint.failing.map_or(0, |failing| failing.warned),
                endpoint.updated_at,
                endpoint.id.key
            ],
        )?;
        Ok(())
    }

    fn put_endpoint(
        &mut self,
        app: AppKey,
        target: &Target,
        uid: Option<&str>,
        spec: &EndpointSpec,
        secret: &SecretBytes,
    ) -> Result<Changed, Stop> {
        let key = match target {
            Target::Id(id) => Some(EndpointKey(id.key)),
            Target::Uid(uid) => self.endpoint_key_of_uid(app, uid)?,
        };
        let existing = match key {
            Some(key) => self.endpoint(app, key)?,
            None => None,
        };
        match (existing, target) {
            (Some(endpoint), Target::Id(id)) if endpoint.id != *id => Err(Refusal::NotFound.into()),
            (Some(before), target) => {
                let mut endpoint = before.clone();
                target.put_endpoint(&mut endpoint, uid, spec);
                self.replace_endpoint(&before, endpoint)
            }
            (None, Target::Uid(named)) => self.create_endpoint(app, uid.or(Some(named)), spec, secret),
            (None, Target::Id(_)) => Err(Refusal::NotFound.into()),
        }
    }

    fn delete_endpoint(&mut self, app: AppKey, endpoint: EndpointKey) -> Result<Changed, Stop> {
        let before = self.endpoint(app, endpoint)?.ok_or(Refusal::NotFound)?;
        self.run("DELETE FROM endpoint WHERE key = ?", [endpoint.0])?;
        purged::of_endpoint(self.db, endpoint, before.url_id, self.at)?;
        self.keep_highest_key()?;
        self.state.touch_routing(self.db, app)?;
        self.tell(Happening::EndpointDeleted, &before)?;
        Ok(Changed::EndpointDeleted { app, endpoint })
    }

    /// A row with the highest key of all may have gone: its key must not be given again after a
    /// start with a clock that went back.
    /// PostgreSQL keeps it with the node, at every commit.
    pub(in crate::store) fn keep_highest_key(&self) -> Result<()> {
        let Db::Sqlite(_) = self.db else { return Ok(()) };
        self.run(
            "INSERT INTO meta (name, value) VALUES ('highest_deleted_key', ?)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [self.state.keys.last()],
        )?;
        Ok(())
    }
}

/// What a remembered answer is sealed to: the beginning of its hash.
fn row_of(hash: &[u8; 16]) -> i64 {
    hash[..8].iter().fold(0, |row, byte| row << 8 | i64::from(*byte))
}

fn done(changed: Changed) -> Done {
    Done::Changed(Box::new(changed))
}

pub(in crate::store) fn json(value: &impl serde::Serialize) -> String {
    // Structs of strings and numbers: serialising them cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}
