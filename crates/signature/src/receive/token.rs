//! The `token` family: the request carries a secret, which is compared in constant time.
//!
//! Nothing binds the body; whoever has seen one request can make others.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::hmac::{SECRETS_MAX, Signed};
use super::lookup;
use super::{Cause, Context, Failure, Request, Settings};

/// The scheme word of Basic authentication.
const BASIC: &str = "Basic";
/// Most entries of a list of which each carries the token.
const ENTRIES_MAX: usize = 10_000;

/// Where the token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// The whole value of a header.
    Header(&'a str),
    /// A header's value behind a scheme word and a blank.
    Scheme(&'a str, &'a str),
    /// A parameter of the URL's query.
    Query(&'a str),
    /// `username` and `password` by Basic authentication.
    Basic,
    /// A text in the JSON body.
    Pointer(&'a str),
    /// A text in every entry of a list in the JSON body, which is not empty.
    Each {
        /// Where the list is.
        list: &'a str,
        /// The member of each entry.
        member: &'a str,
    },
}

/// A scheme of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenScheme<'a> {
    /// Where the token is.
    pub token: Token<'a>,
    /// The setting that has the token; Basic authentication has two of its own.
    pub setting: &'a str,
}

impl<'a> TokenScheme<'a> {
    /// With the token in `secret`.
    pub(crate) const fn new(token: Token<'a>) -> Self {
        Self { token, setting: "secret" }
    }

    /// With the token in another setting.
    pub(crate) const fn setting(mut self, setting: &'a str) -> Self {
        self.setting = setting;
        self
    }
}

/// Judges a request.
pub(crate) fn verify(
    scheme: &TokenScheme,
    settings: &Settings,
    request: &Request,
    _context: &Context,
) -> Result<(), Failure> {
    let expected = expected(scheme, settings);
    let check = |given: &[u8]| {
        // All are compared, so that the time does not tell which of them it was.
        let same = expected.iter().filter(|known| lookup::is_same(given, known.as_bytes())).count();
        if same > 0 { Ok(()) } else { Err(Cause::TokenMismatch) }
    };
    let header = |name: &str| lookup::header(request.headers, name).ok_or(Cause::MissingHeader);
    match scheme.token {
        Token::Header(name) => check(header(name)?.as_bytes())?,
        Token::Scheme(name, word) => check(behind(word, &header(name)?)?.as_bytes())?,
        Token::Query(name) => check(lookup::query(request.url, name).ok_or(Cause::MissingHeader)?.as_bytes())?,
        Token::Basic => {
            let value = header("authorization")?;
            let encoded = behind(BASIC, &value)?;
            check(&STANDARD.decode(encoded).map_err(|_| Cause::TokenMismatch)?)?;
        }
        Token::Pointer(pointer) => {
            let body = json(request.body)?;
            check(body.pointer(pointer).and_then(Value::as_str).ok_or(Cause::MalformedBody)?.as_bytes())?;
        }
        Token::Each { list, member } => {
            let body = json(request.body)?;
            let entries = body.pointer(list).and_then(Value::as_array).ok_or(Cause::MalformedBody)?;
            if entries.is_empty() || entries.len() > ENTRIES_MAX {
                return Err(Cause::MalformedBody.into());
            }
            for entry in entries {
                check(entry.get(member).and_then(Value::as_str).ok_or(Cause::TokenMismatch)?.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// What is behind a scheme word, whose case does not matter.
fn behind<'v>(word: &str, value: &'v str) -> Result<&'v str, Cause> {
    let (given, rest) = value.split_once(' ').ok_or(Cause::MalformedHeader)?;
    let rest = rest.trim_start();
    let is_framed = given.eq_ignore_ascii_case(word) && !rest.is_empty();
    if is_framed { Ok(rest) } else { Err(Cause::MalformedHeader) }
}

/// All texts that are accepted; Basic authentication joins them as it sends them.
fn expected<'s>(scheme: &TokenScheme, settings: &'s Settings) -> Vec<Cow<'s, str>> {
    if scheme.token == Token::Basic {
        let user = settings.text("username").unwrap_or_default();
        let passwords = settings.texts("password").into_iter().take(SECRETS_MAX);
        return passwords.map(|password| Cow::Owned(format!("{user}:{password}"))).collect();
    }
    let secrets = lookup::secrets(settings, scheme.setting).into_iter();
    secrets.filter(|secret| !secret.is_empty()).take(SECRETS_MAX).map(Cow::Borrowed).collect()
}

fn json(body: &[u8]) -> Result<Value, Cause> {
    serde_json::from_slice(body).map_err(|_| Cause::MalformedBody)
}

/// The headers, or the parameter, that the scheme accepts. `None` where there is no token, or where it
/// is in the body.
pub(crate) fn sign(scheme: &TokenScheme, settings: &Settings) -> Option<Signed> {
    let expected = expected(scheme, settings);
    let token = expected.first()?.to_string();
    let mut signed = Signed::default();
    match scheme.token {
        Token::Header(name) => signed.headers.push((name.to_owned(), token)),
        Token::Scheme(name, word) => signed.headers.push((name.to_owned(), format!("{word} {token}"))),
        Token::Query(name) => signed.query = Some((name.to_owned(), token)),
        Token::Basic => {
            signed.headers.push(("authorization".to_owned(), format!("{BASIC} {}", STANDARD.encode(token))));
        }
        Token::Pointer(_) | Token::Each { .. } => return None,
    }
    Some(signed)
}
