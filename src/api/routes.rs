//! The table of operations, and how a request finds its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{Method, Request, Response};

use super::call::Call;
use super::error::{ApiError, Code};
use super::{application, attempt, auth, docs, endpoint, event_type, health, hosted, message, metrics, openapi};
use crate::accept::Gateway;
use crate::model::EnvKey;

type Answer = Result<Response<Body>, ApiError>;
type Handler = fn(Call, Body) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What an operation requires of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nobody,
    /// An environment key.
    Key,
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
            needs: Needs::$needs,
            handler: |call, body| Box::pin($handler(call, body)),
        }),*]
    };
}

/// Every operation that is there.
pub(super) fn implemented() -> Vec<Operation> {
    operations! {
        GET "/api/v1/health" Nobody health::alive;
        GET "/api/v1/health/ping" Nobody health::alive;
        GET "/api/v1/health/ready" Nobody health::ready;
        GET "/metrics" Key metrics::render;
        GET "/openapi.json" Nobody openapi::serve;
        GET "/docs" Nobody docs::page;
        GET "/docs/style.css" Nobody docs::style;
        GET "/docs/script.js" Nobody docs::script;
        GET "/api/v1/app" Key application::list;
        POST "/api/v1/app" Key application::create;
        GET "/api/v1/app/{app_id}" Key application::get;
        PUT "/api/v1/app/{app_id}" Key application::put;
        PATCH "/api/v1/app/{app_id}" Key application::patch;
        DELETE "/api/v1/app/{app_id}" Key application::delete;
        GET "/api/v1/app/{app_id}/endpoint" Key endpoint::list;
        POST "/api/v1/app/{app_id}/endpoint" Key endpoint::create;
        GET "/api/v1/app/{app_id}/endpoint/{endpoint_id}" Key endpoint::get;
        PUT "/api/v1/app/{app_id}/endpoint/{endpoint_id}" Key endpoint::put;
        PATCH "/api/v1/app/{app_id}/endpoint/{endpoint_id}" Key endpoint::patch;
        DELETE "/api/v1/app/{app_id}/endpoint/{endpoint_id}" Key endpoint::delete;
        GET "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret" Key endpoint::secret;
        GET "/api/v1/event-type" Key event_type::list;
        POST "/api/v1/event-type" Key event_type::create;
        GET "/api/v1/event-type/{event_type_name}" Key event_type::get;
        GET "/api/v1/app/{app_id}/msg" Key message::list;
        POST "/api/v1/app/{app_id}/msg" Key message::create;
        GET "/api/v1/app/{app_id}/msg/{msg_id}" Key message::get;
        GET "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}" Key attempt::list_by_endpoint;
        GET "/api/v1/app/{app_id}/attempt/msg/{msg_id}" Key attempt::list_by_message;
        GET "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}" Key attempt::get;
        POST "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend" Key attempt::resend;
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
#[expect(clippy::needless_pass_by_value, reason = "the router keeps it, in a copy for each path")]
pub fn router(gateway: Arc<Gateway>) -> Router {
    let all = operations();
    let mut paths: Vec<&'static str> = all.iter().map(|operation| operation.path).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut router = Router::new();
    for path in paths {
        let here: Arc<[Operation]> = of_path(&all, path).into();
        let gateway = Arc::clone(&gateway);
        let handler = any(move |request: Request<Body>| serve(Arc::clone(&gateway), Arc::clone(&here), request));
        // Older SDKs end their paths with a slash.
        router = router.route(path, handler.clone()).route(&format!("{path}/"), handler);
    }
    router.fallback(|| async { ApiError::Coded(Code::NotFound, "No such path".into()).into_answer() })
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
    answer(gateway, &here, request).await.unwrap_or_else(ApiError::into_answer)
}

async fn answer(gateway: Arc<Gateway>, here: &[Operation], request: Request<Body>) -> Answer {
    let operation = operation_of(here, request.method()).ok_or_else(|| ApiError::Method(methods(here)))?;
    let (parts, body) = request.into_parts();
    let env = match operation.needs {
        Needs::Key => auth::environment(&gateway, &parts.headers).await?,
        Needs::Nobody => EnvKey(0),
    };
    (operation.handler)(Call { gateway, env, parts, pattern: operation.path }, body).await
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
