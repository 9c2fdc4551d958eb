//! What each handshake looks like, and what it is answered.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Map, Value, json};

use super::{CHALLENGE_CHARS_MAX, reading, reply};
use crate::receive::canonical::{braintree_challenge_reply, is_braintree_challenge};
use crate::receive::certificate::is_sns_url;
use crate::receive::{Cause, Context, Reply, Request, Settings};

/// `None`: not a handshake.
type Answer = Option<Result<Reply, Cause>>;

/// Texts that may be echoed: not empty, bounded, of visible letters and spaces.
fn is_echo(text: &str) -> bool {
    !text.is_empty() && text.len() <= CHALLENGE_CHARS_MAX && !text.chars().any(char::is_control)
}

/// Texts that may be signed or go out in a header: letters, digits and `-._~+/=`.
fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !text.is_empty() && text.len() <= CHALLENGE_CHARS_MAX && text.bytes().all(is_token_byte)
}

fn echoed(text: &str, make: impl Fn(&str) -> Reply) -> Answer {
    Some(if is_echo(text) { Ok(make(text)) } else { Err(Cause::MalformedChallenge) })
}

/// The body's members, if it is an object.
fn object(request: &Request<'_>) -> Option<Map<String, Value>> {
    if request.method == Method::POST { serde_json::from_slice(request.body).ok() } else { None }
}

/// A member's text; empty, which no challenge is, if it is something else.
fn text<'a>(body: &'a Map<String, Value>, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or("")
}

/// The name of a `GET`'s parameter, if it is there.
fn asked(request: &Request<'_>, name: &str) -> Option<String> {
    if request.method == Method::GET { reading::parameter(request.url, name) } else { None }
}

pub(super) fn echo_parameter(name: &str, request: &Request<'_>) -> Answer {
    echoed(&asked(request, name)?, reply::text)
}

pub(super) fn echo_header(name: &'static str, request: &Request<'_>) -> Answer {
    let value = reading::optional_header(request, name)?;
    Some(if is_token(value) { Ok(reply::header(name, value)) } else { Err(Cause::MalformedChallenge) })
}

/// Adobe Sign registers with a `GET`; the header in the answer says that we expect this client.
pub(super) fn adobe_sign(settings: &Settings, request: &Request<'_>) -> Answer {
    if request.method != Method::GET {
        return None;
    }
    let given = match reading::header(request, "x-adobesign-clientid") {
        Ok(given) => given,
        Err(cause) => return Some(Err(cause)),
    };
    let is_ours = settings.texts("clientId").into_iter().any(|own| reading::is_same(own, given));
    Some(if is_ours { Ok(reply::header("x-adobesign-clientid", given)) } else { Err(Cause::TokenMismatch) })
}

/// The first request brings the key; a second one would replace it with anybody's.
pub(super) fn asana(request: &Request<'_>, context: &Context<'_>) -> Answer {
    let secret = reading::optional_header(request, "x-hook-secret")?;
    Some(if context.is_registered {
        Err(Cause::UnexpectedHandshake)
    } else if is_token(secret) {
        Ok(Reply { learned: Some(secret.to_owned()), ..reply::header("x-hook-secret", secret) })
    } else {
        Err(Cause::MalformedChallenge)
    })
}

pub(super) fn braintree(settings: &Settings, request: &Request<'_>) -> Answer {
    let challenge = asked(request, "bt_challenge")?;
    if !is_braintree_challenge(&challenge) {
        return Some(Err(Cause::MalformedChallenge));
    }
    let (public_key, private_key) = (settings.text("publicKeyId")?, settings.secrets().into_iter().next()?);
    Some(Ok(reply::text(&braintree_challenge_reply(public_key, private_key, &challenge))))
}

/// `1` is PING of an interaction and an event's type besides; `0` is PING of a webhook event. Where the
/// settings do not say which endpoint this is, an `event` tells.
pub(super) fn discord(settings: &Settings, request: &Request<'_>) -> Answer {
    let body = object(request)?;
    let kind = body.get("type")?.as_u64()?;
    let endpoint = settings.text("endpoint");
    let is_event = endpoint.map_or_else(|| kind == 0 || body.contains_key("event"), |endpoint| endpoint == "events");
    match (is_event, kind) {
        (false, 1) => Some(Ok(reply::json(&json!({ "type": 1 })))),
        (true, 0) => Some(Ok(reply::empty(204))),
        _ => None,
    }
}

/// SHA-256 over code, token and URL; a hash, not a signature of ours.
pub(super) fn ebay(settings: &Settings, request: &Request<'_>) -> Answer {
    let code = asked(request, "challenge_code")?;
    if !is_token(&code) {
        return Some(Err(Cause::MalformedChallenge));
    }
    let token = settings.text("verifyToken")?;
    let registered = request.url.split('?').next().unwrap_or(request.url);
    let url = settings.text("notificationUrl").unwrap_or(registered);
    let hash = reading::sha256_hex(&[code.as_bytes(), token.as_bytes(), url.as_bytes()]);
    Some(Ok(reply::json(&json!({ "challengeResponse": hash }))))
}

/// `hub.mode`, `hub.verify_token`, `hub.challenge`.
pub(super) fn hub(settings: &Settings, request: &Request<'_>, make: impl Fn(&str) -> Reply) -> Answer {
    if asked(request, "hub.mode")? != "subscribe" {
        return Some(Err(Cause::MalformedChallenge));
    }
    let given = asked(request, "hub.verify_token").unwrap_or_default();
    let is_ours = settings.texts("verifyToken").into_iter().any(|own| reading::is_same(own, &given));
    if !is_ours || given.is_empty() {
        return Some(Err(Cause::TokenMismatch));
    }
    echoed(&asked(request, "hub.challenge").unwrap_or_default(), make)
}

