//! Changes of configuration and resends in memory.

use std::sync::Arc;

use super::data::{Data, StoredAttempt};
use crate::model::{
    AppKey, AppKind, Application, ApplicationSpec, DisabledReason, Endpoint, EndpointKey, EndpointSpec, EnvKey,
    Failing, MessageKey, SecretBytes, SigningSecret, Trigger, UnixMs, Waiting,
};
use crate::store::command::{
    Became, Change, ChangeRequest, Changed, Done, FAILURES_BEFORE_DISABLE, HealthStep, Refusal, Reply, Resealed,
    Settle, Target,
};

const REMEMBERED_MS: UnixMs = 24 * 3_600_000;

impl Data {
    pub(super) fn change_remembered(&mut self, request: &ChangeRequest) -> Reply {
        let done = |changed| Done::Changed(Box::new(changed));
        let Some(remembered) = &request.idempotency else { return self.change(&request.change, request.at).map(done) };
        let key = remembered.key;
        if let Some((fingerprint, status, body, _)) = self.remembered.get(&key.hash).filter(|r| r.3 > request.at) {
            if *fingerprint != key.fingerprint {
                return Err(Refusal::IdempotencyMismatch);
            }
            return Ok(Done::RepeatedChange(*status, body.clone()));
        }
        let changed = self.change(&request.change, request.at)?;
        let (status, body) = (remembered.render)(&changed);
        self.remembered.insert(key.hash, (key.fingerprint, status, body, request.at + REMEMBERED_MS));
        Ok(done(changed))
    }

    fn change(&mut self, change: &Change, at: UnixMs) -> Result<Changed, Refusal> {
        match change {
            Change::CreateApplication { env, uid, spec, get_if_exists } => {
                self.create_application(*env, uid.as_deref(), spec, *get_if_exists, at)
            }
            Change::PatchApplication { app, patch } => {
                let mut found = self.apps.get(&app.0).ok_or(Refusal::NotFound)?.clone();
                patch.apply(&mut found);
                self.store_application(found, at)
            }
            Change::PutApplication { env, target, uid, spec } => {
                self.put_application(*env, target, uid.as_deref(), spec, at)
            }
            Change::DeleteApplication { app } => self.delete_application(*app),
            Change::CreateEndpoint { app, uid, spec, secret } => {
                self.create_endpoint(*app, uid.as_deref(), spec, secret, at)
            }
            Change::PatchEndpoint { app, endpoint, patch } => {
                let before = self.endpoint(*app, *endpoint).ok_or(Refusal::NotFound)?;
                let mut endpoint = before.clone();
                patch.apply(&mut endpoint);
                self.replace_endpoint(&before, endpoint, at)
            }
            Change::PutEndpoint { app, target, uid, spec, secret } => {
                self.put_endpoint(*app, target, uid.as_deref(), spec, secret, at)
            }
            Change::DeleteEndpoint { app, endpoint } => {
                self.endpoint(*app, *endpoint).ok_or(Refusal::NotFound)?;
                self.endpoints.remove(&endpoint.0);
                self.touch_routing(*app);
                Ok(Changed::EndpointDeleted { app: *app, endpoint: *endpoint })
            }
            Change::ExpungeMessage { app, message } => self.expunge_message(*app, *message),
            Change::StartTask(new) => self.recover(new, at),
            Change::Resend { app, endpoint, message } => self.resend(*app, *endpoint, *message, at),
            Change::PatchSettings { env, patch } => {
                let policy = self.policies.entry(env.0).or_default();
                patch.apply(&mut policy.settings);
                Ok(Changed::Settings(*env, policy.settings.clone()))
            }
            Change::RotateSecret { app, endpoint, key, grace_ms } => {
                let before = self.endpoint(*app, *endpoint).ok_or(Refusal::NotFound)?;
                let mut endpoint = before.clone();
                endpoint.rotate(key.clone(), at, *grace_ms);
                self.replace_endpoint(&before, endpoint, at)
            }
            Change::SetHeaders { app, endpoint, patch } => {
                let before = self.endpoint(*app, *endpoint).ok_or(Refusal::NotFound)?;
                let mut endpoint = before.clone();
                if !patch.apply(&mut endpoint.spec.headers) {
                    return Err(Refusal::TooManyHeaders);
                }
                self.replace_endpoint(&before, endpoint, at)
            }
            // Nothing of it is ever at rest.
            Change::Reseal { .. } => Ok(Changed::Resealed(Resealed::default())),
            Change::Access(_)
            | Change::ExpirePortalTokens { .. }
            | Change::ExpungeAttempt { .. }
            | Change::CreateEventType { .. }
            | Change::PatchEventType { .. }
            | Change::PutEventType { .. }
            | Change::ImportEventTypes { .. }
            | Change::ResendFailed { .. }
            | Change::DeleteEventType { .. }
            | Change::CreatePortalToken { .. }
            | Change::CreateSource { .. }
            | Change::PatchSource { .. }
            | Change::DeleteSource { .. }
            | Change::RotateSourceToken { .. }
            | Change::LearnSourceKey { .. }
            | Change::LogRequest(_)
            | Change::RevokePortalToken { .. } => Err(Refusal::Failed),
        }
    }

