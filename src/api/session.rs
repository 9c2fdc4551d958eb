//! Sessions, which stand in for a key in a browser, and who the caller is.
//!
//! Signing in takes a key or a one-time token and answers with a cookie that no script reads and no
//! other site sends along. Idempotency keys have no effect here: what is exchanged once is gone.

use axum::body::Body;
use http::header::{HeaderValue, SET_COOKIE};
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::auth::{KEY_BYTES_MAX, failed};
use super::call::Call;
use super::error::{ApiError, Kind};
use super::json::{Fields, Null};
use super::origin;
use super::time::Time;
use crate::accept::NotAccepted;
use crate::accept::sign_in::NotSignedIn;
use crate::model::{Capability, Id, IdKind, SESSION_MS};
use crate::store::command::{AccessChange, Change, Refusal};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 2] = ["key", "oneTimeToken"];
pub(super) const ONE_TIME_FIELDS: [&str; 1] = ["oneTimeToken"];

/// What the caller's key or session opens.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionOut {
    /// The environment that this call was for.
    #[schemars(regex(pattern = r"^env_[A-Za-z0-9]{27}$"))]
    env_id: Option<String>,
    /// The environments that can be chosen by the header `posthouse-environment`.
    environments: Vec<ChoiceOut>,
    /// What it may do: `full`, `read`, `publish`, `operator`.
    scopes: Vec<&'static str>,
    /// When it ends; null means that it does not by itself.
    expires_at: Option<Time>,
    /// `session` or `key`.
    kind: &'static str,
}

/// An environment.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionEnvironmentOut")]
struct ChoiceOut {
    /// Its id.
    #[schemars(regex(pattern = r"^env_[A-Za-z0-9]{27}$"))]
    id: String,
    /// Its name.
    name: String,
}

/// A session that was opened.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OneTimeTokenOut")]
pub(super) struct ExchangedOut {
    /// The session's token, used as a key is.
    token: String,
    /// All of them.
    capabilities: Vec<&'static str>,
}

/// Who the caller is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WhoamiOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct WhoamiOut {
    /// The environment.
    env_id: Option<String>,
    /// The application that a portal token opens.
    app_id: Option<String>,
    /// Always null.
    stream_app_id: Option<String>,
    /// `RegionalAuthToken` for keys and sessions, `Unknown` for portal tokens.
    permission_source: &'static str,
    /// The session that a portal token was put in, if any.
    session_id: Option<String>,
    /// What a portal token allows now; null for keys. An addition of this server.
    capabilities: Option<Vec<&'static str>>,
    /// Event types with one of these are shown to a portal token, beside those without any; null for keys, which see
    /// all. An addition of this server.
    feature_flags: Option<Vec<String>>,
    /// When it ends; null means that it does not by itself. An addition of this server.
    expires_at: Option<Time>,
}

/// `POST /auth/session`: a cookie for a key or a one-time token.
pub(super) async fn open(call: Call, body: Body) -> Answer {
    origin::check(&call.gateway, &call.parts)?;
    // Each opens a session of its own, but a key that is none is a mistake.
    call.idempotency_key()?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let key = fields.text("key", Null::Taken, check_token).value();
    let one_time = fields.text("oneTimeToken", Null::Taken, check_token).value();
    if key.is_some() && one_time.is_some() {
        fields.problem("oneTimeToken", "must not be given beside key", Kind::Value);
    }
    fields.finish()?;
    let token = match (key, one_time) {
        (Some(key), _) => call.gateway.sign_in_with_key(&key).await?,
        (None, Some(token)) => call.gateway.sign_in_once(&token).await?,
        (None, None) => return Err(ApiError::invalid("body", "key", "field required", Kind::Missing)),
    };
    let token = token.ok_or_else(|| failed("The key or token is not known, or its time is over"))?;
    let mut answer = answer::no_content();
    set_cookie(&call, &mut answer, &token, SESSION_MS / 1_000);
    Ok(answer)
}

impl From<NotSignedIn> for ApiError {
    fn from(error: NotSignedIn) -> Self {
        match error {
            NotSignedIn::Quota(error) => error.into(),
            NotSignedIn::NotAccepted(error) => error.into(),
        }
    }
}

