//! Sources: where messages come in from outside.

use super::{delete, get, patch, post, put};
use crate::api::openapi::describe::{Described, Pages, Tag};
use crate::model::IdKind;

const ALL: &str = "/ingest/api/v1/source";
const TYPES: &str = "/ingest/api/v1/source-type";
const ONE: &str = "/ingest/api/v1/source/{source_id}";
const ROTATE: &str = "/ingest/api/v1/source/{source_id}/token/rotate";
const LOG: &str = "/ingest/api/v1/source/{source_id}/log";
const AGAIN: &str = "/ingest/api/v1/source/{source_id}/log/verify-again";
const ENDPOINTS: &str = "/ingest/api/v1/source/{source_id}/endpoint";
const ENDPOINT: &str = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}";
const SECRET: &str = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret";
const SECRET_ROTATE: &str = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate";
const HEADERS: &str = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers";
const TAG: Tag = Tag::Source;
const ENDPOINT_TAG: Tag = Tag::SourceEndpoint;

pub(super) fn described() -> Vec<Described> {
    [of_sources(), of_endpoints()].concat()
}

fn of_sources() -> Vec<Described> {
    vec![
        get(ALL, "v1.ingest.source.list", TAG)
            .says("List sources", "The oldest come first unless told otherwise.")
            .pages(Pages::Ids(IdKind::Source))
            .query(&["order"])
            .answers(200, "ListResponse_IngestSourceOut_"),
        post(ALL, "v1.ingest.source.create", TAG)
            .says(
                "Create a source",
                "The answer has the URL that the provider is to send to; with type `cron` there is none, and the \
                 server makes the messages itself. Without `appId` the source has an application of its own, whose \
                 uid is the source's id.",
            )
            .body("IngestSourceIn")
            .answers(201, "IngestSourceOut"),
        get(TYPES, "v1.ingest.source-type.list", TAG)
            .says("List source types", "All of them, each with the JSON Schema of its configuration.")
            .answers(200, "SourceTypesOut"),
        get(ONE, "v1.ingest.source.get", TAG)
            .says("Get a source", "What is secret in its configuration is not shown.")
            .answers(200, "IngestSourceOut"),
        put(ONE, "v1.ingest.source.upsert", TAG)
            .says(
                "Replace or create a source",
                "What the body leaves out takes its default; application and receiving URL stay. Where the path names \
                 a uid that nobody has, the source is created.",
            )
            .body("IngestSourceIn")
            .answers(200, "IngestSourceOut")
            .answers(201, "IngestSourceOut"),
        patch(ONE, "v1.ingest.source.patch", TAG)
            .says("Change a source", "What the body leaves out stays as it is; `config` is replaced as a whole.")
            .body("IngestSourcePatch")
            .answers(200, "IngestSourceOut"),
        delete(ONE, "v1.ingest.source.delete", TAG)
            .says(
                "Delete a source",
                "An application that was made for it goes with it. 409 while another source uses that application.",
            )
            .answers(204, ""),
        post(ROTATE, "v1.ingest.source.rotate-token", TAG)
            .says(
                "Rotate a source's URL",
                "The URL before goes on receiving for a day. 409 for a source of type `cron`, which has no URL.",
            )
            .answers(200, "RotateTokenOut"),
        get(LOG, "v1.ingest.log.list", Tag::SourceLog)
            .says(
                "List what a source received",
                "Every request: those that became messages, duplicates, handshakes, and those that were refused, with \
                 the cause. The newest come first unless told otherwise. Of requests that became no message the newest \
                 1,000 are kept, and 16 MiB.",
            )
            .pages(Pages::Ids(IdKind::SourceLog))
            .query(&["order"])
            .answers(200, "ListResponse_IngestLogOut_"),
        post(AGAIN, "v1.ingest.log.verify-again", Tag::SourceLog)
            .says(
                "Verify refused requests again",
                "By the configuration as it is now, as of the time when each came. What is right becomes a message and \
                 leaves the log. An addition of this server.",
            )
            .body("VerifyAgainIn")
            .answers(200, "VerifiedAgainOut"),
    ]
}

fn of_endpoints() -> Vec<Described> {
    vec![
        get(ENDPOINTS, "v1.ingest.endpoint.list", ENDPOINT_TAG)
            .says("List a source's endpoints", "Those of its application. The newest come first unless told otherwise.")
            .pages(Pages::Ids(IdKind::Endpoint))
            .query(&["order"])
            .answers(200, "ListResponse_EndpointOut_"),
        post("/ingest/api/v1/source/{source_id}/sample", "v1.ingest.source.sample", Tag::Source)
            .says(
                "Send a source a sample",
                "A request of the source's type, signed by its own secret, goes the way of a real one; the header \
                 `x-posthouse-sample` tells it apart. 422 where only the provider can sign.",
            )
            .answers(200, "SourceSampleOut"),
        post(ENDPOINTS, "v1.ingest.endpoint.create", ENDPOINT_TAG)
            .says("Create an endpoint of a source", "Without `secret` one is drawn.")
            .body("IngestEndpointIn")
            .answers(201, "EndpointOut"),
        get(ENDPOINT, "v1.ingest.endpoint.get", ENDPOINT_TAG)
            .says("Get an endpoint of a source", "")
            .answers(200, "EndpointOut"),
        put(ENDPOINT, "v1.ingest.endpoint.upsert", ENDPOINT_TAG)
            .says("Replace or create an endpoint of a source", "Secret and headers stay as they are.")
            .body("IngestEndpointUpsertIn")
            .answers(200, "EndpointOut")
            .answers(201, "EndpointOut"),
        delete(ENDPOINT, "v1.ingest.endpoint.delete", ENDPOINT_TAG)
            .says("Delete an endpoint of a source", "Nothing more is sent to it.")
            .answers(204, ""),
        get(SECRET, "v1.ingest.endpoint.get-secret", ENDPOINT_TAG)
            .says("Get the secret of a source's endpoint", "What deliveries to it are signed with.")
            .answers(200, "EndpointSecretOut"),
        post(SECRET_ROTATE, "v1.ingest.endpoint.rotate-secret", ENDPOINT_TAG)
            .says(
                "Rotate the secret of a source's endpoint",
                "The new secret signs at once; the one before signs as well until its grace period ends.",
            )
            .body("IngestEndpointSecretIn")
            .answers(204, ""),
        get(HEADERS, "v1.ingest.endpoint.get-headers", ENDPOINT_TAG)
            .says("Get the headers of a source's endpoint", "Of sensitive ones only the names are shown.")
            .answers(200, "EndpointHeadersOut"),
        put(HEADERS, "v1.ingest.endpoint.set-headers", ENDPOINT_TAG)
            .says("Replace the headers of a source's endpoint", "")
            .body("IngestEndpointHeadersIn")
            .answers(204, ""),
    ]
}
