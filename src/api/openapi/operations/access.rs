//! Who may call: sessions, environments and their keys.

use super::{delete, get, patch, post, put};
use crate::api::openapi::describe::{Described, Pages, Tag};
use crate::model::IdKind;

const SESSION: &str = "/api/v1/auth/session";
const ENVIRONMENTS: &str = "/api/v1/management/environment";
const ENVIRONMENT: &str = "/api/v1/management/environment/{env_id}";
const TOKENS: &str = "/api/v1/management/authentication/{env_id}/api-token";
const TOKEN: &str = "/api/v1/management/authentication/{env_id}/api-token/{key_id}";

pub(super) fn described() -> Vec<Described> {
    [sessions(), environments(), tokens()].concat()
}

fn sessions() -> Vec<Described> {
    const TAG: Tag = Tag::Authentication;
    vec![
        post(SESSION, "server.session.open", TAG)
            .says(
                "Sign a browser in",
                "A cookie for a key, or for the one-time token of a link. It stands in for the key where there is no \
                 `Authorization`, for 7 days or until the key ends. Changes made by cookie need an `Origin` (or \
                 `Sec-Fetch-Site: same-origin`) of this server; so does this call. \
                 Signing in with a key counts as a request of the key.",
            )
            .body("SessionIn")
            .answers(204, "")
            .answers(429, "HttpErrorOut"),
        get(SESSION, "server.session.get", TAG).says("What the key or session opens", "").answers(200, "SessionOut"),
        delete(SESSION, "server.session.close", TAG)
            .says("Sign out", "The session opens nothing any more. A key stays as it is.")
            .answers(204, ""),
        post("/api/v1/auth/one-time-token", "v1.authentication.exchange-one-time-token", TAG)
            .says(
                "Exchange a one-time token",
                "A session's token, used as a key is, for the token of a link that `posthouse login` printed. Works \
                 once; an idempotency key has no effect.",
            )
            .body("OneTimeTokenIn")
            .answers(200, "OneTimeTokenOut"),
        get("/api/v1/auth/whoami", "v1.authentication.whoami", TAG)
            .says("Who the caller is", "")
            .answers(200, "WhoamiOut"),
        post("/api/v1/auth/app/{app_id}/expire-all", "v1.authentication.expire-all", TAG)
            .says(
                "End all portal tokens of an application",
                "At once, or in some seconds; all, or those that were put in some sessions.",
            )
            .body("ApplicationTokenExpireIn")
            .answers(204, ""),
    ]
}

fn environments() -> Vec<Described> {
    const TAG: Tag = Tag::Environments;
    vec![
        get(ENVIRONMENTS, "v1.management.environment.list", TAG)
            .says("List environments", "Operators see all, others their own.")
            .pages(Pages::Ids(IdKind::Environment))
            .query(&["order"])
            .answers(200, "ListResponse_EnvironmentModelOut_"),
        post(ENVIRONMENTS, "v1.management.environment.create", TAG)
            .says("Create an environment", "")
            .body("EnvironmentModelIn")
            .answers(201, "EnvironmentModelOut"),
        get(ENVIRONMENT, "v1.management.environment.get", TAG)
            .says("Get an environment", "")
            .answers(200, "EnvironmentModelOut"),
        put(ENVIRONMENT, "v1.management.environment.update", TAG)
            .says("Rename an environment", "Its type cannot be changed: 422 where another is given.")
            .body("EnvironmentModelUpdate")
            .answers(200, "EnvironmentModelOut"),
        delete(ENVIRONMENT, "v1.management.environment.delete", TAG)
            .says(
                "Delete an environment",
                "With its keys, applications and event types. 409 where it is the last, the caller's own, or holds \
                 more than 100 applications, 1,000 endpoints or 10,000 event types: those are deleted first.",
            )
            .answers(204, "")
            .answers(409, "HttpErrorOut"),
    ]
}

fn tokens() -> Vec<Described> {
    const TAG: Tag = Tag::Authentication;
    vec![
        get(TOKENS, "v1.management.authentication.list-api-tokens", TAG)
            .says("List keys", "Those of the environment that open something.")
            .pages(Pages::Ids(IdKind::ApiKey))
            .query(&["order"])
            .answers(200, "ListResponse_ApiTokenCensoredOut_"),
        post(TOKENS, "v1.management.authentication.create-api-token", TAG)
            .says("Create a key", "The only time that it is shown.")
            .body("ApiTokenIn")
            .answers(200, "ApiTokenOut"),
        get(TOKEN, "v1.management.authentication.get-api-token", TAG)
            .says("Get a key", "")
            .answers(200, "ApiTokenCensoredOut"),
        put(TOKEN, "v1.management.authentication.update-api-token", TAG)
            .says("Rename a key", "And change its scopes, where they are given.")
            .body("ApiTokenUpdate")
            .answers(200, "ApiTokenCensoredOut"),
        patch(TOKEN, "v1.management.authentication.patch-api-token", TAG)
            .says("Change a key", "What the body leaves out stays as it is.")
            .body("ApiTokenPatch")
            .answers(200, "ApiTokenCensoredOut"),
        post(
            "/api/v1/management/authentication/{env_id}/api-token/{key_id}/expire",
            "v1.management.authentication.expire-api-token",
            TAG,
        )
        .says("End a key", "At once, or in some seconds. The sessions that stand in for it end with it.")
        .body("ApiTokenExpireIn")
        .answers(204, ""),
    ]
}
