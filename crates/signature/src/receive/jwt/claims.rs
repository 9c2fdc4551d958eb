//! What a token claims about its time, its issuer, its audience and its sender.

use serde_json::{Map, Value};

use crate::receive::reading;
use crate::receive::{Cause, Context, Request, Settings};

/// Seconds that `iat` and `nbf` may be ahead, whatever the leeway of `exp`.
const AHEAD_S_MAX: i64 = 300;

/// What a token must claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Whether a token without `iat` is refused.
    pub(crate) is_iat_needed: bool,
    /// Whether a token without `exp` is refused.
    pub(crate) is_exp_needed: bool,
    /// Seconds past `exp` at which a token still counts, for clocks that differ.
    pub(crate) leeway_s: u32,
    /// Most seconds since `iat`.
    pub(crate) age_s_max: Option<u32>,
    /// Most seconds until `exp`.
    pub(crate) lifetime_s_max: Option<u32>,
    /// Accepted values of `iss`; any if empty. The setting `issuer` stands in its place.
    pub(crate) issuers: &'static [&'static str],
    /// Accepted values of `aud`.
    pub(crate) audience: Audience,
    /// Whose token it is.
    pub(crate) sender: Sender,
}

/// Accepted values of `aud`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The setting `audience`; any if there is none.
    Configured,
    /// The setting `audience`, or else the URL at which the request came in.
    ConfiguredOrUrl,
}

/// Whose token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Anybody's who can sign it.
    Any,
    /// The service account's that the setting `serviceAccount` names (one or a list), its address verified.
    ServiceAccount,
}

impl Claims {
    /// Nothing is needed, though what is there must be right.
    pub(crate) const NONE: Self = Self {
        is_iat_needed: false,
        is_exp_needed: false,
        leeway_s: 0,
        age_s_max: None,
        lifetime_s_max: None,
        issuers: &[],
        audience: Audience::Configured,
        sender: Sender::Any,
    };

    /// Judges a token's claims, its signature being right.
    pub(super) fn check(
        &self,
        settings: &Settings,
        request: &Request<'_>,
        context: &Context<'_>,
        claims: &Map<String, Value>,
    ) -> Result<(), Cause> {
        self.check_times(settings, context.now_ms.div_euclid(1_000), claims)?;
        check_issuer(self.issuers, settings, claims)?;
        check_audience(self.audience, settings, request, claims)?;
        check_sender(self.sender, settings, claims)
    }

    fn check_times(&self, settings: &Settings, now_s: i64, claims: &Map<String, Value>) -> Result<(), Cause> {
        let own = settings.integer("toleranceSeconds").and_then(|seconds| u32::try_from(seconds).ok());
        let leeway_s = i64::from(own.unwrap_or(self.leeway_s));
        let ahead_s_max = own.map_or(AHEAD_S_MAX, i64::from);
        let age_s_max = self.age_s_max.map(|own_max| own.unwrap_or(own_max));
        let [iat, nbf, exp] = [time(claims, "iat")?, time(claims, "nbf")?, time(claims, "exp")?];
        if (self.is_iat_needed && iat.is_none()) || (self.is_exp_needed && exp.is_none()) {
            return Err(Cause::MissingTimestamp);
        }
        let is_ahead = |time: i64| time.saturating_sub(now_s) > ahead_s_max;
        if iat.is_some_and(is_ahead) || nbf.is_some_and(is_ahead) {
            return Err(Cause::TimestampInFuture);
        }
        if exp.is_some_and(|exp| now_s.saturating_sub(exp) >= leeway_s.max(0)) {
            return Err(Cause::TimestampExpired);
        }
        let is_aged = |iat: i64| age_s_max.is_some_and(|max| now_s.saturating_sub(iat) > i64::from(max));
        if iat.is_some_and(is_aged) {
            return Err(Cause::TimestampExpired);
        }
        let is_long = |exp: i64| self.lifetime_s_max.is_some_and(|max| exp.saturating_sub(now_s) >= i64::from(max));
        if exp.is_some_and(is_long) { Err(Cause::TimestampInFuture) } else { Ok(()) }
    }
}

/// Seconds since 1970; a fraction is cut.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Cause> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64));
            seconds.map(Some).ok_or(Cause::MalformedTimestamp)
        }
        Some(_) => Err(Cause::MalformedTimestamp),
    }
}

fn check_issuer(issuers: &[&str], settings: &Settings, claims: &Map<String, Value>) -> Result<(), Cause> {
    let configured = settings.texts("issuer");
    let accepted = if configured.is_empty() { issuers } else { &configured };
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or("");
    if accepted.is_empty() || accepted.contains(&issuer) { Ok(()) } else { Err(Cause::WrongIssuer) }
}

fn check_audience(
    audience: Audience,
    settings: &Settings,
    request: &Request<'_>,
    claims: &Map<String, Value>,
) -> Result<(), Cause> {
    let mut accepted = settings.texts("audience");
    match audience {
        Audience::Configured if accepted.is_empty() => return Ok(()),
        Audience::ConfiguredOrUrl if accepted.is_empty() => accepted.push(request.url),
        Audience::Configured | Audience::ConfiguredOrUrl => {}
    }
    let is_accepted = |value: &Value| value.as_str().is_some_and(|text| accepted.contains(&text));
    let is_meant = match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().any(is_accepted),
        Some(value) => is_accepted(value),
        None => false,
    };
    if is_meant { Ok(()) } else { Err(Cause::WrongRecipient) }
}

fn check_sender(sender: Sender, settings: &Settings, claims: &Map<String, Value>) -> Result<(), Cause> {
    if sender == Sender::Any {
        return Ok(());
    }
    let address = claims.get("email").and_then(Value::as_str).unwrap_or("");
    let is_verified = claims.get("email_verified").and_then(Value::as_bool) == Some(true);
    let is_known = settings.texts("serviceAccount").into_iter().any(|own| reading::is_same(own, address));
    if is_verified && is_known { Ok(()) } else { Err(Cause::WrongSender) }
}