    fn create_application(
        &mut self,
        env: EnvKey,
        uid: Option<&str>,
        spec: &ApplicationSpec,
        get_if_exists: bool,
        at: UnixMs,
    ) -> Result<Changed, Refusal> {
        if let Some(existing) = uid.and_then(|uid| self.app_of_uid(env, uid)) {
            return if get_if_exists {
                Ok(Changed::Application(existing.clone(), false))
            } else {
                Err(Refusal::Exists)
            };
        }
        let app = Application {
            id: self.new_id(at),
            env,
            kind: AppKind::Customer,
            uid: uid.map(str::to_owned),
            spec: spec.clone(),
            version: 1,
            created_at: at,
            updated_at: at,
        };
        self.apps.insert(app.id.key, app.clone());
        Ok(Changed::Application(app, true))
    }

    fn store_application(&mut self, mut app: Application, at: UnixMs) -> Result<Changed, Refusal> {
        let other = app.uid.as_ref().and_then(|uid| self.app_of_uid(app.env, uid));
        if other.is_some_and(|other| other.id != app.id) {
            return Err(Refusal::Exists);
        }
        app.updated_at = at;
        app.version += 1;
        self.apps.insert(app.id.key, app.clone());
        Ok(Changed::Application(app, false))
    }

    fn put_application(
        &mut self,
        env: EnvKey,
        target: &Target,
        uid: Option<&str>,
        spec: &ApplicationSpec,
        at: UnixMs,
    ) -> Result<Changed, Refusal> {
        let existing = match target {
            Target::Id(id) => self.apps.get(&id.key).filter(|app| app.id == *id && app.env == env),
            Target::Uid(named) => self.app_of_uid(env, named),
        };
        match (existing.cloned(), target) {
            (Some(mut app), target) => {
                target.put_application(&mut app, uid, spec);
                self.store_application(app, at)
            }
            (None, Target::Uid(named)) => self.create_application(env, uid.or(Some(named)), spec, false, at),
            (None, Target::Id(_)) => Err(Refusal::NotFound),
        }
    }

    fn delete_application(&mut self, app: AppKey) -> Result<Changed, Refusal> {
        self.apps.remove(&app.0).ok_or(Refusal::NotFound)?;
        let endpoints: Vec<_> = self.endpoints.values().filter(|e| e.app == app).map(|e| e.key()).collect();
        self.endpoints.retain(|_, endpoint| endpoint.app != app);
        Ok(Changed::ApplicationDeleted { app, endpoints })
    }

    fn touch_routing(&mut self, app: AppKey) {
        if let Some(app) = self.apps.get_mut(&app.0) {
            app.version += 1;
        }
    }

    fn endpoint(&self, app: AppKey, key: EndpointKey) -> Option<Endpoint> {
        self.endpoints.get(&key.0).filter(|endpoint| endpoint.app == app).map(|endpoint| (**endpoint).clone())
    }

    fn endpoint_of_uid(&self, app: AppKey, uid: &str) -> Option<Endpoint> {
        let found =
            self.endpoints.values().find(|endpoint| endpoint.app == app && endpoint.uid.as_deref() == Some(uid));
        found.map(|endpoint| (**endpoint).clone())
    }

    fn new_url_id(&mut self) -> i64 {
        self.url_ids += 1;
        self.url_ids
    }

    fn create_endpoint(
        &mut self,
        app: AppKey,
        uid: Option<&str>,
        spec: &EndpointSpec,
        secret: &SecretBytes,
        at: UnixMs,
    ) -> Result<Changed, Refusal> {
        if !self.apps.contains_key(&app.0) {
            return Err(Refusal::NotFound);
        }
        if uid.is_some_and(|uid| self.endpoint_of_uid(app, uid).is_some()) {
            return Err(Refusal::Exists);
        }
        if self.endpoints.values().filter(|endpoint| endpoint.app == app).count() >= self.endpoints_max {
            return Err(Refusal::TooManyEndpoints);
        }
        let endpoint = Arc::new(Endpoint {
            id: self.new_id(at),
            app,
            uid: uid.map(str::to_owned),
            url_id: self.new_url_id(),
            spec: spec.clone(),
            secrets: vec![SigningSecret::current(secret.clone())],
            failing: None,
            created_at: at,
            updated_at: at,
        });
        self.endpoints.insert(endpoint.id.key, Arc::clone(&endpoint));
        self.touch_routing(app);
        Ok(Changed::Endpoint(endpoint, Became::New))
    }

    fn replace_endpoint(&mut self, before: &Endpoint, endpoint: Endpoint, at: UnixMs) -> Result<Changed, Refusal> {
        let endpoint = self.store_endpoint(endpoint, &before.spec.url, at)?;
        let is_enabled = before.spec.disabled.is_some() && endpoint.spec.disabled.is_none();
        Ok(Changed::Endpoint(endpoint, if is_enabled { Became::Enabled } else { Became::Changed }))
    }

