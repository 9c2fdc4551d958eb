//! PayPal: RSA over the delivery's id, its time, the webhook's id and the body's CRC-32.
//!
//! A CRC-32 can be forged: who has one signed delivery can make another body with the same sum. That is the
//! scheme's; PayPal's online verification is the only remedy.

use super::{Rule, Trust, check_signature, plain_https, trusted_key};
use crate::receive::asymmetric::Algorithm;
use crate::receive::reading::{self, Window};
use crate::receive::{Cause, Context, Failure, Request, Settings};

/// Hosts that serve PayPal's certificates.
const HOSTS: [&str; 4] = ["api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com", "api-m.sandbox.paypal.com"];
/// Where they are on them.
const PATH_PREFIX: &str = "/v1/notifications/certs/";
/// The only algorithm that PayPal signs with.
const ALGORITHM: &str = "SHA256withRSA";

/// PayPal's certificates are DigiCert's.
const RULE: Rule = Rule {
    is_name: is_paypal_name,
    trust: Trust::WebRoots { issuers: &["cacerts.digicert.com", "cacerts.digicert.cn"] },
};

/// Verifies an event. `webhookId`, one or a list, is the id that PayPal gave the webhook. PayPal names no
/// tolerance: none unless `toleranceSeconds` is set.
pub(super) fn verify(settings: &Settings, request: &Request<'_>, context: &Context<'_>) -> Result<(), Failure> {
    let id = reading::header(request, "paypal-transmission-id")?;
    let time = reading::header(request, "paypal-transmission-time")?;
    let signature = reading::header(request, "paypal-transmission-sig")?;
    let url = reading::header(request, "paypal-cert-url")?;
    let algorithm = reading::header(request, "paypal-auth-algo")?;
    if algorithm != ALGORITHM {
        return Err(Cause::UnsupportedAlgorithm.into());
    }
    let signed_ms = reading::rfc3339(time).ok_or(Cause::MalformedTimestamp)?;
    let is_theirs = plain_https(url)
        .and_then(|(host, path)| Some((host, path.strip_prefix(PATH_PREFIX)?)))
        .is_some_and(|(host, file)| HOSTS.contains(&host) && !file.is_empty() && !file.contains('/'));
    if !is_theirs {
        return Err(Cause::CertUrlUntrusted.into());
    }
    let key = trusted_key(&RULE, url, settings, context)?;
    let sum = crc32fast::hash(request.body);
    let is_genuine = settings.texts("webhookId").into_iter().any(|webhook_id| {
        let message = format!("{id}|{time}|{webhook_id}|{sum}");
        check_signature(&key, Algorithm::RsaSha256, message.as_bytes(), signature).is_ok()
    });
    if !is_genuine {
        return Err(Cause::SignatureMismatch.into());
    }
    Window::NONE.configured(settings).check(context.now_ms, signed_ms).map_err(Failure::from)
}

fn is_paypal_name(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".paypal.com")
}
