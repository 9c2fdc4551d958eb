//! The table of operations, and how a request finds its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{Method, Request, Response};

use super::auth::{self, Caller};
use super::call::Call;
use super::error::{ApiError, Code};
use super::{
    api_token, application, attempt, attempt_headers, attempted, background_task, content, docs, endpoint,
    endpoint_list, environment, event_type, event_type_export, event_type_import, events, example, first_sdks, headers,
    health, hosted, jwks, live, lookup, message, metrics, openapi, origin, overview, portal, raw, receive, recover,
    sample, scope, searched, secret, session, settings, source, source_log, stats, system, try_out, usage,
};
use crate::accept::Gateway;
use crate::model::{Capability, EnvKey, PortalToken};

type Answer = Result<Response<Body>, ApiError>;
type Handler = fn(Call, Body) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What an operation requires of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nobody,
    /// An environment key.
    Key,
    /// An environment key, or a portal token of the application with this capability.
    Portal(Capability),
    /// A portal token.
    Token,
    /// An environment key or a session, whatever its scopes are.
    Holder,
    /// An environment key or a session with the scope `operator`.
    Operator,
    /// Any of them.
    Anybody,
}

impl Needs {
    /// Whether a holder of this token may.
    fn allow(self, token: &PortalToken) -> bool {
        match self {
            Self::Nobody | Self::Anybody | Self::Token => true,
            Self::Portal(capability) => token.allows(capability),
            Self::Key | Self::Holder | Self::Operator => false,
        }
    }
}

/// One operation of the API.
#[derive(Clone)]
pub(super) struct Operation {
    pub(super) method: Method,
    /// With names in braces.
    pub(super) path: &'static str,
    pub(super) needs: Needs,
    handler: Handler,
}

macro_rules! operations {
    ($($method:ident $path:literal $needs:ident $handler:path;)*) => {
        vec![$(Operation {
            method: Method::$method,
            path: $path,
            needs: needs::$needs,
            handler: |call, body| Box::pin($handler(call, body)),
        }),*]
    };
}

/// The words of the table's third column.
#[expect(non_upper_case_globals, reason = "words of a table")]
mod needs {
    use super::Needs;
    use crate::model::Capability;

    pub(super) const Nobody: Needs = Needs::Nobody;
    pub(super) const Key: Needs = Needs::Key;
    pub(super) const Token: Needs = Needs::Token;
    pub(super) const Holder: Needs = Needs::Holder;
    pub(super) const Operator: Needs = Needs::Operator;
    pub(super) const Anybody: Needs = Needs::Anybody;
    pub(super) const View: Needs = Needs::Portal(Capability::ViewBase);
    pub(super) const ViewSecret: Needs = Needs::Portal(Capability::ViewEndpointSecret);
    pub(super) const RotateSecret: Needs = Needs::Portal(Capability::ManageEndpointSecret);
    pub(super) const Send: Needs = Needs::Portal(Capability::CreateAttempts);
    pub(super) const Manage: Needs = Needs::Portal(Capability::ManageEndpoint);
}

