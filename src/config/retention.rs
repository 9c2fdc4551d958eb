//! `[retention]`: how long what was accepted is kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long what was accepted is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days that the bytes of a message are kept where the message itself says nothing, counted from
    /// when it was accepted, or from its `deliverAt`. A delivery that still waits then is cancelled.
    /// Holds for messages that are accepted from now on.
    #[schemars(range(min = 1, max = 36_500))]
    pub payload_days: u16,

    /// Days that attempts, the answers to them and the counts of them are kept.
    #[schemars(range(min = 1, max = 36_500))]
    pub attempt_days: u16,

    /// Days that messages are kept, counted from when they were accepted, or from their `deliverAt`.
    /// With a message go its bytes, and what of it is still to be delivered or was set aside.
    #[schemars(range(min = 1, max = 36_500))]
    pub message_days: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self { payload_days: 90, attempt_days: 90, message_days: 90 }
    }
}
