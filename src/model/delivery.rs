//! A delivery: message × endpoint, the thing that is scheduled and has a state.
//!
//! ```text
//!            ┌─────────┐ success             ┌───────────┐
//!  publish ─►│ Pending │────────────────────►│ delivered │ (no row: its attempt says so)
//!            └────┬────┘                     └───────────┘
//!      failure    │                               ▲ success
//!                 ▼                               │
//!            ┌─────────┐ due, fails again   ┌─────┴─────┐
//!  spilled ─►│ Waiting │───────────────────►│  Waiting  │
//!            └────┬────┘                    └───────────┘
//!    schedule over, disabled, deleted
//!                 ▼
//!            ┌─────────┐
//!    held ──►│ Parked  │  failed · held · cancelled · quarantined: listed, can be sent again
//!            └─────────┘
//! ```

use super::id::{EndpointKey, MessageKey};
use super::time::UnixMs;

/// Failures of a delivery after which the operator is told that it is failing.
pub const FAILING_AFTER: u16 = 4;

/// Why a delivery is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parked {
    /// The schedule is over.
    Failed,
    /// Its endpoint is disabled.
    Held,
    /// Something inside us failed five times.
    Quarantined,
    /// Its content expired, or was deleted, before it was delivered: it is never sent.
    Cancelled,
}

impl Parked {
    /// The stored code.
    pub const fn code(self) -> i64 {
        match self {
            Self::Failed => 0,
            Self::Held => 1,
            Self::Quarantined => 2,
            Self::Cancelled => 3,
        }
    }

    /// What a stored code means; `None` for a code of a newer version.
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Failed),
            1 => Some(Self::Held),
            2 => Some(Self::Quarantined),
            3 => Some(Self::Cancelled),
            _ => None,
        }
    }
}

/// The state in which an attempt's delivery was taken. Its result is applied only if the
/// delivery is still there (fencing, not only time-outs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Taken {
    /// Straight from publishing.
    Pending,
    /// From its place in the order of due times.
    Waiting {
        /// When it was due.
        due: UnixMs,
    },
}

/// What started an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Publishing or the retry schedule.
    Scheduled,
    /// A resend by hand.
    Manual,
}

impl Trigger {
    /// The number used on the wire and in the store.
    pub const fn code(self) -> i64 {
        match self {
            Self::Scheduled => 0,
            Self::Manual => 1,
        }
    }

    /// What a stored number means.
    pub const fn from_code(code: i64) -> Self {
        if code == 1 { Self::Manual } else { Self::Scheduled }
    }
}

/// Where a delivery goes after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Delivered.
    Done,
    /// To be tried again.
    Retry {
        /// Not before.
        due: UnixMs,
        /// Failed attempts so far.
        attempts: u16,
    },
    /// Set aside.
    Park(Parked),
    /// Nothing more: a failed resend starts no schedule, and what belongs to a deleted endpoint goes.
    Nothing,
}

/// A waiting delivery as the store hands it to a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// Not before.
    pub due: UnixMs,
    /// Which message.
    pub message: MessageKey,
    /// Failed attempts so far.
    pub attempts: u16,
    /// A resend by hand: one attempt, outside the schedule.
    pub trigger: Trigger,
}

impl Waiting {
    /// Its place in the order of its endpoint.
    pub const fn place(&self) -> (UnixMs, MessageKey) {
        (self.due, self.message)
    }
}

/// A pending delivery as the store hands it to dispatch at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pending {
    /// Which message.
    pub message: MessageKey,
    /// To where.
    pub endpoint: EndpointKey,
}
