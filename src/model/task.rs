//! Work that was asked for and goes on behind the answer, in slices.

use serde::{Deserialize, Serialize};

use super::id::{AppKey, EndpointKey, EnvKey, Id, Key};
use super::state::DeliveryStatus;
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

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// What failed or is held at an endpoint is sent again.
    Recover,
    /// What an endpoint wants and never got is sent.
    ReplayMissing,
    /// Messages that match are sent to an endpoint again, whatever became of them.
    BulkReplay,
    /// What is not ended at an endpoint is given up.
    Cancel,
    /// Deliveries are counted by application.
    AppUsage,
    /// The event types that endpoints list are counted.
    EventTypes,
    /// A document, ready when it was asked for.
    Document,
}

impl TaskKind {
    /// All, in the order of their stored codes.
    pub const ALL: [Self; 7] = [
        Self::Recover,
        Self::ReplayMissing,
        Self::BulkReplay,
        Self::Cancel,
        Self::AppUsage,
        Self::EventTypes,
        Self::Document,
    ];

    /// The stored code.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The kind of a stored code.
    pub fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|code| Self::ALL.get(code)).copied()
    }
}

/// Which messages are replayed in bulk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplayFilter {
    /// Of one of these types; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// With this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// With this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Whose delivery to the endpoint stands so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<DeliveryStatus>,
    /// Whose last attempt at the endpoint was answered with this hundred of status codes (0 to 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_class: Option<u16>,
}

/// What a task is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskAsk {
    /// See [`TaskKind::Recover`].
    Recover,
    /// See [`TaskKind::ReplayMissing`].
    ReplayMissing,
    /// See [`TaskKind::BulkReplay`].
    BulkReplay(ReplayFilter),
    /// See [`TaskKind::Cancel`].
    Cancel,
    /// See [`TaskKind::AppUsage`].
    AppUsage {
        /// Where each application is begun: behind this message.
        from: Key,
        /// Of these applications, in the order of their keys; of all, where it says nothing.
        apps: Option<Vec<Key>>,
    },
    /// See [`TaskKind::EventTypes`].
    EventTypes,
    /// See [`TaskKind::Document`].
    Document,
}

impl TaskAsk {
    /// Of which kind it is.
    pub const fn kind(&self) -> TaskKind {
        match self {
            Self::Recover => TaskKind::Recover,
            Self::ReplayMissing => TaskKind::ReplayMissing,
            Self::BulkReplay(_) => TaskKind::BulkReplay,
            Self::Cancel => TaskKind::Cancel,
            Self::AppUsage { .. } => TaskKind::AppUsage,
            Self::EventTypes => TaskKind::EventTypes,
            Self::Document => TaskKind::Document,
        }
    }
}

/// A task as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundTask {
    /// Its id.
    pub id: Id,
    /// Where it was asked for.
    pub env: EnvKey,
    /// Whose the endpoint is; nobody's (0) where it is about the environment.
    pub app: AppKey,
    /// The endpoint; none (0) where it is about the environment.
    pub endpoint: EndpointKey,
    /// What it does.
    pub kind: TaskKind,
    /// How far it is.
    pub status: TaskStatus,
    /// What it has done so far: deliveries sent on their way, or given up; rows counted.
    pub moved: u64,
    /// How much there was to do when it began, where that was known.
    pub total: Option<u64>,
    /// When it last did something.
    pub updated_at: UnixMs,
}

/// A line of what a task has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLine {
    /// Of what: the id of an application, the name of an event type; empty for what is about all.
    pub name: String,
    /// How many.
    pub count: u64,
    /// A document.
    pub body: Option<String>,
}
