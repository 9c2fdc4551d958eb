//! The state of a delivery as it is shown: nowhere stored, derived from the rows that there are.

use serde::{Deserialize, Serialize};

use super::delivery::Parked;
use super::time::UnixMs;

/// What the store holds of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traces {
    /// It is in line for its first attempt.
    pub pending: bool,
    /// When it is due by its schedule.
    pub due: Option<UnixMs>,
    /// When an attempt by hand is due.
    pub resend_due: Option<UnixMs>,
    /// It is set aside.
    pub parked: Option<Parked>,
    /// What its attempts came to.
    pub tried: Tried,
}

/// What the attempts of a delivery came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tried {
    /// There were none.
    #[default]
    Never,
    /// None succeeded.
    Failed,
    /// One succeeded: what came after it takes nothing back.
    Succeeded,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// In line for its first attempt.
    Pending,
    /// Waits for its time: a retry, a delayed or recovered delivery, a resend by hand.
    Waiting {
        /// Not before.
        due: UnixMs,
    },
    /// The receiver has it.
    Delivered,
    /// All attempts failed, and no other follows by itself.
    Failed,
    /// Held because its endpoint is disabled.
    Held,
    /// Set aside because something inside us failed five times.
    Quarantined,
    /// Its content is gone: it is never sent.
    Cancelled,
    /// It was given up by hand; its content is there.
    Withdrawn,
}

/// States as the API tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// The receiver has it.
    Success,
    /// No attempt was made, and none has a time.
    Pending,
    /// No other attempt follows by itself.
    Fail,
    /// The next attempt has its time.
    Sending,
    /// It was given up on purpose.
    Cancelled,
}

impl DeliveryState {
    /// The state of which these are the traces; `None` where the message does not go there.
    ///
    /// A resend by hand is seen only where there is nothing else to see: it moves no delivery.
    pub fn of(traces: &Traces) -> Option<Self> {
        if traces.pending {
            return Some(Self::Pending);
        }
        if let Some(due) = traces.due {
            return Some(Self::Waiting { due });
        }
        match (traces.parked, traces.tried, traces.resend_due) {
            (Some(Parked::Failed), ..) | (None, Tried::Failed, None) => Some(Self::Failed),
            (Some(Parked::Held), ..) => Some(Self::Held),
            (Some(Parked::Quarantined), ..) => Some(Self::Quarantined),
            (Some(Parked::Cancelled), ..) => Some(Self::Cancelled),
            (None, Tried::Succeeded, _) => Some(Self::Delivered),
            (None, Tried::Never | Tried::Failed, Some(due)) => Some(Self::Waiting { due }),
            (None, Tried::Never, None) => None,
        }
    }

    /// What the API calls it.
    pub const fn status(self) -> DeliveryStatus {
        match self {
            Self::Delivered => DeliveryStatus::Success,
            Self::Pending | Self::Held => DeliveryStatus::Pending,
            Self::Failed | Self::Quarantined => DeliveryStatus::Fail,
            Self::Waiting { .. } => DeliveryStatus::Sending,
            Self::Cancelled | Self::Withdrawn => DeliveryStatus::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_follows_from_what_is_stored() {
        let none = Traces::default();
        let failed = Traces { tried: Tried::Failed, ..none };
        let parked = |parked| Traces { parked: Some(parked), ..failed };
        for (traces, state) in [
            (none, None),
            (Traces { pending: true, ..none }, Some(DeliveryState::Pending)),
            (Traces { pending: true, ..failed }, Some(DeliveryState::Pending)),
            (Traces { due: Some(7), ..none }, Some(DeliveryState::Waiting { due: 7 })),
            (Traces { due: Some(7), resend_due: Some(3), ..failed }, Some(DeliveryState::Waiting { due: 7 })),
            (failed, Some(DeliveryState::Failed)),
            (parked(Parked::Failed), Some(DeliveryState::Failed)),
            (parked(Parked::Held), Some(DeliveryState::Held)),
            (parked(Parked::Quarantined), Some(DeliveryState::Quarantined)),
            (parked(Parked::Cancelled), Some(DeliveryState::Cancelled)),
            (Traces { resend_due: Some(3), ..parked(Parked::Failed) }, Some(DeliveryState::Failed)),
            (Traces { tried: Tried::Succeeded, ..none }, Some(DeliveryState::Delivered)),
            (Traces { tried: Tried::Succeeded, resend_due: Some(3), ..none }, Some(DeliveryState::Delivered)),
            (Traces { resend_due: Some(3), ..none }, Some(DeliveryState::Waiting { due: 3 })),
            (Traces { resend_due: Some(3), ..failed }, Some(DeliveryState::Waiting { due: 3 })),
        ] {
            assert_eq!(DeliveryState::of(&traces), state, "{traces:?}");
        }
    }

    #[test]
    fn what_is_held_is_pending_and_what_waits_is_sending() {
        for (state, status) in [
            (DeliveryState::Delivered, DeliveryStatus::Success),
            (DeliveryState::Pending, DeliveryStatus::Pending),
            (DeliveryState::Held, DeliveryStatus::Pending),
            (DeliveryState::Failed, DeliveryStatus::Fail),
            (DeliveryState::Quarantined, DeliveryStatus::Fail),
            (DeliveryState::Waiting { due: 1 }, DeliveryStatus::Sending),
            (DeliveryState::Cancelled, DeliveryStatus::Cancelled),
            (DeliveryState::Withdrawn, DeliveryStatus::Cancelled),
        ] {
            assert_eq!(state.status(), status, "{state:?}");
        }
    }
}