    fn store_endpoint(
        &mut self,
        mut endpoint: Endpoint,
        url_before: &str,
        at: UnixMs,
    ) -> Result<Arc<Endpoint>, Refusal> {
        let other = endpoint.uid.as_ref().and_then(|uid| self.endpoint_of_uid(endpoint.app, uid));
        if other.is_some_and(|other| other.id != endpoint.id) {
            return Err(Refusal::Exists);
        }
        if endpoint.spec.url != url_before {
            endpoint.url_id = self.new_url_id();
        }
        endpoint.updated_at = at;
        let endpoint = Arc::new(endpoint);
        self.endpoints.insert(endpoint.id.key, Arc::clone(&endpoint));
        self.touch_routing(endpoint.app);
        Ok(endpoint)
    }

    fn put_endpoint(
        &mut self,
        app: AppKey,
        target: &Target,
        uid: Option<&str>,
        spec: &EndpointSpec,
        secret: &SecretBytes,
        at: UnixMs,
    ) -> Result<Changed, Refusal> {
        let existing = match target {
            Target::Id(id) => self.endpoint(app, EndpointKey(id.key)).filter(|endpoint| endpoint.id == *id),
            Target::Uid(named) => self.endpoint_of_uid(app, named),
        };
        match (existing, target) {
            (Some(before), target) => {
                let mut endpoint = before.clone();
                target.put_endpoint(&mut endpoint, uid, spec);
                self.replace_endpoint(&before, endpoint, at)
            }
            (None, Target::Uid(named)) => self.create_endpoint(app, uid.or(Some(named)), spec, secret, at),
            (None, Target::Id(_)) => Err(Refusal::NotFound),
        }
    }

    /// Takes the step of an endpoint's health that an attempt brings about, if it still follows from
    /// what is stored.
    pub(super) fn health(&mut self, settle: &Settle) -> Option<Arc<Endpoint>> {
        let (step, attempt) = (settle.health?, settle.attempt.as_ref()?);
        let (key, at) = (settle.endpoint, settle.at);
        let mut endpoint = self
            .endpoint(settle.app, key)
            .filter(|endpoint| endpoint.spec.disabled.is_none() && attempt.tells_of(endpoint, step))?;
        match (step, endpoint.failing) {
            (HealthStep::Begin { since }, None) => endpoint.failing = Some(Failing { since, warned: 0 }),
            (HealthStep::Warn(number), Some(failing)) if failing.warned < number => {
                endpoint.failing = Some(Failing { warned: number, ..failing });
            }
            (HealthStep::Recover, Some(_)) => endpoint.failing = None,
            (HealthStep::Disable(DisabledReason::Failing), Some(failing)) => {
                let made =
                    |attempt: &&StoredAttempt| attempt.endpoint == key && attempt.outcome.started_at >= failing.since;
                if self.attempts.iter().filter(made).count() < FAILURES_BEFORE_DISABLE {
                    return None;
                }
                return self.disable(endpoint, DisabledReason::Failing, at);
            }
            (HealthStep::Disable(DisabledReason::Failing), None) => return None,
            (HealthStep::Disable(reason), _) => return self.disable(endpoint, reason, at),
            (HealthStep::Begin { .. }, Some(_)) | (HealthStep::Warn(_), _) | (HealthStep::Recover, None) => {
                return None;
            }
        }
        let endpoint = Arc::new(endpoint);
        self.endpoints.insert(endpoint.id.key, Arc::clone(&endpoint));
        Some(endpoint)
    }

    fn disable(&mut self, mut endpoint: Endpoint, reason: DisabledReason, at: UnixMs) -> Option<Arc<Endpoint>> {
        endpoint.spec.disabled = Some(reason);
        let url = endpoint.spec.url.clone();
        self.store_endpoint(endpoint, &url, at).ok()
    }

    fn resend(
        &mut self,
        app: AppKey,
        endpoint: EndpointKey,
        message: MessageKey,
        at: UnixMs,
    ) -> Result<Changed, Refusal> {
        let found = self.endpoint(app, endpoint).ok_or(Refusal::NotFound)?;
        if self.messages.get(&message.0).is_none_or(|stored| stored.message.app != app) {
            return Err(Refusal::NotFound);
        }
        if found.spec.disabled.is_some() {
            return Err(Refusal::EndpointDisabled);
        }
        if self.messages.get(&message.0).is_none_or(|stored| stored.message.payload.is_none()) {
            return Err(Refusal::ContentGone);
        }
        let mut due = at;
        while self.waiting.contains_key(&(endpoint.0, due, message.0)) {
            due += 1;
        }
        self.waiting.insert((endpoint.0, due, message.0), (0, Trigger::Manual));
        let waiting = Waiting { due, message, attempts: 0, trigger: Trigger::Manual };
        Ok(Changed::Resent { app, endpoint, waiting })
    }
}
