//! Environment keys over HTTP, for who has one: list, create, get, rename, change scopes, expire.
//!
//! Nobody makes, changes or ends by HTTP a key that may more than his own: keys with the scope
//! `operator` are an operator's. The command line can always make another.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::change;
use super::environment::{self, check_name};
use super::error::{ApiError, Code, Kind};
use super::json::{Fields, Given, Null};
use super::page::{self, PageQuery};
use super::time::Time;
use super::validate::has_form_of;
use crate::accept::sign_in::{self, KEY_PREFIX};
use crate::model::{ApiKey, EnvKey, Id, IdKind, Scope, Scopes, UnixMs};
use crate::store::command::{AccessChange, Change, Changed};
use crate::store::query::Order;

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 2] = ["name", "scopes"];
pub(super) const EXPIRE_FIELDS: [&str; 1] = ["expiry"];
/// Seconds until which the end of a key can be put off.
pub(super) const EXPIRY_S_MAX: u32 = 259_200;

/// A key that was just made: the only time that it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiTokenOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenOut<'a> {
    /// The key.
    token: &'a str,
    /// Its id.
    #[schemars(regex(pattern = r"^key_[A-Za-z0-9]{27}$"))]
    id: String,
    /// What it is called.
    name: &'a str,
    /// When it was made.
    created_at: Time,
    /// When it ends; null means that it does not by itself.
    expires_at: Option<Time>,
    /// What it may do: `full`, `read`, `publish`, `operator`.
    scopes: Vec<&'static str>,
}

/// A key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiTokenCensoredOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct CensoredOut<'a> {
    /// Its beginning and its end.
    censored_token: String,
    /// Its id.
    #[schemars(regex(pattern = r"^key_[A-Za-z0-9]{27}$"))]
    id: String,
    /// What it is called.
    name: &'a str,
    /// When it was made.
    created_at: Time,
    /// When it ends; null means that it does not by itself.
    expires_at: Option<Time>,
    /// What it may do: `full`, `read`, `publish`, `operator`.
    scopes: Vec<&'static str>,
    /// When it was last used, to about a minute; null means never. An addition of this server.
    last_used_at: Option<Time>,
}

impl<'a> CensoredOut<'a> {
    /// `used` is what is known here of its last use.
    fn of(key: &'a ApiKey, used: Option<UnixMs>) -> Self {
        Self {
            censored_token: format!("{KEY_PREFIX}…{}", key.hint.as_deref().unwrap_or_default()),
            id: key.id.format(IdKind::ApiKey),
            name: &key.name,
            created_at: Time(key.created_at),
            expires_at: key.revoked_at.map(Time),
            scopes: key.scopes.names(),
            last_used_at: key.last_used_at.max(used).map(Time),
        }
    }
}

/// `GET …/api-token`: those that open something, oldest first unless told otherwise.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::ApiKey, Order::Ascending, true);
    query.finish()?;
    let env = env(&call).await?;
    let rows = call.gateway.queries.api_keys_page(env, page.page(), call.gateway.clock.now_ms()).await?;
    let iterator = |key: &ApiKey| key.id.format(IdKind::ApiKey);
    let resume = |key| Id::first_of(key).format(IdKind::ApiKey);
    let push = |out: &mut Vec<u8>, key: &ApiKey| {
        page::push_json(out, &CensoredOut::of(key, call.gateway.key_use.last(key.id.key)));
    };
    Ok(page.answer(rows, iterator, resume, push))
}

/// `POST …/api-token`.
pub(super) async fn create(call: Call, body: Body) -> Answer {
    call.param("env_id")?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let given = fields.text("name", Null::Refused, check_name);
    let name = fields.require("name", given).unwrap_or_default();
    let scopes = scopes(&mut fields).unwrap_or(Scopes::FULL);
    fields.finish()?;
    let env = env(&call).await?;
    check_scopes(&call, scopes)?;
    let secret = sign_in::draw(KEY_PREFIX);
    let hint = sign_in::hint(&secret);
    let change = Change::Access(AccessChange::CreateApiKey { env, name, hash: sign_in::hash(&secret), scopes, hint });
    change::commit(&call, change, &body, move |changed| match changed {
        Changed::ApiKey(key) => change::rendered(
            200,
            &TokenOut {
                token: &secret,
                id: key.id.format(IdKind::ApiKey),
                name: &key.name,
                created_at: Time(key.created_at),
                expires_at: key.revoked_at.map(Time),
                scopes: key.scopes.names(),
            },
        ),
        other => change::nothing(other),
    })
    .await
}

