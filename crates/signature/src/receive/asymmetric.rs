//! Signatures of a private key that only the provider has: ed25519, ECDSA and RSA.
//!
//! The key is configured (`publicKey`, one or a list); only Travis CI's is also asked for by URL. The
//! algorithm is the scheme's, never the request's. Deliberately absent: schemes whose key comes in a
//! certificate, which are in `certificate`, and tokens, which are in `jwt`.
//!
//! Sources: Discord's interactions documentation and `discord-interactions`; the SendGrid event webhook
//! libraries; Travis CI's "Verifying webhook requests"; Telnyx's webhook documentation; the Standard
//! Webhooks specification.

mod key;

pub(super) use key::{Algorithm, PublicKey};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::reading::{self, Window};
use super::{Cause, Context, Failure, Need, Request, Settings};
use crate::standard;

/// How a provider signs with a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asymmetric {
    /// Over headers and body.
    Headers(Headers),
    /// Standard Webhooks with a `whpk_` key: `v1a` only.
    StandardWebhooks,
    /// Travis CI: RSA with SHA-1 over the decoded `payload` field of a form.
    TravisCi,
}

/// A signature in one header over the timestamp of another and the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Headers {
    /// What is signed with.
    pub(crate) algorithm: Algorithm,
    /// Where the signature is.
    pub(crate) signature: &'static str,
    /// How it is written.
    pub(crate) encoding: Encoding,
    /// Where the timestamp is: seconds since 1970.
    pub(crate) timestamp: &'static str,
    /// What stands between the timestamp and the body in the signed bytes.
    pub(crate) separator: &'static str,
    /// How old it may be.
    pub(crate) window: Window,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Exactly so many hexadecimal digits, of either case; anything else is a wrong frame.
    Hex {
        /// How many.
        digits: usize,
    },
    /// Base64 with padding.
    Base64,
}

impl Asymmetric {
    /// Discord's interactions and webhook events: ed25519 over timestamp and body.
    pub(crate) const DISCORD: Self = Self::Headers(Headers {
        algorithm: Algorithm::Ed25519,
        signature: "x-signature-ed25519",
        encoding: Encoding::Hex { digits: 128 },
        timestamp: "x-signature-timestamp",
        separator: "",
        window: Window::NONE,
    });

    /// Telnyx: ed25519 over timestamp, a bar and the body.
    pub(crate) const TELNYX: Self = Self::Headers(Headers {
        algorithm: Algorithm::Ed25519,
        signature: "telnyx-signature-ed25519",
        encoding: Encoding::Base64,
        timestamp: "telnyx-timestamp",
        separator: "|",
        window: Window::both(300),
    });

    /// SendGrid's event webhook: ECDSA over timestamp and body.
    pub(crate) const SENDGRID: Self = Self::Headers(Headers {
        algorithm: Algorithm::EcdsaP256Sha256Der,
        signature: "x-twilio-email-event-webhook-signature",
        encoding: Encoding::Base64,
        timestamp: "x-twilio-email-event-webhook-timestamp",
        separator: "",
        window: Window::NONE,
    });
}

/// Where Travis CI publishes its keys.
pub(crate) const TRAVIS_CONFIG_URL: &str = "https://api.travis-ci.com/config";

/// Verifies one request. The keys are the settings' `publicKey`.
pub(crate) fn verify(
    scheme: &Asymmetric,
    settings: &Settings,
    request: &Request<'_>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    match scheme {
        Asymmetric::Headers(headers) => verify_headers(headers, settings, request, context).map_err(Failure::from),
        Asymmetric::StandardWebhooks => verify_standard(settings, request, context).map_err(Failure::from),
        Asymmetric::TravisCi => verify_travis(settings, request, context),
    }
}

