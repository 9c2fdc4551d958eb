//! Work that was asked for and goes on behind the answer, in slices.

use super::id::{AppKey, EndpointKey, EnvKey, Id};
use super::time::UnixMs;

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// It goes on, also after a restart.
    Running,
    /// All of it is done.
    Finished,
    /// It cannot go on: its endpoint is disabled or gone.
    Failed,
}

impl TaskStatus {
    /// All, in the order of their stored codes.
    pub const ALL: [Self; 3] = [Self::Running, Self::Finished, Self::Failed];

    /// The stored code.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The status of a stored code.
    pub fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|code| Self::ALL.get(code)).copied()
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// A recovery: what failed or is held at an endpoint since a time is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundTask {
    /// Its id.
    pub id: Id,
    /// Where it was asked for.
    pub env: EnvKey,
    /// Whose the endpoint is.
    pub app: AppKey,
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// How far it is.
    pub status: TaskStatus,
    /// Deliveries that it has sent on their way again.
    pub moved: u64,
    /// When it last did something.
    pub updated_at: UnixMs,
}
