//! The table of operations: what each requires, and that it is the contract's.

use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use http::Request;

use super::support::TestApi;
use crate::api::routes::{Needs, implemented, operations};
use crate::config::read_capped;

const CONTRACT: &str = "../shared/reference/openapi-contract.json";
/// Ours, beside the contract.
const OWN: &[&str] = &[
    "POST /api/v1/auth/session",
    "GET /api/v1/auth/session",
    "DELETE /api/v1/auth/session",
    "GET /api/v1/message",
    "GET /api/v1/message/live",
    "GET /api/v1/app/{app_id}/message",
    "GET /api/v1/app/{app_id}/message/live",
    "GET /api/v1/lookup/{id}",
    "GET /api/v1/endpoint",
    "GET /api/v1/overview",
    "GET /api/v1/system",
    "POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/recover/count",
    "POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing/count",
    "POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay/count",
    "POST /api/v1/app/{app_id}/msg/{msg_id}/resend-failed",
    "POST /api/v1/app/{app_id}/msg/{msg_id}/try",
    "GET /api/v1/event-type/export/openapi",
    "POST /ingest/api/v1/source/{source_id}/sample",
    "POST /ingest/api/v1/source/{source_id}/log/verify-again",
    "GET /ingest/api/v1/source-type",
    "GET /api/v1/health/ping",
    "GET /api/v1/health/ready",
    "GET /metrics",
    "GET /openapi.json",
    "GET /docs",
    "GET /docs/style.css",
    "GET /docs/script.js",
    "GET /jwks/{endpoint_id}",
];

#[tokio::test]
async fn every_operation_asks_for_what_the_table_says() {
    let api = TestApi::start().await;
    for operation in operations() {
        let path = operation.path.replace(['{', '}'], "");
        let request = Request::builder().method(&operation.method).uri(&path).body(Body::empty());
        let answer = api.send(request.expect("a request")).await;
        match operation.needs {
            // Signing in is asked for a key in the body.
            Needs::Nobody if operation.path.contains("/auth/") => {}
            Needs::Key | Needs::Portal(_) | Needs::Token | Needs::Holder | Needs::Operator | Needs::Anybody => {
                answer.expect_code(401, "authentication_failed");
            }
            Needs::Nobody => assert!(answer.status != 401, "{path}"),
        }
    }
}

#[tokio::test]
async fn what_is_not_there_yet_says_so() {
    let api = TestApi::start().await;
    let here: BTreeSet<(String, &str)> =
        implemented().into_iter().map(|operation| (operation.method.to_string(), operation.path)).collect();
    for operation in operations() {
        let method = operation.method.as_str();
        let path = format!("/{}", operation.path.replace(['{', '}'], ""));
        let answer = api.call(method, &path, "").await;
        let is_here = here.contains(&(method.to_owned(), operation.path));
        assert_eq!(answer.status.as_u16() == 501, !is_here, "{method} {path}");
    }
}

#[test]
fn the_table_is_the_contract() {
    let ours: Vec<String> = operations().iter().map(|op| format!("{} {}", op.method, op.path)).collect();
    let unique: BTreeSet<&str> = ours.iter().map(String::as_str).collect();
    assert_eq!(unique.len(), ours.len(), "an operation is there twice");
    let Some(contract) = contract() else {
        eprintln!("{CONTRACT} is not there: not compared");
        return;
    };
    let paths = contract["paths"].as_object().expect("paths");
    let theirs: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods.keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .chain(OWN.iter().map(|operation| (*operation).to_owned()))
        .collect();
    let unique: BTreeSet<String> = unique.into_iter().map(str::to_owned).collect();
    assert_eq!(unique, theirs);
}

/// The contract, looked for beside the checkout and beside what holds it.
pub(in crate::api) fn contract() -> Option<serde_json::Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = root.ancestors().find_map(|folder| read_capped(&folder.join(CONTRACT), 16 << 20).ok())?;
    serde_json::from_str(&text).ok()
}
