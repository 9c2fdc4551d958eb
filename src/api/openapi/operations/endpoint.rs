//! Endpoints.

use super::{delete, get, patch, post, put};
use crate::api::openapi::describe::{Described, Pages, Tag};
use crate::model::IdKind;

const ALL: &str = "/api/v1/app/{app_id}/endpoint";
const ONE: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}";
const SECRET: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret";
const ROTATE: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate";
const HEADERS: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers";
const EXAMPLE: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example";
const STATS: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats";
const RECOVER: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover";
const COUNT_RECOVER: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover/count";
const MISSING: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing";
const COUNT_MISSING: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing/count";
const BULK: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay";
const COUNT_BULK: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay/count";
const CANCEL: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/cancel-msgs";
const TAG: Tag = Tag::Endpoint;

pub(super) fn described() -> Vec<Described> {
    [described_themselves(), described_tasks()].concat()
}

/// What sends again, or gives up.
fn described_tasks() -> Vec<Described> {
    vec![
        post(RECOVER, "v1.endpoint.recover", TAG)
            .says(
                "Send again what failed",
                "What failed or is held since a time is sent again, each with its schedule from the start. This goes \
                 on as a background task.",
            )
            .body("RecoverIn")
            .answers(202, "RecoverOut"),
        post(COUNT_RECOVER, "v1.endpoint.recover.count", TAG)
            .says("Count what failed", "How many deliveries a recovery with the same body would send.")
            .body("RecoverIn")
            .answers(200, "TaskCountOut"),
        post(MISSING, "v1.endpoint.replay-missing", TAG)
            .says(
                "Send what was never sent",
                "Messages that the endpoint wants and that never went to it: made before it was, or before it wanted \
                 their type. This goes on as a background task. Messages older than attempts are kept are left out.",
            )
            .body("ReplayIn")
            .answers(202, "RecoverOut"),
        post(COUNT_MISSING, "v1.endpoint.replay-missing.count", TAG)
            .says("Count what was never sent", "How many messages that would send.")
            .body("ReplayIn")
            .answers(200, "TaskCountOut"),
        post(BULK, "v1.endpoint.bulk-replay", TAG)
            .says(
                "Send again what matches",
                "Messages that went to the endpoint and match are sent again, whatever became of them, each with its \
                 schedule from the start; a retry that waits comes first instead. What is in line already stays where \
                 it is. This goes on as a background task.",
            )
            .body("BulkReplayIn")
            .answers(202, "RecoverOut"),
        post(COUNT_BULK, "v1.endpoint.bulk-replay.count", TAG)
            .says("Count what matches", "How many messages that would send.")
            .body("BulkReplayIn")
            .answers(200, "TaskCountOut"),
        post(CANCEL, "v1.endpoint.cancel-msgs", TAG)
            .says(
                "Give up what is not ended",
                "Deliveries to the endpoint that are pending, wait or are held, of messages made before a time, are \
                 cancelled. This is done behind the answer, slice by slice; attempts that are in flight may still \
                 arrive. How far it is is listed with the background tasks of type `endpoint.cancel`.",
            )
            .body("CancelMsgsIn")
            .answers(204, ""),
    ]
}

fn described_themselves() -> Vec<Described> {
    vec![
        get(ALL, "v1.endpoint.list", TAG)
            .says("List endpoints", "The newest come first unless told otherwise.")
            .pages(Pages::Ids(IdKind::Endpoint))
            .query(&["order"])
            .answers(200, "ListResponse_EndpointOut_"),
        get("/api/v1/endpoint", "v1.endpoint.list-all", TAG)
            .says(
                "List the endpoints of all applications",
                "The newest come first, each with what waits for it. An addition of this server.",
            )
            .pages(Pages::Ids(IdKind::Endpoint))
            .query(&["state"])
            .answers(200, "ListResponse_EndpointRowOut_"),
        post(ALL, "v1.endpoint.create", TAG)
            .says(
                "Create an endpoint",
                "It gets the messages that are accepted from now on. Without `secret` one is drawn.",
            )
            .body("EndpointIn")
            .answers(201, "EndpointOut"),
        get(ONE, "v1.endpoint.get", TAG).says("Get an endpoint", "").answers(200, "EndpointOut"),
        put(ONE, "v1.endpoint.upsert", TAG)
            .says(
                "Replace or create an endpoint",
                "What the body leaves out takes its default; secret, headers and a retry schedule stay as they \
                 are. Where the path names a uid that nobody has, the endpoint is created.",
            )
            .body("EndpointUpsertIn")
            .answers(200, "EndpointOut")
            .answers(201, "EndpointOut"),
        patch(ONE, "v1.endpoint.patch", TAG)
            .says("Change an endpoint", "What the body leaves out stays as it is.")
            .body("EndpointPatch")
            .answers(200, "EndpointOut"),
        delete(ONE, "v1.endpoint.delete", TAG)
            .says("Delete an endpoint", "Nothing more is sent to it.")
            .answers(204, ""),
        get(SECRET, "v1.endpoint.get-secret", TAG)
            .says("Get an endpoint's secret", "What deliveries to it are signed with.")
            .answers(200, "EndpointSecretOut"),
        post(ROTATE, "v1.endpoint.rotate-secret", TAG)
            .says(
                "Rotate an endpoint's secret",
                "The new secret signs at once; the one before signs as well until its grace period ends. Answers with \
                 the new one, unless the token may not see secrets.",
            )
            .body("EndpointSecretRotateIn")
            .answers(200, "EndpointSecretOut")
            .answers(204, ""),
        get(HEADERS, "v1.endpoint.get-headers", TAG)
            .says("Get an endpoint's headers", "Of sensitive ones only the names are shown.")
            .answers(200, "EndpointHeadersOut"),
        put(HEADERS, "v1.endpoint.set-headers", TAG)
            .says("Replace an endpoint's headers", "")
            .body("EndpointHeadersIn")
            .answers(204, ""),
        patch(HEADERS, "v1.endpoint.patch-headers", TAG)
            .says("Change an endpoint's headers", "Others stay as they are.")
            .body("EndpointHeadersPatchIn")
            .answers(204, ""),
        post(EXAMPLE, "v1.endpoint.send-example", TAG)
            .says(
                "Send an example to an endpoint",
                "A message as the newest schema of the event type describes it, to this endpoint alone.",
            )
            .body("EventExampleIn")
            .answers(202, "MessageOut"),
        get(STATS, "v1.endpoint.get-stats", TAG)
            .says("Count an endpoint's deliveries", "What became of them in a span of time.")
            .query(&["since", "until"])
            .answers(200, "EndpointStats"),
    ]
}
