//! What customers configure: environments, applications, event types, endpoints, keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::Scopes;
use super::id::{AppKey, EndpointKey, EnvKey, Id};
use super::time::UnixMs;

/// Bytes that must not be seen in a log: no `Display`, and `Debug` says only how many.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Wraps the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

/// Free text by name that the owner attaches.
pub type Metadata = BTreeMap<String, String>;

/// An isolated world of applications, event types and keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its id.
    pub id: Id,
    /// Its unique name.
    pub name: String,
    /// What it is used for.
    pub kind: EnvironmentKind,
    /// When it was made.
    pub created_at: UnixMs,
    /// When its name was last changed.
    pub updated_at: UnixMs,
}

/// What an environment is used for: a label, without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentKind {
    /// Trying things out.
    Development,
    /// The real thing.
    Production,
}

impl EnvironmentKind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }

    /// The stored code.
    pub const fn code(self) -> i64 {
        match self {
            Self::Development => 0,
            Self::Production => 1,
        }
    }

    /// What a stored code means.
    pub const fn from_code(code: i64) -> Self {
        if code == 0 { Self::Development } else { Self::Production }
    }
}

/// An environment key as stored: the secret itself is shown once and kept hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: Id,
    /// The environment that it opens.
    pub env: EnvKey,
    /// What its maker called it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// The last characters of the key, by which its holder tells it from others; none of older keys.
    pub hint: Option<String>,
    /// When it was made.
    pub created_at: UnixMs,
    /// From when on it opens nothing, if that was said; it may be ahead.
    pub revoked_at: Option<UnixMs>,
    /// When it was last used, to about a minute, as far as that is stored.
    pub last_used_at: Option<UnixMs>,
}

impl ApiKey {
    /// Whether it opens anything at `now`.
    pub fn is_valid(&self, now: UnixMs) -> bool {
        self.revoked_at.is_none_or(|end| now < end)
    }
}

/// What an application is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppKind {
    /// A customer of the sender, or an internal consumer.
    Customer,
    /// The one of an environment whose endpoints take operational webhooks. Never listed.
    Operational,
}

impl AppKind {
    /// The stored code.
    pub const fn code(self) -> i64 {
        match self {
            Self::Customer => 0,
            Self::Operational => 1,
        }
    }

    /// What a stored code means.
    pub const fn from_code(code: i64) -> Self {
        if code == 1 { Self::Operational } else { Self::Customer }
    }
}

/// Whose endpoints these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its id.
    pub id: Id,
    /// The environment that it lives in.
    pub env: EnvKey,
    /// What it is for.
    pub kind: AppKind,
    /// The owner's own name for it, unique in the environment.
    pub uid: Option<String>,
    /// What can be changed.
    pub spec: ApplicationSpec,
    /// Raised by every change that bears on routing (its own and its endpoints').
    pub version: i64,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub updated_at: UnixMs,
}

impl Application {
    /// Its key.
    pub fn key(&self) -> AppKey {
        AppKey(self.id.key)
    }
}

/// The changeable part of an application, kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApplicationSpec {
    /// Its name.
    pub name: String,
    /// Attempts per second over all its endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_rate: Option<u16>,
    /// Free text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
}

/// Why an endpoint is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// Its owner said so.
    Manual,
    /// It answered 410 Gone.
    Gone,
    /// It did nothing but fail for days.
    Failing,
}

/// An endpoint that has done nothing but fail for a while. Kept with the endpoint, so that a restart
/// forgets nothing; written when it begins, at each warning, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// The first failure after the last success.
    pub since: UnixMs,
    /// Warnings that were given.
    pub warned: u8,
}

/// A secret that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSecret {
    /// The key, in the stored form of the signature crate.
    pub key: SecretBytes,
    /// When it signs no more; none for the one in force.
    pub expires_at: Option<UnixMs>,
}

impl SigningSecret {
    /// The secret in force.
    pub const fn current(key: SecretBytes) -> Self {
        Self { key, expires_at: None }
    }

    /// Whether it signs at `now`.
    pub fn signs_at(&self, now: UnixMs) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// Secrets of an endpoint that sign at once, at most.
pub const SIGNING_SECRETS_MAX: usize = 10;

/// Where messages of an application are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: Id,
    /// The application that it belongs to.
    pub app: AppKey,
    /// The owner's own name for it, unique in the application.
    pub uid: Option<String>,
    /// Names the URL in records of attempts, which say where they went even after a change.
    pub url_id: i64,
    /// What can be changed.
    pub spec: EndpointSpec,
    /// The signing secrets, newest first; never empty. The store seals them at rest.
    pub secrets: Vec<SigningSecret>,
    /// Whether it does nothing but fail, and since when.
    pub failing: Option<Failing>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub updated_at: UnixMs,
}

impl Endpoint {
    /// Its key.
    pub fn key(&self) -> EndpointKey {
        EndpointKey(self.id.key)
    }

    /// A new secret signs from `now` on; the one before goes on for `grace_ms` beside it.
    pub fn rotate(&mut self, key: SecretBytes, now: UnixMs, grace_ms: i64) {
        for secret in &mut self.secrets {
            let end = now + grace_ms;
            secret.expires_at = Some(secret.expires_at.map_or(end, |before| before.min(end)));
        }
        self.secrets.retain(|secret| secret.signs_at(now));
        self.secrets.insert(0, SigningSecret::current(key));
        self.secrets.truncate(SIGNING_SECRETS_MAX);
    }
}

/// The changeable part of an endpoint, kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Where to, as re-serialised by the URL parser.
    pub url: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Attempts per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_rate: Option<u16>,
    /// Why it is disabled, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<DisabledReason>,
    /// Only these; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<String>>,
    /// Only messages with one of these; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// Free text by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
    /// Headers sent with each attempt.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Seconds before each retry; none means the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_schedule: Option<Vec<u32>>,
}

/// A dotted name with description and schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventType {
    /// Its name, unique in the environment.
    pub name: String,
    /// What can be changed.
    pub spec: EventTypeSpec,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub updated_at: UnixMs,
}

/// The changeable part of an event type, kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventTypeSpec {
    /// What it means.
    pub description: String,
    /// Left out of lists.
    #[serde(default)]
    pub archived: bool,
    /// No longer to be used.
    #[serde(default)]
    pub deprecated: bool,
    /// JSON Schemas by version, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemas: Option<serde_json::Value>,
    /// The group that it is shown in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// Shown only to customers with one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_flags: Option<Vec<String>>,
    /// Seconds before each retry of its messages; none means the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_schedule: Option<Vec<u32>>,
}

impl EventTypeSpec {
    /// How many bytes it takes up, about.
    pub fn weight(&self) -> usize {
        let schemas = self.schemas.as_ref().map_or(0, |schemas| schemas.to_string().len());
        let flags = self.feature_flags.iter().flatten().map(|flag| 32 + flag.len()).sum::<usize>();
        schemas + flags + self.description.len() + self.group_name.as_ref().map_or(0, String::len)
    }
}

/// An application with its endpoints, as routing and delivery need them: one consistent picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppConfig {
    /// The application.
    pub app: Application,
    /// Its endpoints, by key.
    pub endpoints: Vec<Arc<Endpoint>>,
}

impl AppConfig {
    /// The endpoint of a key.
    pub fn endpoint(&self, key: EndpointKey) -> Option<&Arc<Endpoint>> {
        self.endpoints.binary_search_by_key(&key.0, |e| e.id.key).ok().map(|i| &self.endpoints[i])
    }
}
