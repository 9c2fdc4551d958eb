//! Signed tokens (RFC 7519): compact, and one algorithm per scheme, which the token does not choose.
//!
//! In order: the token's form, its algorithm, its key, its signature; then the claims: times, issuer,
//! audience, sender; then what binds it to the request. Deliberately absent: encrypted tokens, nested ones,
//! and keys that a token brings along (`jwk`, `jku`, `x5u`).
//!
//! Sources: Plaid's "Webhook verification"; `AppStrategy` of `@wix/sdk`; `verifySignedJwtWithCertsAsync` of
//! google-auth-library; `atlassian-jwt`; monday's documentation of webhooks.

mod claims;
mod key;
mod qsh;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::asymmetric::PublicKey;
use super::config::ConfigError;
use super::reading;
use super::{Cause, Context, Failure, Request, Settings};
pub(crate) use claims::{Audience, Claims, Sender};

/// Most bytes of a token in a header.
const TOKEN_BYTES_MAX: usize = 16_384;

/// How a provider uses tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jwt {
    /// What tokens are signed with. `None`: the setting `algorithm`, by its name in tokens.
    pub(crate) algorithm: Option<JwtAlgorithm>,
    /// Where the token is.
    pub(crate) place: Place,
    /// Where its key comes from.
    pub(crate) keys: Keys,
    /// What it must claim.
    pub(crate) claims: Claims,
    /// What it says about the request.
    pub(crate) binding: Binding,
}

/// What a token is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl JwtAlgorithm {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [Self::Hs256, Self::Hs384, Self::Hs512, Self::Rs256, Self::Es256, Self::EdDsa];

    /// Its name in tokens.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Where a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The whole header.
    Header(&'static str),
    /// `Authorization`, behind a word.
    Authorization {
        /// The word: `Bearer`.
        word: &'static str,
        /// A parameter of the URL that may carry it in place of the header.
        parameter: Option<&'static str>,
    },
    /// The whole body.
    Body,
    /// The header that the setting `header` names, or `Authorization` behind `Bearer`.
    Configured,
}

/// Where a token's key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// The settings' secrets.
    Secrets,
    /// The settings' `publicKey`, one or a list.
    Public,
    /// By the token's `kid` from the settings' `jwks`, or else from this URL.
    Set {
        /// `None`: the setting `jwksUrl`.
        url: Option<&'static str>,
    },
    /// Whichever of `jwks`, `jwksUrl`, `publicKey` and the secrets is set, in this order.
    Configured,
}

/// What a token says about the request that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Nothing: the body is unsigned.
    None,
    /// A claim is the body's SHA-256 in lower-case hexadecimal digits.
    BodySha256(&'static str),
    /// Atlassian's `qsh`: method, path and query. The body is unsigned.
    QueryHash,
    /// The token is the body.
    Whole,
}

impl Jwt {
    /// Plaid: the body's hash, five minutes.
    pub(crate) const PLAID: Self = Self {
        algorithm: Some(JwtAlgorithm::Es256),
        place: Place::Header("plaid-verification"),
        keys: Keys::Set { url: None },
        claims: Claims { is_iat_needed: true, age_s_max: Some(300), ..Claims::NONE },
        binding: Binding::BodySha256("request_body_sha256"),
    };

    /// Wix: the body is the token.
    pub(crate) const WIX: Self = Self {
        algorithm: Some(JwtAlgorithm::Rs256),
        place: Place::Body,
        keys: Keys::Public,
        claims: Claims { is_exp_needed: true, ..Claims::NONE },
        binding: Binding::Whole,
    };

