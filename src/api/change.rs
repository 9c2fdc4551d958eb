//! Changes of configuration: through the journal, answered with what it left behind.

use std::sync::Arc;

use axum::body::Body;
use http::{Response, StatusCode};

use super::answer;
use super::call::Call;
use super::error::ApiError;
use crate::accept::ChangeAccepted;
use crate::store::command::{Change, Changed, Idempotency, RememberedAs, Render};

/// Status and body of an answer. What is remembered under an idempotency key is exactly this.
pub(super) type Rendered = (u16, String);

/// Makes a change and answers with what `render` says of it. On a `POST`, a call that was made
/// before is answered as it was then.
pub(super) async fn commit(
    call: &Call,
    change: Change,
    body: &[u8],
    render: impl Fn(&Changed) -> Rendered + Send + Sync + 'static,
) -> Result<Response<Body>, ApiError> {
    let key = if call.parts.method == http::Method::POST { idempotency(call, body).await? } else { None };
    let render: Render = Arc::new(render);
    let remembered = key.map(|key| RememberedAs { key, render: Arc::clone(&render) });
    let (status, body) = match call.gateway.change(change, remembered).await? {
        ChangeAccepted::New(changed) => render(&changed),
        ChangeAccepted::Repeated(status, body) => (status, body),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if body.is_empty() { Ok(answer::no_content()) } else { Ok(answer::bytes(status, "application/json", body)) }
}

/// The idempotency key of a change, in its scope.
async fn idempotency(call: &Call, body: &[u8]) -> Result<Option<Idempotency>, ApiError> {
    if call.idempotency_key()?.is_none() {
        return Ok(None);
    }
    let app = if call.names_application() { call.app_if_any().await? } else { None };
    call.idempotency(app.as_deref(), body)
}

/// 204.
pub(super) fn nothing(_: &Changed) -> Rendered {
    (204, String::new())
}

/// A JSON body.
pub(super) fn rendered(status: u16, value: &impl serde::Serialize) -> Rendered {
    // Structs of strings and numbers: serialising them cannot fail.
    (status, serde_json::to_string(value).unwrap_or_default())
}
