//! Messages.

use super::{delete, get, post};
use crate::api::openapi::describe::{Described, Pages, Tag};
use crate::model::IdKind;

const ALL: &str = "/api/v1/app/{app_id}/msg";
const ONE: &str = "/api/v1/app/{app_id}/msg/{msg_id}";
const TAG: Tag = Tag::Message;

pub(super) fn described() -> Vec<Described> {
    vec![
        get(ALL, "v1.message.list", TAG)
            .says("List messages", "The newest come first.")
            .pages(Pages::Ids(IdKind::Message))
            .query(&["channel", "tag", "event_types", "before", "after", "with_content"])
            .answers(200, "ListResponse_MessageOut_"),
        post(ALL, "v1.message.create", TAG)
            .says(
                "Send a message",
                "The answer 202 means: stored on disk, with a delivery for each endpoint that wants it. The bytes of \
                 `payload` are signed and sent exactly as they stand in the body.",
            )
            .query(&["with_content"])
            .body("MessageIn")
            .answers(202, "MessageOut"),
        get(ONE, "v1.message.get", TAG)
            .says("Get a message", "A payload that is no longer kept reads `{\"expired\":true}`.")
            .query(&["with_content"])
            .answers(200, "MessageOut"),
        get("/api/v1/app/{app_id}/msg/{msg_id}/raw", "v1.message.get-raw-payload", TAG)
            .says(
                "Get a message's bytes",
                "As a text in JSON; with `Accept: application/octet-stream` or `download=true` the bytes themselves, with \
                 their media type.",
            )
            .query(&["download"])
            .or_bytes()
            .answers(200, "MessageRawPayloadOut"),
        delete("/api/v1/app/{app_id}/msg/{msg_id}/content", "v1.message.expunge-content", TAG)
            .says("Delete a message's content", "It stays listed. What waits to be sent is cancelled.")
            .answers(204, ""),
    ]
}
