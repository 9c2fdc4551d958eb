//! `GET /openapi.json`: the API as OpenAPI 3.1, put together from the code.
//!
//! Paths, methods and credentials come from the table of operations; answers from the structs that
//! are written (`schemars`; `utoipa` would want bodies as structs, too, which ours are not: they
//! are read field by field); properties of bodies from the names that their readers know; bounds
//! and patterns from the rules that judge; codes of errors from their enum. What remains, words and
//! examples, stands here, and tests compare it with what the handlers read and answer.
//!
//! Deliberately absent: operations that answer 501.

mod access;
mod bodies;
mod describe;
mod document;
mod operations;
mod parameters;
mod properties;
mod schemas;
#[cfg(test)]
mod tests;
mod values;

use std::sync::LazyLock;

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::Value;

use super::answer;
use super::call::Call;
use super::error::ApiError;
#[cfg(test)]
use describe::Described;

/// The description, made once.
static DOCUMENT: LazyLock<Value> = LazyLock::new(document::document);
static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", *DOCUMENT));

/// The description.
pub(super) fn document() -> &'static Value {
    &DOCUMENT
}

/// What is said of an operation.
#[cfg(test)]
pub(super) fn described(method: &http::Method, path: &str) -> Option<Described> {
    operations::all().into_iter().find(|described| described.method == method && described.path == path)
}

/// `GET /openapi.json`.
pub(super) async fn serve(_: Call, _: Body) -> Result<Response<Body>, ApiError> {
    Ok(answer::bytes(StatusCode::OK, "application/json", TEXT.as_str()))
}
