//! Event types.

use super::{get, post};
use crate::api::openapi::describe::{Described, Pages, Tag};

const ALL: &str = "/api/v1/event-type";
const ONE: &str = "/api/v1/event-type/{event_type_name}";
const TAG: Tag = Tag::EventType;

pub(super) fn described() -> Vec<Described> {
    vec![
        get(ALL, "v1.event-type.list", TAG)
            .says("List event types", "By name.")
            .pages(Pages::Names)
            .query(&["order", "include_archived", "with_content"])
            .answers(200, "ListResponse_EventTypeOut_"),
        post(ALL, "v1.event-type.create", TAG)
            .says("Create an event type", "")
            .body("EventTypeIn")
            .answers(201, "EventTypeOut"),
        get(ONE, "v1.event-type.get", TAG).says("Get an event type", "").answers(200, "EventTypeOut"),
    ]
}
