//! Adyen's payment notifications: each item carries its own signature over eight of its fields.
//!
//! Source: `hmacValidator` of `@adyen/api-library`. All other fields are unsigned, and a colon in a field is
//! not escaped: both are the scheme's.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::receive::canonical::any_secret;
use crate::receive::reading;
use crate::receive::{Cause, Request, Settings};

/// Most items of one notification that are read; Adyen sends one, and up to six in a batch.
const ITEMS_MAX: usize = 100;

/// Verifies a notification: every item must be genuine. The secret is hexadecimal digits.
pub(super) fn verify(settings: &Settings, request: &Request<'_>) -> Result<(), Cause> {
    let body: Value = serde_json::from_slice(request.body).map_err(|_| Cause::MalformedBody)?;
    let items = body.get("notificationItems").and_then(Value::as_array).ok_or(Cause::MalformedBody)?;
    if items.is_empty() || items.len() > ITEMS_MAX {
        return Err(Cause::MalformedBody);
    }
    for item in items {
        let item = item.get("NotificationRequestItem").ok_or(Cause::MalformedBody)?;
        verify_item(settings, item)?;
    }
    Ok(())
}

fn verify_item(settings: &Settings, item: &Value) -> Result<(), Cause> {
    let given = item.pointer("/additionalData/hmacSignature").and_then(Value::as_str).unwrap_or("");
    if given.is_empty() {
        return Err(Cause::MissingSignature);
    }
    let fields = [
        field(item, "/pspReference")?,
        field(item, "/originalReference")?,
        field(item, "/merchantAccountCode")?,
        field(item, "/merchantReference")?,
        field(item, "/amount/value")?,
        field(item, "/amount/currency")?,
        field(item, "/eventCode")?,
        field(item, "/success")?,
    ];
    let message = fields.join(":");
    any_secret(settings, given, |secret| {
        let key = reading::unhex(secret)?;
        Some(STANDARD.encode(reading::mac(hmac::HMAC_SHA256, &key, &[message.as_bytes()])))
    })
}

/// A field's text. One that is absent counts as empty, as in the provider's library; an object does not.
fn field(item: &Value, pointer: &str) -> Result<String, Cause> {
    match item.pointer(pointer) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(flag)) => Ok(flag.to_string()),
        Some(Value::Array(_) | Value::Object(_)) => Err(Cause::MalformedBody),
    }
}
