//! Verifying what providers send: one interface over all their schemes.
//!
//! A [`Verifier`] is made once from a source's type and configuration. It judges requests as they
//! were received, byte for byte; what a scheme needs by URL (a certificate, a key set) it asks for, and
//! is asked again when it has been fetched.

#[cfg_attr(not(test), expect(dead_code, reason = "named by the catalogue, which comes next"))]
mod asymmetric;
#[cfg_attr(not(test), expect(dead_code, reason = "named by the catalogue, which comes next"))]
mod canonical;
mod cause;
#[cfg_attr(not(test), expect(dead_code, reason = "named by the catalogue, which comes next"))]
mod certificate;
#[cfg_attr(not(test), expect(dead_code, reason = "named by the catalogue, which comes next"))]
mod handshake;
#[cfg_attr(not(test), expect(dead_code, reason = "named by the catalogue, which comes next"))]
mod jwt;
mod reading;
mod settings;
#[cfg(test)]
mod tests_families;

use http::{HeaderMap, Method};

pub use cause::Cause;
pub use settings::Settings;

/// A request as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The whole URL that is registered at the provider, with path remainder and query as received:
    /// some schemes sign it.
    pub url: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The exact bytes.
    pub body: &'a [u8],
}

/// What a request is judged with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The time of day, in milliseconds since 1970.
    pub now_ms: i64,
    /// What was fetched for [`Need`]s.
    pub fetched: &'a dyn Fetched,
    /// Whether a handshake has already given this source its key: a second one is refused.
    pub is_registered: bool,
}

/// What was fetched by URL, from the providers' own hosts only.
pub trait Fetched {
    /// The bytes behind a URL, if they have been fetched.
    fn get(&self, url: &str) -> Option<&[u8]>;
}

/// What is to become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the provider's: a message.
    Accepted,
    /// It is a handshake: no message, but an answer.
    Handshake(Reply),
    /// It is not.
    Rejected(Rejection),
    /// It cannot be told before this is fetched.
    Needs(Need),
}

/// The answer to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The exact bytes.
    pub body: Vec<u8>,
    /// A key that the handshake brings, to be kept as the source's secret.
    pub learned: Option<String>,
    /// A URL that is to be called to confirm (AWS SNS), by the guarded client.
    pub confirm: Option<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// One of a closed list.
    pub cause: Cause,
    /// What may be wrong, for the source's owner; never for the sender.
    pub hint: Option<String>,
}

/// What is to be fetched: https, the provider's own host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// From where.
    pub url: String,
}

/// Why a scheme does not accept a request, before there is a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is refused.
    Rejected(Cause),
    /// It cannot be told before this is fetched.
    Needs(Need),
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self::Rejected(cause)
    }
}
