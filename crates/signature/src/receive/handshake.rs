//! Handshakes: what providers send to see whether a URL is ours, and what they expect.
//!
//! A handshake is told by its form, before or after its signature is verified, as the scheme wants
//! ([`Handshake::needs_verified`]). What is computed with a secret never signs what could be a body: the text
//! to sign is of a form that no body has. What is echoed goes out as `text/plain` with `nosniff`, so that
//! nobody's browser takes it for a page.
//!
//! Sources: the providers' documentation of their webhooks, and for Braintree and Zoom their samples.

mod ask;
mod reply;

use http::Method;

use super::reading;
use super::{Cause, Context, Reply, Request, Settings};

/// Most characters of what is echoed or signed.
const CHALLENGE_CHARS_MAX: usize = 1_024;

/// A provider's handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// Adobe Acrobat Sign: its client id, which every answer repeats.
    AdobeSign,
    /// Asana: a header that brings the secret.
    Asana,
    /// Braintree: a challenge in the URL, signed.
    Braintree,
    /// Discord: PING, of interactions or of webhook events.
    Discord,
    /// eBay: a challenge in the URL, hashed with a token and the URL.
    Ebay,
    /// A parameter of the URL that is echoed: Dropbox, Nylas, Adobe I/O (`challenge`), Onfleet (`check`).
    EchoParameter(&'static str),
    /// A header that is echoed: RingCentral (`validation-token`).
    EchoHeader(&'static str),
    /// Any `GET` (Mailchimp).
    Get,
    /// Any `HEAD` (Trello, Mandrill).
    Head,
    /// Meta: `hub.challenge` in the URL, with a token of ours.
    Meta,
    /// Microsoft Graph: `validationToken` in the URL of a `POST`.
    MicrosoftGraph,
    /// monday: a body that is a challenge alone.
    Monday,
    /// Notion: a body that is the secret alone.
    Notion,
    /// Okta: a challenge in a header.
    Okta,
    /// Slack: `url_verification`.
    Slack,
    /// Smartsheet: a challenge in a header and in the body.
    Smartsheet,
    /// Amazon SNS: a URL to call.
    Sns,
    /// Strava: as Meta, answered as JSON.
    Strava,
    /// Twitch: `webhook_callback_verification`.
    Twitch,
    /// WooCommerce: a form of the webhook's id alone.
    Woocommerce,
    /// X: a challenge in the URL, signed.
    X,
    /// Zoom: `endpoint.url_validation`, signed.
    Zoom,
}

impl Handshake {
    /// Whether the request must be verified before it is answered: the provider signs it as any other.
    pub(crate) const fn needs_verified(self) -> bool {
        matches!(self, Self::Discord | Self::Slack | Self::Sns | Self::Twitch | Self::Zoom)
    }
}

/// The answer to a handshake, or why there is none. `None`: this is no handshake but a message.
///
/// Settings: `verifyToken` (Meta, Strava, eBay), `clientId` (Adobe Sign), `publicKeyId` (Braintree),
/// `endpoint` (Discord: `interactions` or `events`), `notificationUrl` (eBay), and the secrets.
pub(crate) fn answer(
    handshake: Handshake,
    settings: &Settings,
    request: &Request<'_>,
    context: &Context<'_>,
) -> Option<Result<Reply, Cause>> {
    match handshake {
        Handshake::AdobeSign => ask::adobe_sign(settings, request),
        Handshake::Asana => ask::asana(request, context),
        Handshake::Braintree => ask::braintree(settings, request),
        Handshake::Discord => ask::discord(settings, request),
        Handshake::Ebay => ask::ebay(settings, request),
        Handshake::EchoParameter(name) => ask::echo_parameter(name, request),
        Handshake::EchoHeader(name) => ask::echo_header(name, request),
        Handshake::Get => (request.method == Method::GET).then(|| Ok(reply::empty(200))),
        Handshake::Head => (request.method == Method::HEAD).then(|| Ok(reply::empty(200))),
        Handshake::Meta => ask::hub(settings, request, reply::text),
        Handshake::MicrosoftGraph => ask::microsoft_graph(request),
        Handshake::Monday => ask::monday(request),
        Handshake::Notion => ask::notion(request, context),
        Handshake::Okta => ask::okta(request),
        Handshake::Slack => ask::slack(request),
        Handshake::Smartsheet => ask::smartsheet(request),
        Handshake::Sns => ask::sns(request),
        Handshake::Strava => {
            ask::hub(settings, request, |challenge| reply::json(&serde_json::json!({ "hub.challenge": challenge })))
        }
        Handshake::Twitch => ask::twitch(request),
        Handshake::Woocommerce => ask::woocommerce(request),
        Handshake::X => ask::x(settings, request),
        Handshake::Zoom => ask::zoom(settings, request),
    }
}

/// Whether a body could have been signed as an answer to a challenge of X. The same key signs both, so that the
/// verifier must refuse such a body; no message of X looks like it.
pub(crate) fn could_be_x_challenge(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(ask::is_crc_token)
}

#[cfg(test)]
mod tests;
