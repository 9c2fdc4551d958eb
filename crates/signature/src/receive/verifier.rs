//! A source's verifier: made once from type and configuration, asked for every request.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::catalog::{self, How, Scheme, SourceType, When, WithoutSecret};
use super::config::{self, ConfigError};
use super::describe::{self, Described};
use super::handshake::{self, Handshake};
use super::hmac::Signed;
use super::{Cause, Context, Failure, Rejection, Reply, Request, Settings, Verdict};
use super::{asymmetric, canonical, certificate, configured, hint, hmac, jwt, lookup, reading, token};

/// Why no source can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// No type has this name.
    #[error("no source type is named `{0}`")]
    UnknownType(String),
    /// The type is known, and how it signs could not be confirmed.
    #[error("how `{name}` signs could not be confirmed ({known}): use generic-hmac, generic-token or generic-jwt")]
    Unconfirmed {
        /// The type.
        name: &'static str,
        /// What is known of it.
        known: &'static str,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What judges the requests of one source.
#[derive(Clone)]
pub struct Verifier {
    source_type: &'static SourceType,
    /// The one scheme to use, where the caller and not the configuration or the request says so.
    pinned: Option<&'static Scheme>,
    settings: Settings,
}

impl Verifier {
    /// From a source's type and its configuration.
    pub fn new(type_name: &str, config: Map<String, Value>) -> Result<Self, SetupError> {
        let source_type = catalog::find(type_name).ok_or_else(|| SetupError::UnknownType(type_name.to_owned()))?;
        let config = Self::checked(source_type, config, config::check)?;
        Ok(Self { source_type, pinned: None, settings: Settings::new(config) })
    }

    /// For one scheme by the name that vector files have for it. Of the configuration only the names are
    /// checked: a key that cannot be decoded verifies nothing.
    pub fn for_scheme(scheme_name: &str, config: Map<String, Value>) -> Result<Self, SetupError> {
        let unknown = || SetupError::UnknownType(scheme_name.to_owned());
        let (source_type, scheme) = catalog::find_scheme(scheme_name).ok_or_else(unknown)?;
        let check = |source_type: &SourceType, config: Map<String, Value>| {
            config::check_names(source_type, &config).map(|()| config)
        };
        let config = Self::checked(source_type, config, check)?;
        Ok(Self { source_type, pinned: Some(scheme), settings: Settings::new(config) })
    }

    fn checked(
        source_type: &'static SourceType,
        config: Map<String, Value>,
        check: impl Fn(&SourceType, Map<String, Value>) -> Result<Map<String, Value>, ConfigError>,
    ) -> Result<Map<String, Value>, SetupError> {
        if source_type.is_confirmed() {
            Ok(check(source_type, config)?)
        } else {
            Err(SetupError::Unconfirmed { name: source_type.name, known: source_type.source })
        }
    }

    /// The type.
    pub fn source_type(&self) -> &'static SourceType {
        self.source_type
    }

    /// Whether requests are verified at all: not by `generic-webhook`, and not where the contract lets a
    /// secret be absent and it is.
    pub fn is_verifying(&self) -> bool {
        let is_open = self.source_type.schemes.iter().any(|scheme| matches!(scheme.how, How::Nothing));
        !is_open && !self.is_without_optional_secret()
    }

    /// Whether the source receives requests at all: a schedule does not.
    pub fn is_receiving(&self) -> bool {
        self.source_type.is_receiving()
    }

    /// Judges a request as it was received.
    pub fn judge(&self, request: &Request, context: &Context) -> Verdict {
        if let Some(verdict) = self.handshake(false, request, context) {
            return verdict;
        }
        let received = request;
        let url = self.registered_url(request);
        let request = &Request { url: &url, ..*request };
        match self.verify(request, context) {
            Ok(()) => self.handshake(true, received, context).unwrap_or(Verdict::Accepted),
            Err(Failure::Needs(need)) => Verdict::Needs(need),
            Err(Failure::Rejected(cause)) => self.rejected(cause, request, context),
        }
    }

    /// Answers a handshake, if the request is one: of those that are told before verification, or of those
    /// that are signed as any other request.
    fn handshake(&self, is_verified: bool, request: &Request, context: &Context) -> Option<Verdict> {
        let handshakes = self.source_type.handshakes.iter().filter(|one| one.needs_verified() == is_verified);
        handshakes.copied().find_map(|handshake| {
            let answered = handshake::answer(handshake, &self.settings, request, context)?;
            Some(answered.map_or_else(|cause| self.rejected(cause, request, context), Verdict::Handshake))
        })
    }

    /// What the request says of itself. Worth something when it was accepted.
    pub fn describe(&self, request: &Request) -> Described {
        describe::describe(self.source_type, self.scheme(request), request)
    }

    /// What the provider expects as the answer to an accepted request.
    pub fn answer(&self) -> Reply {
        let answer = self.source_type.answer;
        let mut headers = Vec::new();
        if let Some(content_type) = answer.content_type {
            headers.push(("content-type", content_type.to_owned()));
        }
        if let Some((name, setting)) = answer.echo {
            headers.extend(self.settings.texts(setting).first().map(|value| (name, (*value).to_owned())));
        }
        Reply { status: answer.status, headers, body: answer.body.into(), learned: None, confirm: None }
    }

    /// What is to be added to a request so that this accepts it: by an HMAC or token scheme, the first
    /// that applies to a source so configured. `None` for other schemes, and without a secret.
    pub fn sign(&self, request: &Request, at_ms: i64, id: &str) -> Option<Signed> {
        let url = self.registered_url(request);
        let request = &Request { url: &url, ..*request };
        let scheme = self.pinned.or_else(|| {
            let applies = |scheme: &&Scheme| match scheme.when {
                When::Always | When::Header(_) => true,
                When::Setting(_) | When::Choice(..) => self.applies(scheme, request),
            };
            self.source_type.schemes.iter().find(applies)
        })?;
        match scheme.how {
            How::Hmac(scheme) => hmac::sign(&scheme, &self.settings, request, at_ms, id),
            How::Token(scheme) => token::sign(&scheme, &self.settings),
            How::ConfiguredHmac => {
                let template = configured::template_of(&self.settings);
                hmac::sign(&configured::hmac(&self.settings, &template), &self.settings, request, at_ms, id)
            }
            How::ConfiguredToken => token::sign(&configured::token(&self.settings), &self.settings),
            _ => None,
        }
    }

    /// The URL that is registered at the provider, where the source names it; with the query of the request,
    /// to which some providers add.
    fn registered_url<'a>(&'a self, request: &Request<'a>) -> Cow<'a, str> {
        let Some(registered) = self.settings.text("notificationUrl") else {
            return Cow::Borrowed(request.url);
        };
        let query = reading::query(request.url);
        if query.is_empty() {
            return Cow::Borrowed(registered);
        }
        let before = registered.split(['?', '#']).next().unwrap_or(registered);
        Cow::Owned(format!("{before}?{query}"))
    }

    fn is_without_optional_secret(&self) -> bool {
        self.source_type.without_secret == WithoutSecret::Open && self.settings.secrets().is_empty()
    }

    fn applies(&self, scheme: &Scheme, request: &Request) -> bool {
        match scheme.when {
            When::Always => true,
            When::Header(name) => lookup::header(request.headers, name).is_some(),
            When::Setting(name) => !self.settings.texts(name).is_empty(),
            When::Choice(name, value) => self.settings.text(name) == Some(value),
        }
    }

    /// The scheme for a request: the strongest that applies, and never a weaker one beside it. Where none
    /// applies it is the strongest, so that what is missing is named.
    pub(crate) fn scheme(&self, request: &Request) -> Option<&'static Scheme> {
        let schemes = self.source_type.schemes;
        let chosen = schemes.iter().find(|scheme| self.applies(scheme, request));
        self.pinned.or(chosen).or_else(|| schemes.first())
    }

    fn verify(&self, request: &Request, context: &Context) -> Result<(), Failure> {
        if self.is_without_optional_secret() {
            return Ok(());
        }
        let signs_challenges = self.source_type.handshakes.contains(&Handshake::X);
        if signs_challenges && handshake::could_be_x_challenge(request.body) {
            // The signature of such a body is what a challenge is answered with.
            return Err(Cause::MalformedBody.into());
        }
        let scheme = self.scheme(request).ok_or(Cause::SignatureMismatch)?;
        match scheme.how {
            How::Hmac(scheme) => hmac::verify(&scheme, &self.settings, request, context),
            How::Token(scheme) => token::verify(&scheme, &self.settings, request, context),
            How::ConfiguredHmac => {
                let template = configured::template_of(&self.settings);
                hmac::verify(&configured::hmac(&self.settings, &template), &self.settings, request, context)
            }
            How::ConfiguredToken => token::verify(&configured::token(&self.settings), &self.settings, request, context),
            How::Asymmetric(scheme) => asymmetric::verify(&scheme, &self.settings, request, context),
            How::Canonical(scheme) => canonical::verify(&scheme, &self.settings, request, context),
            How::Certificate(scheme) => certificate::verify(&scheme, &self.settings, request, context),
            How::Jwt(scheme) => jwt::verify(&scheme, &self.settings, request, context),
            How::Nothing => Ok(()),
            How::Closed | How::Unconfirmed => Err(Cause::SignatureMismatch.into()),
        }
    }

    fn rejected(&self, cause: Cause, request: &Request, context: &Context) -> Verdict {
        let find = || hint::hint(self.source_type, self.scheme(request), &self.settings, cause, request, context);
        let hint = if context.explains { find() } else { None };
        Verdict::Rejected(Rejection { cause, hint })
    }
}

impl std::fmt::Debug for Verifier {
    /// Without the settings, which hold secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Verifier").field("type", &self.source_type.name).finish_non_exhaustive()
    }
}
