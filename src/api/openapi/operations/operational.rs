//! Operational webhooks: endpoints of the environment itself.

use super::{delete, get, post, put};
use crate::api::openapi::describe::{Described, Pages, Tag};
use crate::model::IdKind;

const ALL: &str = "/api/v1/operational-webhook/endpoint";
const ONE: &str = "/api/v1/operational-webhook/endpoint/{endpoint_id}";
const SECRET: &str = "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret";
const ROTATE: &str = "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate";
const HEADERS: &str = "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers";
const TAG: Tag = Tag::Operational;

pub(super) fn described() -> Vec<Described> {
    vec![
        get(ALL, "v1.operational-webhook.endpoint.list", TAG)
            .says("List operational endpoints", "The newest come first unless told otherwise.")
            .pages(Pages::Ids(IdKind::Endpoint))
            .query(&["order"])
            .answers(200, "ListResponse_EndpointOut_"),
        post(ALL, "v1.operational-webhook.endpoint.create", TAG)
            .says("Create an operational endpoint", "Without `secret` one is drawn.")
            .body("OperationalWebhookEndpointIn")
            .answers(201, "EndpointOut"),
        get(ONE, "v1.operational-webhook.endpoint.get", TAG)
            .says("Get an operational endpoint", "")
            .answers(200, "EndpointOut"),
        put(ONE, "v1.operational-webhook.endpoint.upsert", TAG)
            .says("Replace or create an operational endpoint", "Secret and headers stay as they are.")
            .body("OperationalWebhookEndpointUpsertIn")
            .answers(200, "EndpointOut")
            .answers(201, "EndpointOut"),
        delete(ONE, "v1.operational-webhook.endpoint.delete", TAG)
            .says("Delete an operational endpoint", "Nothing more is sent to it.")
            .answers(204, ""),
        get(SECRET, "v1.operational-webhook.endpoint.get-secret", TAG)
            .says("Get an operational endpoint's secret", "What deliveries to it are signed with.")
            .answers(200, "EndpointSecretOut"),
        post(ROTATE, "v1.operational-webhook.endpoint.rotate-secret", TAG)
            .says(
                "Rotate an operational endpoint's secret",
                "The new secret signs at once; the one before signs as well until its grace period ends.",
            )
            .body("OperationalWebhookEndpointSecretIn")
            .answers(204, ""),
        get(HEADERS, "v1.operational-webhook.endpoint.get-headers", TAG)
            .says("Get an operational endpoint's headers", "Of sensitive ones only the names are shown.")
            .answers(200, "EndpointHeadersOut"),
        put(HEADERS, "v1.operational-webhook.endpoint.set-headers", TAG)
            .says("Replace an operational endpoint's headers", "")
            .body("OperationalWebhookEndpointHeadersIn")
            .answers(204, ""),
    ]
}
