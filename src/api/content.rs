//! Content that is deleted: the bytes of a message, the answer to an attempt.

use axum::body::Body;
use http::Response;

use super::call::Call;
use super::change;
use super::error::{ApiError, Kind};
use super::validate::has_form_of;
use crate::model::{Id, IdKind};
use crate::store::command::Change;

type Answer = Result<Response<Body>, ApiError>;

/// `DELETE /app/{app_id}/msg/{msg_id}/content`: its bytes are overwritten, and nothing of it is sent any
/// more. The message itself stays listed.
pub(super) async fn expunge_message(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("msg_id")?;
    let app = call.app().await?;
    let message = call.message(&app, false).await?.key();
    change::commit(&call, Change::ExpungeMessage { app: app.app.key(), message }, &[], change::nothing).await
}

/// `DELETE /app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content`: the attempt stays listed.
pub(super) async fn expunge_attempt(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    call.param("msg_id")?;
    let attempt = call.param("attempt_id")?;
    if !has_form_of(IdKind::Attempt, &attempt) {
        return Err(ApiError::invalid("path", "attempt_id", "must match ^atmpt_[A-Za-z0-9]{27}$", Kind::Value));
    }
    let attempt = Id::parse(IdKind::Attempt, &attempt);
    let app = call.app().await?;
    let message = call.message(&app, false).await?.key();
    let attempt = attempt.ok_or(ApiError::not_found())?;
    change::commit(&call, Change::ExpungeAttempt { message, attempt }, &[], change::nothing).await
}
