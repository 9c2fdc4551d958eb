//! Access of customers to their own application: a link with a token, and its end.

use axum::body::Body;
use http::Response;
use rand::Rng;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::answer;
use super::application;
use super::auth::PORTAL_PREFIX;
use super::call::Call;
use super::change;
use super::error::ApiError;
use super::json::{Fields, Given, Null};
use super::validate;
use crate::model::{Capability, IdKind};
use crate::store::command::{Change, Target};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 6] = ["application", "readOnly", "capabilities", "featureFlags", "expiry", "sessionId"];
pub(super) const EXPIRY_S: u32 = 604_800;
pub(super) const EXPIRY_S_MIN: u32 = 3_600;
pub(super) const EXPIRE_FIELDS: [&str; 2] = ["expiry", "sessionIds"];
/// Seconds until which the end of tokens can be put off.
pub(super) const END_S_MAX: u32 = 259_200;
/// Sessions that end at once.
pub(super) const SESSIONS_MAX: usize = 1_000;
pub(super) const FEATURE_FLAGS_MAX: usize = 25;
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Access to one application.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppPortalAccessOut")]
pub(super) struct AccessOut {
    /// Where the customer is sent; the token stands behind its `#`.
    url: String,
    /// What opens the application's part of this API, as a key does.
    token: String,
}

/// `POST /auth/app-portal-access/{app_id}`: a token for the application, which is made if it is not
/// there and the body says how.
pub(super) async fn access(call: Call, body: Body) -> Answer {
    let name = call.param("app_id")?.into_owned();
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let capabilities = capabilities(&mut fields);
    let feature_flags = fields.texts("featureFlags", (1, FEATURE_FLAGS_MAX), Null::Taken, &validate::EVENT_TYPE);
    let expiry = fields.read("expiry", Null::Taken, "must be a number of seconds", |seconds: &u32| {
        if (EXPIRY_S_MIN..=EXPIRY_S).contains(seconds) { Ok(()) } else { Err("must be from 3600 to 604800 seconds") }
    });
    let session_id = fields.text("sessionId", Null::Taken, |text| validate::SESSION.check(text));
    let is_there = call.app_if_any().await?.is_some();
    let named = (!is_there).then_some(&*name);
    let application = match fields.raw("application", Null::Taken) {
        Given::Value(raw) => application::read_inline(raw, named, &mut fields, "application"),
        Given::Absent | Given::Null => None,
    };
    fields.finish()?;
    let target = application::target(IdKind::Application, name.clone())?;
    if !is_there && matches!(target, Target::Id(_)) {
        // An id names one that is there, or nothing.
        return Err(ApiError::not_found());
    }
    call.idempotency_key()?;
    if let Some(spec) = application.clone().filter(|_| !is_there) {
        // First, so that an idempotency key has it in its scope.
        application::make(&call, &name, spec).await?;
    }
    let token = new_token();
    let change = Change::CreatePortalToken {
        env: call.env,
        target,
        create: application,
        hash: Sha256::digest(&token).into(),
        capabilities,
        feature_flags: feature_flags.value().unwrap_or_default(),
        session_id: session_id.value(),
        lifetime_ms: i64::from(expiry.value().unwrap_or(EXPIRY_S)) * 1000,
    };
    let url = format!("{}/portal#token={token}", call.gateway.public_url());
    let out = AccessOut { url, token };
    change::commit(&call, change, &body, move |_| change::rendered(200, &out)).await
}

/// `POST /auth/logout`: the portal token that was sent opens nothing any more.
pub(super) async fn logout(call: Call, _: Body) -> Answer {
    let id = call.portal.as_ref().map(|token| token.id).ok_or(ApiError::not_found())?;
    // A key that is sent must be right; repeating the call is harmless without.
    call.idempotency_key()?;
    call.gateway.change(Change::RevokePortalToken { id }, None).await?;
    Ok(answer::no_content())
}

/// `POST /auth/app/{app_id}/expire-all`: portal tokens of the application end, at once or in some
/// seconds; all, or those of some sessions.
pub(super) async fn expire_all(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &EXPIRE_FIELDS, call.gateway.limits.json_depth_max)?;
    let expiry = fields.read("expiry", Null::Taken, "must be a number of seconds", |seconds: &u32| {
        if *seconds <= END_S_MAX { Ok(()) } else { Err("must be from 0 to 259200 seconds") }
    });
    let sessions = fields.texts("sessionIds", (0, SESSIONS_MAX), Null::Taken, &validate::SESSION);
    fields.finish()?;
    let app = call.app().await?.app.key();
    let after_ms = i64::from(expiry.value().unwrap_or(0)) * 1_000;
    let change = Change::ExpirePortalTokens { app, sessions: sessions.value().unwrap_or_default(), after_ms };
    change::commit(&call, change, &body, change::nothing).await
}

/// What the token allows: all, unless it is said.
fn capabilities<const N: usize>(fields: &mut Fields<'_, N>) -> Vec<Capability> {
    let read_only = fields.read("readOnly", Null::Taken, "must be true or false", |_: &bool| Ok(()));
    let given = fields.read("capabilities", Null::Taken, "must be an array of capabilities", |names: &Vec<String>| {
        let known = |name: &String| Capability::ALL.iter().any(|capability| capability.as_str() == name);
        if !names.iter().all(known) {
            return Err("each must be one of ViewBase, ViewEndpointSecret, ManageEndpointSecret, \
                        ManageTransformations, CreateAttempts, ManageEndpoint");
        }
        let twice = names.iter().enumerate().any(|(i, name)| names[..i].contains(name));
        if twice { Err("has an item twice") } else { Ok(()) }
    });
    if read_only.value() == Some(true) {
        return vec![Capability::ViewBase];
    }
    match given.value() {
        Some(listed) => {
            let is_listed = |capability: &Capability| listed.iter().any(|name| name == capability.as_str());
            Capability::ALL.into_iter().filter(is_listed).collect()
        }
        None => Capability::ALL.to_vec(),
    }
}

fn new_token() -> String {
    let mut bytes = [0_u8; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    format!("{PORTAL_PREFIX}{}", crate::store::seal::hex(&bytes))
}