    /// Google Pub/Sub: an OIDC token of a service account. Anybody can have Google sign one, so that the
    /// setting `serviceAccount` is needed.
    pub(crate) const GOOGLE_PUBSUB: Self = Self {
        algorithm: Some(JwtAlgorithm::Rs256),
        place: Place::Authorization { word: "Bearer", parameter: None },
        keys: Keys::Set { url: Some(GOOGLE_KEYS_URL) },
        claims: Claims {
            is_iat_needed: true,
            is_exp_needed: true,
            leeway_s: 300,
            lifetime_s_max: Some(86_400),
            issuers: &["https://accounts.google.com", "accounts.google.com"],
            audience: Audience::ConfiguredOrUrl,
            sender: Sender::ServiceAccount,
            ..Claims::NONE
        },
        binding: Binding::None,
    };

    /// Atlassian Connect: the tenant's shared secret, method and URL.
    pub(crate) const ATLASSIAN_CONNECT: Self = Self {
        algorithm: Some(JwtAlgorithm::Hs256),
        place: Place::Authorization { word: "JWT", parameter: Some("jwt") },
        keys: Keys::Secrets,
        claims: Claims { is_exp_needed: true, ..Claims::NONE },
        binding: Binding::QueryHash,
    };

    /// monday: the app's signing secret.
    pub(crate) const MONDAY: Self = Self {
        algorithm: Some(JwtAlgorithm::Hs256),
        place: Place::Header("authorization"),
        keys: Keys::Secrets,
        claims: Claims { is_exp_needed: true, ..Claims::NONE },
        binding: Binding::None,
    };

    /// What a source's owner configures.
    pub(crate) const GENERIC: Self = Self {
        algorithm: None,
        place: Place::Configured,
        keys: Keys::Configured,
        claims: Claims { is_exp_needed: true, leeway_s: 60, ..Claims::NONE },
        binding: Binding::None,
    };
}

/// Checks what no single field of a `generic-jwt` configuration tells: that its keys are of the algorithm's kind,
/// and that tokens of an issuer's other customers are told from one's own.
pub(crate) fn check_config(config: &Map<String, Value>) -> Result<(), ConfigError> {
    let settings = Settings::new(config.clone());
    let wrong = |field: &str, expected: &str| Err(ConfigError::new(field, expected));
    let name = settings.text("algorithm").unwrap_or_default();
    let Some(algorithm) = JwtAlgorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name) else {
        return wrong("algorithm", "the name of an algorithm");
    };
    let public = ["publicKey", "jwks", "jwksUrl"].into_iter().find(|field| config.contains_key(*field));
    match (key::asymmetric(algorithm), public) {
        (None, Some(field)) => wrong(field, "not beside an algorithm with a shared secret"),
        (None, None) if settings.secrets().is_empty() => wrong("secret", "is needed for HS256, HS384 and HS512"),
        (None, None) => Ok(()),
        (Some(_), None) => wrong("publicKey", "is needed, or `jwks`, or `jwksUrl`"),
        (Some(kind), Some(_)) => {
            let is_right = |text: &str| PublicKey::of_kind(kind, text).is_some();
            if !settings.texts("publicKey").into_iter().all(is_right) {
                wrong("publicKey", "a public key of the algorithm's kind, in PEM")
            } else if config.contains_key("jwksUrl") && !config.contains_key("audience") {
                wrong("audience", "is needed with `jwksUrl`: who publishes keys signs for others, too")
            } else {
                Ok(())
            }
        }
    }
}

/// Where Google publishes its keys.
pub(crate) const GOOGLE_KEYS_URL: &str = "https://www.googleapis.com/oauth2/v3/certs";

/// A token taken apart.
struct Token<'a> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: &'a [u8],
    signature: Vec<u8>,
}

/// Verifies one request.
///
/// Settings beside the keys: `issuer` and `audience`, one or a list each; `serviceAccount`;
/// `toleranceSeconds`, the leeway of all times; `baseUrl` for [`Binding::QueryHash`].
pub(crate) fn verify(
    scheme: &Jwt,
    settings: &Settings,
    request: &Request<'_>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let text = find(scheme.place, settings, request)?;
    let token = parse(&text)?;
    let algorithm = pinned(scheme, settings, &token.header)?;
    if token.header.contains_key("crit") {
        // What must be understood by RFC 7515, 4.1.11, and is not.
        return Err(Cause::MalformedJwt.into());
    }
    key::check(scheme.keys, algorithm, settings, context, &token)?;
    scheme.claims.check(settings, request, context, &token.claims)?;
    check_binding(scheme.binding, settings, request, &token.claims).map_err(Failure::from)
}

