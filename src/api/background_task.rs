//! Background tasks: how far what was asked for is.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::{ApiError, Kind};
use super::page::{self, PageQuery};
use super::query::Query;
use super::time::Time;
use super::validate::has_form_of;
use crate::model::{BackgroundTask, Id, IdKind, TaskStatus};
use crate::store::query::{Order, Rows};

type Answer = Result<Response<Body>, ApiError>;

/// What the one kind of task that there is is called.
const RECOVER: &str = "endpoint.recover";
/// The kinds of the contract.
pub(super) const TYPES: [&str; 8] = [
    "endpoint.replay",
    RECOVER,
    "application.stats",
    "message.broadcast",
    "sdk.generate",
    "event-type.aggregate",
    "application.purge_content",
    "endpoint.bulk-replay",
];

/// A task as the call that began it is answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecoverOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskBegunOut {
    /// Its id.
    #[schemars(regex(pattern = r"^qtask_[A-Za-z0-9]{27}$"))]
    id: String,
    /// `running`, `finished` or `failed`.
    status: &'static str,
    /// What it does.
    task: &'static str,
    /// When it last went on.
    updated_at: Time,
}

impl TaskBegunOut {
    pub(super) fn of(task: &BackgroundTask) -> Self {
        Self {
            id: task.id.format(IdKind::Task),
            status: task.status.as_str(),
            task: RECOVER,
            updated_at: Time(task.updated_at),
        }
    }
}

/// A task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BackgroundTaskOut {
    /// How far it is.
    data: Progress,
    /// Its id.
    #[schemars(regex(pattern = r"^qtask_[A-Za-z0-9]{27}$"))]
    id: String,
    /// `running`, `finished` or `failed`.
    status: &'static str,
    /// What it does.
    task: &'static str,
    /// When it last went on.
    updated_at: Time,
}

/// How far a task is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Progress {
    /// Messages that it has sent again.
    messages_sent: u64,
}

impl BackgroundTaskOut {
    fn of(task: &BackgroundTask) -> Self {
        let TaskBegunOut { id, status, task: kind, updated_at } = TaskBegunOut::of(task);
        Self { data: Progress { messages_sent: task.moved }, id, status, task: kind, updated_at }
    }
}

/// `GET /background-task`, newest first unless told otherwise.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Task, Order::Descending, true);
    let status = one_of(&mut query, "status", &TaskStatus::ALL.map(TaskStatus::as_str));
    let kind = one_of(&mut query, "task", &TYPES);
    query.finish()?;
    let status = status.map(|place| TaskStatus::ALL[place]);
    let rows = if kind.is_none_or(|place| TYPES[place] == RECOVER) {
        call.gateway.queries.background_tasks(call.env, page.page(), status).await?
    } else {
        Rows { rows: Vec::new(), done: true, resume: None }
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

/// `GET /background-task/{task_id}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let id = call.param("task_id")?;
    if !has_form_of(IdKind::Task, &id) {
        return Err(ApiError::invalid("path", "task_id", "must match ^qtask_[A-Za-z0-9]{27}$", Kind::Value));
    }
    let id = Id::parse(IdKind::Task, &id).ok_or(ApiError::not_found())?;
    let task = call.gateway.queries.background_task(call.env, id).await?.ok_or(ApiError::not_found())?;
    Ok(answer::json(StatusCode::OK, &BackgroundTaskOut::of(&task)))
}
