//! Verifying what providers send: one interface over all their schemes.
//!
//! A [`Verifier`] is made once from a source's type and configuration. It judges requests as they
//! were received, byte for byte; what a scheme needs by URL (a certificate, a key set) it asks for, and
//! is asked again when it has been fetched.

mod asymmetric;
mod canonical;
mod catalog;
mod cause;
mod certificate;
mod config;
mod configured;
mod describe;
mod handshake;
mod hint;
mod hmac;
mod jwt;
mod lookup;
mod reading;
mod sample;
mod settings;
#[cfg(test)]
mod tests_families;
mod token;
pub mod vectors;
mod verifier;

use http::{HeaderMap, Method};

pub use catalog::{Confidence, Field, SourceType, all, find};
pub use cause::Cause;
pub use config::{ConfigError, config_schema, effective_fields};
pub use describe::{Described, EVENT_ID_BYTES_MAX, EVENT_TYPE_BYTES_MAX};
pub use hmac::Signed;
pub use sample::Sample;
pub use settings::Settings;
pub use verifier::{SetupError, Verifier};

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
    /// Whether a rejection is to have its hint: to find one costs several times what judging does.
    pub explains: bool,
}

/// What was fetched by URL, from the providers' own hosts only.
pub trait Fetched {
    /// The bytes behind a URL, if they have been fetched.
    fn get(&self, url: &str) -> Option<&[u8]>;

    /// Whether what [`Self::get`] gives will not be another when it is fetched again now. Where it may be, a key
    /// that it lacks becomes a [`Need`] that is outdated.
    fn is_newest(&self, _url: &str) -> bool {
        true
    }
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
    /// It has been fetched, and lacks a key that the request names: the provider may have a new one.
    pub is_outdated: bool,
}

impl Need {
    /// What has not been fetched.
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), is_outdated: false }
    }

    /// What lacks a key: fetched again if that may help, else the cause.
    pub(crate) fn newer(url: &str, fetched: &dyn Fetched, cause: Cause) -> Failure {
        if fetched.is_newest(url) {
            return cause.into();
        }
        Failure::Needs(Self { url: url.to_owned(), is_outdated: true })
    }
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
