//! The API without sockets: each operation against a store with a disk.

mod access;
mod actions;
mod attempted;
mod credentials;
mod described;
mod engine;
mod errors;
mod examples;
mod idempotency;
mod insight;
mod lists;
mod live;
mod maintenance;
mod messages;
mod policies;
mod receiving;
mod replays;
mod resources;
mod searched;
mod support;
mod table;
mod ticking;

pub(super) use table::contract;
