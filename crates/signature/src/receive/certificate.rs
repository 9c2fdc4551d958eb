//! Signatures whose key comes in a certificate that the request names by URL.
//!
//! In order: the URL must be the provider's; the certificate is asked for, if it has not been fetched;
//! its validity, its chain and its name are checked; then the signature. A request can name any URL, so that
//! the list of hosts and paths is what keeps the rest meaningful.
//!
//! Sources: the AWS documentation "Verifying the signatures of Amazon SNS messages",
//! aws-php-sns-message-validator and `sns-validator`; PayPal's webhook documentation and `WebhookEvent` of
//! paypalrestsdk.

mod chain;
mod paypal;
mod sns;

pub(super) use sns::is_sns_url;

use super::asymmetric::{Algorithm, PublicKey};
use super::{Cause, Context, Failure, Need, Request, Settings};
use chain::{Anchors, Leaf};

/// Whose certificates are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// Amazon SNS: fields of the body, RSA.
    AwsSns,
    /// PayPal: headers and the body's CRC-32, RSA.
    Paypal,
}

/// Verifies one request.
///
/// Settings: `topicArns` for SNS (one or a list; any topic if there is none); `webhookId` for PayPal;
/// `trustedCaPem` for both, certificates in PEM that are trusted in place of the web's.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the families are called alike")]
pub(crate) fn verify(
    scheme: &Certificate,
    settings: &Settings,
    request: &Request<'_>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    match scheme {
        Certificate::AwsSns => sns::verify(settings, request, context),
        Certificate::Paypal => paypal::verify(settings, request, context),
    }
}

/// What a provider's certificates are like.
struct Rule {
    /// Whether a name of the certificate is the provider's.
    is_name: fn(&str) -> bool,
    /// What a certificate must lead to where the settings have no `trustedCaPem`.
    trust: Trust,
}

/// What a certificate leads to.
#[derive(Clone, Copy)]
enum Trust {
    /// Whatever the provider's host serves by https: the host itself was judged by the web's roots.
    Host,
    /// One of the web's roots; what lies between may be fetched from these hosts.
    WebRoots {
        /// Hosts of the authorities that issue for the provider.
        issuers: &'static [&'static str],
    },
}

/// Most certificates between the provider's and a root that are fetched one after another.
const ISSUERS_MAX: usize = 3;

/// The key of the certificate behind a URL, when all about it is right.
fn trusted_key(rule: &Rule, url: &str, settings: &Settings, context: &Context<'_>) -> Result<PublicKey, Failure> {
    let mut ders = chain::certificates(fetched(url, context)?);
    if ders.is_empty() {
        return Err(Cause::CertUntrusted.into());
    }
    let leaf_der = ders.remove(0);
    let leaf = Leaf::read(&leaf_der)?;
    leaf.check_validity(context.now_ms)?;
    match (settings.text("trustedCaPem"), rule.trust) {
        (Some(pem), _) => Anchors::parse(pem)?.check(&leaf_der, &ders, context.now_ms)?,
        (None, Trust::WebRoots { issuers }) => check_web(&leaf, &leaf_der, ders, issuers, context)?,
        (None, Trust::Host) => {}
    }
    if leaf.names().iter().any(|name| (rule.is_name)(name)) {
        Ok(leaf.key()?)
    } else {
        Err(Cause::CertWrongName.into())
    }
}

/// Whether a certificate leads to one of the web's roots, by way of the others that came with it and of those
/// that each names as its issuer's.
fn check_web(
    leaf: &Leaf,
    leaf_der: &[u8],
    mut others: Vec<Vec<u8>>,
    hosts: &[&str],
    context: &Context<'_>,
) -> Result<(), Failure> {
    let anchors = Anchors::web();
    let mut issuer_url = leaf.issuer_url(hosts);
    for _ in 0..=ISSUERS_MAX {
        let verdict = anchors.check(leaf_der, &others, context.now_ms);
        let (Err(Cause::CertUntrusted), Some(url)) = (verdict, issuer_url.take()) else {
            return verdict.map_err(Failure::from);
        };
        let issuer = chain::certificates(fetched(&url, context)?).into_iter().next().ok_or(Cause::CertUntrusted)?;
        issuer_url = Leaf::read(&issuer)?.issuer_url(hosts);
        others.push(issuer);
    }
    Err(Cause::CertUntrusted.into())
}

fn fetched<'a>(url: &str, context: &Context<'a>) -> Result<&'a [u8], Failure> {
    context.fetched.get(url).ok_or_else(|| Failure::Needs(Need::new(url)))
}

/// A URL's host and path if it is plainly https: no user, no port, no query, no fragment, no way to go up, and
/// nothing that two readers could read differently.
fn plain_https(url: &str) -> Option<(&str, &str)> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'/');
    let rest = url.strip_prefix("https://")?;
    if !rest.bytes().all(is_plain) || rest.contains("..") || rest.contains("//") {
        return None;
    }
    rest.find('/').map(|at| rest.split_at(at))
}

/// Checks an RSA signature in base64 with a certificate's key.
fn check_signature(key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &str) -> Result<(), Cause> {
    use base64::Engine as _;
    let signature =
        base64::engine::general_purpose::STANDARD.decode(signature).map_err(|_| Cause::SignatureMismatch)?;
    if key.verifies(algorithm, message, &signature) { Ok(()) } else { Err(Cause::SignatureMismatch) }
}

#[cfg(test)]
mod tests;
