//! Configuration in memory: each application with its endpoints, and who may call.
//!
//! A snapshot is a hint for the journal (which checks its version) and the last word for an
//! attempt. Loads that cross a change are used once and not kept.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;
use rustc_hash::FxBuildHasher;
use tokio::sync::watch;

use super::query::StoreQueries;
use super::{ReadError, StoreReader};
use crate::model::{
    ApiKey, AppConfig, AppKey, AppKind, Endpoint, EnvKey, EnvPolicy, Id, IdKind, PortalToken, Session, SessionKind,
    Source, UnixMs,
};
use crate::store::command::{Changed, Written};

/// Environment keys, and portal tokens, that are kept in memory.
const API_KEYS_MAX: usize = 10_000;
/// How often an application is read again where something changed while it was read.
const LOADS_MAX: usize = 3;
/// Environments that are kept in memory.
const ENVIRONMENTS_MAX: usize = 10_000;
/// Hashes of keys that are known not to be there.
const UNKNOWN_KEYS_MAX: usize = 10_000;
/// Sources that are kept in memory.
const SOURCES_MAX: usize = 10_000;
/// Parts that applications are divided in, so that a change concerns few others. A power of two.
const PARTS: usize = 256;

/// The snapshots of a node. Shared.
pub struct Snapshots {
    reader: Arc<dyn StoreReader>,
    apps: Cache<AppKey, Arc<AppConfig>>,
    uids: Cache<(EnvKey, Arc<str>), AppKey>,
    api_keys: Cache<[u8; 32], Arc<ApiKey>>,
    portal_tokens: Cache<[u8; 32], Arc<PortalToken>>,
    operational: Cache<EnvKey, AppKey>,
    policies: Cache<EnvKey, Arc<EnvPolicy>>,
    sources: Cache<Box<str>, OpenedSource>,
    sessions: Cache<[u8; 32], Arc<Session>>,
    /// Environments by the ids by which operators choose them.
    environments: Cache<Box<str>, EnvKey>,
    /// Hashes that were looked up and not found, so that one who tries does not cost a read each time.
    unknown_keys: Cache<[u8; 32], ()>,
    /// How often any of them was changed.
    source_changes: watch::Sender<u64>,
    epoch: AtomicU64,
    parts: Box<[Part]>,
}

/// A source as one of its tokens opens it.
#[derive(Clone)]
struct OpenedSource {
    source: Arc<Source>,
    /// Of a token that was replaced.
    until: Option<UnixMs>,
}

/// What guards the applications of a part.
#[derive(Default)]
struct Part {
    /// Held while one is read: those who wait find it in memory then, instead of each having a copy.
    reading: tokio::sync::Mutex<()>,
    /// Held while one is kept, or let go; how often one was changed.
    changes: Mutex<u64>,
}

impl Part {
    fn changes(&self) -> MutexGuard<'_, u64> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshots {
    /// Keeps at most `applications` of them.
    pub fn new(reader: Arc<dyn StoreReader>, applications: usize) -> Self {
        Self {
            reader,
            apps: Cache::new(applications),
            uids: Cache::new(applications),
            api_keys: Cache::new(API_KEYS_MAX),
            portal_tokens: Cache::new(API_KEYS_MAX),
            operational: Cache::new(ENVIRONMENTS_MAX),
            policies: Cache::new(ENVIRONMENTS_MAX),
            sources: Cache::new(SOURCES_MAX),
            sessions: Cache::new(API_KEYS_MAX),
            environments: Cache::new(ENVIRONMENTS_MAX),
            unknown_keys: Cache::new(UNKNOWN_KEYS_MAX),
            source_changes: watch::Sender::new(0),
            epoch: AtomicU64::new(0),
            parts: (0..PARTS).map(|_| Part::default()).collect(),
        }
    }

    fn part(&self, app: AppKey) -> &Part {
        &self.parts[FxBuildHasher.hash_one(app) as usize % PARTS]
    }

