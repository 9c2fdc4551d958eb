//! What is counted, for Prometheus.

use axum::body::Body;
use http::{Response, StatusCode};

use super::answer;
use super::call::Call;
use super::error::ApiError;

/// `GET /metrics`.
pub(super) async fn render(call: Call, _: Body) -> Result<Response<Body>, ApiError> {
    let text = call.gateway.metrics.render();
    Ok(answer::bytes(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text))
}