/// The scheme's algorithm, which the token must name.
fn pinned(scheme: &Jwt, settings: &Settings, header: &Map<String, Value>) -> Result<JwtAlgorithm, Cause> {
    let configured = || {
        let name = settings.text("algorithm")?;
        JwtAlgorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    };
    let algorithm = scheme.algorithm.or_else(configured).ok_or(Cause::UnsupportedAlgorithm)?;
    let named = header.get("alg").ok_or(Cause::MalformedJwt)?;
    if named.as_str() == Some(algorithm.as_str()) { Ok(algorithm) } else { Err(Cause::UnsupportedAlgorithm) }
}

fn find(place: Place, settings: &Settings, request: &Request<'_>) -> Result<String, Cause> {
    let text = match place {
        Place::Body => return Ok(std::str::from_utf8(request.body).map_err(|_| Cause::MalformedJwt)?.to_owned()),
        Place::Header(name) => reading::header(request, name)?.to_owned(),
        Place::Authorization { word, parameter } => behind_word(word, parameter, request)?,
        Place::Configured => match settings.text("header") {
            Some(name) if !name.eq_ignore_ascii_case("authorization") => reading::header(request, name)?.to_owned(),
            _ => behind_word("Bearer", None, request)?,
        },
    };
    if text.len() > TOKEN_BYTES_MAX { Err(Cause::MalformedJwt) } else { Ok(text) }
}

fn behind_word(word: &str, parameter: Option<&str>, request: &Request<'_>) -> Result<String, Cause> {
    let header = match (reading::header(request, "authorization"), parameter) {
        (Err(Cause::MissingHeader), Some(name)) => {
            return reading::parameter(request.url, name).filter(|text| !text.is_empty()).ok_or(Cause::MissingHeader);
        }
        (header, _) => header?,
    };
    let (given, token) = header.split_once(' ').ok_or(Cause::MalformedHeader)?;
    let token = token.trim_start();
    if given.eq_ignore_ascii_case(word) && !token.is_empty() {
        Ok(token.to_owned())
    } else {
        Err(Cause::MalformedHeader)
    }
}

fn parse(text: &str) -> Result<Token<'_>, Cause> {
    let (signed, signature) = text.rsplit_once('.').ok_or(Cause::MalformedJwt)?;
    let (header, claims) = signed.split_once('.').ok_or(Cause::MalformedJwt)?;
    Ok(Token {
        header: object(header)?,
        claims: object(claims)?,
        signed: signed.as_bytes(),
        signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_| Cause::MalformedJwt)?,
    })
}

fn object(part: &str) -> Result<Map<String, Value>, Cause> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Cause::MalformedJwt)?;
    serde_json::from_slice(&bytes).map_err(|_| Cause::MalformedJwt)
}

fn check_binding(
    binding: Binding,
    settings: &Settings,
    request: &Request<'_>,
    claims: &Map<String, Value>,
) -> Result<(), Cause> {
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or("");
    match binding {
        Binding::None | Binding::Whole => Ok(()),
        Binding::BodySha256(name) => {
            let is_bound = reading::is_same(claim(name), &reading::sha256_hex(&[request.body]));
            if is_bound { Ok(()) } else { Err(Cause::BodyHashMismatch) }
        }
        Binding::QueryHash => {
            let hash = qsh::hash(request.method, request.url, settings.text("baseUrl"))?;
            if reading::is_same(claim("qsh"), &hash) { Ok(()) } else { Err(Cause::UrlMismatch) }
        }
    }
}

#[cfg(test)]
mod tests;
