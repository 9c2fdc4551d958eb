//! The server itself.

use super::get;
use crate::api::openapi::describe::{Described, Tag};

pub(super) fn described() -> Vec<Described> {
    vec![
        get("/api/v1/health", "v1.health.get", Tag::Health)
            .says("Whether the server runs", "204 until it ends.")
            .answers(204, ""),
        get("/api/v1/health/ping", "v1.health.ping", Tag::Health)
            .says("Whether the server runs", "The same as `/api/v1/health`.")
            .answers(204, ""),
        get("/api/v1/health/ready", "v1.health.ready", Tag::Health)
            .says("Whether the server takes messages", "For load balancers: 503 while it drains or cannot store.")
            .answers(200, "Ready")
            .answers(503, "Ready"),
        get("/api/v1/lookup/{id}", "v1.lookup.get", Tag::Server)
            .says("What an id stands for", "Whatever kind it is of. An addition of this server.")
            .answers(200, "LookupOut"),
        get("/jwks/{endpoint_id}", "server.jwks", Tag::Server)
            .says(
                "An endpoint's public keys",
                "A JSON Web Key set, for receivers of `v1a` signatures; empty where the endpoint signs with a shared \
                 secret.",
            )
            .answers(200, "Jwks"),
        get("/metrics", "server.metrics", Tag::Server)
            .says("What is counted", "For Prometheus, as OpenMetrics text.")
            .media_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .answers(200, "Text"),
        get("/openapi.json", "server.openapi", Tag::Server)
            .says("This description", "OpenAPI 3.1, made from the code of the server that answers.")
            .answers(200, "Document"),
    ]
}
