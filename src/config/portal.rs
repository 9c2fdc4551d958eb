//! `[portal]`: who may show the customers' portal, and call the API from a page.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may show the customers' portal, and call the API from a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Portal {
    /// Origins (scheme, host and port) of pages that may show the portal in a frame, and whose scripts
    /// may call the API with a portal token or a key of their own. Nobody else's may; browsers refuse.
    #[schemars(with = "Vec<String>", length(max = 100), example = ["https://app.example.com"])]
    pub allowed_origins: Vec<WebOrigin>,
}

/// The origin of a page (RFC 6454), as browsers write it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin(String);

/// The text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an origin such as https://app.example.com: scheme, host and port, nothing behind them")]
pub struct NotAnOrigin;

impl WebOrigin {
    /// As browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebOrigin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = url::Url::parse(text).map_err(|_| NotAnOrigin)?;
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        let is_bare = matches!(url.scheme(), "http" | "https") && !rest.is_empty();
        if is_bare && !rest.contains(['/', '?', '#', '@', '*']) {
            Ok(Self(url.origin().ascii_serialization()))
        } else {
            Err(NotAnOrigin)
        }
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = NotAnOrigin;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> Self {
        origin.0
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_browsers_write_it() {
        for (text, expected) in [
            ("https://app.example.com", Some("https://app.example.com")),
            ("HTTPS://App.Example.com:443", Some("https://app.example.com")),
            ("http://127.0.0.1:3000", Some("http://127.0.0.1:3000")),
            ("http://[::1]:3000", Some("http://[::1]:3000")),
            ("https://bücher.example", Some("https://xn--bcher-kva.example")),
            ("https://app.example.com/", None),
            ("https://app.example.com/path", None),
            ("https://user@app.example.com", None),
            ("https://*.example.com", None),
            ("https://a.example; script-src *", None),
            ("*", None),
            ("null", None),
            ("ftp://example.com", None),
            ("https://", None),
        ] {
            let read = text.parse::<WebOrigin>().ok();
            assert_eq!(read.as_ref().map(WebOrigin::as_str), expected, "{text}");
        }
    }
}
