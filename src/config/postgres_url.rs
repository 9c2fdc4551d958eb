//! The URL of a PostgreSQL database. It may hold a password, so it is shown masked, whichever way it
//! is printed; only [`PostgresUrl::reveal`] gives it whole.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A `postgres://` or `postgresql://` URL, with one host, or several separated by commas.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PostgresUrl(String);

/// The text is no URL of a PostgreSQL database. It is not repeated here: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not postgres://USER:PASSWORD@HOST:PORT/DATABASE, in which what a password has of `/`, `?`, `#`, `@` and `%` \
     is written %2F, %3F, %23, %40 and %25"
)]
pub struct NotAPostgresUrl;

/// What stands instead of a secret.
const MASK: &str = "***";

/// A URL taken apart.
struct Parts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    password: Option<&'a str>,
    /// Each a name or an address, with a port or without. Empty with the host among the parameters.
    hosts: &'a str,
    /// With its slash.
    path: &'a str,
    /// Without the question mark.
    parameters: Option<&'a str>,
}

impl PostgresUrl {
    /// The URL with its password, to connect with.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for PostgresUrl {
    type Err = NotAPostgresUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Parts::of(text).map(|_| Self(text.to_owned())).ok_or(NotAPostgresUrl)
    }
}

impl TryFrom<String> for PostgresUrl {
    type Error = NotAPostgresUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Masked.
impl From<PostgresUrl> for String {
    fn from(url: PostgresUrl) -> Self {
        masked(&url.0)
    }
}

/// Masked.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

/// Masked.
impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

impl<'a> Parts<'a> {
    /// `None` for what is no such URL. Strict, so that nothing of a password is taken for a host.
    fn of(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (rest, parameters) = match rest.split_once('?') {
            Some((rest, parameters)) => (rest, Some(parameters)),
            None => (rest, None),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        let (user, password) = match credentials.map(|words| words.split_once(':')) {
            Some(Some((user, password))) => (Some(user), Some(password)),
            Some(None) => (credentials, None),
            None => (None, None),
        };
        let well_formed = matches!(scheme, "postgres" | "postgresql")
            && !text.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control())
            && !credentials.is_some_and(|words| words.contains('@'))
            && !path.contains('@')
            && hosts.split(',').all(is_host);
        well_formed.then_some(Self { scheme, user, password, hosts, path, parameters })
    }
}

/// Whether this is a name or an address with a port or without, or nothing.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_address = name.starts_with('[') && name.ends_with(']');
    (is_address || !name.contains(':')) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// A text that is, or was meant to be, such a URL, as it may be shown: without its password, and of
/// what is none no more than the scheme.
pub(super) fn masked(text: &str) -> String {
    let Some(parts) = Parts::of(text) else {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        return match scheme.filter(|scheme| scheme.bytes().all(|b| b.is_ascii_alphanumeric())) {
            Some(scheme) => format!("{scheme}://{MASK}"),
            None => MASK.to_owned(),
        };
    };
    let mut shown = format!("{}://{}", parts.scheme, parts.user.unwrap_or_default());
    if parts.password.is_some() {
        shown.extend([":", MASK]);
    }
    if parts.user.is_some() {
        shown.push('@');
    }
    shown.extend([parts.hosts, parts.path]);
    if let Some(parameters) = parts.parameters {
        let parameters: Vec<_> = parameters.split('&').map(masked_parameter).collect();
        shown.extend(["?", &parameters.join("&")]);
    }
    shown
}

/// A parameter without its value if that may be a password: by its name, or when the name is spelt
/// in a way that hides it.
fn masked_parameter(parameter: &str) -> String {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match plain {
        true if !name.contains("pass") => parameter.to_owned(),
        true => format!("{name}={MASK}"),
        false if value.is_empty() => MASK.to_owned(),
        false => format!("{MASK}={MASK}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_without_its_password_however_it_is_printed() {
        let check = |text: &str, shown: &str| {
            let url: PostgresUrl = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(url.reveal(), text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("PostgresUrl({shown})"));
            assert_eq!(serde_json::to_value(&url).expect("JSON"), shown);
            assert_eq!(masked(shown), shown, "masked once more");
        };
        check("postgres://posthouse:hidden@db/x", "postgres://posthouse:***@db/x");
        check("postgresql://posthouse@db:5432/x", "postgresql://posthouse@db:5432/x");
        check("postgres://u:hid:den%40@db", "postgres://u:***@db");
        check("postgres://u:@db/", "postgres://u:***@db/");
        check("postgres://u:hidden@one:5432,[::1]:5433,three/x", "postgres://u:***@one:5432,[::1]:5433,three/x");
        check("postgres://[::1]/x", "postgres://[::1]/x");
        check("postgres:///x?host=/run/postgresql&user=u", "postgres:///x?host=/run/postgresql&user=u");
        check("postgres://db/x?password=hidden&user=a@b", "postgres://db/x?password=***&user=a@b");
        check("postgres://db/x?sslpassword=hidden", "postgres://db/x?sslpassword=***");
        check("postgres://db/x?p%61ssword=hidden", "postgres://db/x?***=***");
    }

    #[test]
    fn what_is_no_such_url_is_refused_and_of_it_nothing_but_the_scheme_shown() {
        let check = |text: &str, shown: &str| {
            let error = text.parse::<PostgresUrl>().expect_err(text).to_string();
            assert!(!error.contains("hidden"), "{error}");
            assert_eq!(masked(text), shown);
        };
        check("mysql://u:hidden@db/x", "mysql://***");
        check("postgres://u:hi/hidden@db/x", "postgres://***");
        check("postgres://u:hi?hidden@db/x:a", "postgres://***");
        check("postgres://u:hi#hidden@db/x", "postgres://***");
        check("postgres://u:hi@hidden@db/x", "postgres://***");
        check("postgres://u:hidden:db/x", "postgres://***");
        check("postgres://u:hidden", "postgres://***");
        check("postgres://u:hidden@db:port/x", "postgres://***");
        check("postgres://u:hidden@db/x y", "postgres://***");
        check("u:hidden@db/x", "***");
        check("u:hidden://x", "***");
        check("", "***");
    }
}
