//! Attempts.

use super::{delete, get, post};
use crate::api::openapi::describe::{Described, Pages, Tag};
use crate::model::IdKind;

const BY_ENDPOINT: &str = "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}";
const COUNT: &str = "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}/count";
const BY_MESSAGE: &str = "/api/v1/app/{app_id}/attempt/msg/{msg_id}";
const ONE: &str = "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}";
const HEADERS: &str = "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/headers";
const RESEND: &str = "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend";
const CONTENT: &str = "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content";
const MESSAGES: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg";
const DESTINATIONS: &str = "/api/v1/app/{app_id}/msg/{msg_id}/endpoint";
const TAG: Tag = Tag::Attempt;

pub(super) fn described() -> Vec<Described> {
    vec![
        get(BY_ENDPOINT, "v1.message-attempt.list-by-endpoint", TAG)
            .says("List an endpoint's attempts", "The newest come first.")
            .pages(Pages::Ids(IdKind::Attempt))
            .query(&[
                "status",
                "status_code_class",
                "channel",
                "tag",
                "event_types",
                "before",
                "after",
                "with_content",
                "with_msg",
                "expanded_statuses",
            ])
            .answers(200, "ListResponse_MessageAttemptOut_"),
        get(COUNT, "v1.message-attempt.count-by-endpoint", TAG)
            .says("Count an endpoint's attempts", "For a fraction of a second at most; then `approximated` is true.")
            .query(&["status", "status_code_class", "channel", "tag", "event_types", "before", "after"])
            .answers(200, "CountOut"),
        get(BY_MESSAGE, "v1.message-attempt.list-by-msg", TAG)
            .says("List a message's attempts", "The newest come first.")
            .pages(Pages::Ids(IdKind::Attempt))
            .query(&[
                "status",
                "status_code_class",
                "endpoint_id",
                "channel",
                "tag",
                "event_types",
                "before",
                "after",
                "with_content",
                "expanded_statuses",
            ])
            .answers(200, "ListResponse_MessageAttemptOut_"),
        get(ONE, "v1.message-attempt.get", TAG)
            .says("Get an attempt", "")
            .query(&["expanded_statuses"])
            .answers(200, "MessageAttemptOut"),
        get(HEADERS, "v1.message-attempt.get-headers", TAG)
            .says(
                "Get an attempt's headers",
                "Those of the request are made once more, from the message, the time of the attempt and the endpoint as \
                 it is now; a portal token that may not see secrets does not see the signature. Those of the answer \
                 are kept of failures.",
            )
            .answers(200, "MessageAttemptHeadersOut"),
        post(RESEND, "v1.message-attempt.resend", TAG)
            .says(
                "Send a message again",
                "One attempt, also of what was delivered. A failure starts no retries; a success ends those that \
                 wait.",
            )
            .answers(202, "EmptyResponse"),
        post("/api/v1/app/{app_id}/msg/{msg_id}/resend-failed", "v1.message-attempt.resend-failed", TAG)
            .says(
                "Send a message again where it failed",
                "One attempt to each enabled endpoint where the delivery failed or is held. A failure starts no retries.",
            )
            .answers(202, "ResendFailedOut"),
        post("/api/v1/app/{app_id}/msg/{msg_id}/try", "v1.message-attempt.try", TAG)
            .says(
                "Try a URL out",
                "One signed attempt to a URL, with the secret and the headers of an endpoint if one is named, else with \
                 a secret that is in the answer. It is on no record, and no delivery changes. A portal token needs \
                 `CreateAttempts` as well.",
            )
            .body("MessageTryIn")
            .answers(200, "MessageTryOut"),
        delete(CONTENT, "v1.message-attempt.expunge-content", TAG)
            .says("Delete an attempt's answer", "The attempt stays listed.")
            .answers(204, ""),
        get(MESSAGES, "v1.message-attempt.list-attempted-messages", TAG)
            .says("List an endpoint's messages", "Each with where its delivery stands; the newest come first.")
            .pages(Pages::Ids(IdKind::Message))
            .query(&["status", "channel", "tag", "event_types", "before", "after", "with_content", "expanded_statuses"])
            .answers(200, "ListResponse_EndpointMessageOut_"),
        get(DESTINATIONS, "v1.message-attempt.list-attempted-destinations", TAG)
            .says("List a message's endpoints", "Each with where its delivery stands; the newest come first.")
            .pages(Pages::Ids(IdKind::Endpoint))
            .answers(200, "ListResponse_MessageEndpointOut_"),
    ]
}