    /// An application, if it is in memory.
    pub fn cached(&self, app: AppKey) -> Option<Arc<AppConfig>> {
        self.apps.get(&app)
    }

    /// An application by key.
    pub async fn app(&self, app: AppKey) -> Result<Option<Arc<AppConfig>>, ReadError> {
        if let Some(config) = self.cached(app) {
            return Ok(Some(config));
        }
        let part = self.part(app);
        let _alone = part.reading.lock().await;
        if let Some(config) = self.cached(app) {
            return Ok(Some(config));
        }
        let mut tries = 1;
        loop {
            let before = *part.changes();
            let Some(config) = self.reader.app_config(app).await?.map(Arc::new) else { return Ok(None) };
            let changes = part.changes();
            let is_current = *changes == before;
            if is_current {
                self.apps.insert(app, Arc::clone(&config));
            }
            if is_current || tries == LOADS_MAX {
                return Ok(Some(config));
            }
            tries += 1;
        }
    }

    /// Anything may have changed, on another node.
    pub fn forget_all(&self) {
        for part in &self.parts {
            *part.changes() += 1;
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.apps.clear();
        self.uids.clear();
        self.api_keys_changed();
        self.environments.clear();
        self.operational.clear();
        self.policies.clear();
        self.portal_tokens_changed();
        self.sources_changed();
    }

    /// An endpoint's health changed, which routing does not ask for: its application need not be read
    /// again.
    pub fn endpoint_changed(&self, endpoint: &Arc<Endpoint>) {
        let mut changes = self.part(endpoint.app).changes();
        *changes += 1;
        let Some(config) = self.apps.get(&endpoint.app) else { return };
        let mut patched = (*config).clone();
        if let Ok(place) = patched.endpoints.binary_search_by_key(&endpoint.id.key, |known| known.id.key) {
            patched.endpoints[place] = Arc::clone(endpoint);
        }
        self.apps.insert(endpoint.app, Arc::new(patched));
    }

    /// An application by id or uid, as paths name it.
    pub async fn app_named(&self, env: EnvKey, name: &str) -> Result<Option<Arc<AppConfig>>, ReadError> {
        if let Some(id) = Id::parse(IdKind::Application, name) {
            let found = self.app(AppKey(id.key)).await?;
            let own = |config: &Arc<AppConfig>| {
                config.app.id == id && config.app.env == env && config.app.kind == AppKind::Customer
            };
            return Ok(found.filter(own));
        }
        let named = (env, Arc::from(name));
        if let Some(key) = self.uids.get(&named) {
            let found = self.app(key).await?;
            if let Some(config) = found.filter(|config| config.app.uid.as_deref() == Some(name)) {
                return Ok(Some(config));
            }
            self.uids.remove(&named);
        }
        let Some(key) = self.reader.app_by_uid(env, name).await? else { return Ok(None) };
        let found = self.app(key).await?.filter(|config| config.app.uid.as_deref() == Some(name));
        if found.is_some() {
            self.uids.insert(named, key);
        }
        Ok(found)
    }

    /// The application of an environment whose endpoints take operational webhooks.
    pub async fn operational(&self, env: EnvKey) -> Result<Option<Arc<AppConfig>>, ReadError> {
        if let Some(key) = self.operational.get(&env) {
            return self.app(key).await;
        }
        let Some(key) = self.reader.operational_app(env).await? else { return Ok(None) };
        self.operational.insert(env, key);
        self.app(key).await
    }

    /// What holds for an environment.
    pub async fn policy(&self, env: EnvKey) -> Result<Arc<EnvPolicy>, ReadError> {
        if let Some(policy) = self.policies.get(&env) {
            return Ok(policy);
        }
        let epoch = self.epoch.load(Ordering::Acquire);
        let policy = Arc::new(self.reader.env_policy(env).await?.unwrap_or_default());
        self.policies.insert(env, Arc::clone(&policy));
        if self.epoch.load(Ordering::Acquire) != epoch {
            self.policies.remove(&env);
        }
        Ok(policy)
    }

    /// The portal token of a hash, whether its time is over or not.
    pub async fn portal_token(
        &self,
        queries: &dyn StoreQueries,
        hash: [u8; 32],
    ) -> Result<Option<Arc<PortalToken>>, ReadError> {
        if let Some(token) = self.portal_tokens.get(&hash) {
            return Ok(Some(token));
        }
        if self.unknown_keys.get(&hash).is_some() {
            return Ok(None);
        }
        let epoch = self.epoch.load(Ordering::Acquire);
        let Some(token) = queries.portal_token_by_hash(hash).await?.map(Arc::new) else {
            self.note_unknown(hash, epoch);
            return Ok(None);
        };
        self.portal_tokens.insert(hash, Arc::clone(&token));
        if self.epoch.load(Ordering::Acquire) != epoch {
            self.portal_tokens.remove(&hash);
        }
        Ok(Some(token))
    }

    /// The environment key of a hash that is not revoked at `now`.
    pub async fn api_key(
        &self,
        queries: &dyn StoreQueries,
        hash: [u8; 32],
        now: UnixMs,
    ) -> Result<Option<Arc<ApiKey>>, ReadError> {
        if let Some(key) = self.api_keys.get(&hash) {
            return Ok(Some(key).filter(|key| key.is_valid(now)));
        }
        if self.unknown_keys.get(&hash).is_some() {
            return Ok(None);
        }
        let epoch = self.epoch.load(Ordering::Acquire);
        let Some(key) = queries.api_key_by_hash(hash).await?.map(Arc::new) else {
            self.note_unknown(hash, epoch);
            return Ok(None);
        };
        self.api_keys.insert(hash, Arc::clone(&key));
        if self.epoch.load(Ordering::Acquire) != epoch {
            self.api_keys.remove(&hash);
        }
        Ok(Some(key).filter(|key| key.is_valid(now)))
    }

    /// The session of a hash that has not ended at `now`.
    pub async fn session(
        &self,
        queries: &dyn StoreQueries,
        hash: [u8; 32],
        now: UnixMs,
    ) -> Result<Option<Arc<Session>>, ReadError> {
        if let Some(session) = self.sessions.get(&hash) {
            return Ok(Some(session).filter(|session| now < session.expires_at));
        }
        if self.unknown_keys.get(&hash).is_some() {
            return Ok(None);
        }
        let epoch = self.epoch.load(Ordering::Acquire);
        let Some(session) = queries.session_by_hash(SessionKind::Session, hash).await?.map(Arc::new) else {
            self.note_unknown(hash, epoch);
            return Ok(None);
        };
        self.sessions.insert(hash, Arc::clone(&session));
        if self.epoch.load(Ordering::Acquire) != epoch {
            self.sessions.remove(&hash);
        }
        Ok(Some(session).filter(|session| now < session.expires_at))
    }

    /// The environment of an id.
    pub async fn environment(&self, queries: &dyn StoreQueries, id: &str) -> Result<Option<EnvKey>, ReadError> {
        if let Some(env) = self.environments.get(id) {
            return Ok(Some(env));
        }
        if Id::parse(IdKind::Environment, id).is_none() {
            return Ok(None);
        }
        let epoch = self.epoch.load(Ordering::Acquire);
        let Some(found) = queries.environment_named(id).await? else { return Ok(None) };
        let env = EnvKey(found.id.key);
        if found.id.format(IdKind::Environment) != id {
            // Another's name.
            return Ok(None);
        }
        self.environments.insert(id.into(), env);
        if self.epoch.load(Ordering::Acquire) != epoch {
            self.environments.remove(id);
        }
        Ok(Some(env))
    }

    /// A key that was looked up since `epoch` is not there.
    fn note_unknown(&self, hash: [u8; 32], epoch: u64) {
        self.unknown_keys.insert(hash, ());
        if self.epoch.load(Ordering::Acquire) != epoch {
            self.unknown_keys.remove(&hash);
        }
    }

    /// An application was changed or is gone.
    pub fn app_changed(&self, app: AppKey) {
        let mut changes = self.part(app).changes();
        *changes += 1;
        self.apps.remove(&app);
    }

    /// What was committed holds from now on. Said before anybody is answered.
    pub fn changed(&self, changed: &Changed) {
        match changed {
            // Of an event type only its schedule is in the policy, which is read from all of them.
            Changed::EventType(_, _, Written { is_rescheduled: false, .. })
            | Changed::Environment(_)
            | Changed::Resealed(_)
            | Changed::Resent { .. }
            | Changed::ResentFailed { .. }
            | Changed::Expunged { .. }
            | Changed::AnswerExpunged
            | Changed::RequestLogged
            | Changed::KeyUseNoted
            // Nobody has asked for its hash before.
            | Changed::SessionOpened
            | Changed::Task(_) => {}
            Changed::ApiKey(_) => self.api_keys_changed(),
            Changed::SessionClosed => self.sessions_changed(),
            Changed::EnvironmentDeleted { apps, .. } => {
                for (app, _) in apps {
                    self.app_changed(*app);
                }
                // Keys, uids, policies: it happens once in a blue moon.
                self.forget_all();
            }
            Changed::EventType(env, ..)
            | Changed::EventTypeDeleted(env)
            | Changed::EventTypesImported(env, _)
            | Changed::Settings(env, _) => {
                self.epoch.fetch_add(1, Ordering::AcqRel);
                self.policies.remove(env);
            }
            Changed::Application(app, _) => self.app_changed(app.key()),
            Changed::PortalToken(..) | Changed::PortalTokenRevoked => self.portal_tokens_changed(),
            Changed::ApplicationDeleted { app, .. } | Changed::SourceDeleted { app: Some((app, _)), .. } => {
                self.app_changed(*app);
                self.portal_tokens_changed();
                self.sources_changed();
            }
            Changed::Source(..) | Changed::SourceDeleted { app: None, .. } => self.sources_changed(),
            Changed::Endpoint(endpoint, _) => self.app_changed(endpoint.app),
            Changed::EndpointDeleted { app, .. } => self.app_changed(*app),
        }
    }

    fn portal_tokens_changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.portal_tokens.clear();
        self.unknown_keys.clear();
    }

