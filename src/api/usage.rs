//! Usage: how much was sent, by application, and which event types endpoints list. Counted by background tasks.

use axum::body::Body;
use http::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::background_task::{TaskBegunOut, begun};
use super::call::Call;
use super::change;
use super::error::{ApiError, Kind};
use super::json::{Fields, Null};
use super::recover::moment;
use super::time::Time;
use super::validate;
use crate::model::id::first_key_at;
use crate::model::{Key, TaskAsk};
use crate::store::command::{Changed, NewTask};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 3] = ["since", "until", "appIds"];
/// Applications that one task can name.
pub(super) const APPS_MAX: usize = 1_000;

/// A task that counts, and what it does not count.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppUsageStatsOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct AppUsageOut {
    /// Its id.
    #[schemars(regex(pattern = r"^qtask_[A-Za-z0-9]{27}$"))]
    id: String,
    /// `running`, `finished` or `failed`.
    status: &'static str,
    /// What it does.
    task: &'static str,
    /// When it last went on.
    updated_at: Time,
    /// Of the applications that were named, those that are not there.
    unresolved_app_ids: Vec<String>,
}

/// `PUT /stats/usage/event-types`: 202 with the task, which goes on by itself.
pub(super) async fn event_types(call: Call, body: Body) -> Answer {
    let body = call.read(body).await?;
    let (env, ask) = (call.env, TaskAsk::EventTypes);
    let task = NewTask { env, endpoint: None, ask, since: 0, until: 0, total: None, found: None };
    change::commit(&call, task.into_change(), &body, begun).await
}

/// `POST /stats/usage/app`: 202 with the task, which goes on by itself.
pub(super) async fn applications(call: Call, body: Body) -> Answer {
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let (since, until) = (moment(&mut fields, "since"), moment(&mut fields, "until"));
    if let (Some(since), Some(until)) = (since, until)
        && until <= since
    {
        fields.problem("until", "must be after since", Kind::Value);
    }
    let named = fields.texts("appIds", (0, APPS_MAX), Null::Taken, &validate::UID).value();
    fields.finish()?;
    let (since, until) = (since.unwrap_or_default(), until.unwrap_or_default());
    let (apps, unresolved) = match named {
        Some(named) => {
            let (apps, unresolved) = resolved(&call, named).await?;
            (Some(apps), unresolved)
        }
        None => (None, Vec::new()),
    };
    let ask = TaskAsk::AppUsage { from: first_key_at(since) - 1, apps };
    let env = call.env;
    let task = NewTask { env, endpoint: None, ask, since, until, total: None, found: None };
    let render = move |changed: &Changed| match changed {
        Changed::Task(task) => {
            let TaskBegunOut { id, status, task, updated_at } = TaskBegunOut::of(task);
            let unresolved_app_ids = unresolved.clone();
            change::rendered(202, &AppUsageOut { id, status, task, updated_at, unresolved_app_ids })
        }
        other => change::nothing(other),
    };
    change::commit(&call, task.into_change(), &body, render).await
}

/// The keys of the applications that are there, in order and each once, and the names of the others.
async fn resolved(call: &Call, named: Vec<String>) -> Result<(Vec<Key>, Vec<String>), ApiError> {
    let (mut apps, mut unresolved) = (Vec::with_capacity(named.len()), Vec::new());
    for name in named {
        match call.gateway.snapshots.app_named(call.env, &name).await? {
            Some(config) => apps.push(config.app.key().0),
            None => unresolved.push(name),
        }
    }
    apps.sort_unstable();
    apps.dedup();
    Ok((apps, unresolved))
}