pub(super) fn microsoft_graph(request: &Request<'_>) -> Answer {
    if request.method != Method::POST {
        return None;
    }
    echoed(&reading::parameter(request.url, "validationToken")?, reply::text)
}

/// Unsigned, so that nothing but a lone challenge is answered.
pub(super) fn monday(request: &Request<'_>) -> Answer {
    let body = object(request)?;
    if body.len() != 1 || !body.contains_key("challenge") {
        return None;
    }
    echoed(text(&body, "challenge"), |challenge| reply::json(&json!({ "challenge": challenge })))
}

/// The first request brings the key, unsigned; afterwards one without a signature is a message that fails.
pub(super) fn notion(request: &Request<'_>, context: &Context<'_>) -> Answer {
    if request.headers.contains_key("x-notion-signature") {
        return None;
    }
    let body = object(request)?;
    if !body.contains_key("verification_token") {
        return None;
    }
    let token = text(&body, "verification_token");
    Some(if context.is_registered {
        Err(Cause::UnexpectedHandshake)
    } else if is_echo(token) {
        Ok(Reply { learned: Some(token.to_owned()), ..reply::empty(200) })
    } else {
        Err(Cause::MalformedChallenge)
    })
}

pub(super) fn okta(request: &Request<'_>) -> Answer {
    if request.method != Method::GET {
        return None;
    }
    let challenge = reading::optional_header(request, "x-okta-verification-challenge")?;
    echoed(challenge, |challenge| reply::json(&json!({ "verification": challenge })))
}

pub(super) fn slack(request: &Request<'_>) -> Answer {
    let body = object(request)?;
    if text(&body, "type") == "url_verification" { echoed(text(&body, "challenge"), reply::text) } else { None }
}

pub(super) fn smartsheet(request: &Request<'_>) -> Answer {
    let challenge = reading::optional_header(request, "smartsheet-hook-challenge")?;
    if !is_token(challenge) {
        return Some(Err(Cause::MalformedChallenge));
    }
    let mut reply = reply::json(&json!({ "smartsheetHookResponse": challenge }));
    reply.headers.push(("smartsheet-hook-response", challenge.to_owned()));
    Some(Ok(reply))
}

/// The message is verified; the URL must be SNS's own all the same.
pub(super) fn sns(request: &Request<'_>) -> Answer {
    let body = object(request)?;
    if text(&body, "Type") != "SubscriptionConfirmation" {
        return None;
    }
    let url = text(&body, "SubscribeURL");
    Some(if url.len() <= 2 * CHALLENGE_CHARS_MAX && is_sns_url(url) {
        Ok(Reply { confirm: Some(url.to_owned()), ..reply::empty(200) })
    } else {
        Err(Cause::MalformedChallenge)
    })
}

pub(super) fn twitch(request: &Request<'_>) -> Answer {
    if reading::optional_header(request, "twitch-eventsub-message-type") != Some("webhook_callback_verification") {
        return None;
    }
    let body = object(request).unwrap_or_default();
    echoed(text(&body, "challenge"), reply::text)
}

/// Sent when a webhook is made, unsigned: `webhook_id=12`.
pub(super) fn woocommerce(request: &Request<'_>) -> Answer {
    if request.method != Method::POST || request.headers.contains_key("x-wc-webhook-signature") {
        return None;
    }
    let id = request.body.strip_prefix(b"webhook_id=")?;
    let is_id = !id.is_empty() && id.len() <= 20 && id.iter().all(u8::is_ascii_digit);
    is_id.then(|| Ok(reply::empty(200)))
}

/// The same key signs bodies, which are JSON objects: a token has neither braces nor quotes.
pub(super) fn x(settings: &Settings, request: &Request<'_>) -> Answer {
    let token = asked(request, "crc_token")?;
    if !is_crc_token(&token) {
        return Some(Err(Cause::MalformedChallenge));
    }
    let secret = settings.secrets().into_iter().next()?;
    let mac = reading::mac(hmac::HMAC_SHA256, secret.as_bytes(), &[token.as_bytes()]);
    Some(Ok(reply::json(&json!({ "response_token": format!("sha256={}", STANDARD.encode(mac)) }))))
}

/// What X asks to have signed.
pub(super) fn is_crc_token(text: &str) -> bool {
    is_token(text)
}

/// The same key signs `v0:`, time, `:` and body: a token has no colon.
pub(super) fn zoom(settings: &Settings, request: &Request<'_>) -> Answer {
    let body = object(request)?;
    if text(&body, "event") != "endpoint.url_validation" {
        return None;
    }
    let token = body.get("payload").and_then(|payload| payload.get("plainToken")).and_then(Value::as_str).unwrap_or("");
    if !is_token(token) {
        return Some(Err(Cause::MalformedChallenge));
    }
    let secret = settings.secrets().into_iter().next()?;
    let mac = reading::mac(hmac::HMAC_SHA256, secret.as_bytes(), &[token.as_bytes()]);
    let encrypted = reading::hex(mac.as_ref());
    Some(Ok(reply::json(&json!({ "plainToken": token, "encryptedToken": encrypted }))))
}
