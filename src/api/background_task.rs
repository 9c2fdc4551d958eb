//! Background tasks: how far what was asked for is.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer;
use super::call::Call;
use super::change::{self, Rendered};
use super::error::{ApiError, Kind};
use super::page::{self, PageQuery};
use super::query::Query;
use super::time::Time;
use super::validate::has_form_of;
use crate::model::{BackgroundTask, Id, IdKind, TaskKind, TaskLine, TaskStatus};
use crate::store::command::Changed;
use crate::store::query::{Order, Rows};

type Answer = Result<Response<Body>, ApiError>;

/// The kinds of the contract, and one of ours behind them.
pub(super) const TYPES: [&str; 9] = [
    "endpoint.replay",
    "endpoint.recover",
    "application.stats",
    "message.broadcast",
    "sdk.generate",
    "event-type.aggregate",
    "application.purge_content",
    "endpoint.bulk-replay",
    "endpoint.cancel",
];
/// Lines of what a task has found out that are shown.
const LINES_MAX: usize = 10_000;

/// What a kind of task is called. The contract has no word for an export: it is what other programs are made from.
const fn name_of(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Recover => "endpoint.recover",
        TaskKind::ReplayMissing => "endpoint.replay",
        TaskKind::BulkReplay => "endpoint.bulk-replay",
        TaskKind::Cancel => "endpoint.cancel",
        TaskKind::AppUsage => "application.stats",
        TaskKind::EventTypes => "event-type.aggregate",
        TaskKind::Document => "sdk.generate",
    }
}

/// A task as the call that began it is answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecoverOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskBegunOut {
    /// Its id.
    #[schemars(regex(pattern = r"^qtask_[A-Za-z0-9]{27}$"))]
    pub(super) id: String,
    /// `running`, `finished` or `failed`.
    pub(super) status: &'static str,
    /// What it does.
    pub(super) task: &'static str,
    /// When it last went on.
    pub(super) updated_at: Time,
}

impl TaskBegunOut {
    pub(super) fn of(task: &BackgroundTask) -> Self {
        Self {
            id: task.id.format(IdKind::Task),
            status: task.status.as_str(),
            task: name_of(task.kind),
            updated_at: Time(task.updated_at),
        }
    }
}

/// A change that began a task: 202 with it.
pub(super) fn begun(changed: &Changed) -> Rendered {
    match changed {
        Changed::Task(task) => change::rendered(202, &TaskBegunOut::of(task)),
        other => change::nothing(other),
    }
}

/// A task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BackgroundTaskOut {
    /// What it has done, or found out. What it has found out is in the answer for this task alone, once it is
    /// finished.
    #[schemars(with = "serde_json::Map<String, Value>")]
    data: Value,
    /// Its id.
    #[schemars(regex(pattern = r"^qtask_[A-Za-z0-9]{27}$"))]
    id: String,
    /// `running`, `finished` or `failed`.
    status: &'static str,
    /// What it does.
    task: &'static str,
    /// When it last went on.
    updated_at: Time,
    /// How far it is. An addition of this server.
    progress: Progress,
}

/// How far a task is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Progress {
    /// Deliveries, messages or endpoints that it has worked on.
    done: u64,
    /// How many there were when it began, where that could be told.
    total: Option<u64>,
}

impl BackgroundTaskOut {
    fn of(task: &BackgroundTask) -> Self {
        let TaskBegunOut { id, status, task: kind, updated_at } = TaskBegunOut::of(task);
        let data = match task.kind {
            TaskKind::Recover | TaskKind::ReplayMissing | TaskKind::BulkReplay => json!({ "messagesSent": task.moved }),
            TaskKind::Cancel => json!({ "deliveriesCancelled": task.moved }),
            TaskKind::AppUsage | TaskKind::EventTypes | TaskKind::Document => json!({}),
        };
        let progress = Progress { done: task.moved, total: task.total };
        Self { data, id, status, task: kind, updated_at, progress }
    }
}

/// What a finished task has found out.
fn found(kind: TaskKind, lines: Vec<TaskLine>) -> Value {
    match kind {
        TaskKind::AppUsage => {
            let of = |line: &TaskLine| json!({ "appId": line.name, "messageDestinations": line.count });
            json!({ "appStats": lines.iter().map(of).collect::<Vec<_>>() })
        }
        TaskKind::EventTypes => {
            let all = lines.iter().find(|line| line.name.is_empty()).map_or(0, |line| line.count);
            let of = |line: &TaskLine| json!({ "name": line.name, "endpoints": line.count });
            let named: Vec<_> = lines.iter().filter(|line| !line.name.is_empty()).map(of).collect();
            json!({ "eventTypes": named, "endpointsOfAllTypes": all })
        }
        _ => {
            let body = lines.into_iter().next().and_then(|line| line.body);
            let document = body.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or(Value::Null);
            json!({ "spec": document })
        }
    }
}

/// `GET /background-task`, newest first unless told otherwise. What the contract has no word for is left out
/// unless it is asked for by `task`.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Task, Order::Descending, true);
    let status = one_of(&mut query, "status", &TaskStatus::ALL.map(TaskStatus::as_str));
    let kind = one_of(&mut query, "task", &TYPES);
    query.finish()?;
    let status = status.map(|place| TaskStatus::ALL[place]);
    let of_kind = |place: usize| TaskKind::ALL.into_iter().find(|kind| name_of(*kind) == TYPES[place]);
    let rows = match kind.map(of_kind) {
        // The contract knows it, and nothing here begins one.
        Some(None) => Rows { rows: Vec::new(), done: true, resume: None },
        kind => call.gateway.queries.background_tasks(call.env, page.page(), status, kind.flatten()).await?,
    };
    let iterator = |task: &BackgroundTask| task.id.format(IdKind::Task);
    let resume = |key| Id::first_of(key).format(IdKind::Task);
    Ok(page.answer(rows, iterator, resume, |out, task| page::push_json(out, &BackgroundTaskOut::of(task))))
}

/// The place of a word among those that a parameter may be.
fn one_of(query: &mut Query<'_>, name: &'static str, words: &[&str]) -> Option<usize> {
    let text = query.text(name)?;
    let place = words.iter().position(|word| *word == text);
    if place.is_none() {
        query.problem(name, format!("must be one of {}", words.join(", ")), Kind::Value);
    }
    place
}

/// `GET /background-task/{task_id}`: to a portal token those of its own application.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let id = call.param("task_id")?;
    if !has_form_of(IdKind::Task, &id) {
        return Err(ApiError::invalid("path", "task_id", "must match ^qtask_[A-Za-z0-9]{27}$", Kind::Value));
    }
    let id = Id::parse(IdKind::Task, &id).ok_or(ApiError::not_found())?;
    let task = call.gateway.queries.background_task(call.env, id).await?;
    // Another's task is not there for a portal token.
    let is_own = |task: &BackgroundTask| call.portal.as_ref().is_none_or(|token| token.app == task.app);
    let task = task.filter(is_own).ok_or(ApiError::not_found())?;
    let mut out = BackgroundTaskOut::of(&task);
    let has_lines = matches!(task.kind, TaskKind::AppUsage | TaskKind::EventTypes | TaskKind::Document);
    if has_lines && task.status == TaskStatus::Finished {
        out.data = found(task.kind, call.gateway.queries.task_lines(task.id, LINES_MAX).await?);
    }
    Ok(answer::json(StatusCode::OK, &out))
}
