//! The rest of the contract: operations that this version does not have. Each is known, needs a
//! key where the contract says so, and answers 501, so that a caller can tell "not here" from "no
//! such path".

use axum::body::Body;
use http::{Method, Response};

use super::call::Call;
use super::error::ApiError;

/// `METHOD path`, one a line.
const OPERATIONS: &str = include_str!("hosted_operations.txt");

/// All of them.
pub(super) fn operations() -> impl Iterator<Item = (Method, &'static str)> {
    OPERATIONS.lines().filter_map(|line| {
        let (method, path) = line.split_once(' ')?;
        Some((method.parse().ok()?, path))
    })
}

/// 501.
#[expect(clippy::unused_async, reason = "handlers are async")]
pub(super) async fn answer(_: Call, _: Body) -> Result<Response<Body>, ApiError> {
    Err(ApiError::not_implemented("This operation is not available on this server"))
}
