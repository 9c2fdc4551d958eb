//! Why commands are refused.

use serde::{Deserialize, Serialize};

/// Why a command was not applied. Expected: the caller's to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// What it names is not there.
    #[error("not found")]
    NotFound,
    /// Another has this uid, name or event type.
    #[error("already exists")]
    Exists,
    /// A message with this event id is stored.
    #[error("a message with this eventId exists")]
    EventIdExists,
    /// The idempotency key was used with another body.
    #[error("this idempotency key was used with another body")]
    IdempotencyMismatch,
    /// The environment is the only one.
    #[error("the last environment cannot be deleted")]
    LastEnvironment,
    /// The environment holds too much to be deleted in one go.
    #[error("the environment is in use: delete its applications first")]
    EnvironmentInUse,
    /// The application has as many endpoints as it may.
    #[error("too many endpoints")]
    TooManyEndpoints,
    /// The environment has as many sources as it may.
    #[error("too many sources")]
    TooManySources,
    /// A handshake has brought a key before.
    #[error("the source has a key")]
    HasKey,
    /// The tick was made before, or belongs to a schedule that was changed.
    #[error("the tick was made before")]
    Ticked,
    /// The application that was made for the source is another source's, too.
    #[error("another source uses the application that was made for this one")]
    ApplicationShared,
    /// The endpoint is disabled.
    #[error("the endpoint is disabled")]
    EndpointDisabled,
    /// The endpoint would have more headers, or longer ones, than it may.
    #[error("too many headers")]
    TooManyHeaders,
    /// The bytes of the message are gone: there is nothing to send.
    #[error("the content of the message has expired")]
    ContentGone,
    /// The environment, or the application, has as many unfinished tasks as it may.
    #[error("too many background tasks are running")]
    TooManyTasks,
    /// The disk is full, or the journal.
    #[error("the store has no room")]
    Full,
    /// It comes from a node whose lease is over: what it has begun is another's now.
    #[error("the lease of this node is over")]
    Fenced,
    /// The database is away.
    #[error("the database is away")]
    Away,
    /// The store failed; whether the command is stored is not known.
    #[error("the store failed")]
    Failed,
}