/// `GET …/api-token/{key_id}`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let id = id(&call)?;
    let env = env(&call).await?;
    let key = call.gateway.queries.api_key(env, id).await?.ok_or(ApiError::not_found())?;
    Ok(answer::json(StatusCode::OK, &CensoredOut::of(&key, call.gateway.key_use.last(key.id.key))))
}

/// `PUT …/api-token/{key_id}`: another name, and scopes where they are given. The contract's body has none, so that
/// one without them leaves them as they are.
pub(super) async fn put(call: Call, body: Body) -> Answer {
    id(&call)?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let given = fields.text("name", Null::Refused, check_name);
    let name = fields.require("name", given);
    let scopes = scopes(&mut fields);
    fields.finish()?;
    patch_with(&call, &body, name, scopes).await
}

/// `PATCH …/api-token/{key_id}`: what the body leaves out stays as it is.
pub(super) async fn patch(call: Call, body: Body) -> Answer {
    id(&call)?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let name = fields.text("name", Null::Taken, check_name).value();
    let scopes = scopes(&mut fields);
    fields.finish()?;
    patch_with(&call, &body, name, scopes).await
}

async fn patch_with(call: &Call, body: &[u8], name: Option<String>, scopes: Option<Scopes>) -> Answer {
    let key = changeable(call).await?;
    if let Some(scopes) = scopes {
        check_scopes(call, scopes)?;
    }
    let used = call.gateway.key_use.last(key.id.key);
    let change = Change::Access(AccessChange::PatchApiKey { env: key.env, id: key.id, name, scopes });
    change::commit(call, change, body, move |changed| match changed {
        Changed::ApiKey(key) => change::rendered(200, &CensoredOut::of(key, used)),
        other => change::nothing(other),
    })
    .await
}

/// `POST …/api-token/{key_id}/expire`: it opens nothing any more, at once or in some seconds; nor do the
/// sessions that stand in for it.
pub(super) async fn expire(call: Call, body: Body) -> Answer {
    id(&call)?;
    let body = call.read(body).await?;
    let mut fields = Fields::parse(&body, &EXPIRE_FIELDS, call.gateway.limits.json_depth_max)?;
    let expiry = fields.read("expiry", Null::Taken, "must be a number of seconds", |seconds: &u32| {
        if *seconds <= EXPIRY_S_MAX { Ok(()) } else { Err("must be from 0 to 259200 seconds") }
    });
    fields.finish()?;
    let key = changeable(&call).await?;
    let after_ms = i64::from(expiry.value().unwrap_or(0)) * 1_000;
    change::commit(&call, Change::Access(AccessChange::RevokeApiKey { id: key.id, after_ms }), &body, change::nothing)
        .await
}

/// Scopes of a body.
fn scopes<const N: usize>(fields: &mut Fields<'_, N>) -> Option<Scopes> {
    let given = fields.read("scopes", Null::Taken, "must be an array of scopes", |names: &Vec<String>| {
        let twice = names.iter().enumerate().any(|(i, name)| names[..i].contains(name));
        if names.is_empty() {
            Err("has too few items")
        } else if twice {
            Err("has an item twice")
        } else if names.iter().any(|name| Scope::named(name).is_none()) {
            Err("each must be one of full, read, publish, operator")
        } else {
            Ok(())
        }
    });
    match given {
        Given::Value(names) => Some(Scopes::of(names.iter().filter_map(|name| Scope::named(name)))),
        Given::Absent | Given::Null => None,
    }
}

/// Refuses scopes that the caller does not have.
fn check_scopes(call: &Call, scopes: Scopes) -> Result<(), ApiError> {
    let own = call.holder.as_ref().map_or(Scopes::of([]), |holder| holder.scopes);
    if !scopes.has(Scope::Operator) || own.has(Scope::Operator) {
        return Ok(());
    }
    Err(ApiError::Coded(Code::PermissionDenied, "Only operators make, change or end keys of operators".into()))
}

async fn env(call: &Call) -> Result<EnvKey, ApiError> {
    Ok(EnvKey(environment::named(call).await?.id.key))
}

fn id(call: &Call) -> Result<Id, ApiError> {
    call.param("env_id")?;
    let text = call.param("key_id")?;
    if !has_form_of(IdKind::ApiKey, &text) {
        return Err(ApiError::invalid("path", "key_id", "must match ^key_[A-Za-z0-9]{27}$", Kind::Value));
    }
    Id::parse(IdKind::ApiKey, &text).ok_or(ApiError::not_found())
}

/// The key that the path names, if the caller may change it.
async fn changeable(call: &Call) -> Result<ApiKey, ApiError> {
    let id = id(call)?;
    let env = env(call).await?;
    let key = call.gateway.queries.api_key(env, id).await?.ok_or(ApiError::not_found())?;
    check_scopes(call, key.scopes)?;
    Ok(key)
}
