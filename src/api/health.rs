//! Whether the server runs, and whether it takes anything.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::ApiError;
use crate::store::journal::Health;

/// Whether the server takes messages, and why not.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ready {
    /// `ready` or `unavailable`.
    status: &'static str,
    /// Whether messages are taken.
    accepting: bool,
    /// It ends as soon as what is in flight is finished.
    draining: bool,
    /// What is stored can be read, and nothing new is taken.
    read_only: bool,
    /// `good`, `disk_full`, `away`, `failed` or `closed`.
    journal: &'static str,
    /// `asynchronous` where a failover of the database may lose what was acknowledged; else `durable`.
    replication: &'static str,
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
        journal: name_of(journal),
        replication: if admission.replicates_late() { "asynchronous" } else { "durable" },
    };
    let status = if accepting { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(answer::json(status, &ready))
}

/// What a state of the journal is called.
pub(super) const fn name_of(journal: Health) -> &'static str {
    match journal {
        Health::Good => "good",
        Health::DiskFull => "disk_full",
        Health::Away => "away",
        Health::Failed => "failed",
        Health::Closed => "closed",
    }
}
