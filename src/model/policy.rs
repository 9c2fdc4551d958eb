//! What holds for a whole environment: its settings, and the retry schedules of its event types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entity::Endpoint;
use super::look::Look;

/// Under which names signatures are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureHeaders {
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    Webhook,
    /// The same with `svix-`.
    Svix,
    /// Both.
    Both,
}

/// Settings of an environment, kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvSettings {
    /// Seconds before each retry; none means the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<Vec<u32>>,
    /// Whether the names of headers begin with `webhook-`; else with `svix-`.
    #[serde(default = "yes")]
    pub whitelabel_headers: bool,
    /// Whether headers are sent under both names.
    #[serde(default)]
    pub send_svix_webhook_headers: bool,
    /// How the portal looks.
    #[serde(default)]
    pub look: Look,
}

fn yes() -> bool {
    true
}

impl Default for EnvSettings {
    fn default() -> Self {
        Self { retry_policy: None, whitelabel_headers: true, send_svix_webhook_headers: false, look: Look::default() }
    }
}

impl EnvSettings {
    /// Under which names signatures are sent.
    pub const fn signature_headers(&self) -> SignatureHeaders {
        match (self.send_svix_webhook_headers, self.whitelabel_headers) {
            (true, _) => SignatureHeaders::Both,
            (false, true) => SignatureHeaders::Webhook,
            (false, false) => SignatureHeaders::Svix,
        }
    }
}

/// What delivery needs to know of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvPolicy {
    /// Its settings.
    pub settings: EnvSettings,
    /// Retry schedules of event types that have one.
    pub event_types: BTreeMap<String, Vec<u32>>,
}

impl EnvPolicy {
    /// Seconds before each retry: the endpoint's, else the event type's, else the environment's, else
    /// the server's.
    pub fn retry_schedule<'a>(&'a self, endpoint: &'a Endpoint, event_type: &str, server: &'a [u32]) -> &'a [u32] {
        endpoint
            .spec
            .retry_schedule
            .as_deref()
            .or_else(|| self.event_types.get(event_type).map(Vec::as_slice))
            .or(self.settings.retry_policy.as_deref())
            .unwrap_or(server)
    }
}
