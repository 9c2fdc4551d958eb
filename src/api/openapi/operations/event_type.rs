//! Event types.

use super::{delete, get, patch, post, put};
use crate::api::openapi::describe::{Described, Pages, Tag};

const ALL: &str = "/api/v1/event-type";
const ONE: &str = "/api/v1/event-type/{event_type_name}";
const SCHEDULE: &str = "/api/v1/event-type/{event_type_name}/retry-schedule";
const IMPORT: &str = "/api/v1/event-type/import/openapi";
const EXPORT: &str = "/api/v1/event-type/export/openapi";
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
        post(IMPORT, "v1.event-type.import-openapi", TAG)
            .says(
                "Import event types",
                "The webhooks of an OpenAPI document become event types, all of them or none. With `replaceAll` others \
                 are archived; with `dryRun` it is only said what would change.",
            )
            .body("EventTypeImportOpenApiIn")
            .answers(200, "EventTypeImportOpenApiOut"),
        post(EXPORT, "v1.event-type.export-openapi", TAG)
            .says("Export event types by a task", "Its `data.spec` is an OpenAPI document that an import takes.")
            .answers(202, "RecoverOut"),
        get(EXPORT, "v1.event-type.export-openapi.get", TAG)
            .says("Export event types", "As an OpenAPI document that an import takes. Archived ones are left out.")
            .answers(200, "Document"),
        get(ONE, "v1.event-type.get", TAG).says("Get an event type", "").answers(200, "EventTypeOut"),
        put(ONE, "v1.event-type.upsert", TAG)
            .says("Replace or create an event type", "What the body leaves out takes its default.")
            .body("EventTypeUpsertIn")
            .answers(200, "EventTypeOut")
            .answers(201, "EventTypeOut"),
        patch(ONE, "v1.event-type.patch", TAG)
            .says("Change an event type", "What the body leaves out stays as it is.")
            .body("EventTypePatch")
            .answers(200, "EventTypeOut"),
        delete(ONE, "v1.event-type.delete", TAG)
            .says("Archive or delete an event type", "It is archived, or, with `expunge=true`, gone altogether.")
            .query(&["expunge"])
            .answers(204, ""),
        get(SCHEDULE, "v1.event-type.get-retry-schedule", TAG)
            .says("Get an event type's retry schedule", "")
            .answers(200, "RetryScheduleInOut"),
        put(SCHEDULE, "v1.event-type.set-retry-schedule", TAG)
            .says("Set an event type's retry schedule", "Holds where an endpoint has no schedule of its own.")
            .body("RetryScheduleInOut")
            .answers(200, "RetryScheduleInOut"),
    ]
}
