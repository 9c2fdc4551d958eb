//! `[limits]`: how much of a thing there may be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of a thing there may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of the body of one request. Webhooks are notices, not files: most receivers refuse
    /// more than this default.
    #[schemars(range(min = 1_024, max = 67_108_864))]
    pub body_bytes_max: usize,

    /// Bytes of request bodies held in memory while they are read, over all clients. A request
    /// that finds no room is answered 503 at once. Bodies that take longer than two seconds
    /// may hold half of it. At least `limits.body_bytes_max`.
    #[schemars(range(min = 1_024, max = 4_294_967_295_u64))]
    pub body_bytes_in_memory_max: usize,

    /// Levels of nesting in a JSON body. Deeper ones are written to exhaust a parser's stack.
    #[schemars(range(min = 1, max = 128))]
    pub json_depth_max: usize,

    /// Rows that wait for the journal's next commit. When it is full, the API answers 503 with
    /// `Retry-After` before anything is accepted.
    #[schemars(range(min = 100, max = 10_000_000))]
    pub journal_rows_max: usize,

    /// Bytes that wait for the journal's next commit. At least `limits.body_bytes_max`.
    #[schemars(range(min = 1_024, max = 4_294_967_295_u64))]
    pub journal_bytes_max: usize,

    /// Endpoints of one application. A message goes to each that matches, and is routed to all of
    /// them in one transaction.
    #[schemars(range(min = 1, max = 10_000))]
    pub endpoints_per_application: usize,

    /// Applications whose routing (endpoints and what they match) is kept in memory. The routing
    /// of others is read from the store when a message comes for them.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub routing_cache_applications: usize,

    /// Requests per second of one key, with a burst of one second's worth; what is more is
    /// answered 429 with `Retry-After`. So that one tenant cannot fill the journal that all share.
    /// 0: any number.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub requests_per_second_per_key: u32,

    /// Client connections open at once from one address (of IPv6, one network of 64 bits); what is
    /// more is closed. All of them together are bounded by `server.connections_max`. Behind a proxy
    /// all clients have its address. 0: any number.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub connections_per_address: u32,

    /// The number of files that the process may open below which the start warns, after it has
    /// raised the number as far as the machine lets it. Enough for `server.connections_max`,
    /// `delivery.attempts_in_flight_max` and the store.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub open_files_warn_below: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            body_bytes_in_memory_max: 64 << 20,
            json_depth_max: 128,
            journal_rows_max: 20_000,
            journal_bytes_max: 64 << 20,
            endpoints_per_application: 1_000,
            routing_cache_applications: 100_000,
            requests_per_second_per_key: 0,
            connections_per_address: 0,
            open_files_warn_below: 24_576,
        }
    }
}
