//! A destination URL, taken apart once and kept with the endpoint.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use url::{Host, Position, Url};

/// What connections are shared by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PoolKey {
    pub(super) https: bool,
    pub(super) host: TargetHost,
    pub(super) port: u16,
}

/// A name to be resolved, or an address as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TargetHost {
    /// Lower case, without the trailing dot.
    Name(Box<str>),
    Address(IpAddr),
}

/// Why a URL is no destination. Whether it may be delivered to is the guard's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL at all.
    #[error("not a URL")]
    Syntax,
    /// Neither `http` nor `https`.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// No host.
    #[error("the URL has no host")]
    Host,
    /// A host, path or password that cannot be sent in HTTP/1.1.
    #[error("the URL cannot be sent in a request")]
    Unsendable,
}

/// One destination. Everything that every attempt needs is ready, and cheap to clone.
pub struct Target {
    pub(super) key: Arc<PoolKey>,
    pub(super) host_header: HeaderValue,
    pub(super) path: Uri,
    pub(super) basic_auth: Option<HeaderValue>,
}

impl Target {
    /// Reads a URL as WHATWG does; the fragment is dropped, `user:password@` becomes basic auth.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        Self::from_url(&Url::parse(text).map_err(|_| TargetError::Syntax)?)
    }

    /// Takes a parsed URL apart.
    pub fn from_url(url: &Url) -> Result<Self, TargetError> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(TargetError::Scheme),
        };
        let host = match url.host().ok_or(TargetError::Host)? {
            Host::Ipv4(v4) => TargetHost::Address(v4.into()),
            Host::Ipv6(v6) => TargetHost::Address(v6.into()),
            Host::Domain(name) => match name.strip_suffix('.').unwrap_or(name) {
                "" => return Err(TargetError::Host),
                name => TargetHost::Name(name.to_ascii_lowercase().into()),
            },
        };
        let port = url.port_or_known_default().ok_or(TargetError::Host)?;
        let path = &url[Position::BeforePath..Position::AfterQuery];
        let path = PathAndQuery::try_from(path).map_err(|_| TargetError::Unsendable)?;
        let host_header = host_header(&host, url.port())?;
        let key = Arc::new(PoolKey { https, host, port });
        Ok(Self { key, host_header, path: Uri::from(path), basic_auth: basic_auth(url)? })
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.key.https
    }
}

/// Shows where to, without path, query and password: they may be secrets.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.key).finish()
    }
}

fn host_header(host: &TargetHost, port: Option<u16>) -> Result<HeaderValue, TargetError> {
    let host = match host {
        TargetHost::Name(name) => name.to_string(),
        TargetHost::Address(IpAddr::V4(v4)) => v4.to_string(),
        TargetHost::Address(IpAddr::V6(v6)) => format!("[{v6}]"),
    };
    // `Url::port` is `None` for the scheme's own.
    let value = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    HeaderValue::try_from(value).map_err(|_| TargetError::Unsendable)
}

fn basic_auth(url: &Url) -> Result<Option<HeaderValue>, TargetError> {
    let password = url.password().unwrap_or("");
    if url.username().is_empty() && password.is_empty() {
        return Ok(None);
    }
    let mut credentials = percent_decode(url.username());
    credentials.push(b':');
    credentials.extend(percent_decode(password));
    let value = format!("Basic {}", STANDARD.encode(credentials));
    let mut value = HeaderValue::try_from(value).map_err(|_| TargetError::Unsendable)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Undoes `%XX`; what is no such triple stays as it is, as WHATWG has it.
fn percent_decode(text: &str) -> Vec<u8> {
    let hex = |b: u8| char::from(b).to_digit(16);
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let byte = match tail {
            [high, low, after @ ..] if first == b'%' => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    (high * 16 + low) as u8
                }
                _ => first,
            },
            _ => first,
        };
        decoded.push(byte);
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Target::parse(text).expect("a destination")
    }

    #[test]
    fn takes_a_url_apart() {
        let seen = target("https://User:p%40ss%zz@Example.COM.:8443/a/../b%20c?d=e|f#g");
        assert!(seen.is_https());
        assert_eq!(seen.key.host, TargetHost::Name("example.com".into()));
        assert_eq!(seen.key.port, 8443);
        assert_eq!(seen.host_header, "example.com:8443");
        assert_eq!(seen.path, "/b%20c?d=e|f");
        let basic = format!("Basic {}", STANDARD.encode("User:p@ss%zz"));
        assert_eq!(seen.basic_auth.expect("basic auth"), basic);
    }

    #[test]
    fn hosts_and_default_ports() {
        let check = |text, port, header: &str| {
            let seen = target(text);
            assert_eq!(seen.key.port, port);
            assert_eq!(seen.host_header, header);
            assert_eq!(seen.path, "/");
            assert!(seen.basic_auth.is_none());
        };
        check("http://example.com", 80, "example.com");
        check("https://example.com:443", 443, "example.com");
        check("http://127.1:81", 81, "127.0.0.1:81");
        check("https://[::1]", 443, "[::1]");
        check("https://bücher.example", 443, "xn--bcher-kva.example");
    }

    #[test]
    fn refuses_what_is_no_destination() {
        let check = |text, cause| assert_eq!(Target::parse(text).map(|_| ()), Err(cause), "{text}");
        check("example.com", TargetError::Syntax);
        check("http://", TargetError::Syntax);
        check("gopher://127.0.0.1/", TargetError::Scheme);
        check("http://./", TargetError::Host);
    }

    #[test]
    fn debug_shows_no_path_and_no_password() {
        let shown = format!("{:?}", target("https://user:pass@example.com/token?key=1"));
        assert!(!shown.contains("pass") && !shown.contains("token"), "{shown}");
    }

    #[test]
    fn odd_paths_are_sendable() {
        for c in (0x21..0x7f_u8).map(char::from).filter(|c| *c != '#') {
            let text = format!("http://example.com/a{c}b?a{c}b");
            assert!(Target::parse(&text).is_ok(), "{text}");
        }
        assert!(Target::parse("http://example.com/ü?ü=\u{1F600} \"<>`").is_ok());
    }
}