/// `POST /auth/one-time-token`: a session as a token, for a one-time token.
pub(super) async fn exchange(call: Call, body: Body) -> Answer {
    call.idempotency_key()?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &ONE_TIME_FIELDS, call.gateway.limits.json_depth_max)?;
    let given = fields.text("oneTimeToken", Null::Refused, check_token);
    let one_time = fields.require("oneTimeToken", given).unwrap_or_default();
    fields.finish()?;
    let token = call.gateway.sign_in_once(&one_time).await?;
    let token = token.ok_or_else(|| failed("The token is not known, or its time is over, or it was exchanged"))?;
    let capabilities = Capability::ALL.map(Capability::as_str).to_vec();
    Ok(answer::json(StatusCode::OK, &ExchangedOut { token, capabilities }))
}

fn check_token(text: &str) -> Result<(), &'static str> {
    if (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("must have 1 to 1024 visible ASCII characters")
    }
}

/// `GET /auth/session`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let holder = call.holder.as_ref().ok_or(ApiError::not_found())?;
    let mut environments = call.gateway.queries.environments().await?;
    let here = environments.iter().find(|environment| environment.id.key == call.env.0);
    let env_id = here.map(|environment| environment.id.format(IdKind::Environment));
    if !holder.scopes.has(crate::model::Scope::Operator) {
        environments.retain(|environment| environment.id.key == holder.env.0);
    }
    let choice = |of: crate::model::Environment| ChoiceOut { id: of.id.format(IdKind::Environment), name: of.name };
    let out = SessionOut {
        env_id,
        environments: environments.into_iter().map(choice).collect(),
        scopes: holder.scopes.names(),
        expires_at: holder.expires_at.map(Time),
        kind: if holder.session.is_some() { "session" } else { "key" },
    };
    Ok(answer::json(StatusCode::OK, &out))
}

/// `DELETE /auth/session`: the session opens nothing any more. A key stays as it is.
pub(super) async fn close(call: Call, _: Body) -> Answer {
    if let Some(session) = call.holder.as_ref().and_then(|holder| holder.session.as_ref()) {
        match call.gateway.change(Change::Access(AccessChange::CloseSession { id: session.id }), None).await {
            // Another request was first.
            Ok(_) | Err(NotAccepted::Refused(Refusal::NotFound)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut answer = answer::no_content();
    set_cookie(&call, &mut answer, "", 0);
    Ok(answer)
}

/// Has the browser keep a token for that many seconds; 0 forgets it.
fn set_cookie(call: &Call, answer: &mut Response<Body>, token: &str, age_s: i64) {
    let secure = if call.gateway.is_https() { "; Secure" } else { "" };
    let name = call.gateway.session_cookie();
    let cookie = format!("{name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age_s}{secure}");
    if let Ok(mut cookie) = HeaderValue::try_from(cookie) {
        cookie.set_sensitive(true);
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
}

/// `GET /auth/whoami`.
pub(super) async fn whoami(call: Call, _: Body) -> Answer {
    let environments = call.gateway.queries.environments().await?;
    let env = environments.iter().find(|environment| environment.id.key == call.env.0);
    let env_id = env.map(|environment| environment.id.format(IdKind::Environment));
    let expires_at = call.holder.as_ref().and_then(|holder| holder.expires_at).map(Time);
    let mut out = WhoamiOut {
        env_id,
        app_id: None,
        stream_app_id: None,
        permission_source: "RegionalAuthToken",
        session_id: None,
        capabilities: None,
        feature_flags: None,
        expires_at,
    };
    if let Some(token) = &call.portal {
        let app = call.gateway.snapshots.app(token.app).await?.ok_or(ApiError::not_found())?;
        let is_read_only = call.gateway.snapshots.policy(token.env).await?.settings.look.read_only;
        let is_allowed = |capability: &&Capability| {
            !is_read_only || matches!(capability, Capability::ViewBase | Capability::ViewEndpointSecret)
        };
        let id: Id = app.app.id;
        out.app_id = Some(id.format(IdKind::Application));
        out.permission_source = "Unknown";
        out.session_id.clone_from(&token.session_id);
        let names = token.capabilities.iter().filter(is_allowed).map(|capability| capability.as_str());
        out.capabilities = Some(names.collect());
        out.feature_flags = Some(token.feature_flags.clone());
        out.expires_at = Some(Time(token.expires_at));
    }
    Ok(answer::json(StatusCode::OK, &out))
}
