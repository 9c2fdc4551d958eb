//! Access of a customer to their own application: a token with capabilities and an end.

use serde::{Deserialize, Serialize};

use super::id::{AppKey, EnvKey, Id};
use super::time::UnixMs;

/// What a portal token allows beside reading its application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Capability {
    /// Reading application, endpoints, messages, attempts and event types.
    ViewBase,
    /// Reading signing secrets.
    ViewEndpointSecret,
    /// Rotating signing secrets.
    ManageEndpointSecret,
    /// Changing transformations.
    ManageTransformations,
    /// Sending again: resend, recover, examples.
    CreateAttempts,
    /// Making, changing and deleting endpoints, and their headers.
    ManageEndpoint,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ViewBase,
        Self::ViewEndpointSecret,
        Self::ManageEndpointSecret,
        Self::ManageTransformations,
        Self::CreateAttempts,
        Self::ManageEndpoint,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ViewBase => "ViewBase",
            Self::ViewEndpointSecret => "ViewEndpointSecret",
            Self::ManageEndpointSecret => "ManageEndpointSecret",
            Self::ManageTransformations => "ManageTransformations",
            Self::CreateAttempts => "CreateAttempts",
            Self::ManageEndpoint => "ManageEndpoint",
        }
    }
}

/// A portal token as stored: the token itself is shown once and kept hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalToken {
    /// Its id.
    pub id: Id,
    /// The environment of its application.
    pub env: EnvKey,
    /// The application that it opens.
    pub app: AppKey,
    /// What it allows.
    pub capabilities: Vec<Capability>,
    /// Event types with one of these are shown too.
    pub feature_flags: Vec<String>,
    /// The session that its maker put it in, if any: those of one can be ended together.
    pub session_id: Option<String>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it ends.
    pub expires_at: UnixMs,
}

impl PortalToken {
    /// Whether it allows this.
    pub fn allows(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}