/// Every operation that is there.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn implemented() -> Vec<Operation> {
    operations! {
        GET "/api/v1/health" Nobody health::alive;
        GET "/api/v1/health/ping" Nobody health::alive;
        GET "/api/v1/health/ready" Nobody health::ready;
        GET "/metrics" Key metrics::render;
        GET "/api/v1/overview" Key overview::get;
        GET "/api/v1/system" Key system::get;
        GET "/openapi.json" Nobody openapi::serve;
        GET "/docs" Nobody docs::page;
        GET "/docs/style.css" Nobody docs::style;
        GET "/docs/script.js" Nobody docs::script;
        GET "/api/v1/app" Key application::list;
        POST "/api/v1/app" Key application::create;
        GET "/api/v1/app/{app_id}" View application::get;
        PUT "/api/v1/app/{app_id}" Key application::put;
        PATCH "/api/v1/app/{app_id}" Key application::patch;
        DELETE "/api/v1/app/{app_id}" Key application::delete;
        GET "/api/v1/app/{app_id}/endpoint" View endpoint::list;
        POST "/api/v1/app/{app_id}/endpoint" Manage endpoint::create;
        GET "/api/v1/app/{app_id}/endpoint/{endpoint_id}" View endpoint::get;
        PUT "/api/v1/app/{app_id}/endpoint/{endpoint_id}" Manage endpoint::put;
        PATCH "/api/v1/app/{app_id}/endpoint/{endpoint_id}" Manage endpoint::patch;
        DELETE "/api/v1/app/{app_id}/endpoint/{endpoint_id}" Manage endpoint::delete;
        GET "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret" ViewSecret secret::get;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate" RotateSecret secret::rotate;
        GET "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers" View headers::get;
        PUT "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers" Manage headers::put;
        PATCH "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers" Manage headers::patch;
        GET "/api/v1/event-type" View event_type::list;
        POST "/api/v1/event-type" Key event_type::create;
        POST "/api/v1/event-type/import/openapi" Key event_type_import::import;
        POST "/api/v1/event-type/export/openapi" Key event_type_export::start;
        GET "/api/v1/event-type/export/openapi" Key event_type_export::get;
        GET "/api/v1/event-type/{event_type_name}" View event_type::get;
        PUT "/api/v1/event-type/{event_type_name}" Key event_type::put;
        PATCH "/api/v1/event-type/{event_type_name}" Key event_type::patch;
        DELETE "/api/v1/event-type/{event_type_name}" Key event_type::delete;
        GET "/api/v1/event-type/{event_type_name}/retry-schedule" Key event_type::schedule;
        PUT "/api/v1/event-type/{event_type_name}/retry-schedule" Key event_type::put_schedule;
        GET "/api/v1/app/{app_id}/msg" View message::list;
        POST "/api/v1/app/{app_id}/msg" Key message::create;
        GET "/api/v1/app/{app_id}/msg/{msg_id}" View message::get;
        POST "/api/v1/app/{app_id}/msg/search" View searched::search;
        GET "/api/v1/app/{app_id}/message" View searched::list_of_app;
        GET "/api/v1/app/{app_id}/message/live" View live::live;
        GET "/api/v1/message" Key searched::list;
        GET "/api/v1/message/live" Key live::live;
        GET "/api/v1/app/{app_id}/events" View events::list;
        GET "/api/v1/events" Key events::list;
        GET "/api/v1/lookup/{id}" Key lookup::get;
        GET "/api/v1/endpoint" Key endpoint_list::list;
        GET "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}" View attempt::list_by_endpoint;
        GET "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}/count" View attempt::count;
        GET "/api/v1/app/{app_id}/attempt/msg/{msg_id}" View attempt::list_by_message;
        GET "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}" View attempt::get;
        GET "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/headers" View attempt_headers::get;
        POST "/api/v1/app/{app_id}/msg/{msg_id}/resend-failed" Send attempt::resend_failed;
        POST "/api/v1/app/{app_id}/msg/{msg_id}/try" Manage try_out::try_out;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg/test-attempt" Send try_out::test_attempt;
        POST "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend" Send attempt::resend;
        GET "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg" View attempted::messages;
        GET "/api/v1/app/{app_id}/msg/{msg_id}/endpoint" View attempted::destinations;
        GET "/api/v1/app/{app_id}/msg/{msg_id}/raw" View raw::get;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example" Send example::send;
        GET "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats" View stats::get;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover" Send recover::recover;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover/count" Send recover::count_recover;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing" Send recover::replay_missing;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing/count" Send recover::count_missing;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay" Send recover::bulk_replay;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay/count" Send recover::count_bulk;
        POST "/api/v1/app/{app_id}/endpoint/{endpoint_id}/cancel-msgs" Send recover::cancel;
        DELETE "/api/v1/app/{app_id}/msg/{msg_id}/content" Key content::expunge_message;
        DELETE "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content" Key content::expunge_attempt;
        GET "/api/v1/app/{app_id}/stats/attempts" View stats::app_attempts;
        GET "/api/v1/stats/app/{app_id}/attempt" View stats::attempts_over_time;
        GET "/api/v1/stats/endpoint/count" Key stats::count_endpoints;
        GET "/api/v1/app/stats/count-active" Key stats::count_active;
        PUT "/api/v1/stats/usage/event-types" Key usage::event_types;
        POST "/api/v1/stats/usage/app" Key usage::applications;
        GET "/api/v1/background-task" Key background_task::list;
        GET "/api/v1/background-task/{task_id}" View background_task::get;
        POST "/api/v1/auth/app-portal-access/{app_id}" Key portal::access;
        POST "/api/v1/auth/logout" Token portal::logout;
        POST "/api/v1/auth/app/{app_id}/expire-all" Key portal::expire_all;
        POST "/api/v1/auth/session" Nobody session::open;
        GET "/api/v1/auth/session" Holder session::get;
        DELETE "/api/v1/auth/session" Holder session::close;
        POST "/api/v1/auth/one-time-token" Nobody session::exchange;
        GET "/api/v1/auth/whoami" Anybody session::whoami;
        GET "/api/v1/management/environment" Key environment::list;
        POST "/api/v1/management/environment" Operator environment::create;
        GET "/api/v1/management/environment/{env_id}" Key environment::get;
        PUT "/api/v1/management/environment/{env_id}" Operator environment::put;
        DELETE "/api/v1/management/environment/{env_id}" Operator environment::delete;
        GET "/api/v1/management/authentication/{env_id}/api-token" Key api_token::list;
        POST "/api/v1/management/authentication/{env_id}/api-token" Key api_token::create;
        GET "/api/v1/management/authentication/{env_id}/api-token/{key_id}" Key api_token::get;
        PUT "/api/v1/management/authentication/{env_id}/api-token/{key_id}" Key api_token::put;
        PATCH "/api/v1/management/authentication/{env_id}/api-token/{key_id}" Key api_token::patch;
        POST "/api/v1/management/authentication/{env_id}/api-token/{key_id}/expire" Key api_token::expire;
        GET "/api/v1/environment/settings" View settings::of_portal;
        GET "/api/v1/management/environment-settings" Key settings::get;
        PUT "/api/v1/management/environment-settings" Key settings::put;
        PATCH "/api/v1/management/environment-settings" Key settings::patch;
        GET "/api/v1/operational-webhook/endpoint" Key endpoint::list;
        POST "/api/v1/operational-webhook/endpoint" Key endpoint::create;
        GET "/api/v1/operational-webhook/endpoint/{endpoint_id}" Key endpoint::get;
        PUT "/api/v1/operational-webhook/endpoint/{endpoint_id}" Key endpoint::put;
        DELETE "/api/v1/operational-webhook/endpoint/{endpoint_id}" Key endpoint::delete;
        GET "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret" Key secret::get;
        POST "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate" Key secret::rotate;
        GET "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers" Key headers::get;
        PUT "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers" Key headers::put;
        GET "/ingest/api/v1/source" Key source::list;
        POST "/ingest/api/v1/source" Key source::create;
        GET "/ingest/api/v1/source-type" Key source::types;
        GET "/ingest/api/v1/source/{source_id}" Key source::get;
        PUT "/ingest/api/v1/source/{source_id}" Key source::put;
        PATCH "/ingest/api/v1/source/{source_id}" Key source::patch;
        DELETE "/ingest/api/v1/source/{source_id}" Key source::delete;
        POST "/ingest/api/v1/source/{source_id}/token/rotate" Key source::rotate;
        POST "/ingest/api/v1/source/{source_id}/sample" Key sample::send;
        GET "/ingest/api/v1/source/{source_id}/log" Key source_log::log;
        POST "/ingest/api/v1/source/{source_id}/log/verify-again" Key source_log::verify_again;
        GET "/ingest/api/v1/source/{source_id}/endpoint" Key endpoint::list;
        POST "/ingest/api/v1/source/{source_id}/endpoint" Key endpoint::create;
        GET "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}" Key endpoint::get;
        PUT "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}" Key endpoint::put;
        DELETE "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}" Key endpoint::delete;
        GET "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret" Key secret::get;
        POST "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate" Key secret::rotate;
        GET "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers" Key headers::get;
        PUT "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers" Key headers::put;
        GET "/jwks/{endpoint_id}" Nobody jwks::get;
    }
}

