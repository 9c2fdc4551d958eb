//! Messages.

use super::{delete, get, post};
use crate::api::openapi::describe::{Described, Pages, Tag};
use crate::model::IdKind;

const ALL: &str = "/api/v1/app/{app_id}/msg";
const ONE: &str = "/api/v1/app/{app_id}/msg/{msg_id}";
const TAG: Tag = Tag::Message;
const SEARCH: [&str; 10] =
    ["application", "source", "status", "text", "channel", "tag", "event_types", "before", "after", "with_content"];
const SEARCH_OF_APP: [&str; 8] = ["status", "text", "channel", "tag", "event_types", "before", "after", "with_content"];

pub(super) fn described() -> Vec<Described> {
    vec![
        get(ALL, "v1.message.list", TAG)
            .says("List messages", "The newest come first.")
            .pages(Pages::Ids(IdKind::Message))
            .query(&["channel", "tag", "event_types", "before", "after", "with_content"])
            .answers(200, "ListResponse_MessageOut_"),
        get("/api/v1/message", "v1.message.list-all", TAG)
            .says(
                "List the messages of all applications",
                "The newest come first, each with where its deliveries stand. A page takes a fraction of a second at \
                 most: where few messages match, it may hold fewer rows than asked for, or none, and say with \
                 `searchedTo` how far it has looked. An addition of this server.",
            )
            .pages(Pages::Ids(IdKind::Message))
            .searches()
            .query(&SEARCH)
            .answers(200, "ListResponse_MessageRowOut_"),
        get("/api/v1/message/live", "v1.message.live-all", TAG)
            .says(
                "Follow the messages of all applications",
                "Server-sent events `page`: first `{\"data\"}` with the newest rows, then, at most twice a second, \
                 `{\"data\",\"skipped\"}` with rows that are new or whose deliveries stand otherwise; `skipped` says that \
                 there were more. An addition of this server.",
            )
            .searches()
            .query(&SEARCH)
            .media_type("text/event-stream")
            .answers(200, "Text"),
        get("/api/v1/app/{app_id}/message", "v1.message.list-with-deliveries", TAG)
            .says(
                "List messages with where their deliveries stand",
                "As the list of all applications. An addition of this server.",
            )
            .pages(Pages::Ids(IdKind::Message))
            .searches()
            .query(&SEARCH_OF_APP)
            .answers(200, "ListResponse_MessageRowOut_"),
        get("/api/v1/app/{app_id}/message/live", "v1.message.live", TAG)
            .says("Follow messages", "As of all applications. An addition of this server.")
            .searches()
            .query(&SEARCH_OF_APP)
            .media_type("text/event-stream")
            .answers(200, "Text"),
        post("/api/v1/app/{app_id}/msg/search", "v1.message.search", TAG)
            .says(
                "Search messages",
                "The list with its filters in the body, and with `text`, an addition of this server. A page takes a \
                 fraction of a second at most; `searchedTo` says how far it has looked.",
            )
            .body("MessageSearchIn")
            .answers(200, "MessageSearchOut"),
        get("/api/v1/app/{app_id}/events", "v1.message.events", TAG)
            .says("Read messages on and on", "Oldest first. `iterator` leads to what comes later, also where nothing is yet.")
            .pages(Pages::Ids(IdKind::Message))
            .query(&["event_types", "channels", "after"])
            .answers(200, "MessageEventsOut"),
        get("/api/v1/events", "v1.events.stream", Tag::Events)
            .says("Read the messages of all applications on and on", "As of one application.")
            .pages(Pages::Ids(IdKind::Message))
            .query(&["event_types", "channels", "after"])
            .answers(200, "MessageEventsOut"),
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
        post("/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg/test-attempt", "v1.message.test-attempt", TAG)
            .says(
                "Test an endpoint",
                "A message to this endpoint alone, whatever that filters. The answer is its first attempt, when that is \
                 on record; retries follow as for any other. `deliverAt` and `application` mean nothing here. \
                 A portal token sends event types that it sees (404 otherwise), and no `eventId` (422).",
            )
            .body("MessageIn")
            .answers(201, "MessageAttemptOut"),
        delete("/api/v1/app/{app_id}/msg/{msg_id}/content", "v1.message.expunge-content", TAG)
            .says("Delete a message's content", "It stays listed. What waits to be sent is cancelled.")
            .answers(204, ""),
    ]
}
