//! What the writer of either engine knows beside the store; all of it can be read from the store again.

use std::sync::Arc;

use rand::Rng;
use rustc_hash::FxHashMap;

use super::db::{Db, Optional, Result};
use super::rows;
use super::stumbling::Stumbling;
use crate::model::{AppConfig, AppKey, AppKind, EnvKey, Id, KeyMaker, Nonce, SourceKey, UnixMs};
use crate::store::command::Raised;
use crate::store::seal::Sealer;

/// Days that the bytes of operational webhooks are kept, unless set.
const OWN_PAYLOAD_DAYS: u16 = 90;
/// Applications whose versions the writer remembers.
const VERSIONS_MAX: usize = 200_000;
/// Environments whose operational endpoints the writer remembers.
const OPERATIONAL_MAX: usize = 1_000;

/// What the writer knows of an application.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Owner {
    /// Its version: it rises with every change of what messages are routed by.
    pub(in crate::store) version: i64,
    /// Its environment.
    pub(in crate::store) env: EnvKey,
    /// Whose it is.
    pub(in crate::store) kind: AppKind,
}

/// What the writer knows.
pub(in crate::store) struct Core {
    pub(in crate::store) sealer: Arc<Sealer>,
    pub(in crate::store) keys: KeyMaker,
    /// Days that the bytes of operational webhooks are kept.
    pub(in crate::store) own_payload_days: u16,
    /// Endpoints of one application.
    pub(in crate::store) endpoints_max: usize,
    pub(in crate::store) versions: FxHashMap<AppKey, Owner>,
    /// The applications of environments that take operational webhooks.
    operational: FxHashMap<EnvKey, Arc<AppConfig>>,
    /// Entries of each source's log since they were counted.
    pub(in crate::store) source_logs: FxHashMap<(SourceKey, bool), i64>,
    /// Tasks whose slices fail. Known beyond the transaction that failed.
    pub(in crate::store) stumbling: Stumbling,
    /// What was raised in this transaction.
    pub(in crate::store) raised: Vec<Raised>,
    /// How many of them the engine has written.
    pub(in crate::store) raised_written: usize,
    rng: rand::rngs::ThreadRng,
}

impl Core {
    /// Nothing is known yet.
    pub(in crate::store) fn new(sealer: Arc<Sealer>, keys: KeyMaker, endpoints_max: usize) -> Self {
        Self {
            sealer,
            keys,
            own_payload_days: OWN_PAYLOAD_DAYS,
            endpoints_max,
            versions: FxHashMap::default(),
            operational: FxHashMap::default(),
            source_logs: FxHashMap::default(),
            stumbling: Stumbling::default(),
            raised: Vec::new(),
            raised_written: 0,
            rng: rand::rng(),
        }
    }

    /// A transaction begins.
    pub(in crate::store) fn begin(&mut self) {
        self.raised.clear();
        self.raised_written = 0;
    }

    /// The transaction was rolled back.
    pub(in crate::store) fn rollback(&mut self) {
        self.forget_all();
        self.begin();
    }

    /// Another may have changed anything.
    pub(in crate::store) fn forget_all(&mut self) {
        self.versions.clear();
        self.operational.clear();
        self.source_logs.clear();
    }

    /// A new id.
    pub(in crate::store) fn new_id(&mut self, now: UnixMs) -> Id {
        Id { key: self.keys.next_key(now), nonce: self.nonce() }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        self.rng.fill_bytes(&mut nonce);
        nonce
    }

    /// Whether something was raised that is not yet written.
    pub(in crate::store) fn has_unwritten(&self) -> bool {
        self.raised_written < self.raised.len()
    }

    /// What was raised and is not yet written. From now on it counts as written.
    pub(in crate::store) fn take_unwritten(&mut self) -> Vec<Raised> {
        let unwritten = self.raised[self.raised_written..].to_vec();
        self.raised_written = self.raised.len();
        unwritten
    }

    /// An application as stored now, as far as each command needs it; `None` when it is not there.
    pub(in crate::store) fn owner(&mut self, db: Db<'_>, app: AppKey) -> Result<Option<Owner>> {
        if let Some(owner) = self.versions.get(&app) {
            return Ok(Some(*owner));
        }
        let owner = db
            .prepare_cached("SELECT version, env, kind FROM application WHERE key = ?")?
            .query_row([app.0], |row| {
                let (env, kind) = (EnvKey(row.get(1)?), AppKind::from_code(row.get(2)?));
                Ok(Owner { version: row.get(0)?, env, kind })
            })
            .optional()?;
        if let Some(owner) = owner {
            self.remember(app, owner);
        }
        Ok(owner)
    }

    /// Remembers what was read of an application.
    pub(in crate::store) fn remember(&mut self, app: AppKey, owner: Owner) {
        if self.versions.len() >= VERSIONS_MAX {
            self.versions.clear();
        }
        self.versions.insert(app, owner);
    }

    /// The endpoints that take operational webhooks of an environment.
    pub(in crate::store) fn operational(&mut self, db: Db<'_>, env: EnvKey) -> Result<Option<Arc<AppConfig>>> {
        if let Some(config) = self.operational.get(&env) {
            return Ok(Some(Arc::clone(config)));
        }
        let Some(key) = rows::operational_app(db, env)? else { return Ok(None) };
        let config = rows::app_config(db, &self.sealer, key)?.map(Arc::new);
        if let Some(config) = &config {
            if self.operational.len() >= OPERATIONAL_MAX {
                self.operational.clear();
            }
            self.operational.insert(env, Arc::clone(config));
        }
        Ok(config)
    }

    /// An application was changed or is gone.
    pub(in crate::store) fn forget_version(&mut self, app: AppKey) {
        self.versions.remove(&app);
        self.operational.retain(|_, config| config.app.key() != app);
    }

    /// Raises an application's version: every message routed before is routed again.
    pub(in crate::store) fn touch_routing(&mut self, db: Db<'_>, app: AppKey) -> Result<()> {
        db.prepare_cached("UPDATE application SET version = version + 1 WHERE key = ?")?.execute([app.0])?;
        self.forget_version(app);
        Ok(())
    }
}