/// Every operation that is known: what is there, and the rest of the contract.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = implemented();
    all.extend(hosted::operations().map(|(method, path)| Operation {
        method,
        path,
        needs: Needs::Key,
        handler: |call, body| Box::pin(hosted::answer(call, body)),
    }));
    all
}

/// The whole HTTP API.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let all = operations();
    let mut paths: Vec<&'static str> = all.iter().map(|operation| operation.path).collect();
    paths.sort_unstable();
    paths.dedup();
    let web_app = crate::dashboard::router(&gateway.portal.allowed_origins);
    let mut router = Router::new();
    for path in paths {
        let here: Arc<[Operation]> = of_path(&all, path).into();
        let gateway = Arc::clone(&gateway);
        let handler = any(move |request: Request<Body>| serve(Arc::clone(&gateway), Arc::clone(&here), request));
        // Older SDKs end their paths with a slash.
        router = router.route(path, handler.clone()).route(&format!("{path}/"), handler);
    }
    let inbound = any(move |request: Request<Body>| {
        let gateway = Arc::clone(&gateway);
        async move { receive::receive(gateway, request).await }
    });
    router = router
        .route("/in/{token}", inbound.clone())
        .route("/in/{token}/", inbound.clone())
        .route("/in/{token}/{*rest}", inbound);
    router.merge(web_app).fallback(|| async { ApiError::Coded(Code::NotFound, "No such path".into()).into_answer() })
}