fn verify_headers(
    scheme: &Headers,
    settings: &Settings,
    request: &Request<'_>,
    context: &Context<'_>,
) -> Result<(), Cause> {
    let signature = reading::header(request, scheme.signature)?;
    let timestamp = reading::header(request, scheme.timestamp)?;
    let signature = match scheme.encoding {
        Encoding::Hex { digits } if signature.len() != digits => return Err(Cause::MalformedHeader),
        Encoding::Hex { .. } => Some(reading::unhex(signature).ok_or(Cause::MalformedHeader)?),
        Encoding::Base64 => STANDARD.decode(signature).ok(),
    };
    let signed_ms = reading::seconds(timestamp)?;
    let signature = signature.ok_or(Cause::SignatureMismatch)?;
    let message = [timestamp.as_bytes(), scheme.separator.as_bytes(), request.body].concat();
    let keys = settings.texts("publicKey");
    let is_genuine = keys
        .into_iter()
        .filter_map(|text| PublicKey::parse(scheme.algorithm, text))
        .any(|key| key.verifies(scheme.algorithm, &message, &signature));
    if !is_genuine {
        return Err(Cause::SignatureMismatch);
    }
    scheme.window.configured(settings).check(context.now_ms, signed_ms)
}

fn verify_standard(settings: &Settings, request: &Request<'_>, context: &Context<'_>) -> Result<(), Cause> {
    let id = reading::header(request, "webhook-id")?;
    let timestamp = reading::header(request, "webhook-timestamp")?;
    let signatures = reading::header(request, "webhook-signature")?;
    let mut versions = signatures.split(' ').filter_map(|element| Some(element.split_once(',')?.0)).peekable();
    if versions.peek().is_none() {
        return Err(Cause::MalformedHeader);
    }
    let signed_ms = reading::seconds(timestamp)?;
    if !versions.any(|version| version == "v1a") {
        return Err(Cause::UnsupportedVersion);
    }
    let keys: Vec<standard::VerifyingKey> = settings
        .texts("publicKey")
        .into_iter()
        .filter_map(|text| standard::PublicKey::parse(text).ok())
        .map(standard::VerifyingKey::Asymmetric)
        .collect();
    // The window is judged here, after the signature.
    let now_s = context.now_ms.div_euclid(1_000);
    standard::verify(&keys, id, timestamp, signatures, request.body, now_s, u64::MAX).map_err(|cause| match cause {
        standard::Cause::MalformedId => Cause::MalformedHeader,
        standard::Cause::MalformedTimestamp => Cause::MalformedTimestamp,
        standard::Cause::TooOld => Cause::TimestampExpired,
        standard::Cause::TooNew => Cause::TimestampInFuture,
        standard::Cause::NoSignature | standard::Cause::Mismatch => Cause::SignatureMismatch,
    })?;
    Window::both(standard::TOLERANCE_S as u32).configured(settings).check(context.now_ms, signed_ms)
}

fn verify_travis(settings: &Settings, request: &Request<'_>, context: &Context<'_>) -> Result<(), Failure> {
    let signature = reading::header(request, "signature")?;
    let fields = reading::sent_form(request)?;
    let payload = reading::only_text(&fields, "payload")?.as_bytes();
    let configured = settings.texts("publicKey");
    let fetched = if configured.is_empty() { Some(fetched_travis_key(context)?) } else { None };
    let signature = STANDARD.decode(signature).map_err(|_| Cause::SignatureMismatch)?;
    let is_genuine = configured
        .into_iter()
        .chain(fetched.as_deref())
        .filter_map(|text| PublicKey::parse(Algorithm::RsaSha1, text))
        .any(|key| key.verifies(Algorithm::RsaSha1, payload, &signature));
    match fetched {
        _ if is_genuine => Ok(()),
        Some(_) => Err(Need::newer(TRAVIS_CONFIG_URL, context.fetched, Cause::SignatureMismatch)),
        None => Err(Cause::SignatureMismatch.into()),
    }
}

/// The key in Travis CI's public configuration: `/config/notifications/webhook/public_key`.
fn fetched_travis_key(context: &Context<'_>) -> Result<String, Failure> {
    let Some(bytes) = context.fetched.get(TRAVIS_CONFIG_URL) else {
        return Err(Failure::Needs(Need::new(TRAVIS_CONFIG_URL)));
    };
    let config: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| Cause::UnknownKey)?;
    let key = config.pointer("/config/notifications/webhook/public_key").and_then(serde_json::Value::as_str);
    Ok(key.ok_or(Cause::UnknownKey)?.to_owned())
}

#[cfg(test)]
mod tests;
