//! Signatures over fields that are put together again: forms, members of JSON, the request's parts.
//!
//! One small function each. What a scheme leaves unsigned is said at its function. Each source is the
//! provider's own library, named there.

mod adyen;
mod braintree;
mod contentful;
mod hubspot;
mod mailgun;
mod twilio;

pub(super) use braintree::{challenge_reply as braintree_challenge_reply, is_challenge as is_braintree_challenge};

pub(super) use mailgun::token as mailgun_token;

use super::{Cause, Context, Failure, Request, Settings};

/// How a provider puts together what it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Canonical {
    /// Adyen's payment notifications: eight fields of each item.
    Adyen,
    /// Braintree: the payload of a form, with a key made from the private key.
    Braintree,
    /// Contentful: method, path, the headers named, body.
    Contentful,
    /// HubSpot, version 1: a hash of secret and body.
    HubspotV1,
    /// HubSpot, version 2: a hash of secret, method, URL and body.
    HubspotV2,
    /// Mailgun: timestamp and token, in the body.
    Mailgun,
    /// Mandrill: URL and the fields of a form.
    Mandrill,
    /// Twilio: URL and the fields of a form, or the URL with a hash of the body in it.
    Twilio,
}

/// Verifies one request. The keys are the settings' secrets.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the families are called alike")]
pub(crate) fn verify(
    scheme: &Canonical,
    settings: &Settings,
    request: &Request<'_>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let verdict: Result<(), Cause> = match scheme {
        Canonical::Adyen => adyen::verify(settings, request),
        Canonical::Braintree => braintree::verify(settings, request),
        Canonical::Contentful => contentful::verify(settings, request, context),
        Canonical::HubspotV1 => hubspot::verify(hubspot::Version::V1, settings, request),
        Canonical::HubspotV2 => hubspot::verify(hubspot::Version::V2, settings, request),
        Canonical::Mailgun => mailgun::verify(settings, request, context),
        Canonical::Mandrill => twilio::verify_mandrill(settings, request),
        Canonical::Twilio => twilio::verify(settings, request),
    };
    verdict.map_err(Failure::from)
}

/// Whether any secret makes the text that was given.
fn any_secret(settings: &Settings, given: &str, made: impl Fn(&str) -> Option<String>) -> Result<(), Cause> {
    let mut is_genuine = false;
    // Anybody has the empty key.
    for secret in settings.secrets().into_iter().filter(|secret| !secret.is_empty()) {
        is_genuine |= made(secret).is_some_and(|made| super::reading::is_same(&made, given));
    }
    if is_genuine { Ok(()) } else { Err(Cause::SignatureMismatch) }
}

#[cfg(test)]
mod tests;