    fn sources_changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.sources.clear();
        self.source_changes.send_modify(|changes| *changes += 1);
    }

    /// Tells that a source was made or changed, or is gone.
    pub fn source_changes(&self) -> watch::Receiver<u64> {
        self.source_changes.subscribe()
    }

    /// The source that a token of a receiving URL opens at `now`.
    pub async fn source(
        &self,
        queries: &dyn StoreQueries,
        token: &str,
        now: UnixMs,
    ) -> Result<Option<Arc<Source>>, ReadError> {
        let is_open = |opened: &OpenedSource| opened.until.is_none_or(|until| now < until);
        if let Some(opened) = self.sources.get(token) {
            return Ok(Some(opened).filter(is_open).map(|opened| opened.source));
        }
        let epoch = self.epoch.load(Ordering::Acquire);
        let Some((source, until)) = queries.source_by_token(token).await? else { return Ok(None) };
        let opened = OpenedSource { source: Arc::new(source), until };
        self.sources.insert(token.into(), opened.clone());
        if self.epoch.load(Ordering::Acquire) != epoch {
            self.sources.remove(token);
        }
        Ok(Some(opened).filter(is_open).map(|opened| opened.source))
    }

    fn sessions_changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.sessions.clear();
    }

    /// A key was made, changed or revoked, and with it the sessions that stand in for it.
    pub fn api_keys_changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.api_keys.clear();
        self.sessions.clear();
        self.unknown_keys.clear();
    }
}
