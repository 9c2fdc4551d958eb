//! Background tasks.

use super::get;
use crate::api::openapi::describe::{Described, Pages, Tag};
use crate::model::IdKind;

const TAG: Tag = Tag::Task;

pub(super) fn described() -> Vec<Described> {
    vec![
        get("/api/v1/background-task", "v1.background-task.list", TAG)
            .says("List tasks", "The newest come first unless told otherwise.")
            .pages(Pages::Ids(IdKind::Task))
            .query(&["order", "status", "task"])
            .answers(200, "ListResponse_BackgroundTaskOut_"),
        get("/api/v1/background-task/{task_id}", "v1.background-task.get", TAG)
            .says("Get a task", "How far it is.")
            .answers(200, "BackgroundTaskOut"),
    ]
}
