//! Amazon SNS: every message is signed over fixed fields, with a key that AWS publishes per region.

use serde_json::{Map, Value};

use super::{Rule, Trust, check_signature, plain_https, trusted_key};
use crate::receive::asymmetric::Algorithm;
use crate::receive::reading::{self, Window};
use crate::receive::{Cause, Context, Failure, Request, Settings};

/// What AWS names its certificates' files.
const FILE_PREFIX: &str = "/SimpleNotificationService-";
/// Most parts of a region's name.
const REGION_PARTS_MAX: usize = 4;

/// AWS serves the certificate alone, without the one of its issuer, and its own validators rely on the host.
const RULE: Rule = Rule { is_name: is_sns_name, trust: Trust::Host };

/// Fields that are signed, in order; `Subject` only where there is one.
const NOTIFICATION: [&str; 6] = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: [&str; 7] = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// Verifies a message. `SignatureVersion` chooses between RSA with SHA-1 (1) and with SHA-256 (2), unless the
/// setting `signatureVersion` names one.
pub(super) fn verify(settings: &Settings, request: &Request<'_>, context: &Context<'_>) -> Result<(), Failure> {
    let body: Map<String, Value> = serde_json::from_slice(request.body).map_err(|_| Cause::MalformedBody)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let needed = |name: &str| text(name).ok_or(Cause::MalformedBody);
    let message = signed_text(&body)?;
    let (signature, url) = (needed("Signature")?, needed("SigningCertURL")?);
    let version = needed("SignatureVersion")?;
    if settings.text("signatureVersion").is_some_and(|pinned| pinned != version) {
        return Err(Cause::UnsupportedVersion.into());
    }
    let algorithm = match version {
        "1" => Algorithm::RsaSha1,
        "2" => Algorithm::RsaSha256,
        _ => return Err(Cause::UnsupportedVersion.into()),
    };
    if !is_certificate_url(url) {
        return Err(Cause::CertUrlUntrusted.into());
    }
    let key = trusted_key(&RULE, url, settings, context)?;
    check_signature(&key, algorithm, message.as_bytes(), signature)?;
    let topics = settings.texts("topicArns");
    if !topics.is_empty() && !topics.contains(&needed("TopicArn")?) {
        return Err(Cause::WrongRecipient.into());
    }
    // A message keeps its time while AWS tries again, which it does for weeks: no window of its own.
    let window = Window::NONE.configured(settings);
    if window == Window::NONE {
        return Ok(());
    }
    let signed_ms = reading::rfc3339(needed("Timestamp")?).ok_or(Cause::MalformedTimestamp)?;
    window.check(context.now_ms, signed_ms).map_err(Failure::from)
}

/// `name`, line end, `value`, line end, for every signed field.
fn signed_text(body: &Map<String, Value>) -> Result<String, Cause> {
    let names: &[&str] = match body.get("Type").and_then(Value::as_str) {
        Some("Notification") => &NOTIFICATION,
        Some("SubscriptionConfirmation" | "UnsubscribeConfirmation") => &CONFIRMATION,
        _ => return Err(Cause::MalformedBody),
    };
    let mut message = String::new();
    for name in names {
        let value = match body.get(*name) {
            Some(Value::String(value)) => value,
            None | Some(Value::Null) if *name == "Subject" => continue,
            _ => return Err(Cause::MalformedBody),
        };
        message.push_str(name);
        message.push('\n');
        message.push_str(value);
        message.push('\n');
    }
    Ok(message)
}

/// `https://sns.<region>.amazonaws.com/SimpleNotificationService-….pem`, also in China.
fn is_certificate_url(url: &str) -> bool {
    plain_https(url).is_some_and(|(host, path)| {
        // The file is at the top: elsewhere the service answers with what others have put there.
        let file = path.strip_prefix(FILE_PREFIX).and_then(|rest| rest.strip_suffix(".pem"));
        is_sns_host(host) && file.is_some_and(|file| !file.contains('/'))
    })
}

/// Whether a URL is one of SNS itself, with any path and query: where a subscription is confirmed.
pub(in crate::receive) fn is_sns_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let is_clean = rest.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
    is_clean && is_sns_host(&rest[..end])
}

fn is_sns_host(host: &str) -> bool {
    let Some(rest) = host.strip_prefix("sns.") else { return false };
    let (region, is_china) = match rest.strip_suffix(".amazonaws.com.cn") {
        Some(region) => (Some(region), true),
        None => (rest.strip_suffix(".amazonaws.com"), false),
    };
    region.is_some_and(|region| is_region(region) && region.starts_with("cn-") == is_china)
}

/// Whether a name has the form of a region: a country's two letters, one or two words, a number, as `us-east-1`
/// and `us-gov-west-1`. Other names are of other services: at `s3-us-west-2` anybody can have a bucket `sns`.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.splitn(REGION_PARTS_MAX + 1, '-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.as_slice() {
        [country, words @ .., number] => {
            let has_words = (1..=2).contains(&words.len()) && words.iter().all(is_word);
            country.len() == 2 && is_word(country) && has_words && is_number(number)
        }
        _ => false,
    }
}

/// AWS's certificates carry the name without a region, or the region's host.
fn is_sns_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "sns.amazonaws.com" || name == "sns.amazonaws.com.cn" || is_sns_host(&name)
}
