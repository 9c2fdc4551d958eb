//! Changes of what an environment has beside applications and keys: event types, settings, portal tokens.

use super::db::{Optional, Result, params};

use super::change::{Changer, Stop, json};
use super::rows;
use crate::model::{
    AppKey, AppKind, Application, ApplicationSpec, EnvKey, EnvSettings, EventType, EventTypeSpec, Id, PortalToken,
};
use crate::store::command::{Change, Changed, EventTypePatch, Refusal, SettingsPatch, Target, Written};

/// Portal tokens whose time is over that are removed along with the making of one.
const EXPIRED_AT_ONCE: i64 = 100;

impl Changer<'_> {
    fn event_type(&self, env: EnvKey, name: &str) -> Result<Option<EventType>> {
        self.db
            .prepare_cached(&format!("SELECT {} FROM event_type WHERE env = ? AND name = ?", rows::EVENT_TYPE))?
            .query_row(params![env.0, name], rows::event_type)
            .optional()
    }

    /// Stores an event type; `existing` is what it was.
    fn store_event_type(
        &mut self,
        env: EnvKey,
        name: &str,
        spec: EventTypeSpec,
        existing: Option<&EventType>,
    ) -> Result<Changed, Stop> {
        let created_at = existing.map_or(self.at, |existing| existing.created_at);
        self.run(
            "INSERT INTO event_type (env, name, spec, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (env, name) DO UPDATE SET spec = excluded.spec, created_at = excluded.created_at,
               updated_at = excluded.updated_at",
            params![env.0, name, json(&spec), created_at, self.at],
        )?;
        let schedule = existing.and_then(|existing| existing.spec.retry_schedule.as_ref());
        let written = Written { is_new: existing.is_none(), is_rescheduled: schedule != spec.retry_schedule.as_ref() };
        let stored = EventType { name: name.to_owned(), spec, created_at, updated_at: self.at };
        Ok(Changed::EventType(env, stored, written))
    }

    /// One that is archived is taken up again, with the schedule that it had.
    pub(in crate::store) fn create_event_type(
        &mut self,
        env: EnvKey,
        name: &str,
        spec: &EventTypeSpec,
    ) -> Result<Changed, Stop> {
        let existing = self.event_type(env, name)?;
        if existing.as_ref().is_some_and(|existing| !existing.spec.archived) {
            return Err(Refusal::Exists.into());
        }
        match self.replace_event_type(env, name, spec, existing.as_ref())? {
            Changed::EventType(env, stored, written) => {
                Ok(Changed::EventType(env, stored, Written { is_new: true, ..written }))
            }
            other => Ok(other),
        }
    }

    pub(in crate::store) fn patch_event_type(
        &mut self,
        env: EnvKey,
        name: &str,
        patch: &EventTypePatch,
    ) -> Result<Changed, Stop> {
        let existing = self.event_type(env, name)?.ok_or(Refusal::NotFound)?;
        let mut spec = existing.spec.clone();
        patch.apply(&mut spec);
        self.store_event_type(env, name, spec, Some(&existing))
    }

    pub(in crate::store) fn put_event_type(
        &mut self,
        env: EnvKey,
        name: &str,
        spec: &EventTypeSpec,
    ) -> Result<Changed, Stop> {
        let existing = self.event_type(env, name)?;
        self.replace_event_type(env, name, spec, existing.as_ref())
    }

    fn replace_event_type(
        &mut self,
        env: EnvKey,
        name: &str,
        spec: &EventTypeSpec,
        existing: Option<&EventType>,
    ) -> Result<Changed, Stop> {
        let retry_schedule = existing.and_then(|existing| existing.spec.retry_schedule.clone());
        self.store_event_type(env, name, EventTypeSpec { retry_schedule, ..spec.clone() }, existing)
    }

    pub(in crate::store) fn delete_event_type(
        &mut self,
        env: EnvKey,
        name: &str,
        expunge: bool,
    ) -> Result<Changed, Stop> {
        if expunge {
            if self.run("DELETE FROM event_type WHERE env = ? AND name = ?", params![env.0, name])? == 0 {
                return Err(Refusal::NotFound.into());
            }
        } else {
            let archive = EventTypePatch { archived: Some(true), ..EventTypePatch::default() };
            self.patch_event_type(env, name, &archive)?;
        }
        Ok(Changed::EventTypeDeleted(env))
    }

    /// Event types, in the order of their names, are as a document says; what each had of retry schedules it keeps.
    pub(in crate::store) fn import_event_types(
        &mut self,
        env: EnvKey,
        types: &[(String, EventTypeSpec)],
        replace_all: bool,
    ) -> Result<Changed, Stop> {
        let mut modified = Vec::new();
        for (name, spec) in types {
            let existing = self.event_type(env, name)?;
            let retry_schedule = existing.as_ref().and_then(|existing| existing.spec.retry_schedule.clone());
            let spec = EventTypeSpec { retry_schedule, ..spec.clone() };
            if existing.as_ref().is_none_or(|existing| existing.spec != spec) {
                self.store_event_type(env, name, spec, existing.as_ref())?;
                modified.push(name.clone());
            }
        }
        if replace_all {
            let known: Vec<String> = self
                .db
                .prepare_cached("SELECT name FROM event_type WHERE env = ? ORDER BY name")?
                .query_map([env.0], |row| row.get(0))?
                .collect::<Result<_>>()?;
            for name in known.into_iter().filter(|name| types.binary_search_by(|(kept, _)| kept.cmp(name)).is_err()) {
                let existing = self.event_type(env, &name)?.filter(|existing| !existing.spec.archived);
                if let Some(existing) = existing {
                    let spec = EventTypeSpec { archived: true, ..existing.spec.clone() };
                    self.store_event_type(env, &name, spec, Some(&existing))?;
                    modified.push(name);
                }
            }
        }
        Ok(Changed::EventTypesImported(env, modified))
    }

    pub(in crate::store) fn patch_settings(&mut self, env: EnvKey, patch: &SettingsPatch) -> Result<Changed, Stop> {
        let policy = rows::env_policy(self.db, env)?.ok_or(Refusal::NotFound)?;
        let mut settings: EnvSettings = policy.settings;
        patch.apply(&mut settings);
        self.run("UPDATE environment SET settings = ? WHERE key = ?", params![json(&settings), env.0])?;
        Ok(Changed::Settings(env, settings))
    }

    pub(in crate::store) fn create_portal_token(&mut self, change: &Change) -> Result<Changed, Stop> {
        let Change::CreatePortalToken {
            env,
            target,
            create,
            hash,
            capabilities,
            feature_flags,
            session_id,
            lifetime_ms,
        } = change
        else {
            return Err(Refusal::Failed.into());
        };
        let (app, made) = self.portal_app(*env, target, create.as_ref())?;
        self.run(
            "DELETE FROM portal_token WHERE key IN (SELECT key FROM portal_token WHERE expires_at <= ? LIMIT ?)",
            params![self.at, EXPIRED_AT_ONCE],
        )?;
        let token = PortalToken {
            id: self.state.new_id(self.at),
            env: *env,
            app,
            capabilities: capabilities.clone(),
            feature_flags: feature_flags.clone(),
            session_id: session_id.clone(),
            created_at: self.at,
            expires_at: self.at + lifetime_ms,
        };
        self.run(
            "INSERT INTO portal_token (key, nonce, env, app, hash, capabilities, feature_flags, session_id,
               created_at, expires_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                token.id.key,
                token.id.nonce.as_slice(),
                env.0,
                app.0,
                hash.as_slice(),
                json(&token.capabilities),
                json(&token.feature_flags),
                token.session_id,
                token.created_at,
                token.expires_at
            ],
        )?;
        Ok(Changed::PortalToken(token, made))
    }

    /// The application that a token opens; made where it is not there and the call says how.
    fn portal_app(
        &mut self,
        env: EnvKey,
        target: &Target,
        create: Option<&ApplicationSpec>,
    ) -> Result<(AppKey, Option<Application>), Stop> {
        let existing = match target {
            Target::Id(id) => rows::application_of(self.db, AppKey(id.key))?
                .filter(|app| app.id == *id && app.env == env && app.kind == AppKind::Customer),
            Target::Uid(uid) => self.application_of_uid(env, uid)?,
        };
        match (existing, target, create) {
            (Some(app), ..) => Ok((app.key(), None)),
            (None, Target::Uid(uid), Some(spec)) => match self.create_application(env, Some(uid), spec, true)? {
                Changed::Application(app, _) => Ok((app.key(), Some(app))),
                _ => Err(Refusal::Failed.into()),
            },
            (None, ..) => Err(Refusal::NotFound.into()),
        }
    }

    pub(in crate::store) fn revoke_portal_token(&mut self, id: Id) -> Result<Changed, Stop> {
        let sql = "DELETE FROM portal_token WHERE key = ? AND nonce = ?";
        if self.run(sql, params![id.key, id.nonce.as_slice()])? == 0 {
            return Err(Refusal::NotFound.into());
        }
        self.keep_highest_key()?;
        Ok(Changed::PortalTokenRevoked)
    }
}
