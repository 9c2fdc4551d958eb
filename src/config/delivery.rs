//! `[delivery]`: attempts, retries, and what waits in memory for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Attempts, retries, and what waits in memory for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// Seconds to wait after each failed attempt of a delivery before the next one; the first
    /// attempt goes out at once. An empty list means no retries. The default makes ten attempts in
    /// 75 hours and 35 minutes, so that a receiver that breaks on a Friday evening is mended
    /// before the last of them.
    #[schemars(length(max = 50), inner(range(min = 1, max = 2_592_000)))]
    pub retry_schedule: Vec<u32>,

    /// Milliseconds for one whole attempt: name, connection, TLS, request, head and body of the
    /// answer. A receiver that needs longer should answer first and work afterwards.
    #[schemars(range(min = 50, max = 60_000))]
    pub attempt_timeout_ms: u64,

    /// Milliseconds of an attempt that connection and TLS may take (a name has 2 s of its own):
    /// what does not answer in that time is not there. Never more than what is left of the whole attempt.
    #[schemars(range(min = 50, max = 60_000))]
    pub connect_timeout_ms: u64,

    /// Attempts in flight at once, over all endpoints. Each costs an open file and about 27 KiB until it
    /// ends: some 220 MiB where all of the default are used. As long as fewer than half as many
    /// endpoints hang, no other waits for its first attempt.
    #[schemars(range(min = 1, max = 100_000))]
    pub attempts_in_flight_max: usize,

    /// Attempts in flight at once to one endpoint. The window of an endpoint grows up to this by
    /// success and shrinks when it cannot be reached.
    #[schemars(range(min = 1, max = 10_000))]
    pub window_max: usize,

    /// Bytes of the body of an answer that are read and kept with the attempt. The rest is not
    /// read: enough for an error message, too little to fill memory with.
    #[schemars(range(min = 0, max = 1_048_576))]
    pub response_bytes_max: usize,

    /// Deliveries held in memory, over all endpoints. What is beyond waits in the store and is
    /// loaded in the order in which it is due. Each costs under 100 bytes.
    #[schemars(range(min = 1_000, max = 100_000_000))]
    pub deliveries_in_memory_max: usize,

    /// Deliveries held in memory for one endpoint, so that one that does not answer leaves room
    /// for the others.
    #[schemars(range(min = 100, max = 100_000_000))]
    pub deliveries_per_lane_in_memory_max: usize,

    /// Bytes of payloads held in memory until their first attempt, over all messages. What is
    /// beyond is read again from the store.
    #[schemars(range(min = 0, max = 68_719_476_736_u64))]
    pub payload_bytes_in_memory_max: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            retry_schedule: vec![5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400],
            attempt_timeout_ms: 15_000,
            connect_timeout_ms: 5_000,
            attempts_in_flight_max: 8_192,
            window_max: 256,
            response_bytes_max: 64 << 10,
            deliveries_in_memory_max: 2_000_000,
            deliveries_per_lane_in_memory_max: 100_000,
            payload_bytes_in_memory_max: 64 << 20,
        }
    }
}