/// The operations of a path: its own, and, for methods that it lacks, those of less exact paths
/// that it fits (`GET …/msg/search` is the message with the event id `search`).
fn of_path(all: &[Operation], path: &str) -> Vec<Operation> {
    let mut found: Vec<Operation> = all.iter().filter(|operation| operation.path == path).cloned().collect();
    for operation in all.iter().filter(|operation| fits(operation.path, path)) {
        if found.iter().all(|known| known.method != operation.method) {
            found.push(operation.clone());
        }
    }
    found
}

/// Whether every request to `path` has also the form of `pattern`.
fn fits(pattern: &str, path: &str) -> bool {
    pattern.split('/').count() == path.split('/').count()
        && pattern.split('/').zip(path.split('/')).all(|(wide, narrow)| wide == narrow || wide.starts_with('{'))
}

async fn serve(gateway: Arc<Gateway>, here: Arc<[Operation]>, request: Request<Body>) -> Response<Body> {
    let origin = origin::allowed(&gateway, request.headers());
    let preflight = origin::preflight(origin.as_ref(), &request);
    let mut answer = match preflight {
        Some(answer) => answer,
        None => answer(Arc::clone(&gateway), &here, request).await.unwrap_or_else(ApiError::into_answer),
    };
    origin::share(&gateway, origin, &mut answer);
    answer
}

async fn answer(gateway: Arc<Gateway>, here: &[Operation], request: Request<Body>) -> Answer {
    let operation = operation_of(here, request.method()).ok_or_else(|| ApiError::Method(methods(here)))?;
    let (parts, body) = request.into_parts();
    let (env, holder, portal) = if operation.needs == Needs::Nobody {
        (EnvKey(0), None, None)
    } else {
        let caller = auth::caller(&gateway, &parts).await?;
        permit(&gateway, operation, &caller).await?;
        let env = caller.env(&gateway, &parts.headers).await?;
        match caller {
            Caller::Holder(holder) => (env, Some(holder), None),
            Caller::Portal(token) => (env, None, Some(token)),
        }
    };
    let by_first_sdk = first_sdks::concerned(operation.path, &parts.headers);
    let answered =
        (operation.handler)(Call { gateway, env, holder, portal, parts, pattern: operation.path }, body).await;
    if by_first_sdk { Ok(first_sdks::answer(answered.unwrap_or_else(ApiError::into_answer)).await) } else { answered }
}

/// Refuses who may not.
async fn permit(gateway: &Gateway, operation: &Operation, caller: &Caller) -> Result<(), ApiError> {
    let (allowed, detail) = match caller {
        Caller::Holder(holder) => (scope::allow(holder.scopes, operation), "This key does not allow that"),
        Caller::Portal(token) => {
            let changes = matches!(operation.needs, Needs::Portal(_)) && !scope::only_reads(operation);
            if changes && gateway.snapshots.policy(token.env).await?.settings.look.read_only {
                (false, "The portal is for reading only")
            } else {
                (operation.needs.allow(token), "This key does not allow that")
            }
        }
    };
    if allowed { Ok(()) } else { Err(ApiError::Coded(Code::PermissionDenied, detail.into())) }
}

/// `HEAD` is `GET` without the body, which the server leaves out.
fn operation_of<'a>(here: &'a [Operation], method: &Method) -> Option<&'a Operation> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    here.iter().find(|operation| operation.method == method)
}

fn methods(here: &[Operation]) -> String {
    let mut names: Vec<&str> = here.iter().map(|operation| operation.method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.join(", ")
}
