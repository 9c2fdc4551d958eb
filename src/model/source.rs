//! Sources: where messages come in from outside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::id::{AppKey, EnvKey, Id, Key};
use super::time::UnixMs;

/// Shortest and longest time in which duplicates are told, in seconds: 1 minute to 7 days.
pub const DEDUPE_WINDOW_S: std::ops::RangeInclusive<u32> = 60..=604_800;
/// How long duplicates are told where nothing is said, in seconds.
pub const DEDUPE_WINDOW_S_DEFAULT: u32 = 86_400;

/// Shortest and longest time that a sender waits for an endpoint's answer, in milliseconds.
pub const SYNC_TIMEOUT_MS: std::ops::RangeInclusive<u32> = 100..=20_000;
/// How long a sender waits where nothing is said, in milliseconds: Slack and Discord give up after 3 s.
pub const SYNC_TIMEOUT_MS_DEFAULT: u32 = 2_500;

/// The key of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceKey(pub Key);

/// Where messages come in: a receiving URL with a provider's scheme.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its id.
    pub id: Id,
    /// The environment that it belongs to.
    pub env: EnvKey,
    /// The application whose endpoints get what it receives.
    pub app: AppKey,
    /// Its public id.
    pub app_id: Id,
    /// The application was made for it, and goes with it.
    pub owns_app: bool,
    /// The owner's own name for it, unique in the environment.
    pub uid: Option<String>,
    /// What can be changed.
    pub spec: SourceSpec,
    /// What is sealed at rest.
    pub secret: SourceSecret,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub updated_at: UnixMs,
}

impl Source {
    /// Its key.
    pub fn key(&self) -> SourceKey {
        SourceKey(self.id.key)
    }

    /// Whether it has a secret to verify by: its owner's, or one that a handshake brought. No other
    /// handshake brings one then.
    pub fn has_secret(&self) -> bool {
        let is_there = |name: &str| self.secret.config.get(name).is_some_and(|value| !value.is_null());
        self.secret.learned.is_some() || is_there("secret") || is_there("secrets")
    }
}

/// The changeable part of a source, kept as JSON in clear.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SourceSpec {
    /// What it is called.
    pub name: String,
    /// The provider's type: `stripe`, `github`, …
    pub source_type: String,
    /// The owner's own notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// How duplicates are told.
    #[serde(default)]
    pub dedupe: Dedupe,
    /// What the sender is answered once its message is durable; the provider's expectation if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<SourceAnswer>,
    /// Senders wait for the first answer of one endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SourceSync>,
    /// Networks that may send; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_networks: Vec<ipnet::IpNet>,
    /// Requests a second beyond which senders are told to wait; none means no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// Path remainder and query go on to the endpoints.
    #[serde(default)]
    pub forward_path: bool,
}

/// How duplicates are told, within a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedupe {
    /// By what.
    pub by: DedupeBy,
    /// Within how many seconds ([`DEDUPE_WINDOW_S`]).
    pub window_s: u32,
}

impl Default for Dedupe {
    fn default() -> Self {
        Self { by: DedupeBy::Provider, window_s: DEDUPE_WINDOW_S_DEFAULT }
    }
}

/// What makes two requests the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DedupeBy {
    /// The provider's event id, where the type knows it.
    Provider,
    /// Nothing.
    Off,
    /// All bytes of the body.
    Content,
    /// These values: headers (`header:Name`) and places in a JSON body (JSON pointers, RFC 6901).
    Fields(Vec<String>),
}

/// What a sender is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceAnswer {
    /// The status, 200 to 299.
    pub status: u16,
    /// The media type of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// Whose first answer goes back to the sender, and how long that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSync {
    /// The endpoint.
    pub endpoint: Id,
    /// The longest wait, in milliseconds ([`SYNC_TIMEOUT_MS`]); then comes the plain acknowledgement.
    pub timeout_ms: u32,
}

/// What of a source must not be seen in the files.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSecret {
    /// The type's configuration, as it was set.
    pub config: Map<String, Value>,
    /// A key that a handshake brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<String>,
    /// The token of the receiving URL.
    pub token: String,
}

impl std::fmt::Debug for SourceSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SourceSecret")
    }
}

/// Headers of requests whose values are never shown, nor searched: they say who somebody is.
pub const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// A request as it came in, apart from its body. What goes on to the endpoints is taken from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Received {
    /// The method; empty where nobody sent it.
    #[serde(rename = "m")]
    pub method: String,
    /// What stands behind the token, with its slash; may be empty.
    #[serde(rename = "p", default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What stands behind the question mark.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Path and query go on to the endpoints.
    #[serde(rename = "f", default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_path: bool,
    /// The sender signs by the names of Standard Webhooks or Svix itself: those headers go on, too.
    #[serde(rename = "s", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_standard: bool,
    /// Name and value in the order of arrival, each byte of a value as the character of its number
    /// (ISO 8859-1), so that nothing is lost.
    #[serde(rename = "h")]
    pub headers: Vec<(String, String)>,
}

impl Received {
    /// What a source of type cron makes itself, with these headers.
    pub fn nothing(headers: Vec<(String, String)>) -> Self {
        Self { headers, ..Self::default() }
    }

    /// Whether somebody sent it.
    pub fn is_from_outside(&self) -> bool {
        !self.method.is_empty()
    }

    /// The headers as HTTP has them.
    pub fn header_map(&self) -> http::HeaderMap {
        let mut headers = http::HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let value: Vec<u8> = value.chars().map(|byte| u8::try_from(byte).unwrap_or(b'?')).collect();
            if let (Ok(name), Ok(value)) =
                (http::HeaderName::from_bytes(name.as_bytes()), http::HeaderValue::from_bytes(&value))
            {
                headers.append(name, value);
            }
        }
        headers
    }

    /// Bytes that it takes, roughly.
    pub fn weight(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        64 + self.path.len() + self.query.as_ref().map_or(0, String::len) + headers
    }
}

/// What a source's log says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// It became a message.
    Accepted,
    /// It was the same as one before.
    Duplicate,
    /// It was answered, and is no message.
    Handshake,
    /// It was refused.
    Rejected,
}

impl LogKind {
    /// As stored.
    pub const fn code(self) -> i64 {
        match self {
            Self::Accepted => 0,
            Self::Duplicate => 1,
            Self::Handshake => 2,
            Self::Rejected => 3,
        }
    }

    /// From the stored code.
    pub const fn from_code(code: i64) -> Self {
        match code {
            1 => Self::Duplicate,
            2 => Self::Handshake,
            3 => Self::Rejected,
            _ => Self::Accepted,
        }
    }
}

/// One request in a source's log.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedRequest {
    /// Its id; of one that became a message the message's.
    pub id: Id,
    /// Which source.
    pub source: SourceKey,
    /// What became of it.
    pub kind: LogKind,
    /// What the sender was answered.
    pub status: u16,
    /// Why it was refused, from a closed list.
    pub cause: Option<String>,
    /// What may be wrong.
    pub hint: Option<String>,
    /// Method, path, query, headers; none where they have expired.
    pub head: Option<Received>,
    /// The exact bytes, perhaps cut; none where they have expired.
    pub body: Option<bytes::Bytes>,
    /// The message that it became, or the first of a duplicate.
    pub message: Option<Id>,
}
