//! Whether the server runs, and whether it takes anything.

use axum::body::Body;
use http::{Response, StatusCode};
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::ApiError;
use crate::store::journal::Health;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    status: &'static str,
    accepting: bool,
    draining: bool,
    /// What is stored can be read, and nothing new is taken.
    read_only: bool,
    journal: &'static str,
}

/// `GET /health` and `GET /health/ping`: 204 until exit.
pub(super) async fn alive(_: Call, _: Body) -> Result<Response<Body>, ApiError> {
    Ok(answer::no_content())
}

/// `GET /health/ready`: 200 or 503, and why.
pub(super) async fn ready(call: Call, _: Body) -> Result<Response<Body>, ApiError> {
    let admission = &call.gateway.admission;
    let journal = admission.journal();
    // What is in flight is still finished while draining; nobody should send more.
    let accepting = admission.check().is_ok() && journal == Health::Good && !admission.is_draining();
    let ready = Ready {
        status: if accepting { "ready" } else { "unavailable" },
        accepting,
        draining: admission.is_draining(),
        read_only: admission.is_disk_low() || journal != Health::Good,
        journal: match journal {
            Health::Good => "good",
            Health::DiskFull => "disk_full",
            Health::Failed => "failed",
            Health::Closed => "closed",
        },
    };
    let status = if accepting { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(answer::json(status, &ready))
}
